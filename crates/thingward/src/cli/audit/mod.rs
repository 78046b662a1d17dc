//! `audit`: who did what, and the proof of it.

mod bundle;
mod entry;
mod trust;

use std::path::PathBuf;

use clap::Subcommand;

use super::Global;
use super::connection::Tenant as Whose;
use crate::api::Path;
use crate::failure::Failure;
use crate::output::{self, fields};

use entry::Known;
use trust::Witnesses;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// List entries, oldest first.
    List {
        #[command(flatten)]
        tenant: Whose,
        /// Entries after this one.
        #[arg(long)]
        after: Option<u64>,
        /// Most entries.
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Show entries as they come.
    Follow {
        #[command(flatten)]
        tenant: Whose,
        /// Begin behind this entry; else with the next one.
        #[arg(long)]
        after: Option<u64>,
    },
    /// Show an entry in full, after proving that it is in the log.
    Show {
        #[command(flatten)]
        tenant: Whose,
        /// Its number.
        index: u64,
        #[command(flatten)]
        known: Known,
    },
    /// Prove that an entry is in the log.
    Prove {
        #[command(flatten)]
        tenant: Whose,
        /// Its number.
        index: u64,
        #[command(flatten)]
        known: Known,
    },
    /// Show the log's key, name and size, and its witnesses. Keep the keys where the service cannot change them.
    Key {
        #[command(flatten)]
        tenant: Whose,
    },
    /// Write the log into a folder, to verify it elsewhere.
    Export {
        #[command(flatten)]
        tenant: Whose,
        /// A folder that is not there yet.
        folder: PathBuf,
    },
    /// Verify an exported log with nothing but keys. Needs no service.
    Verify {
        /// The folder that `audit export` wrote.
        folder: PathBuf,
        /// A second export of the same log, of somebody else or of another time: one has to continue the other.
        other: Option<PathBuf>,
        /// The log's key, as `audit key` showed it.
        #[arg(long)]
        key: String,
        /// A checkpoint of the same log that was kept before; the log has to continue it.
        #[arg(long, value_name = "FILE", conflicts_with = "other")]
        against: Option<PathBuf>,
        #[command(flatten)]
        witnesses: Witnesses,
    },
}

impl Audit {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Verify { folder, other, key, against, witnesses } => {
                let trust = trust::Trust::new(&key, &witnesses)?;
                bundle::verify(global, &folder, other.as_deref(), against.as_deref(), &trust)
            }
            Self::List { tenant, after, limit } => entry::list(global, &tenant, after, limit).await,
            Self::Follow { tenant, after } => entry::follow(global, &tenant, after).await,
            Self::Show { tenant, index, known } => entry::show(global, &tenant, index, &known, true).await,
            Self::Prove { tenant, index, known } => entry::show(global, &tenant, index, &known, false).await,
            Self::Key { tenant } => {
                let api = global.api()?;
                let log = api.get(Path::new(&["tenants", &tenant.name(&api).await?, "log"]).as_str()).await?;
                output::value(global.output, &log, fields);
                Ok(())
            }
            Self::Export { tenant, folder } => bundle::export(global, &tenant, &folder).await,
        }
    }
}
