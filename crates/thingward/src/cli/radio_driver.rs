//! `radio-driver`: the process of a radio's driver, which a gateway starts.

use std::io::Write as _;
use std::process::exit;

use clap::Args;
use thingward_radio::{Kind, line, process};

/// The driver of a radio: a gateway starts it, and speaks with it over standard input and output.
#[derive(Debug, Args)]
pub(super) struct RadioDriver {
    /// What the radio speaks.
    #[arg(value_parser = |word: &str| Kind::of(word).ok_or("no kind of radio"))]
    kind: Kind,
    /// Where its line is.
    line: line::Address,
}

impl RadioDriver {
    /// Never returns: the process has been shut in, and can do nothing else.
    pub(super) fn run(&self) -> ! {
        let end = process::run(&self.line, &mut *self.kind.protocol());
        drop(writeln!(std::io::stderr(), "{end}"));
        exit(end.exit_code().into())
    }
}
