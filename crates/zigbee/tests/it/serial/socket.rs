//! The emulated coordinator as a program at a Unix socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use thingward_zigbee::ezsp::{EzspHost, EzspOutput};

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn connect(path: &Path) -> UnixStream {
    let start = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return stream,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(10), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn one_host_after_the_other_finds_the_emulated_coordinator_at_its_socket() {
    let built = std::env::current_exe().unwrap();
    let program = built.parent().unwrap().with_file_name("examples").join("emulated_coordinator");
    let path = std::env::temp_dir().join(format!("thingward-zigbee-{}", std::process::id()));
    let node = "bulb=00158d0000000002:83FED3407A939723A5C639B26916D505C3B5";
    let _program = Program(Command::new(program).arg("--socket").arg(&path).arg(node).spawn().unwrap());
    for _ in 0..2 {
        let mut line = connect(&path);
        line.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut host = EzspHost::default();
        let mut outputs = host.open(Duration::ZERO);
        let mut octets = [0; 256];
        while !outputs.contains(&EzspOutput::Ready(13)) {
            for output in std::mem::take(&mut outputs) {
                if let EzspOutput::Write(octets) = output {
                    line.write_all(&octets).unwrap();
                }
            }
            let count = line.read(&mut octets).unwrap();
            outputs = host.receive(&octets[..count], Duration::ZERO);
        }
    }
    let _ = std::fs::remove_file(&path);
}
