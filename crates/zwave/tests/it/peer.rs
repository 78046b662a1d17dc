//! The same emulated controller to a third party's host, over TCP.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_third_partys_host_includes_and_switches_the_emulated_bulb() {
    let Ok(modules) = std::env::var("THINGWARD_NODE_MODULES") else {
        println!("SKIPPED: THINGWARD_NODE_MODULES is not set");
        return;
    };
    // Examples are built beside the tests.
    let built = std::env::current_exe().unwrap();
    let emulated = built.parent().unwrap().with_file_name("examples").join("emulated_controller");
    let mut program = Program(Command::new(emulated).stdout(Stdio::piped()).spawn().unwrap());
    let mut said = String::new();
    BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let (port, dsk) = said.trim().split_once(' ').unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/zwave_js_host.mjs");
    let output = Command::new("node").arg(script).args([&modules, port, dsk]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}
