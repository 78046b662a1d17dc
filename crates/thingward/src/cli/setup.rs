//! `init`, `config` and `store`: before a service runs, and when it does not.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::Global;
use super::file::create_public;
use crate::config;
use crate::failure::Failure;
use crate::output::{self, Progress, fields};

/// Write a commented thingward.toml.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The file. One that is there is never overwritten.
    #[arg(default_value = "thingward.toml")]
    file: PathBuf,
}

impl Init {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        create_public(&self.file, config::TEMPLATE.as_bytes())?;
        let written = json!({"file": self.file.display().to_string()});
        output::value(global.output, &written, |_| {
            format!("{} is written; next: `thingward service run`", self.file.display())
        });
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Check the configuration and name every problem.
    Check {
        /// The file; else the one that would be used.
        file: Option<PathBuf>,
    },
}

impl Config {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let Self::Check { file } = self;
        let config = match file {
            Some(file) => config::read(file)?,
            None => config::load(global)?,
        };
        let problems = config.problems_of_files();
        if !problems.is_empty() {
            return Err(Failure::Configuration(problems));
        }
        let shown =
            config.file.as_deref().map_or_else(|| "built in".to_owned(), |f: &Path| f.display().to_string());
        output::value(global.output, &json!({"file": shown, "ok": true}), fields);
        Ok(())
    }
}

/// Looks whether the data directory of a service that is stopped is whole: every block, segment and log to its end, and
/// what log, members, users, policies, commands and grants say of each other. Repairs and removes nothing.
#[derive(Debug, Args)]
pub(super) struct Fsck {
    /// The data directory [default: that of thingward.toml].
    data_dir: Option<PathBuf>,
}

impl Fsck {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let data_dir = match self.data_dir {
            Some(data_dir) => data_dir,
            None => config::load(global)?.data_dir(),
        };
        if !data_dir.join("registry.sqlite").exists() {
            return Err(Failure::NotFound(format!("{} is no data directory", data_dir.display())));
        }
        let progress = Progress::new(global.output, "reading everything", None);
        let report = thingward_service::fsck::fsck(&data_dir).await;
        progress.finish();
        let report = report.map_err(Failure::of)?;
        let (problems, store) = (&report.problems, &report.store);
        let found = json!({
            "blocks": store.blocks,
            "segments": store.segments,
            "rows": store.rows,
            "log_entries": store.log_entries,
            "locked": store.locked,
            "policies": report.policies,
            "commands": report.commands,
            "grants": report.grants,
            "descriptions": report.descriptions,
            "problems": problems,
        });
        output::value(global.output, &found, |_| {
            let count = format!(
                "{} blocks and {} segments with {} rows, {} log entries, {} versions of policies, {} commands, {} grants \
                 and {} descriptions are whole; {} cannot be opened without their keys\n",
                store.blocks,
                store.segments,
                store.rows,
                store.log_entries,
                report.policies,
                report.commands,
                report.grants,
                report.descriptions,
                store.locked
            );
            count + &problems.join("\n")
        });
        match problems.len() {
            0 => Ok(()),
            n => Err(Failure::Failed(format!("{n} problems in {}", data_dir.display()))),
        }
    }
}
