//! Things of radios, whole: a real service and gateway with the driver's own process, and the emulated Z-Wave controller and
//! nodes of Z-Wave JS behind its line. Skips, and says so, where that is not installed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use common::{Place, Running, shown, wait_for};
use serde_json::{Value as Json, json};

const SECURITY_2: u8 = 0x9f;
const SUPERVISION: u8 = 0x6c;
const BINARY_SWITCH: u8 = 0x25;

/// The emulated controller in its process.
struct Controller {
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
    fn start() -> Option<Self> {
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

    fn have(&mut self, what: &Json) -> String {
        writeln!(self.hears, "{what}").unwrap();
        self.answer()
    }

    /// The node says that its switch is so.
    fn report(&mut self, on: bool) {
        assert_eq!(self.have(&json!({"do": "report", "id": 2, "on": on, "secure": true})), "ok");
    }

    fn is_on(&mut self) -> bool {
        self.have(&json!({"do": "state", "id": 2})) == "true"
    }
}

/// A house with a radio.
struct House {
    place: Place,
    controller: Controller,
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.place.logs());
        }
    }
}

impl House {
    fn new() -> Option<(Self, Running)> {
        let controller = Controller::start()?;
        let place = Place::with(&format!(
            "[gateway.radio.zwave-1]\nkind = \"zwave\"\nline = \"tcp:127.0.0.1:{}\"",
            controller.port
        ));
        let service = place.service(&["acme"]);
        place.enrol("acme", "gateway", "gateway");
        Some((Self { place, controller }, service))
    }

    /// Lets a switch join whose device-specific key is known; gives what it is called upstream.
    fn admit_switch(&mut self) -> String {
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

    /// What things of the radio are called upstream.
    fn things(&self) -> Vec<String> {
        let all = self.place.done(&["device", "list"]);
        let names = all.as_array().unwrap().iter().map(|device| device["name"].as_str().unwrap().to_owned());
        names.filter(|name| name.starts_with("zwave-1-")).collect()
    }

    /// What the switch has said of itself, oldest first, each with what stands behind it.
    fn said(&self, name: &str) -> Vec<(bool, String)> {
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

    fn wait_for_words(&self, name: &str, beyond: usize) {
        wait_for("what it says", || self.said(name).len() > beyond);
    }

    /// The process of the radio's driver.
    fn driver(&self) -> Option<u32> {
        let line = format!("tcp:127.0.0.1:{}", self.controller.port);
        let found =
            Command::new("pgrep").args(["-f", &format!("radio-driver zwave {line}")]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().lines().next().and_then(|id| id.parse().ok())
    }
}

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success());
}

#[test]
fn a_switch_on_zwave_is_a_device_of_its_own_and_its_driver_gateway_and_service_may_die() {
    let Some((mut house, service)) = House::new() else { return };
    let gateway = house.place.gateway();
    wait_for("the driver", || house.driver().is_some());
    let name = house.admit_switch();

    house.controller.report(true);
    house.wait_for_words(&name, 0);
    house.place.done(&["command", "send", &name, "turn-off"]);
    assert!(!house.controller.is_on());
    house.place.done(&["command", "send", &name, "turn-on"]);
    assert!(house.controller.is_on());
    assert!(
        house.said(&name).iter().all(|(_, assurance)| assurance == "gateway-sealed"),
        "{:?}",
        house.said(&name)
    );

    // The driver alone.
    let first = house.driver().unwrap();
    kill(first);
    wait_for("another driver", || house.driver().is_some_and(|id| id != first));
    wait_for("the switch", || house.place.run(&["command", "send", &name, "turn-off"]).0 == 0);
    assert!(!house.controller.is_on());

    // Nonces are agreed anew with another driver, and the emulated node says nothing again that was refused meanwhile.
    let mut before = house.said(&name).len();
    wait_for("it is heard again", || {
        house.controller.report(false);
        house.said(&name).len() > before
    });
    wait_for("the end of what it said", || {
        let so_far = std::mem::replace(&mut before, house.said(&name).len());
        std::thread::sleep(std::time::Duration::from_secs(1));
        so_far == before
    });

    // The service is away: what is said meanwhile is there afterwards.
    drop(service);
    for on in [true, false, true] {
        house.controller.report(on);
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    // And the gateway dies with it.
    drop(gateway);
    let _gateway = house.place.gateway();
    let _service = house.place.service(&[]);
    house.wait_for_words(&name, before + 2);
    let said: Vec<bool> = house.said(&name)[before..before + 3].iter().map(|(on, _)| *on).collect();
    assert_eq!(said, [true, false, true]);
    assert_eq!(house.place.run(&["command", "send", &name, "turn-on"]).0, 0);
    assert_eq!(house.things().len(), 1);
}

#[test]
fn what_nobody_lets_in_is_no_device_and_what_has_no_security_is_a_finding() {
    let Some((mut house, _service)) = House::new() else { return };
    let _gateway = house.place.gateway();
    wait_for("the driver", || house.driver().is_some());
    let classes = json!([[BINARY_SWITCH, false]]);
    let join = json!({"do": "join", "id": 2, "security": [], "classes": classes});
    assert_eq!(house.controller.have(&join), "ok");
    house.place.done(&["gateway", "admit", "gateway", "--for", "5m"]);
    wait_for("the finding", || {
        let findings = house.place.done(&["finding", "list"]);
        findings.as_array().unwrap().iter().any(|finding| finding["kind"] == "insecure-join")
    });
    assert!(house.things().is_empty());
}
