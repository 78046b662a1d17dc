//! The same emulated coordinator to a third party's host, over a pseudo-terminal.

use std::path::Path;
use std::process::Command;

#[test]
fn a_third_partys_host_runs_a_network_on_the_emulated_coordinator() {
    let Ok(python) = std::env::var("THINGWARD_PYTHON") else {
        println!("SKIPPED: THINGWARD_PYTHON is not set");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/bellows_host.py");
    // Examples are built beside the tests.
    let built = std::env::current_exe().unwrap();
    let emulated = built.parent().unwrap().with_file_name("examples").join("emulated_coordinator");
    for version in ["13", "14", "18"] {
        let mut command = Command::new("timeout");
        command.arg("60").arg(&python).arg(&script).arg(&emulated).arg(version);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{version}: {said}{}", String::from_utf8_lossy(&output.stderr));
        println!("{version}: {said}");
    }
}
