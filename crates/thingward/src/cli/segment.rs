//! `segment`: history as files that the customer's own tools open with the customer's key.

use std::path::PathBuf;

use clap::Subcommand;

use super::Global;
use super::connection::Tenant as Whose;
use super::reading::download;
use super::tenancy::show_items;
use crate::api::Path;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum Segment {
    /// List segments, oldest readings first.
    List {
        #[command(flatten)]
        tenant: Whose,
    },
    /// Download a segment as it is stored: Parquet, encrypted under the customer's key.
    Fetch {
        #[command(flatten)]
        tenant: Whose,
        /// Its id, as `segment list` shows it.
        id: String,
        /// The file [default: ID.parquet]. One that is there is never overwritten.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

impl Segment {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let api = global.api()?;
        match self {
            Self::List { tenant } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "segments"]);
                let columns = [
                    ("ID", "id"),
                    ("ROWS", "rows"),
                    ("BYTES", "bytes"),
                    ("FROM", "time_min"),
                    ("TO", "time_max"),
                    ("CREATED", "created"),
                ];
                show_items(global, &api.get(path.as_str()).await?, &columns);
                Ok(())
            }
            Self::Fetch { tenant, id, file } => {
                // The id becomes a file name.
                if !id.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(Failure::NotFound("segment not found".to_owned()));
                }
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "segments", &id]);
                let file = file.unwrap_or_else(|| format!("{id}.parquet").into());
                download(global, &api, &path, Some(&file)).await
            }
        }
    }
}
