//! `radio-testbed`: a radio that is not there.

use std::path::PathBuf;

use clap::Args;

use super::role;
use crate::failure::Failure;
use crate::radio_testbed::{Kind, Settings, run};

/// A radio for demos: nothing goes over the air, and everything above its line is real.
#[derive(Debug, Args)]
pub(super) struct RadioTestbed {
    /// What it speaks.
    #[arg(value_enum)]
    kind: Kind,
    /// The Unix socket that is its line.
    #[arg(long, value_name = "SOCKET")]
    line: PathBuf,
    /// What it and its thing keep, what is printed on the thing, and its address; made when it is not there.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    #[command(flatten)]
    run: role::Run,
}

impl RadioTestbed {
    pub(super) async fn run(self) -> Result<(), Failure> {
        self.run.begin();
        run(&Settings { kind: self.kind, line: self.line, home: self.home }).await
    }
}
