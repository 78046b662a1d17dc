//! Telling devices to do something, from the command line to a program beside the device and back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use common::program::{Told, execute};
use common::{Place, Running, shown, wait_for};
use serde_json::{Value as Json, json};

/// A meter that takes its rate from operators.
const DESCRIPTION: &str = r#"{
  "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"tw": "urn:thingward:td:"}],
  "title": "Meter", "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}}, "security": "nosec_sc",
  "actions": {
    "set-rate": {
      "input": {"type": "number", "minimum": 0, "maximum": 10, "unit": "EUR/h"},
      "forms": [{"href": "devices/me/commands/+"}]
    },
    "open": {"tw:sensitive": true, "forms": [{"href": "devices/me/commands/+"}]}
  }
}"#;

struct Town {
    place: Place,
    told: Told,
}

impl Town {
    fn new() -> (Self, Running) {
        let (town, service) = Self::without_meter();
        town.place.enrol("acme", "device", "meter-1");
        (town, service)
    }

    /// The meter is nobody's yet.
    fn without_meter() -> (Self, Running) {
        let place = Place::new();
        let service = place.service(&["acme"]);
        std::fs::write(place.path("meter.td.json"), DESCRIPTION).unwrap();
        (Self { place, told: Told::default() }, service)
    }

    /// The meter with a program beside it, perhaps at a gateway.
    fn meter(&self, uplink: Option<u16>) -> Running {
        self.meter_at(uplink.map(|port| format!("127.0.0.1:{port}")))
    }

    fn meter_at(&self, uplink: Option<String>) -> Running {
        let (home, description) = (self.place.path("meter-1"), self.place.path("meter.td.json"));
        let mut arguments =
            vec!["device", "run", "--home", shown(&home), "--description", shown(&description)];
        arguments.extend(uplink.iter().flat_map(|uplink| ["--uplink", uplink]));
        let running = self.place.start_as("meter-1", &arguments);
        let is_there = || self.place.run(&["device", "status", "--home", shown(&home)]).0 == 0;
        wait_for("the device", is_there);
        execute(&home.join("agent.sock"), &self.told);
        running
    }

    /// A meter that was never anywhere but at this place, and does what it is told.
    fn enrol_and_obey(&self, at: String) -> Running {
        let (home, claim) = (self.place.path("meter-1"), self.place.claim("acme", "device", "meter-1"));
        self.place.done(&["device", "enrol", &at, "--home", shown(&home), "--claim", &claim]);
        let meter = self.meter_at(Some(at));
        wait_for("the description", || self.is_described());
        let done = self.place.done(&["command", "send", "meter-1", "set-rate", "2.5"]);
        assert_eq!((&done["state"], &done["output"]), (&json!("done"), &json!({"rate": 2.5})), "{done}");
        meter
    }

    fn measure(&self, power: u32) {
        let (home, value) = (self.place.path("meter-1"), format!("power={power}"));
        self.place.done(&["device", "send", "--home", shown(&home), "power", &value]);
    }

    fn is_described(&self) -> bool {
        self.place.run(&["command", "actions", "meter-1"]).0 == 0
    }

    /// How many entries of the exported log stand on whose word.
    fn words(&self) -> Json {
        let folder = self.place.path("log");
        let _ = std::fs::remove_dir_all(&folder);
        self.place.done(&["audit", "export", shown(&folder)]);
        let key = self.place.done(&["audit", "key"])["key"].as_str().unwrap().to_owned();
        let verified = self.place.done(&["audit", "verify", shown(&folder), "--key", &key]);
        verified["signed_by"].clone()
    }

    /// Sends and does not wait for the device.
    fn send(&self, more: &[&str]) -> String {
        let (_, said) =
            self.place.run(&[&["command", "send", "meter-1", "set-rate", "--wait", "0s"], more].concat());
        let all = self.place.done(&["command", "list", "meter-1"]);
        let newest = all[0]["id"].as_str();
        newest.unwrap_or_else(|| panic!("nothing was sent: {said}")).to_owned()
    }

    fn state(&self, id: &str) -> String {
        self.place.done(&["command", "show", "meter-1", id])["state"].as_str().unwrap().to_owned()
    }

