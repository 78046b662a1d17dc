//! `init`, `config` and `store`: before a service runs, and when it does not.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use thingward_service::node::{Moved, move_to_nodes};

use super::Global;
use super::file::create_public;
use crate::config;
use crate::failure::Failure;
use crate::output::{self, Output, Progress, fields};

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

/// Makes the service of this configuration, which is stopped, several nodes: copies all that it has to the places that [scale]
/// names, and reads it back. What it had stays in its data directory.
#[derive(Debug, Args)]
pub(super) struct Move {}

impl Move {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let config = config::load(global)?;
        let Some(scale) = config.scale else {
            return Err(Failure::Configuration(vec![
                "[scale] is missing: it says where everything goes".to_owned(),
            ]));
        };
        if !config.service.data_dir.join("registry.sqlite").exists() {
            let text = format!("{} is no data directory", config.service.data_dir.display());
            return Err(Failure::NotFound(text));
        }
        let is_told = global.output == Output::Text;
        let step = move |step: &'static str| {
            if is_told {
                eprintln!("{step}");
            }
        };
        let moved = move_to_nodes(&config.service, &scale, step).await.map_err(Failure::of)?;
        let Moved { rows, files, report } = moved;
        let (problems, store) = (&report.problems, &report.store);
        let found = json!({
            "registry_rows": rows,
            "files": files,
            "blocks": store.blocks,
            "segments": store.segments,
            "rows": store.rows,
            "log_entries": store.log_entries,
            "problems": problems,
        });
        output::value(global.output, &found, |_| {
            format!(
                "moved and read back: {rows} rows of the registry, {files} files, {} blocks and {} segments with {} rows, \
                 {} log entries; next: `thingward service run` on each node\n{}",
                store.blocks,
                store.segments,
                store.rows,
                store.log_entries,
                problems.join("\n")
            )
        });
        Ok(())
    }
}
