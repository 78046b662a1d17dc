//! The console in a real browser, against a whole town: see `console/tests/run.mjs`.
//! Skips, and says so, where Chromium or the console's packages are not installed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Running, given, have};

#[test]
fn people_set_up_command_invite_refuse_and_prove_in_a_browser() {
    if given("THINGWARD_NODE_MODULES").is_none() || !have(&["node", "chromium"]) {
        return;
    }
    let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console");
    let folder = tempfile::tempdir().unwrap();
    let town = folder.path().join("town");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_thingward"))
        .arg("demo")
        .arg("--dir")
        .arg(&town)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut says = BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    // Its processes stop with it.
    let _demo = Running(demo);
    let link = says.find_map(|line| line.strip_prefix("Open ").map(str::to_owned)).unwrap();
    let near = says.find(|line| line.contains("/near#")).unwrap().trim().to_owned();
    let (place, _) = link.split_once("/link#").unwrap();
    let place = place.to_owned();
    // Whoever does not read makes it wait.
    std::thread::spawn(move || says.for_each(drop));
    let status = Command::new("timeout")
        .args(["--kill-after=5", "600", "node", "tests/run.mjs"])
        .current_dir(console)
        .env("CONSOLE_URL", place)
        .env("SETUP_LINK", link)
        .env("NEAR_URL", near)
        .env("THINGWARD", env!("CARGO_BIN_EXE_thingward"))
        .env("THINGWARD_CONFIG", town.join("thingward.toml"))
        .status()
        .unwrap();
    assert!(status.success(), "what failed stands above");
}
