//! A peer's program, which decodes the same frames when it is told to.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value as Json;

/// Rounds that do not count: its compiler has seen everything before.
pub(crate) const WARM: u32 = 3;

/// It ends with this.
pub(crate) struct Peer {
    process: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Peer {
    /// `modules` is the folder of npm's packages; `given` is for the script.
    pub(crate) fn start(script: &str, modules: &Path, given: &Json) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script);
        let mut node = Command::new("node");
        let node = node.arg(script).arg(modules).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = node.spawn().unwrap();
        let (mut hears, says) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        writeln!(hears, "{given}").unwrap();
        Self { process, says: BufReader::new(says), hears }
    }

    /// Decodes everything once: in which time of the processor, by what was decoded, in seconds.
    pub(crate) fn round(&mut self) -> Json {
        writeln!(self.hears).unwrap();
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the peer says {line:?}: {error}"))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
