//! A software TPM of one's own for each test: swtpm on a Unix socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use thingward_agent::key_store::KeyStoreReference;

/// A TPM in a machine that is on.
pub struct SoftwareTpm {
    folder: PathBuf,
    process: Child,
}

impl SoftwareTpm {
    /// A new one, with its secrets in this folder, which is made.
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir(folder).unwrap();
        Self { folder: folder.to_owned(), process: start(folder) }
    }

    /// A home's keys in it, bound to PCR 7.
    pub fn key_store(&self) -> KeyStoreReference {
        format!("tpm:{}", socket(&self.folder).display()).parse().unwrap()
    }

    /// Turns the machine off and on, so that it starts as it did: the PCRs are zero again.
    pub fn restart(&mut self) {
        self.stop();
        self.process = start(&self.folder);
    }

    /// What firmware does with what it is about to run. Nobody may have the TPM open.
    pub fn extend_pcr_7(&self) {
        let mut command = vec![0x80, 0x02, 0, 0, 0, 65, 0, 0, 0x01, 0x82, 0, 0, 0, 7];
        command.extend([0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x0b]);
        command.extend([0x5a; 32]);
        let mut socket = UnixStream::connect(socket(&self.folder)).unwrap();
        socket.write_all(&command).unwrap();
        let mut answer = [0; 10];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(answer[6..], [0; 4], "the TPM extends");
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for SoftwareTpm {
    fn drop(&mut self) {
        self.stop();
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

fn start(folder: &Path) -> Child {
    let socket = socket(folder);
    let _old = std::fs::remove_file(&socket);
    let mut command = Command::new("swtpm");
    command.arg("socket").arg("--tpm2").arg("--tpmstate").arg(format!("dir={}", folder.display()));
    command.arg("--server").arg(format!("type=unixio,path={}", socket.display()));
    command.args(["--flags", "not-need-init,startup-clear"]).stderr(Stdio::null());
    let mut process = command.spawn().expect("swtpm is installed: scripts/install test");
    for _ in 0..200 {
        if socket.exists() {
            return process;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    process.kill().unwrap();
    panic!("swtpm does not listen: {}", process.wait().unwrap());
}
