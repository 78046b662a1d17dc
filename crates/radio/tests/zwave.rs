//! The driver of a Z-Wave controller against the emulated controller and nodes of Z-Wave JS, over its TCP serial port.
//! Skips, and says so, where it is not installed.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio};
use std::time::{Duration, Instant};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use serde_json::{Value as Json, json};
use thingward_model::Link;
use thingward_model::description::ThingDescription;
use thingward_radio::wire::{
    Address, Admission, AdmissionState, Argument, Call, Exception, Name, RefusalKind, Secret, Sentence,
    Start, Text, Thing, Value,
};
use thingward_radio::zwave::ZwaveRadio;
use thingward_radio::{Order, Output, Radio, Report};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(40);

const SECURITY_0: u8 = 0x98;
const SECURITY_2: u8 = 0x9f;
const SUPERVISION: u8 = 0x6c;
const BINARY_SWITCH: u8 = 0x25;
const MULTILEVEL_SENSOR: u8 = 0x31;
const DOOR_LOCK: u8 = 0x62;
const WAKE_UP: u8 = 0x84;

const SWITCH: [(u8, bool); 3] = [(SECURITY_2, false), (SUPERVISION, true), (BINARY_SWITCH, true)];

/// The emulated controller in its process, the driver that talks to it, and what a gateway does.
struct Home {
    process: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
    line: TcpStream,
    radio: ZwaveRadio<ChaCha20Rng>,
    began: Instant,
    kept: Option<Secret>,
    network: String,
    seed: u8,
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Home {
    /// `None`, said aloud, where the peer is not installed.
    fn start(seed: u8, exceptions: &[(&str, &str)]) -> Option<Self> {
        let Ok(modules) = std::env::var("THINGWARD_NODE_MODULES") else {
            println!("SKIPPED: THINGWARD_NODE_MODULES is not set");
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/zwave_controller.mjs");
        let mut process = Process::new("node")
            .args([script, &modules])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let hears = process.stdin.take().unwrap();
        let mut says = BufReader::new(process.stdout.take().unwrap());
        let mut port = String::new();
        says.read_line(&mut port).unwrap();
        let line = TcpStream::connect(("127.0.0.1", port.trim().parse().unwrap())).unwrap();
        line.set_nodelay(true).unwrap();
        line.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let radio = ZwaveRadio::new(ChaCha20Rng::from_seed([seed; 32]));
        let (began, network) = (Instant::now(), String::new());
        let mut home = Self { process, says, hears, line, radio, began, kept: None, network, seed };
        home.begin(exceptions);
        Some(home)
    }

    fn begin(&mut self, exceptions: &[(&str, &str)]) {
        let exceptions = exceptions.iter().map(|(thing, reason)| {
            let (thing, reason) = (Address::new(thing).unwrap(), Sentence::new(reason).unwrap());
            Exception { thing, reason }
        });
        let exceptions = exceptions.collect();
        self.order(Order::Start(Start { kept: self.kept.clone(), exceptions, ..Start::default() }));
        self.network = self.until(|report| match report {
            Report::Ready { network } => Some(network.to_string()),
            _ => None,
        });
    }

    /// The driver dies, and another starts with what was kept.
    fn restart(&mut self, exceptions: &[(&str, &str)]) {
        self.seed += 100;
        self.radio = ZwaveRadio::new(ChaCha20Rng::from_seed([self.seed; 32]));
        self.began = Instant::now();
        self.begin(exceptions);
    }

    fn order(&mut self, order: Order) {
        self.radio.order(order, self.began.elapsed());
    }

    /// Has the emulated nodes do something.
    fn do_it(&mut self, what: Json) -> String {
        writeln!(self.hears, "{what}").unwrap();
        let mut answer = String::new();
        self.says.read_line(&mut answer).unwrap();
        assert!(!answer.starts_with("error"), "{answer}");
        answer.trim().to_owned()
    }

    /// One round of the line; gives what was reported, and keeps what is to be kept.
    fn turn(&mut self) -> Vec<Report> {
        let mut reports = self.drain();
        let mut buffer = [0; 512];
        match self.line.read(&mut buffer) {
            Ok(0) => panic!("the emulated controller is gone"),
            Ok(length) => self.radio.receive(&buffer[..length], self.began.elapsed()),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
            }
        }
        if self.radio.due().is_some_and(|due| due <= self.began.elapsed()) {
            self.radio.tick(self.began.elapsed());
        }
        reports.extend(self.drain());
        reports
    }

    fn drain(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        while let Some(output) = self.radio.output() {
            match output {
                Output::Line(bytes) => self.line.write_all(&bytes).unwrap(),
                Output::Report(Report::Keep(secret)) => {
                    self.kept = Some(secret);
                    self.order(Order::Kept);
                }
                Output::Report(report) => reports.push(report),
                Output::End => panic!("the protocol cannot go on"),
            }
        }
        reports
    }

    /// Goes on until a report is what is waited for.
    fn until<T>(&mut self, mut wanted: impl FnMut(&Report) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while Instant::now() < deadline {
            let reports = self.turn();
            if let Some(found) = reports.iter().find_map(&mut wanted) {
                return found;
            }
            seen.extend(reports);
        }
        panic!("waited in vain; seen: {seen:#?}");
    }

    /// Reports of a while.
    fn during(&mut self, time: Duration) -> Vec<Report> {
        let end = Instant::now() + time;
        let mut reports = Vec::new();
        while Instant::now() < end {
            reports.extend(self.turn());
        }
        reports
    }

    fn admit(&mut self, printed: Option<&str>) {
        let printed = printed.map(|text| Secret::new(text.as_bytes().to_vec()));
        self.order(Order::Admit(Admission { seconds: 60, printed }));
    }

    /// A node waits to be let in.
    fn wants_to_join(&mut self, security: &[&str], classes: &[(u8, bool)], sleeping: bool) {
        let join =
            json!({ "do": "join", "id": 2, "security": security, "classes": classes, "sleeping": sleeping });
        assert_eq!(self.do_it(join), "ok");
    }

    /// A node joins with all its digits, up to the end of its interview and of the questions after it.
    fn include(&mut self, security: &[&str], classes: &[(u8, bool)], sleeping: bool) -> Thing {
        let dsk = self.dsk();
        self.wants_to_join(security, classes, sleeping);
        self.admit(Some(&dsk));
        let thing = self.until(thing);
        self.during(Duration::from_millis(500));
        thing
    }

    /// The device-specific key that the next node has.
    fn dsk(&mut self) -> String {
        self.do_it(json!({ "do": "key" })).strip_prefix("dsk ").unwrap().to_owned()
    }

    fn address(&self) -> Address {
        Address::new(&format!("{}-2", self.network)).unwrap()
    }

    fn call(&mut self, id: u32, action: &str, arguments: &[(&str, Value)]) -> Option<String> {
        self.call_without_waiting(id, action, arguments);
        self.until(|report| done(report, id))
    }

    fn call_without_waiting(&mut self, id: u32, action: &str, arguments: &[(&str, Value)]) {
        let (thing, action) = (self.address(), Name::new(action).unwrap());
        let arguments = arguments
            .iter()
            .map(|(name, value)| Argument { name: Name::new(name).unwrap(), value: value.clone() })
            .collect();
        self.order(Order::Call(Call { id, thing, action, arguments }));
    }

    /// What the node's switch is.
    fn state(&mut self) -> String {
        self.do_it(json!({ "do": "state", "id": 2 }))
    }

    fn node_says(&mut self, on: bool, secure: bool) {
        self.do_it(json!({ "do": "report", "id": 2, "on": on, "secure": secure }));
    }

    fn expect_closed(&mut self) {
        self.until(|report| matches!(report, Report::Admission(AdmissionState::Closed)).then_some(()));
    }
}

fn thing(report: &Report) -> Option<Thing> {
    if let Report::Thing(thing) = report { Some(thing.clone()) } else { None }
}

fn done(report: &Report, wanted: u32) -> Option<Option<String>> {
    match report {
        Report::Done { id, failure } if *id == wanted => Some(failure.as_ref().map(Text::to_string)),
        _ => None,
    }
}

/// The value of this name, and how it was protected.
fn reading(report: &Report, name: &str) -> Option<(Link, Value)> {
    let Report::Readings(said) = report else { return None };
    let found = said.readings.iter().find(|reading| reading.name.as_str() == name)?;
    Some((said.link, found.value.clone()))
}

fn refusal(report: &Report) -> Option<(RefusalKind, String)> {
    match report {
        Report::Refused { kind, reason, .. } => Some((*kind, reason.to_string())),
        _ => None,
    }
}

#[test]
fn a_switch_joins_with_its_key_and_is_read_and_switched() {
    let Some(mut home) = Home::start(1, &[]) else { return };
    let thing = home.include(&["S2_AccessControl", "S2_Authenticated"], &SWITCH, false);
    assert_eq!((thing.address, thing.link), (home.address(), Link::ZwaveS2Access));
    let description = ThingDescription::parse(&thing.description).unwrap();
    assert!(description.properties.contains_key("on"));
    for action in ["turn-on", "turn-off"] {
        assert!(description.actions.contains_key(&action.parse().unwrap()));
    }
    for (id, on) in [(1, true), (2, false), (3, true)] {
        // Done, and then the property follows.
        assert_eq!(home.call(id, if on { "turn-on" } else { "turn-off" }, &[]), None);
        assert_eq!(home.state(), on.to_string());
        assert_eq!(home.until(|report| reading(report, "on")), (Link::ZwaveS2Access, Value::Bool(on)));
    }
    home.node_says(false, true);
    assert_eq!(home.until(|report| reading(report, "on")), (Link::ZwaveS2Access, Value::Bool(false)));
    assert_eq!(home.call(9, "turn-round", &[]).as_deref(), Some("it has no such action"));
}

#[test]
fn a_lock_and_a_sensor_are_described_and_read() {
    let Some(mut home) = Home::start(2, &[]) else { return };
    let secure = [SUPERVISION, DOOR_LOCK, MULTILEVEL_SENSOR].map(|class| (class, true));
    home.include(&["S2_AccessControl"], &[&[(SECURITY_2, false)], secure.as_slice()].concat(), false);
    home.order(Order::Ask(7));
    let counters = home.until(|report| match report {
        Report::Alive { answer: 7, counters } => Some(*counters),
        _ => None,
    });
    assert!(counters.received > 20 && counters.refused == 0, "{counters:?}");
    home.restart(&[]);
    let thing = home.until(thing);
    let description = ThingDescription::parse(&thing.description).unwrap();
    let temperature = &description.properties["temperature"];
    assert_eq!(temperature.schema.unit.as_deref(), Some("Cel"));
    assert!(description.actions[&"unlock".parse().unwrap()].is_sensitive);
    let (link, value) = home.until(|report| reading(report, "lock-state"));
    assert_eq!((link, matches!(value, Value::Text(_))), (Link::ZwaveS2Access, true));
    let (_, value) = home.until(|report| reading(report, "temperature"));
    assert!(matches!(value, Value::Number(_)));
    assert_eq!(home.call(1, "lock", &[]), None);
}

#[test]
fn five_digits_let_a_thing_in_and_wrong_ones_do_not() {
    let Some(mut home) = Home::start(3, &[]) else { return };
    let pin = home.dsk()[..5].to_owned();
    home.wants_to_join(&["S2_Authenticated"], &SWITCH, false);
    let wrong = format!("{:05}", (pin.parse::<u32>().unwrap() + 1) % 65536);
    home.admit(Some(&wrong));
    let (kind, reason) = home.until(refusal);
    assert_eq!(kind, RefusalKind::Join);
    assert!(reason.starts_with("the key exchange was ended"), "{reason}");
    assert_eq!(home.call(1, "turn-on", &[]).as_deref(), Some("there is no such thing"));
    home.wants_to_join(&["S2_Authenticated"], &SWITCH, false);
    home.admit(Some(&pin));
    assert_eq!(home.until(thing).link, Link::ZwaveS2Authenticated);
}

#[test]
fn another_thing_than_the_one_whose_digits_were_given_is_refused() {
    let Some(mut home) = Home::start(4, &[]) else { return };
    let other = home.dsk();
    home.dsk();
    home.wants_to_join(&["S2_Authenticated"], &SWITCH, false);
    home.admit(Some(&other));
    let (kind, reason) = home.until(refusal);
    assert_eq!(kind, RefusalKind::Join);
    assert!(reason.contains("device-specific key"), "{reason}");
}

#[test]
fn without_its_digits_a_thing_that_has_some_is_refused_and_one_without_joins() {
    let Some(mut home) = Home::start(5, &[]) else { return };
    home.dsk();
    home.wants_to_join(&["S2_Authenticated"], &SWITCH, false);
    home.admit(None);
    let refused = home.until(refusal);
    assert_eq!(refused, (RefusalKind::Join, "give the digits that are printed on it".to_owned()));
    home.order(Order::Close);
    home.expect_closed();
    home.wants_to_join(&["S2_Unauthenticated"], &SWITCH, false);
    home.admit(None);
    assert_eq!(home.until(thing).link, Link::ZwaveS2Unauthenticated);
}

#[test]
fn a_thing_without_security_is_refused_and_not_believed() {
    let Some(mut home) = Home::start(6, &[]) else { return };
    home.dsk();
    home.wants_to_join(&[], &[(BINARY_SWITCH, false)], false);
    home.admit(None);
    assert_eq!(home.until(refusal), (RefusalKind::Join, "it has no link security".to_owned()));
    home.node_says(true, false);
    let reports = home.during(Duration::from_secs(1));
    assert!(reports.iter().any(|report| matches!(refusal(report), Some((RefusalKind::Forgery, _)))));
    assert!(reports.iter().all(|report| reading(report, "on").is_none()), "{reports:#?}");
}

#[test]
fn security_0_is_for_what_an_exception_names_with_a_reason() {
    const OLD: [(u8, bool); 2] = [(SECURITY_0, false), (BINARY_SWITCH, true)];
    let Some(mut home) = Home::start(7, &[]) else { return };
    home.dsk();
    home.wants_to_join(&["S0_Legacy"], &OLD, false);
    home.admit(None);
    let (kind, reason) = home.until(refusal);
    assert_eq!(kind, RefusalKind::Join);
    assert!(reason.starts_with("it has Security 0 only"), "{reason}");
    let exceptions = [("s0", "the valve of 2009, until it is replaced")];
    home.restart(&exceptions);
    home.wants_to_join(&["S0_Legacy"], &OLD, false);
    home.admit(None);
    assert_eq!(home.until(thing).link, Link::ZwaveS0);
    home.order(Order::Close);
    home.during(Duration::from_millis(500));
    home.call(1, "turn-on", &[]);
    assert_eq!(home.until(|report| reading(report, "on")), (Link::ZwaveS0, Value::Bool(true)));
    // Nobody permits it any more.
    home.restart(&[]);
    let reports = home.during(Duration::from_millis(500));
    assert!(reports.iter().all(|report| thing(report).is_none()), "{reports:#?}");
    let address = home.address();
    home.restart(&[(address.as_str(), "the valve of 2009, until it is replaced")]);
    assert_eq!(home.until(thing).address, address);
}

#[test]
fn after_a_restart_a_thing_is_known_and_works() {
    let Some(mut home) = Home::start(8, &[]) else { return };
    let before = home.include(&["S2_Authenticated"], &SWITCH, false);
    home.restart(&[]);
    let after = home.until(thing);
    assert_eq!(after, before);
    assert_eq!(home.call(1, "turn-on", &[]), None);
    assert_eq!(home.state(), "true");
    home.node_says(false, true);
    let on = home.until(|report| reading(report, "on").filter(|(_, value)| *value == Value::Bool(false)));
    assert_eq!(on.0, Link::ZwaveS2Authenticated);
}

#[test]
fn what_was_said_before_and_what_is_in_the_clear_is_not_believed() {
    let Some(mut home) = Home::start(9, &[]) else { return };
    home.include(&["S2_Authenticated"], &SWITCH, false);
    assert_eq!(home.call(1, "turn-on", &[]), None);
    home.node_says(true, true);
    home.during(Duration::from_millis(500));
    home.do_it(json!({ "do": "replay" }));
    let reports = home.during(Duration::from_secs(1));
    assert!(reports.iter().any(|report| matches!(refusal(report), Some((RefusalKind::Replay, _)))));
    assert!(reports.iter().all(|report| reading(report, "on").is_none()), "{reports:#?}");
    home.node_says(false, false);
    let reports = home.during(Duration::from_secs(1));
    assert!(reports.iter().any(|report| matches!(refusal(report), Some((RefusalKind::Forgery, _)))));
    assert!(reports.iter().all(|report| reading(report, "on").is_none()), "{reports:#?}");
}

#[test]
fn a_thing_that_sleeps_does_it_when_it_wakes_up_in_time_and_otherwise_never() {
    let Some(mut home) = Home::start(10, &[]) else { return };
    home.include(&["S2_Authenticated"], &[SWITCH.as_slice(), &[(WAKE_UP, true)]].concat(), true);
    home.do_it(json!({ "do": "sleep", "id": 2 }));
    home.call_without_waiting(1, "turn-on", &[]);
    let reports = home.during(Duration::from_secs(2));
    assert!(reports.iter().all(|report| done(report, 1).is_none()), "{reports:#?}");
    home.do_it(json!({ "do": "wake", "id": 2 }));
    assert_eq!(home.until(|report| done(report, 1)), None);
    assert_eq!(home.state(), "true");
    home.during(Duration::from_secs(1));
    home.do_it(json!({ "do": "sleep", "id": 2 }));
    let failure = home.call(2, "turn-off", &[]).unwrap();
    assert!(failure.contains("sleeps"), "{failure}");
    home.do_it(json!({ "do": "wake", "id": 2 }));
    home.during(Duration::from_secs(1));
    assert_eq!(home.state(), "true");
}

#[test]
fn a_thing_that_was_removed_is_not_believed() {
    let Some(mut home) = Home::start(11, &[]) else { return };
    home.include(&["S2_Authenticated"], &SWITCH, false);
    home.order(Order::Remove(home.address()));
    let left = home.until(|report| if let Report::Left(thing) = report { Some(thing.clone()) } else { None });
    assert_eq!(left, home.address());
    home.node_says(true, true);
    assert!(matches!(home.until(refusal), (RefusalKind::Forgery, _)));
    home.restart(&[]);
    home.node_says(true, true);
    let reports = home.during(Duration::from_secs(1));
    assert!(reports.iter().all(|report| reading(report, "on").is_none()), "{reports:#?}");
}
