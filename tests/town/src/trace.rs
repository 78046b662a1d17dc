//! What happened, line by line, in a hash: two runs of one seed have the same.
//!
//! Sizes and decisions are in it, and no bytes: keys and nonces come from the system, as everywhere.

use std::collections::VecDeque;

use thingward_crypto::sha256;

/// Lines that are kept for people.
const KEPT: usize = 120;

/// See the module.
#[derive(Default)]
pub struct Trace {
    hash: [u8; 32],
    lines: u64,
    last: VecDeque<String>,
}

impl Trace {
    /// Something happened.
    pub fn line(&mut self, line: String) {
        self.hash = sha256(&[&self.hash, line.as_bytes()]);
        self.lines += 1;
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// Over all of it.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// How many lines there were.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// The last of them.
    #[must_use]
    pub fn tail(&self) -> String {
        self.last.iter().map(|line| format!("  {line}\n")).collect()
    }
}
