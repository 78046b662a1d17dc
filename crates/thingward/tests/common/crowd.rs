//! Clients that are scripts of their own, `tests/peers/crowd.py`.

#![allow(clippy::panic, reason = "a test says what is wrong by panicking")]

use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Command, Stdio};

use serde_json::Value as Json;

use super::by_hand::ByHand;
use super::{Place, Running};

/// A client in its process.
pub(crate) struct Client {
    process: Running,
    says: BufReader<ChildStdout>,
}

impl Client {
    /// Does something as this member for so long, or until it is asked what came of it where that is 0. What it numbers begins
    /// with `first`.
    pub(crate) fn start(place: &Place, member: &ByHand, what: &str, seconds: u32, first: u64) -> Self {
        Self::start_at(place.mqtt, member, what, seconds, first)
    }

    /// At another port than the service's.
    pub(crate) fn start_at(port: u16, member: &ByHand, what: &str, seconds: u32, first: u64) -> Self {
        Self::start_by(Command::new("python3"), port, member, what, seconds, first)
    }

    /// By a command of its own that ends with Python.
    pub(crate) fn start_by(
        mut command: Command,
        port: u16,
        member: &ByHand,
        what: &str,
        seconds: u32,
        first: u64,
    ) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/crowd.py");
        let (chain, key) = (member.file("chain.pem"), member.file("key.pem"));
        let mut process = command
            .args([script, what, &port.to_string(), member.root(), &chain, &key])
            .args([seconds.to_string(), first.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        let mut client = Self { process: Running(process), says };
        assert_eq!(client.line(), "ready", "{what}");
        client
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// What came of it.
    pub(crate) fn outcome(mut self) -> Json {
        drop(self.process.0.stdin.take());
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"))
    }
}

pub(crate) fn count(outcome: &Json, name: &str) -> u64 {
    outcome[name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {outcome}"))
}
