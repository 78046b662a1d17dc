//! The real Zigbee2MQTT at the real mosquitto, with an adapter that has things of its own in place of a radio.
//! Skips, and says so, where they are not installed.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use thingward_model::Link;
use thingward_model::description::ThingDescription;
use thingward_radio::wire::{RefusalKind, Secret, Start, Thing, Value};
use thingward_radio::zigbee2mqtt::Zigbee2MqttRadio;
use thingward_radio::{Order, Radio, Report};

use crate::home::{Home, address};

const COORDINATOR: &str = "00124b00c0ffee01";
const SENSOR: &str = "00158d0001000001";
const LAMP: &str = "000b57fffe000002";
const DOOR: &str = "000d6f0003000003";
const BLIND: &str = "588e81fffe000004";

/// mosquitto, with two users.
struct Broker {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Broker {
    fn start() -> Option<Self> {
        if !["mosquitto", "mosquitto_passwd"].iter().all(|program| is_there(program)) {
            println!("SKIPPED: mosquitto is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users");
        std::fs::write(&users, "").unwrap();
        for user in [["bridge", "of the bridge"], ["gateway", "pass:word"]] {
            let status = Command::new("mosquitto_passwd").arg("-b").arg(&users).args(user).status();
            assert!(status.unwrap().success());
        }
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let settings = folder.path().join("mosquitto.conf");
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nuser root\n",
            users.display()
        );
        std::fs::write(&settings, text).unwrap();
        let process =
            Command::new("mosquitto").arg("-c").arg(&settings).stderr(Stdio::null()).spawn().unwrap();
        let broker = Self { process, port, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(broker)
    }

    /// Somebody else publishes.
    fn publish(&self, topic: &str, payload: &str, retain: bool) {
        let port = self.port.to_string();
        let mut command = Command::new("mosquitto_pub");
        command.args([
            "-p",
            &port,
            "-u",
            "bridge",
            "-P",
            "of the bridge",
            "-q",
            "1",
            "-t",
            topic,
            "-m",
            payload,
        ]);
        if retain {
            command.arg("-r");
        }
        assert!(command.status().unwrap().success());
    }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([Path::new("/usr/sbin").to_owned()])
        .any(|dir| dir.join(program).exists())
}

/// Zigbee2MQTT in its process.
struct Bridge {
    process: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Bridge {
    fn start(broker: &Broker) -> Option<Self> {
        let modules = std::env::var("THINGWARD_NODE_MODULES").ok();
        let Some(modules) = modules.filter(|modules| Path::new(modules).join("zigbee2mqtt").exists()) else {
            println!("SKIPPED: THINGWARD_NODE_MODULES is not set, or there is no zigbee2mqtt in it");
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/zigbee2mqtt.mjs");
        let mut process = Command::new("node")
            .args([script, &modules, &broker.port.to_string(), "bridge", "of the bridge"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let hears = process.stdin.take().unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        let mut bridge = Self { process, says, hears };
        assert_eq!(bridge.line(), "ready");
        Some(bridge)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        assert!(!line.starts_with("error"), "{line}");
        line.trim().to_owned()
    }

    fn do_it(&mut self, what: &Json) -> String {
        writeln!(self.hears, "{what}").unwrap();
        self.line()
    }
}

fn with_password() -> Start {
    Start { credentials: Some(Secret::new(b"gateway:pass:word".to_vec())), ..Start::default() }
}

fn described(thing: &Thing) -> ThingDescription {
    assert_eq!(thing.link, Link::Zigbee2Mqtt);
    ThingDescription::parse(&thing.description).unwrap()
}

fn names<K: ToString, V>(map: &std::collections::BTreeMap<K, V>) -> Vec<String> {
    map.keys().map(ToString::to_string).collect()
}

fn temperature(celsius: i32) -> Json {
    json!({"do": "report", "nwk": 0x1002, "cluster": "msTemperatureMeasurement", "attributes": [[0, 0x29, celsius * 100]]})
}

#[test]
fn devices_of_a_bridge_become_things_that_tell_and_do() {
    let Some(broker) = Broker::start() else { return };
    let Some(mut bridge) = Bridge::start(&broker) else { return };
    let mut home = Home::start(Zigbee2MqttRadio::new(), broker.port, with_password());
    home.until(|report| {
        matches!(report, Report::Ready { network } if network.as_str() == COORDINATOR).then_some(())
    });

    let sensor = described(&home.thing(SENSOR));
    assert_eq!(sensor.title, "Aqara WSDCGQ11LM");
    let properties = ["battery", "humidity", "link-quality", "pressure", "temperature", "voltage"];
    assert_eq!(names(&sensor.properties), properties);
    let units = properties.map(|name| sensor.properties[name].schema.unit.clone().unwrap_or_default());
    assert_eq!(units, ["%EL", "%RH", "", "Pa", "Cel", "V"]);
    bridge.do_it(&temperature(21));
    assert_eq!(home.reading(SENSOR, "temperature"), (Value::Number(21.0), "Cel".to_owned()));
    bridge.do_it(&json!({"do": "report", "nwk": 0x1002, "cluster": "msPressureMeasurement", "attributes": [[0, 0x29, 1013]]}));
    assert_eq!(home.reading(SENSOR, "pressure"), (Value::Number(101_300.0), "Pa".to_owned()));

    let lamp = described(&home.thing(LAMP));
    for name in ["turn-on", "turn-off", "set-level", "set-color-temperature"] {
        assert!(lamp.actions.contains_key(&name.parse().unwrap()), "{name}");
    }
    assert_eq!(home.call(LAMP, "turn-on", &[]), None);
    assert_eq!(home.reading(LAMP, "on"), (Value::Bool(true), String::new()));
    assert_eq!(home.call(LAMP, "set-level", &[("level", Value::Number(40.0))]), None);
    assert_eq!(home.reading(LAMP, "level"), (Value::Number(40.0), "%".to_owned()));
    let failure = home.call(LAMP, "set-level", &[("level", Value::Number(101.0))]);
    assert_eq!(failure.as_deref(), Some("`level` has to be a number from 0 to 100"));

    let door = described(&home.thing(DOOR));
    assert!(door.actions[&"unlock".parse().unwrap()].is_sensitive);
    assert_eq!(home.call(DOOR, "lock", &[]), None);
    let (Value::Text(state), _) = home.reading(DOOR, "lock-state") else { panic!("no word") };
    assert_eq!(state.as_str(), "locked");
    assert_eq!(home.call(BLIND, "close", &[]), None);
    assert_eq!(home.reading(BLIND, "position"), (Value::Number(0.0), "%".to_owned()));
    let sent = bridge.do_it(&json!({"do": "sent"}));
    for command in ["genOnOff on", "moveToLevelWithOnOff {\\\"level\\\":102", "lockDoor", "downClose"] {
        assert!(sent.contains(command), "{command} in {sent}");
    }
}

#[test]
fn a_device_keeps_its_address_when_it_is_renamed_and_leaves_when_it_is_gone() {
    let Some(broker) = Broker::start() else { return };
    let Some(mut bridge) = Bridge::start(&broker) else { return };
    let mut home = Home::start(Zigbee2MqttRadio::new(), broker.port, with_password());
    home.thing(SENSOR);
    broker.publish(
        "zigbee2mqtt/bridge/request/device/rename",
        r#"{"from": "garden sensor", "to": "shed/north"}"#,
        false,
    );
    // Nothing is told of it: it is the same thing.
    let said = home.during(Duration::from_secs(1));
    let of_it = |report: &&Report| match report {
        Report::Thing(thing) => thing.address.as_str() == SENSOR,
        Report::Left(_) => true,
        _ => false,
    };
    assert!(!said.iter().any(|report| of_it(&report)), "{said:?}");
    bridge.do_it(&temperature(5));
    assert_eq!(home.reading(SENSOR, "temperature").0, Value::Number(5.0));
    // What is said under the old name is of nobody.
    broker.publish("zigbee2mqtt/garden sensor", r#"{"temperature": 99}"#, false);
    assert_eq!(home.during(Duration::from_millis(500)), []);

    bridge.do_it(&json!({"do": "leave", "ieee": format!("0x{BLIND}")}));
    home.until(|report| (*report == Report::Left(address(BLIND))).then_some(()));
    home.order(Order::Remove(address(SENSOR)));
    home.until(|report| (*report == Report::Left(address(SENSOR))).then_some(()));
    bridge.do_it(&temperature(6));
    assert_eq!(home.during(Duration::from_millis(500)), []);
    bridge.do_it(&json!({"do": "stop"}));
    home.until(|report| {
        matches!(report, Report::Trouble(why) if why.as_str() == "Zigbee2MQTT is not there").then_some(())
    });
    assert_eq!(home.call(LAMP, "turn-on", &[]).as_deref(), Some("Zigbee2MQTT is not there"));
}

/// A lamp and a button, as Zigbee2MQTT writes them.
const DEVICES: &str = r#"[
    {"ieee_address":"0x00124b00c0ffee01","type":"Coordinator","friendly_name":"Coordinator"},
    {"ieee_address":"0x0011223344556677","type":"Router","friendly_name":"lamp","interview_completed":true,
     "definition":{"vendor":"A","model":"B","exposes":[
        {"type":"light","features":[
            {"type":"binary","name":"state","property":"state","access":7,"value_on":"ON","value_off":"OFF"},
            {"type":"composite","name":"color_xy","property":"color","access":7,"features":[]}]}]}},
    {"ieee_address":"0x8899aabbccddeeff","type":"EndDevice","friendly_name":"button","interview_completed":true,
     "definition":{"vendor":"A","model":"C","exposes":[
        {"type":"enum","name":"action","property":"action","access":1,"values":["single","double"]}]}},
    {"ieee_address":"0x0000000000000001","type":"EndDevice","friendly_name":"bridge/x","interview_completed":true,"definition":{}},
    {"ieee_address":"0x0000000000000002","type":"EndDevice","friendly_name":"+","interview_completed":true,"definition":{}}
]"#;

#[test]
fn what_the_broker_kept_is_no_news_and_an_action_that_nothing_shows_fails() {
    let Some(broker) = Broker::start() else { return };
    broker.publish("zigbee2mqtt/bridge/devices", DEVICES, true);
    broker.publish("zigbee2mqtt/lamp", r#"{"state":"ON"}"#, true);
    let mut home = Home::start(Zigbee2MqttRadio::new(), broker.port, with_password());
    let lamp = described(&home.thing("0011223344556677"));
    assert_eq!(names(&lamp.properties), ["color-x", "color-y", "on"]);
    let button = described(&home.thing("8899aabbccddeeff"));
    assert!(button.properties.is_empty() && button.events.contains_key("action"));
    let said = home.during(Duration::from_millis(500));
    assert!(!said.iter().any(|report| matches!(report, Report::Readings(_) | Report::Thing(_))), "{said:?}");

    broker.publish("zigbee2mqtt/lamp", r#"{"state":"OFF","color":{"x":0.25,"y":0.5},"new":[1]}"#, true);
    assert_eq!(home.reading("0011223344556677", "color-y"), (Value::Number(0.5), String::new()));
    broker.publish("zigbee2mqtt/button", r#"{"action":"double"}"#, false);
    let (Value::Text(action), _) = home.reading("8899aabbccddeeff", "action") else { panic!("no word") };
    assert_eq!(action.as_str(), "double");
    // Nothing happened; and this is none.
    broker.publish("zigbee2mqtt/button", r#"{"action":""}"#, false);
    broker.publish("zigbee2mqtt/button", "double", false);
    let said = home.during(Duration::from_millis(500));
    assert!(matches!(&said[..], [Report::Refused { kind: RefusalKind::Malformed, .. }]), "{said:?}");

    let failure = home.call("0011223344556677", "turn-on", &[]);
    assert_eq!(failure.as_deref(), Some("Zigbee2MQTT did not say within 10 seconds that it is so"));
}

#[test]
fn a_broker_that_wants_another_password_is_trouble() {
    let Some(broker) = Broker::start() else { return };
    let wrong = Start { credentials: Some(Secret::new(b"gateway:wrong".to_vec())), ..Start::default() };
    for start in [Start::default(), wrong] {
        let mut home = Home::start(Zigbee2MqttRadio::new(), broker.port, start);
        let trouble = home.until(|report| match report {
            Report::Trouble(why) => Some(why.to_string()),
            _ => None,
        });
        assert_eq!(trouble, "the broker refuses the connection: NotAuthorized");
    }
}

mod broken {
    //! A broker that lies.

    use bytes::BytesMut;
    use proptest::prelude::*;
    use thingward_mqtt::codec::{
        ConnAck, Delivery, MessageProperties, Packet, Publish, PublishTopic, ReasonCode, Version,
    };
    use thingward_mqtt::topic::TopicName;
    use thingward_radio::Output;

    use super::*;

    fn bytes_of(packet: &Packet) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        packet.write(Version::V5, 1 << 20, &mut bytes).unwrap();
        bytes.to_vec()
    }

    fn connected() -> Zigbee2MqttRadio {
        let mut radio = Zigbee2MqttRadio::new();
        radio.order(Order::Start(Start::default()), Duration::ZERO);
        let ack = Packet::ConnAck(Box::new(ConnAck::new(false, ReasonCode::Success)));
        radio.receive(&bytes_of(&ack), Duration::ZERO);
        radio
    }

    fn published(topic: &str, payload: &[u8]) -> Vec<u8> {
        bytes_of(&Packet::Publish(Publish {
            topic: PublishTopic::Name(TopicName::try_from(topic).unwrap()),
            delivery: Delivery::AtMostOnce,
            retain: false,
            properties: MessageProperties::default(),
            subscription_ids: Vec::new(),
            payload: payload.to_vec().into(),
        }))
    }

    fn reports(radio: &mut Zigbee2MqttRadio) -> Vec<Report> {
        let report = |output| match output {
            Output::Report(report) => Some(report),
            Output::Line(_) | Output::End => None,
        };
        std::iter::from_fn(|| radio.output()).filter_map(report).collect()
    }

    #[test]
    fn more_devices_than_can_be_are_left_out_and_it_is_said() {
        let device = |n: u32| {
            format!(
                r#"{{"ieee_address":"0x{n:016x}","type":"Router","friendly_name":"n{n}","interview_completed":true,"definition":{{"exposes":[{{"type":"numeric","name":"t","property":"t","access":1}}]}}}}"#
            )
        };
        let all = format!("[{}]", (0..300).map(device).collect::<Vec<_>>().join(","));
        let mut radio = connected();
        radio.receive(&published("zigbee2mqtt/bridge/devices", all.as_bytes()), Duration::ZERO);
        let said = reports(&mut radio);
        assert_eq!(said.iter().filter(|report| matches!(report, Report::Thing(_))).count(), 256);
        assert!(said.iter().any(|report| matches!(report, Report::Trouble(_))));
    }

    const LOCK_AND_COVER: &str = r#"[
        {"ieee_address":"0x00000000000000c0","type":"Coordinator"},
        {"ieee_address":"0x0000000000000001","type":"Router","friendly_name":"n1","interview_completed":true,
         "definition":{"exposes":[
            {"type":"lock","features":[{"type":"binary","name":"state","property":"state","access":7,"value_on":"LOCK","value_off":"UNLOCK"}]},
            {"type":"cover","features":[{"type":"enum","name":"state","property":"cover","access":7,"values":["OPEN","CLOSE","STOP"]}]},
            {"type":"binary","name":"auto_relock","property":"auto_relock","access":7,"value_on":true,"value_off":false},
            {"type":"composite","name":"pin_code","property":"pin_code","access":7,"features":[
                {"type":"numeric","name":"user","property":"user","access":2}]}
         ]}}]"#;

    #[test]
    fn what_nobody_knows_here_and_what_opens_a_door_needs_approval_and_parts_of_a_value_are_no_actions() {
        let mut radio = connected();
        let devices = |list: &str| published("zigbee2mqtt/bridge/devices", list.as_bytes());
        radio.receive(&devices(LOCK_AND_COVER), Duration::ZERO);
        let said = reports(&mut radio);
        let thing = said.iter().find_map(|report| match report {
            Report::Thing(thing) => Some(described(thing)),
            _ => None,
        });
        let actions = thing.unwrap().actions;
        let named = |is_sensitive| {
            let those = actions.iter().filter(|(_, action)| action.is_sensitive == is_sensitive);
            those.map(|(name, _)| name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(named(true), ["open", "set-auto-relock", "unlock"]);
        assert_eq!(named(false), ["close", "lock", "stop"]);
        // A bridge that begins again has nothing at first.
        radio.receive(&devices("[]"), Duration::ZERO);
        radio.receive(&devices(LOCK_AND_COVER), Duration::ZERO);
        assert_eq!(reports(&mut radio), []);
    }

    #[test]
    fn a_packet_that_is_too_large_and_a_silent_broker_are_trouble() {
        let mut radio = connected();
        // PUBLISH of 9 MiB, by its head alone.
        radio.receive(&[0x30, 0x80, 0x80, 0xc0, 0x04], Duration::ZERO);
        assert!(matches!(reports(&mut radio).last(), Some(Report::Trouble(_))));
        let mut radio = Zigbee2MqttRadio::new();
        radio.order(Order::Start(Start::default()), Duration::ZERO);
        radio.tick(radio.due().unwrap());
        let trouble = Report::Trouble(thingward_radio::wire::Sentence::fitting(
            "the broker ended the connection: it is silent",
        ));
        assert_eq!(reports(&mut radio).last(), Some(&trouble));
    }

    proptest! {
        #[test]
        fn whatever_comes_nothing_panics(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..10),
            is_connected in any::<bool>(),
        ) {
            let mut radio = if is_connected { connected() } else { Zigbee2MqttRadio::new() };
            for bytes in chunks {
                radio.receive(&bytes, Duration::ZERO);
                while radio.output().is_some() {}
            }
        }

        #[test]
        fn devices_and_states_that_are_changed_anywhere_do_no_harm(
            at in 0_usize..2000,
            byte in any::<u8>(),
            state in "\\PC{0,100}",
        ) {
            let mut radio = connected();
            let mut devices = DEVICES.as_bytes().to_vec();
            let at = at % devices.len();
            devices[at] = byte;
            radio.receive(&published("zigbee2mqtt/bridge/devices", &devices), Duration::ZERO);
            radio.receive(&published("zigbee2mqtt/lamp", state.as_bytes()), Duration::ZERO);
            let state = format!(r#"{{"state":"ON","color":{{"x":{byte},"y":"z"}}}}"#);
            radio.receive(&published("zigbee2mqtt/lamp", state.as_bytes()), Duration::ZERO);
            while radio.output().is_some() {}
        }
    }
}
