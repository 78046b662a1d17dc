//! Clients of Paho's with sessions that last, `tests/peers/paho_session.py`.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value as Json;

use super::Running;
use super::by_hand::ByHand;

/// A client of Paho's with a session that lasts.
pub(crate) struct Paho {
    #[expect(dead_code, reason = "it ends with this")]
    process: Running,
    says: BufReader<ChildStdout>,
    hears: Option<ChildStdin>,
}

impl Paho {
    pub(crate) fn start(python: &str, port: u16, member: &ByHand, role: &str, name: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/paho_session.py");
        let (chain, key) = (member.file("chain.pem"), member.file("key.pem"));
        let mut process = Command::new(python)
            .args([script, role, name, &port.to_string(), member.root(), &chain, &key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        let hears = process.stdin.take();
        let mut me = Self { process: Running(process), says, hears };
        assert_eq!(me.line(), "ready", "{name}");
        me
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    pub(crate) fn told(&mut self, what: &str) -> String {
        writeln!(self.hears.as_mut().unwrap(), "{what}").unwrap();
        self.line()
    }

    /// What it has heard, each number once, and whether its session was there when it connected.
    pub(crate) fn heard(&mut self) -> (Vec<u64>, Vec<bool>) {
        let all: Json = serde_json::from_str(&self.told("tell")).unwrap();
        let mut seen = BTreeSet::new();
        let numbers = all["heard"].as_array().unwrap().iter().map(|number| number.as_u64().unwrap());
        let first = numbers.filter(|number| seen.insert(*number)).collect();
        let present = all["present"].as_array().unwrap().iter();
        (first, present.map(|present| present.as_bool().unwrap()).collect())
    }

    /// How many numbers it said, when it has said all and all is acknowledged.
    pub(crate) fn said(mut self) -> u64 {
        drop(self.hears.take());
        let all: Json = serde_json::from_str(&self.line()).unwrap();
        all["said"].as_u64().unwrap()
    }
}
