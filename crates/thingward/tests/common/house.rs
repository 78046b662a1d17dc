//! A house with a radio: a service and a gateway, and the emulated Z-Wave controller and nodes of Z-Wave JS behind the gateway's
//! driver.

#![allow(clippy::panic, reason = "a test says what is wrong by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value as Json, json};

use super::{Place, Running, shown, wait_for};

const SECURITY_2: u8 = 0x9f;
const SUPERVISION: u8 = 0x6c;
pub(crate) const BINARY_SWITCH: u8 = 0x25;

/// The emulated controller in its process.
pub(crate) struct Controller {
    process: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
    port: u16,
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Controller {
    /// `None`, said aloud, where the peer is not installed.
    pub(crate) fn start() -> Option<Self> {
        let Ok(modules) = std::env::var("THINGWARD_NODE_MODULES") else {
            println!("SKIPPED: THINGWARD_NODE_MODULES is not set");
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/zwave_controller.mjs");
        let mut node = Command::new("node");
        let node = node.args([script, &modules]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = node.stderr(Stdio::null()).spawn().unwrap();
        let hears = process.stdin.take().unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        let mut controller = Self { process, says, hears, port: 0 };
        controller.port = controller.answer().parse().unwrap();
        Some(controller)
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        assert!(!line.starts_with("error"), "{line}");
        line.trim().to_owned()
    }

    pub(crate) fn have(&mut self, what: &Json) -> String {
        writeln!(self.hears, "{what}").unwrap();
        self.answer()
    }

    /// The node says that its switch is so.
    pub(crate) fn report(&mut self, on: bool) {
        assert_eq!(self.have(&json!({"do": "report", "id": 2, "on": on, "secure": true})), "ok");
    }

    pub(crate) fn is_on(&mut self) -> bool {
        self.have(&json!({"do": "state", "id": 2})) == "true"
    }
}

/// A house with a radio.
pub(crate) struct House {
    pub(crate) place: Place,
    pub(crate) controller: Controller,
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.place.logs());
        }
    }
}

impl House {
    /// With more sections of the configuration.
    pub(crate) fn with(more: &str) -> Option<(Self, Running)> {
        let controller = Controller::start()?;
        let place = Place::with(&format!(
            "[gateway.radio.zwave-1]\nkind = \"zwave\"\nline = \"tcp:127.0.0.1:{}\"\n{more}",
            controller.port
        ));
        let service = place.service(&["acme"]);
        place.enrol("acme", "gateway", "gateway");
        Some((Self { place, controller }, service))
    }

    /// Lets a switch join whose device-specific key is known; gives what it is called upstream.
    pub(crate) fn admit_switch(&mut self) -> String {
        let key = self.controller.have(&json!({"do": "key"}));
        let printed = self.place.path("dsk");
        std::fs::write(&printed, key.strip_prefix("dsk ").unwrap()).unwrap();
        let classes = json!([[SECURITY_2, false], [SUPERVISION, true], [BINARY_SWITCH, true]]);
        let join = json!({"do": "join", "id": 2, "security": ["S2_Authenticated"], "classes": classes});
        // The emulated controller looks for a node that waits when it begins to listen.
        assert_eq!(self.controller.have(&join), "ok");
        let words = ["gateway", "admit", "gateway", "--for", "5m", "--radio", "zwave-1", "--printed-file"];
        self.place.done(&[&words[..], &[shown(&printed)]].concat());
        let mut name = None;
        wait_for("the switch", || {
            name = self.things().into_iter().next();
            name.is_some()
        });
        let name = name.unwrap();
        wait_for("what it can do", || self.place.run(&["command", "actions", &name]).0 == 0);
        name
    }

    /// Waits until nothing is on its way: the emulated controller does not get over a host that is gone while it sends.
    pub(crate) fn settle(&self) {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }

    /// What things of the radio are called upstream.
    pub(crate) fn things(&self) -> Vec<String> {
        let all = self.place.done(&["device", "list"]);
        let names = all.as_array().unwrap().iter().map(|device| device["name"].as_str().unwrap().to_owned());
        names.filter(|name| name.starts_with("zwave-1-")).collect()
    }

    /// What the switch has said of itself, oldest first, each with what stands behind it.
    pub(crate) fn said(&self, name: &str) -> Vec<(bool, String)> {
        let rows = self.place.readings("acme");
        let rows = rows.iter().filter(|row| row["device"] == name && row["field"] == "on");
        let mut rows: Vec<&Json> = rows.collect();
        rows.sort_by_key(|row| row["seq"].as_u64());
        let said = |row: &&Json| {
            let value = row["value"].as_bool().unwrap_or_else(|| panic!("{row}"));
            (value, row["assurance"].as_str().unwrap().to_owned())
        };
        rows.iter().map(said).collect()
    }

    pub(crate) fn wait_for_words(&self, name: &str, beyond: usize) {
        wait_for("what it says", || self.said(name).len() > beyond);
    }

    /// The process of the radio's driver.
    pub(crate) fn driver(&self) -> Option<u32> {
        let line = format!("tcp:127.0.0.1:{}", self.controller.port);
        let found =
            Command::new("pgrep").args(["-f", &format!("radio-driver zwave {line}")]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().lines().next().and_then(|id| id.parse().ok())
    }
}

pub(crate) fn kill(process: u32) {
    assert!(Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success());
}