    fn told(&self) -> Vec<Json> {
        self.told.lock().unwrap().clone()
    }

    fn log(&self) -> Vec<String> {
        let entries = self.place.done(&["audit", "list"]);
        entries.as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn a_command_is_typed_decided_logged_executed_once_and_answered() {
    let (town, _service) = Town::new();
    let _meter = town.meter(None);
    wait_for("the description", || town.is_described());
    let done = town.place.done(&["command", "send", "meter-1", "set-rate", "3.50"]);
    assert_eq!((&done["state"], &done["output"]), (&json!("done"), &json!({"rate": 3.5})), "{done}");
    // By its schema, before it is sent; and what it has not.
    town.place.fails(&["command", "send", "meter-1", "set-rate", "35"], 2);
    town.place.fails(&["command", "send", "meter-1", "set-rate", "much"], 2);
    town.place.fails(&["command", "send", "meter-1", "fly"], 2);
    town.place.fails(&["command", "send", "meter-1", "open"], 4);
    town.place.fails(&["command", "send", "meter-2", "set-rate", "3"], 3);
    // One name, one command, however often it is sent.
    let id = "00112233445566778899aabbccddeeff";
    for _ in 0..3 {
        town.place.done(&["command", "send", "meter-1", "set-rate", "4", "--id", id]);
    }
    let (code, _) = town.place.run(&["command", "send", "meter-1", "set-rate", "5", "--id", id]);
    assert_eq!(code, 1, "another command has this id");
    assert_eq!(town.told(), [json!(3.5), json!(4)]);
    let log = town.log();
    let count = |action: &str| log.iter().filter(|a| *a == action).count();
    assert_eq!((count("command.send"), count("command.reply")), (2, 2), "{log:?}");
}

#[test]
fn a_command_for_a_device_that_sleeps_waits_through_a_kill_and_is_executed_once() {
    let (town, mut service) = Town::new();
    let meter = town.meter(None);
    wait_for("the description", || town.is_described());
    drop(meter);
    let id = town.send(&["1"]);
    let back = town.send(&["2"]);
    let short = town.send(&["3", "--lifetime", "1s"]);
    assert_eq!(town.state(&id), "waiting");
    service.0.kill().unwrap();
    service.0.wait().unwrap();
    let service = town.place.service(&[]);
    town.place.done(&["command", "cancel", "meter-1", &back]);
    wait_for("the end of its time", || town.state(&short) == "expired");
    let _meter = town.meter(None);
    wait_for("the answer", || town.state(&id) == "done");
    assert_eq!(town.state(&back), "cancelled");
    town.place.fails(&["command", "cancel", "meter-1", &back], 1);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(town.told(), [json!(1)]);
    // Killed once more: log, registry and commands agree.
    drop(service);
    let found = town.place.done(&["fsck"]);
    assert_eq!(found["commands"], 3, "{found}");
}

#[test]
fn a_right_that_is_withdrawn_takes_back_what_is_on_its_way() {
    let (town, _service) = Town::new();
    let meter = town.meter(None);
    wait_for("the description", || town.is_described());
    drop(meter);
    let made = town.place.done(&["token", "create", "--scope", "commands:send,devices:read"]);
    let token = town.place.path("token");
    thingward_crypto::sealed::write_private(&token, made["token"].as_str().unwrap().as_bytes()).unwrap();
    let policy = town.place.path("own.cedar");
    let command = "action == Action::\"commands:send\"";
    std::fs::write(
        &policy,
        format!("permit (principal is Token, {command}, resource in Device::\"meter-1\");"),
    )
    .unwrap();
    town.place.done(&["policy", "apply", shown(&policy)]);
    let root = town.place.path("data/root.pem");
    let by_token =
        ["--url", &town.place.url, "--ca", shown(&root), "--token-file", shown(&token), "--tenant", "acme"];
    let id = town.send(&[&["1"], &by_token[..]].concat());
    assert_eq!(town.state(&id), "waiting");
    std::fs::write(&policy, format!("forbid (principal is Token, {command}, resource);")).unwrap();
    town.place.done(&["policy", "apply", shown(&policy)]);
    let _meter = town.meter(None);
    wait_for("the end of it", || town.state(&id) == "cancelled");
    let (code, _) =
        town.place.run(&[&["command", "send", "meter-1", "set-rate", "1"], &by_token[..]].concat());
    assert_eq!(code, 4, "forbidden now");
    assert!(town.told().is_empty());
    let log = town.log();
    assert!(
        log.contains(&"command.cancel".to_owned()) && log.contains(&"access.refuse".to_owned()),
        "{log:?}"
    );
    let words = town.words();
    assert!(words["device"].as_u64() >= Some(1), "{words}");
}

#[test]
fn a_command_goes_down_through_a_gateway() {
    let (town, _service) = Town::new();
    town.place.enrol("acme", "gateway", "gateway");
    let _gateway = town.place.gateway();
    let _meter = town.meter(Some(town.place.gateway));
    wait_for("the description", || town.is_described());
    let done = town.place.done(&["command", "send", "meter-1", "set-rate", "2.5"]);
    assert_eq!((&done["state"], &done["output"]), (&json!("done"), &json!({"rate": 2.5})), "{done}");
    assert_eq!(town.told(), [json!(2.5)]);
    // It enrolled with its key, and signed its reply, as did the gateway for itself.
    let words = town.words();
    assert!(words["device"].as_u64() >= Some(2) && words["gateway"].as_u64() >= Some(1), "{words}");
}

#[test]
fn a_device_that_has_only_coap_is_enrolled_measures_and_obeys_through_the_death_of_its_gateway() {
    let (town, _service) = Town::without_meter();
    town.place.enrol("acme", "gateway", "gateway");
    let gateway = town.place.gateway();
    let _meter = town.enrol_and_obey(format!("coap://127.0.0.1:{}", town.place.coap));
    town.measure(1);
    drop(gateway);
    for power in [2, 3] {
        town.measure(power);
    }
    let id = town.send(&["3"]);
    let _gateway = town.place.gateway();
    wait_for("the answer", || town.state(&id) == "done");
    assert_eq!(town.told(), [json!(2.5), json!(3)]);
    let is_signed = |row: &Json| row["assurance"] == "device-signed" && row["link"] == "oscore";
    let readings = || town.place.readings("acme");
    wait_for("three signed readings", || readings().len() == 3 && readings().iter().all(is_signed));
    let is_shown = || {
        let gateway = town.place.done(&["gateway", "show", "gateway"]);
        let things = gateway["status"]["children"].as_array().cloned().unwrap_or_default();
        things.iter().any(|t| t["name"] == "meter-1" && t["radio"] == "coap" && t["link"] == "oscore")
    };
    wait_for("the gateway's word that it is there", is_shown);
}

#[test]
fn a_device_that_has_only_coap_is_a_member_of_the_service_itself_through_its_death() {
    let (town, mut service) = Town::without_meter();
    let _meter = town.enrol_and_obey(format!("coap://127.0.0.1:{}", town.place.direct));
    let mut sent = 0;
    let mut measure = || {
        sent += 1;
        town.measure(sent);
    };
    for _ in 0..3 {
        (0..4).for_each(|_| measure());
        drop(service);
        (0..2).for_each(|_| measure());
        service = town.place.start(&["service", "run"]);
        wait_for("the service", || town.place.run(&["tenant", "list"]).0 == 0);
    }
    let id = town.send(&["3"]);
    wait_for("the answer", || town.state(&id) == "done");
    assert_eq!(town.told(), [json!(2.5), json!(3)]);
    let is_signed = |row: &Json| {
        row["assurance"] == "device-signed" && row["link"] == "oscore" && row["gateway"].is_null()
    };
    let readings = || town.place.readings("acme");
    wait_for("all readings signed", || readings().len() == 18 && readings().iter().all(is_signed));
    let values: Vec<_> = readings().iter().map(|row| row["value"].as_f64().unwrap()).collect();
    assert_eq!(values, (1..=18).map(f64::from).collect::<Vec<_>>(), "each once, in order");
    drop(service);
}
