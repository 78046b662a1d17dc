//! The MQTT test bed under other people's clients.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::common::{Place, Running, free_port, given, have, succeeds, wait_for};
use crate::script;

/// A test bed, and its port.
fn testbed(place: &Place) -> (Running, String) {
    let port = free_port();
    let running = place.start(&["mqtt-testbed", "--port", &port.to_string()]);
    wait_for("the test bed", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    (running, port.to_string())
}

#[test]
fn paho_finds_everything_it_knows_of_mqtt() {
    let Some(python) = given("THINGWARD_PYTHON") else { return };
    let place = Place::new();
    let (_testbed, port) = testbed(&place);
    let said = succeeds(&python, &[&script("paho_conformance.py"), &port]);
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), 16, "{said}");
}

#[test]
fn mqtt_js_gets_every_qos_once() {
    let Some(modules) = given("THINGWARD_NODE_MODULES") else { return };
    if !have(&["node"]) {
        return;
    }
    let place = Place::new();
    let (_testbed, port) = testbed(&place);
    let said = succeeds("node", &[&script("mqttjs.mjs"), &port, &modules]);
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), 2, "{said}");
}

/// A `mosquitto_sub` that runs. Lines of messages are `TOPIC|QOS|RETAIN|PAYLOAD`.
pub(crate) struct Subscriber {
    _running: Running,
    lines: Receiver<String>,
}

impl Subscriber {
    /// Starts it and waits for its subscription.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        // `stdbuf` becomes it, so that killing the child kills it and nothing stands between.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "mosquitto_sub", "-W", "50", "-d", "-F", "%t|%q|%r|%p"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (to, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        let me = Self { _running: Running(child), lines };
        while !me.line().starts_with("Subscribed") {}
        me
    }

    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(15)).unwrap()
    }

    /// The next message.
    #[track_caller]
    pub(crate) fn message(&self) -> String {
        loop {
            let line = self.line();
            if line.matches('|').count() == 3 {
                return line;
            }
        }
    }

    /// Whether nothing comes for a moment.
    pub(crate) fn is_quiet(&self) -> bool {
        std::thread::sleep(Duration::from_millis(500));
        self.lines.try_iter().all(|line| line.matches('|').count() != 3)
    }
    /// Waits until the client sees that the other end is gone: it connects again.
    #[track_caller]
    pub(crate) fn loses_its_connection(&self) {
        while !self.line().contains("sending CONNECT") {}
    }
}

fn publish(port: &str, version: &str, arguments: &[&str]) {
    succeeds("mosquitto_pub", &[&["-h", "127.0.0.1", "-p", port, "-V", version], arguments].concat());
}

fn subscribe(port: &str, version: &str, arguments: &[&str]) -> Subscriber {
    Subscriber::new(&[&["-h", "127.0.0.1", "-p", port, "-V", version], arguments].concat())
}

#[test]
fn mosquitto_gets_every_qos_retained_messages_and_wills() {
    if !have(&["mosquitto_sub", "mosquitto_pub"]) {
        return;
    }
    let place = Place::new();
    let (_testbed, port) = testbed(&place);
    for version in ["mqttv5", "mqttv311"] {
        every_qos(&port, version);
        retained(&port, version);
        will(&port, version);
        kept_session(&port, version);
    }
    assert!(!place.logs().contains("panicked"));
}

fn every_qos(port: &str, version: &str) {
    let reader = subscribe(port, version, &["-t", "qos/+", "-q", "2"]);
    for qos in ["0", "1", "2"] {
        for n in 0..5 {
            publish(port, version, &["-t", &format!("qos/{n}"), "-q", qos, "-m", &format!("{version} {n}")]);
        }
    }
    for qos in ["0", "1", "2"] {
        for n in 0..5 {
            assert_eq!(reader.message(), format!("qos/{n}|{qos}|0|{version} {n}"));
        }
    }
    assert!(reader.is_quiet());
}

fn retained(port: &str, version: &str) {
    publish(port, version, &["-t", "kept/a", "-q", "1", "-r", "-m", "one"]);
    publish(port, version, &["-t", "kept/a", "-q", "1", "-r", "-m", "two"]);
    assert_eq!(subscribe(port, version, &["-t", "kept/#", "-q", "1"]).message(), "kept/a|1|1|two");
    publish(port, version, &["-t", "kept/a", "-q", "1", "-r", "-n"]);
    assert!(subscribe(port, version, &["-t", "kept/#"]).is_quiet());
}

fn will(port: &str, version: &str) {
    let reader = subscribe(port, version, &["-t", "wills/#", "-q", "1"]);
    let will = ["--will-topic", "wills/mortal", "--will-payload", "gone", "--will-qos", "1"];
    let mortal = subscribe(port, version, &[&["-t", "nothing"], &will[..]].concat());
    drop(mortal);
    assert_eq!(reader.message(), "wills/mortal|1|0|gone");
}

fn kept_session(port: &str, version: &str) {
    let mut session = vec!["-i", "sleeper", "-c", "-t", "letters/#", "-q", "2"];
    if version == "mqttv5" {
        session.extend(["-x", "100"]);
    }
    drop(subscribe(port, version, &session));
    for n in 0..5 {
        publish(port, version, &["-t", "letters/x", "-q", "2", "-m", &n.to_string()]);
    }
    let sleeper = subscribe(port, version, &session);
    for n in 0..5 {
        assert_eq!(sleeper.message(), format!("letters/x|2|0|{n}"));
    }
    assert!(sleeper.is_quiet());
}
