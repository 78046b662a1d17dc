//! Things of radios in a real Home Assistant, behind a real broker: as far as policies let it, with the service and without, and
//! all of it in the log. Skips, and says so, where one of them is not installed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use common::house::{House, kill};
use common::{Running, free_port, shown, wait_for};
use serde_json::{Value as Json, json};

const USER: &str = "thingward";
const PASSWORD: &str = "not-a-secret";

/// A mosquitto that asks for a password.
fn broker(folder: &Path, port: u16) -> Running {
    let (config, passwords) = (folder.join("mosquitto.conf"), folder.join("mosquitto.passwords"));
    let made =
        Command::new("mosquitto_passwd").args(["-b", "-c", shown(&passwords), USER, PASSWORD]).status();
    assert!(made.unwrap().success());
    std::fs::set_permissions(&passwords, std::fs::Permissions::from_mode(0o644)).unwrap();
    let text = format!("listener {port} 127.0.0.1\npassword_file {}\n", passwords.display());
    std::fs::write(&config, text).unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut mosquitto = Command::new("mosquitto");
    mosquitto.args(["-c", shown(&config)]).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(mosquitto.spawn().unwrap());
    wait_for("the broker", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    running
}

/// A Home Assistant in its process.
struct HomeAssistant {
    process: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
}

impl Drop for HomeAssistant {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl HomeAssistant {
    /// `None`, said aloud, where it is not installed.
    fn python() -> Option<PathBuf> {
        let python = std::env::var("THINGWARD_PYTHON").ok();
        let folder = python.as_deref().and_then(|python| Path::new(python).parent()?.parent());
        let python =
            folder.map(|folder| folder.join("home-assistant/bin/python")).filter(|path| path.exists());
        if python.is_none() {
            println!("SKIPPED: there is no home-assistant/bin/python beside THINGWARD_PYTHON");
        }
        python
    }

    fn start(python: &Path, port: u16) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/home_assistant.py");
        let mut command = Command::new(python);
        let command = command.args([script, &port.to_string(), USER, PASSWORD]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (hears, says) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut home_assistant = Self { process, says, hears };
        assert_eq!(home_assistant.answer(), "ready");
        home_assistant
    }

    fn answer(&mut self) -> Json {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    }

    fn ask(&mut self, what: &Json) -> Json {
        writeln!(self.hears, "{what}").unwrap();
        self.answer()
    }

    /// The state of an entity; `None` when there is none.
    fn state(&mut self, entity: &str) -> Option<String> {
        self.ask(&json!({"do": "states"}))[entity].as_str().map(str::to_owned)
    }

    #[track_caller]
    fn wait_for(&mut self, entity: &str, want: Option<&str>) {
        wait_for(&format!("{entity} to be {want:?}"), || self.state(entity).as_deref() == want);
    }

    fn call(&mut self, service: &str, entity: &str) {
        assert_eq!(self.ask(&json!({"do": "call", "service": service, "entity": entity})), "ok");
    }
}

/// Tells a thing something, past Home Assistant, and gives what the gateway answers within the time that a thing may take.
fn tell(port: u16, thing: &str, order: &str) -> Json {
    let port = port.to_string();
    let here = ["-h", "127.0.0.1", "-p", &port, "-u", USER, "-P", PASSWORD];
    let answer = format!("thingward/gateway/{thing}/answer");
    // Line by line: else it says nothing before it ends.
    let mut listening = Command::new("stdbuf");
    listening
        .args(["-oL", "mosquitto_sub"])
        .args(here)
        .args(["-t", &answer, "-C", "1", "-W", "25", "-d"])
        .stdout(Stdio::piped());
    let mut listening = listening.spawn().unwrap();
    let mut lines = BufReader::new(listening.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("SUBACK")));
    let topic = format!("thingward/gateway/{thing}/do");
    let told = Command::new("mosquitto_pub").args(here).args(["-t", &topic, "-m", order]).status().unwrap();
    assert!(told.success());
    let said = lines.find(|line| line.starts_with('{')).unwrap_or_default();
    listening.wait().unwrap();
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("no answer to {order}"))
}

/// Actions and targets of what the gateway did by itself, with a detail of each, in the order of the log.
fn accounts(house: &House) -> Vec<String> {
    let log = house.place.done(&["audit", "list", "--limit", "1000"]);
    let mut entries: Vec<&Json> = log.as_array().unwrap().iter().collect();
    entries.sort_by_key(|entry| entry["index"].as_u64());
    let own = entries.into_iter().filter(|entry| {
        let action = entry["action"].as_str().unwrap();
        entry["actor"] == "gateway/gateway" && action.starts_with("gateway.")
    });
    let line = |entry: &Json| {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let details = &entry["details"];
        let how =
            ["outcome", "policy"].into_iter().map(|name| text(&details[name])).find(|how| !how.is_empty());
        format!("{} {} {}", text(&entry["action"]), text(&entry["target"]), how.unwrap_or_default())
    };
    own.map(line).collect()
}

