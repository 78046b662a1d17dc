//! The real server of Z-Wave JS, its driver on the emulated controller and nodes of Z-Wave JS.
//! Skips, and says so, where it is not installed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};
use thingward_model::Link;
use thingward_model::description::ThingDescription;
use thingward_radio::wire::{Admission, RefusalKind, Start, Thing, Value};
use thingward_radio::zwave_js::ZwaveJsRadio;
use thingward_radio::{Order, Radio, Report};

use crate::home::{Home, address, excepting};

const SWITCH: &str = "7e570001-2";
const DIMMER: &str = "7e570001-3";
const OPEN_PLUG: &str = "7e570001-4";
const LOCK: &str = "7e570001-5";

/// The server in its process.
struct Server {
    process: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// `None`, said aloud, where the peer is not installed.
    fn start() -> Option<Self> {
        let Ok(modules) = std::env::var("THINGWARD_NODE_MODULES") else {
            println!("SKIPPED: THINGWARD_NODE_MODULES is not set");
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/zwave_js_server.mjs");
        let mut process = Command::new("node")
            .args([script, &modules])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let hears = process.stdin.take().unwrap();
        let mut says = BufReader::new(process.stdout.take().unwrap());
        let mut port = String::new();
        says.read_line(&mut port).unwrap();
        Some(Self { process, says, hears, port: port.trim().parse().unwrap() })
    }

    fn do_it(&mut self, what: &Json) -> String {
        writeln!(self.hears, "{what}").unwrap();
        let mut answer = String::new();
        self.says.read_line(&mut answer).unwrap();
        assert!(!answer.starts_with("error"), "{answer}");
        answer.trim().to_owned()
    }
}

fn described(thing: &Thing) -> ThingDescription {
    assert_eq!(thing.link, Link::ZwaveJs);
    ThingDescription::parse(&thing.description).unwrap()
}

#[test]
fn nodes_of_a_server_become_things_that_tell_and_do() {
    let Some(mut server) = Server::start() else { return };
    let mut home = Home::start(ZwaveJsRadio::new(), server.port, Start::default());
    home.until(|report| {
        matches!(report, Report::Ready { network } if network.as_str() == "7e570001").then_some(())
    });

    let switch = described(&home.thing(SWITCH));
    // Named as our own driver names it.
    let temperature = thingward_zwave::affordance::quantities(0x31, 1, 0).unwrap().name;
    assert_eq!(switch.properties.len(), 2);
    assert!(switch.properties.contains_key("on"));
    assert_eq!(switch.properties[temperature].schema.unit.as_deref(), Some("Cel"));
    assert_eq!(switch.actions.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["turn-off", "turn-on"]);
    let said = switch.as_json()["description"].as_str().unwrap().to_owned();
    assert!(said.contains("S2"), "{said}");

    // A value that comes, by name and unit.
    server.do_it(&json!({"do": "report", "id": 2, "on": true}));
    assert_eq!(home.reading(SWITCH, "on"), (Value::Bool(true), String::new()));
    server.do_it(&json!({"do": "temperature", "id": 2, "celsius": 21.5}));
    assert_eq!(home.reading(SWITCH, temperature), (Value::Number(21.5), "Cel".to_owned()));

    // What is done reaches the node, and comes back as its state.
    assert_eq!(home.call(SWITCH, "turn-on", &[]), None);
    assert_eq!(server.do_it(&json!({"do": "state", "id": 2, "name": "BinarySwitch_currentValue"})), "true");
    let dimmer = described(&home.thing(DIMMER));
    assert_eq!(dimmer.properties.keys().collect::<Vec<_>>(), ["level", "on"]);
    assert_eq!(home.call(DIMMER, "set-level", &[("level", Value::Number(40.0))]), None);
    assert_eq!(home.reading(DIMMER, "level"), (Value::Number(40.0), "%".to_owned()));
    let level = server.do_it(&json!({"do": "state", "id": 3, "name": "MultilevelSwitch_currentValue"}));
    assert_eq!(level, "40");

    let lock = described(&home.thing(LOCK));
    assert!(lock.actions[&"unlock".parse().unwrap()].is_sensitive);
    assert!(!lock.actions[&"lock".parse().unwrap()].is_sensitive);
    assert_eq!(home.call(LOCK, "lock", &[]), None);
    server.do_it(&json!({"do": "notify", "id": 5, "type": 6, "event": 2}));
    let (Value::Text(event), _) = home.reading(LOCK, "notification") else { panic!("no word") };
    assert_eq!(event.as_str(), "manual-unlock");
}

#[test]
fn what_cannot_be_done_says_why() {
    let Some(server) = Server::start() else { return };
    let mut home = Home::start(ZwaveJsRadio::new(), server.port, Start::default());
    home.thing(DIMMER);
    let wrong = [("level", Value::Number(140.0))];
    let failure = home.call(DIMMER, "set-level", &wrong);
    assert_eq!(failure.as_deref(), Some("`level` has to be a number from 0 to 100"));
    assert_eq!(home.call(DIMMER, "unlock", &[]).as_deref(), Some("it has no action unlock"));
    assert_eq!(home.call("7e570001-9", "lock", &[]).as_deref(), Some("there is no thing 7e570001-9"));
    home.order(Order::Admit(Admission { seconds: 60, printed: None }));
    let refused = |report: &Report| matches!(report, Report::Refused { thing: None, .. }).then_some(());
    home.until(refused);
}

#[test]
fn a_node_without_security_needs_an_exception_that_names_it() {
    let Some(mut server) = Server::start() else { return };
    let mut home = Home::start(ZwaveJsRadio::new(), server.port, Start::default());
    let reason = home.until(|report| match report {
        Report::Refused { thing: Some(thing), kind: RefusalKind::Join, reason }
            if thing.as_str() == OPEN_PLUG =>
        {
            Some(reason.to_string())
        }
        _ => None,
    });
    assert_eq!(reason, "Z-Wave JS says that it has no security, and no exception names it");
    let of_it = |report: &Report| match report {
        Report::Thing(thing) => thing.address.as_str() == OPEN_PLUG,
        Report::Readings(said) => said.thing.as_str() == OPEN_PLUG,
        _ => false,
    };
    assert!(!home.during(Duration::from_millis(500)).iter().any(of_it));
    assert!(home.call(OPEN_PLUG, "turn-on", &[]).is_some());

    let mut home = Home::start(ZwaveJsRadio::new(), server.port, excepting(OPEN_PLUG));
    let plug = described(&home.thing(OPEN_PLUG));
    assert!(plug.as_json()["description"].as_str().unwrap().contains("no security"));
    assert_eq!(home.call(OPEN_PLUG, "turn-on", &[]), None);
    assert_eq!(server.do_it(&json!({"do": "state", "id": 4, "name": "BinarySwitch_currentValue"})), "true");
}

#[test]
fn a_node_that_is_removed_leaves_and_a_server_that_ends_is_trouble() {
    let Some(mut server) = Server::start() else { return };
    let mut home = Home::start(ZwaveJsRadio::new(), server.port, Start::default());
    home.thing(LOCK);
    server.do_it(&json!({"do": "remove", "id": 3}));
    home.until(|report| (*report == Report::Left(address(DIMMER))).then_some(()));
    // What nobody wants any more says nothing more.
    home.order(Order::Remove(address(SWITCH)));
    home.until(|report| (*report == Report::Left(address(SWITCH))).then_some(()));
    server.do_it(&json!({"do": "report", "id": 2, "on": true}));
    let said = home.during(Duration::from_millis(300));
    assert!(!said.iter().any(|report| matches!(report, Report::Readings(_))), "{said:?}");

    server.do_it(&json!({"do": "end"}));
    let trouble = home.until(|report| match report {
        Report::Trouble(why) => Some(why.to_string()),
        _ => None,
    });
    assert_eq!(trouble, "Z-Wave JS: the server ended the connection");
    assert!(home.is_over);
}

mod broken {
    //! A server that lies.