#[test]
fn home_assistant_sees_and_does_what_policies_let_it_with_the_service_and_without_and_it_is_in_the_log() {
    let Some(python) = HomeAssistant::python() else { return };
    let port = free_port();
    let credentials = tempfile::tempdir().unwrap();
    let secret = credentials.path().join("credentials");
    std::fs::write(&secret, format!("{USER}:{PASSWORD}\n")).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = format!(
        "[gateway.home_assistant]\napplication = \"home-assistant\"\nbroker = \"tcp:127.0.0.1:{port}\"\n\
         credentials_file = \"{}\"",
        secret.display()
    );
    let Some((mut house, service)) = House::with(&config) else { return };
    let brokers = tempfile::tempdir().unwrap();
    let _broker = broker(brokers.path(), port);
    let gateway = house.place.gateway();
    wait_for("the driver", || house.driver().is_some());
    let name = house.admit_switch();
    let entity = name.replace(['-', '.'], "_");
    let (switch, shown_only) = (format!("switch.{entity}"), format!("binary_sensor.{entity}_on"));
    let mut home_assistant = HomeAssistant::start(&python, port);

    // It may see it, which every application may, and have it do nothing.
    house.controller.report(true);
    home_assistant.wait_for(&shown_only, Some("on"));
    house.controller.report(false);
    home_assistant.wait_for(&shown_only, Some("off"));
    assert_eq!(home_assistant.state(&switch), None);
    let about = home_assistant.ask(&json!({"do": "attributes", "entity": shown_only}));
    assert_eq!(about["link"], "zwave-s2-authenticated", "{about}");
    let refused = tell(port, &name, "turn-on");
    assert_eq!(
        (&refused["outcome"], &refused["reason"]),
        (&json!("refused"), &json!("no policy permits it"))
    );
    assert!(!house.controller.is_on());
    for (wrong, reason) in [
        ("self-destruct", "the thing does no such thing"),
        (r#"turn-on {"a": 1}"#, "the action takes no input"),
    ] {
        let refused = tell(port, &name, wrong);
        assert_eq!((&refused["outcome"], refused["reason"].as_str()), (&json!("refused"), Some(reason)));
    }

    // A policy lets it.
    let own = house.place.path("policies");
    std::fs::create_dir(&own).unwrap();
    let policy = "permit (principal == Application::\"home-assistant\", action == Action::\"commands:send\", \
                  resource) unless { resource.sensitive };";
    std::fs::write(own.join("home.cedar"), policy).unwrap();
    house.place.done(&["policy", "apply", shown(&own)]);
    home_assistant.wait_for(&switch, Some("off"));
    home_assistant.wait_for(&shown_only, None);
    home_assistant.call("switch.turn_on", &switch);
    wait_for("it is on", || house.controller.is_on());
    house.controller.report(true);
    home_assistant.wait_for(&switch, Some("on"));

    // The service is away, and the gateway is killed meanwhile.
    drop(service);
    assert_eq!(tell(port, &name, "turn-off")["outcome"], "done");
    assert!(!house.controller.is_on());
    home_assistant.wait_for(&switch, Some("off"));
    house.settle();
    kill(gateway.0.id());
    drop(gateway);
    home_assistant.wait_for(&switch, Some("unavailable"));
    let _gateway = house.place.gateway();
    home_assistant.wait_for(&switch, Some("off"));
    // Nonces are agreed anew meanwhile.
    let mut tries = Vec::new();
    while tries.last().is_none_or(|said: &Json| said["outcome"] != "done") {
        assert!(tries.len() < 5, "{tries:?}");
        tries.push(tell(port, &name, "turn-on"));
    }
    assert!(house.controller.is_on());

    // What it did is in the log once the service is back, in its order, on its word.
    let _service = house.place.service(&[]);
    let target = format!("operation/{name}");
    let done = |action: &str| {
        [
            format!("gateway.command {target}/{action} policy/1"),
            format!("gateway.reply {target}/{action} done"),
        ]
    };
    wait_for("the accounts", || {
        let all = accounts(&house);
        all.len() >= 9 && all.ends_with(&done("turn-on"))
    });
    let all: Vec<String> = accounts(&house).into_iter().filter(|line| !line.contains(" failed")).collect();
    assert_eq!(
        all[..3],
        [
            "gateway.policy policy/0 ".to_owned(),
            format!("gateway.refuse {target}/turn-on "),
            "gateway.policy policy/1 ".to_owned(),
        ]
    );
    assert_eq!(all[3..5], done("turn-on"));
    assert_eq!(all[5..7], done("turn-off"));
    let log = house.place.path("log");
    house.place.done(&["audit", "export", shown(&log)]);
    let key = house.place.done(&["audit", "key"])["key"].as_str().unwrap().to_owned();
    house.place.done(&["audit", "verify", shown(&log), "--key", &key]);

    // And it is taken away.
    std::fs::write(
        own.join("home.cedar"),
        "forbid (principal == Application::\"home-assistant\", action, resource);",
    )
    .unwrap();
    house.place.done(&["policy", "apply", shown(&own)]);
    home_assistant.wait_for(&switch, None);
    assert_eq!(tell(port, &name, "turn-off")["reason"], "a policy forbids it");
    assert!(house.controller.is_on());
}