    use proptest::prelude::*;
    use thingward_radio::Output;

    use super::*;

    const ACCEPT: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";

    /// A protocol whose handshake is done, by a server that answers rightly.
    fn open() -> ZwaveJsRadio {
        let mut radio = ZwaveJsRadio::new();
        radio.order(Order::Start(Start::default()), Duration::ZERO);
        let Some(Output::Line(request)) = radio.output() else { panic!("no request") };
        let request = String::from_utf8(request).unwrap();
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        let answer = [ACCEPT, format!("Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes()].concat();
        radio.receive(&answer, Duration::ZERO);
        radio
    }

    /// One text of a server.
    fn frame(text: &str) -> Vec<u8> {
        let length = u16::try_from(text.len()).unwrap();
        [&[0x81, 126][..], &length.to_be_bytes(), text.as_bytes()].concat()
    }

    fn reports(radio: &mut ZwaveJsRadio) -> Vec<Report> {
        let report = |output| match output {
            Output::Report(report) => Some(report),
            Output::Line(_) | Output::End => None,
        };
        std::iter::from_fn(|| radio.output()).filter_map(report).collect()
    }

    fn troubles(radio: &mut ZwaveJsRadio) -> Vec<String> {
        let trouble = |report| match report {
            Report::Trouble(why) => Some(why.to_string()),
            _ => None,
        };
        reports(radio).into_iter().filter_map(trouble).collect()
    }

    #[test]
    fn each_way_to_go_wrong_is_trouble_with_its_reason() {
        let version = r#"{"type":"version","homeId":1,"minSchemaVersion":0,"maxSchemaVersion":50}"#;
        let old = r#"{"type":"version","homeId":1,"minSchemaVersion":0,"maxSchemaVersion":7}"#;
        let refused = r#"{"type":"result","success":false,"messageId":"2","errorCode":"unknown_error"}"#;
        let nodes = vec![r#"{"nodeId":2}"#; 233].join(",");
        let many = format!(
            r#"{{"type":"result","success":true,"messageId":"2","result":{{"state":{{"controller":{{}},"nodes":[{nodes}]}}}}}}"#
        );
        for (texts, why) in [
            (vec!["{"], "what it says first is not understood"),
            (vec![old], "schema 0 to 7"),
            (vec![version, refused], "refuses to tell what there is: unknown_error"),
            (vec![version, &many], "more than 232 nodes"),
        ] {
            let mut radio = open();
            for text in texts {
                radio.receive(&frame(text), Duration::ZERO);
            }
            let said = troubles(&mut radio);
            assert!(said.len() == 1 && said[0].contains(why), "{said:?}");
        }
        // Longer than a message may be, by its head alone.
        let mut radio = open();
        radio.receive(&[&[0x81, 127][..], &(9_u64 << 20).to_be_bytes()].concat(), Duration::ZERO);
        assert_eq!(troubles(&mut radio), ["Z-Wave JS: a message of more than 8 MiB"]);
        // Silence.
        let mut radio = open();
        radio.tick(radio.due().unwrap());
        assert_eq!(troubles(&mut radio), ["Z-Wave JS is silent"]);
    }

    const VERSION: &str = r#"{"type":"version","homeId":1,"minSchemaVersion":0,"maxSchemaVersion":50}"#;

    /// All that there is: nodes with a switch in each of these endpoints.
    fn state(message: u32, nodes: &[(u16, &[u16])]) -> String {
        let value = |endpoint: &u16| {
            json!({"commandClass": 37, "endpoint": endpoint, "property": "currentValue",
                "metadata": {"type": "boolean"}})
        };
        let node = |(id, endpoints): &(u16, &[u16])| {
            let values: Vec<Json> = endpoints.iter().map(value).collect();
            json!({"nodeId": id, "ready": true, "highestSecurityClass": 1, "values": values})
        };
        let nodes: Vec<Json> = nodes.iter().map(node).collect();
        let state = json!({"controller": {}, "nodes": nodes});
        json!({"type": "result", "success": true, "messageId": message.to_string(),
            "result": {"state": state}})
        .to_string()
    }

    #[test]
    fn a_driver_that_begins_again_loses_only_who_is_gone_and_tells_only_what_changed() {
        let mut radio = open();
        radio.receive(&frame(VERSION), Duration::ZERO);
        radio.receive(&frame(&state(2, &[(2, &[0]), (3, &[0]), (4, &[0])])), Duration::ZERO);
        assert_eq!(reports(&mut radio).len(), 4);
        let again = r#"{"type":"event","event":{"source":"driver","event":"driver ready"}}"#;
        radio.receive(&frame(again), Duration::ZERO);
        assert_eq!(reports(&mut radio), []);
        radio.receive(&frame(&state(3, &[(2, &[0]), (4, &[0, 1])])), Duration::ZERO);
        let said = reports(&mut radio);
        let [Report::Left(left), Report::Ready { .. }, Report::Thing(changed)] = &said[..] else {
            panic!("{said:?}")
        };
        assert_eq!((left, &changed.address), (&address("00000001-3"), &address("00000001-4")));
        let names: Vec<String> = described(changed).properties.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["on", "on-1"]);
    }

    #[test]
    fn a_call_that_is_not_answered_in_time_or_not_with_what_became_of_it_fails() {
        let call = |id| {
            Order::Call(thingward_radio::wire::Call {
                id,
                thing: address("00000001-2"),
                action: thingward_radio::wire::Name::fitting("turn-on"),
                arguments: vec![],
            })
        };
        let mut radio = open();
        radio.receive(&frame(VERSION), Duration::ZERO);
        radio.receive(&frame(&state(2, &[(2, &[0])])), Duration::ZERO);
        reports(&mut radio);
        radio.order(call(7), Duration::ZERO);
        radio.receive(&frame(r#"{"type":"result","success":true,"messageId":"3"}"#), Duration::ZERO);
        assert!(matches!(&reports(&mut radio)[..], [Report::Done { id: 7, failure: Some(_) }]));
        radio.order(call(8), Duration::ZERO);
        radio.tick(Duration::from_secs(15));
        let said = reports(&mut radio);
        let [Report::Done { id: 8, failure: Some(why) }] = &said[..] else { panic!("{said:?}") };
        assert!(why.as_str().contains("may still do it"), "{why}");
    }

    #[test]
    fn an_event_that_is_not_understood_is_refused_and_the_next_is_heard() {
        let mut radio = open();
        let nodes = r#"{"nodeId":2,"ready":true,"highestSecurityClass":1,"values":[{"commandClass":37,"property":"currentValue","metadata":{"type":"boolean"}}]}"#;
        for text in [
            r#"{"type":"version","homeId":1,"minSchemaVersion":0,"maxSchemaVersion":50}"#,
            &format!(
                r#"{{"type":"result","success":true,"messageId":"2","result":{{"state":{{"controller":{{}},"nodes":[{nodes}]}}}}}}"#
            ),
            "not JSON",
            r#"{"type":"event","event":{"source":"node","event":"value updated","nodeId":"two"}}"#,
            r#"{"type":"event","event":{"source":"node","event":"value updated","nodeId":2,"args":{"commandClass":37,"property":"currentValue","newValue":true}}}"#,
        ] {
            radio.receive(&frame(text), Duration::ZERO);
        }
        let said = reports(&mut radio);
        let refused = said.iter().filter(|report| matches!(report, Report::Refused { .. })).count();
        assert_eq!(refused, 2, "{said:?}");
        assert!(matches!(said.last(), Some(Report::Readings(said)) if said.thing == address("00000001-2")));
    }

    proptest! {
        #[test]
        fn whatever_comes_nothing_panics(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..10),
            is_open in any::<bool>(),
        ) {
            let mut radio = if is_open { open() } else { ZwaveJsRadio::new() };
            for bytes in chunks {
                radio.receive(&bytes, Duration::ZERO);
                while radio.output().is_some() {}
            }
        }

        #[test]
        fn a_message_that_is_changed_anywhere_does_no_harm(at in 0_usize..1000, byte in any::<u8>()) {
            let mut radio = open();
            let version = r#"{"type":"version","homeId":1,"minSchemaVersion":0,"maxSchemaVersion":50}"#;
            radio.receive(&frame(version), Duration::ZERO);
            let state = r#"{"type":"result","success":true,"messageId":"2","result":{"state":{"controller":{"homeId":7,"ownNodeId":1},"nodes":[{"nodeId":2,"ready":true,"highestSecurityClass":1,"values":[{"commandClass":67,"property":"setpoint","propertyKey":1,"metadata":{"type":"number","unit":"°F","ccSpecific":{"setpointType":1},"min":5,"states":{"1":"x"}}}]}]}}}"#;
            let mut bytes = frame(state);
            let at = at % bytes.len();
            bytes[at] = byte;
            radio.receive(&bytes, Duration::ZERO);
            while radio.output().is_some() {}
        }
    }
}
