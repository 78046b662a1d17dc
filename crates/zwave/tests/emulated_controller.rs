//! The host against the emulated controller and nodes of Z-Wave JS, over its TCP serial port.
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
use serde_json::{Value, json};
use thingward_zwave::affordance::readings;
use thingward_zwave::command_class::field::OnOff;
use thingward_zwave::command_class::lock::DoorLock;
use thingward_zwave::command_class::meter::Meter;
use thingward_zwave::command_class::security::KexFail;
use thingward_zwave::command_class::sensors::MultilevelSensor;
use thingward_zwave::command_class::switches::BinarySwitch;
use thingward_zwave::controller::{
    Controller, Event, KnownNode, NetworkKeySet, Outcome, Refusal, RequestError, RequestId, S0Permission,
    Standing, Unsound,
};
use thingward_zwave::security2::Unopened;
use thingward_zwave::{Command, Dsk, LinkSecurity, NodeId, S2Class, SecurityClass};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

const SECURITY_0: u8 = 0x98;
const SECURITY_2: u8 = 0x9f;
const SUPERVISION: u8 = 0x6c;
const BINARY_SWITCH: u8 = 0x25;
const WAKE_UP: u8 = 0x84;

/// The emulated controller in its process, and the host that talks to it.
struct Home {
    process: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
    line: TcpStream,
    host: Controller<ChaCha20Rng>,
    began: Instant,
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn node() -> NodeId {
    NodeId::new(2).unwrap()
}

impl Home {
    /// `None`, said aloud, where the peer is not installed.
    fn start(seed: u8) -> Option<Self> {
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
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let keys = NetworkKeySet::generate(&mut rng);
        let host = Controller::start(keys, None, rng, Duration::ZERO);
        let mut home = Self { process, says, hears, line, host, began: Instant::now() };
        home.until(|event| matches!(event, Event::Ready { .. }).then_some(()));
        Some(home)
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Has the emulated nodes do something.
    fn do_it(&mut self, what: Value) -> String {
        writeln!(self.hears, "{what}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut answer = String::new();
        self.says.read_line(&mut answer).unwrap();
        assert!(!answer.starts_with("error"), "{answer}");
        answer.trim().to_owned()
    }

    /// One round of the line.
    fn turn(&mut self) {
        while let Some(bytes) = self.host.output() {
            self.line.write_all(&bytes).unwrap();
        }
        let mut buffer = [0; 512];
        match self.line.read(&mut buffer) {
            Ok(0) => panic!("the emulated controller is gone"),
            Ok(length) => self.host.receive(&buffer[..length], self.began.elapsed()),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}")
            }
        }
        self.host.tick(self.began.elapsed());
    }

    /// Goes on until an event is what is waited for.
    fn until<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while Instant::now() < deadline {
            self.turn();
            while let Some(event) = self.host.event() {
                if let Some(found) = wanted(&event) {
                    return found;
                }
                seen.push(event);
            }
        }
        panic!("waited in vain; seen: {seen:#?}");
    }

    /// Events of a while.
    fn during(&mut self, time: Duration) -> Vec<Event> {
        let end = Instant::now() + time;
        let mut events = Vec::new();
        while Instant::now() < end {
            self.turn();
            events.extend(std::iter::from_fn(|| self.host.event()));
        }
        events
    }

    /// A node wants to join, and is let in by the protocol; gives its device-specific key.
    fn begin(&mut self, security: &[&str], classes: &[(u8, bool)], sleeping: bool) -> Dsk {
        let join =
            json!({ "do": "join", "id": 2, "security": security, "classes": classes, "sleeping": sleeping });
        assert_eq!(self.do_it(join), "ok");
        let now = self.now();
        self.host.include(now).unwrap();
        self.until(|event| matches!(event, Event::Including).then_some(()));
        self.answer().strip_prefix("dsk ").unwrap().parse().unwrap()
    }

    /// The same with a switch that has Security 2, up to the end of its interview.
    fn include_switch(&mut self, security: &[&str], sleeping: bool) -> KnownNode {
        let mut classes = vec![(SECURITY_2, false), (SUPERVISION, true), (BINARY_SWITCH, true)];
        classes.extend(sleeping.then_some((WAKE_UP, true)));
        let dsk = self.begin(security, &classes, sleeping);
        if security != ["S2_Unauthenticated"] {
            let rest = self
                .until(|event| if let Event::PinNeeded { rest, .. } = event { Some(*rest) } else { None });
            assert_eq!(rest, dsk.0[2..]);
            let now = self.now();
            self.host.confirm(node(), dsk.pin(), now).unwrap();
        }
        self.until(|event| if let Event::Interviewed(known) = event { Some(known.clone()) } else { None })
    }

    fn set(&mut self, value: OnOff) -> Outcome {
        let now = self.now();
        let command = BinarySwitch::Set { target_value: value, duration: None }.into();
        let asked = self.host.set(node(), &command, now).unwrap();
        self.until(|event| done(event, asked))
    }

    fn get(&mut self) -> Outcome {
        let now = self.now();
        let asked = self.host.get(node(), &BinarySwitch::Get {}.into(), now).unwrap();
        self.until(|event| done(event, asked))
    }
}

/// What became of this request.
fn done(event: &Event, asked: RequestId) -> Option<Outcome> {
    match event {
        Event::Done(id, outcome) if *id == asked => Some(outcome.clone()),
        _ => None,
    }
}

fn report(value: OnOff) -> Command {
    BinarySwitch::Report { current_value: value, target: None }.into()
}

fn reports(event: &Event) -> Option<(LinkSecurity, Command)> {
    match event {
        Event::Report { security, command, .. } => Some((*security, command.clone())),
        _ => None,
    }
}

#[test]
fn a_switch_is_included_with_its_key_and_read_and_switched() {
    let Some(mut home) = Home::start(1) else { return };
    let known = home.include_switch(&["S2_AccessControl", "S2_Authenticated"], false);
    assert_eq!(known.class, SecurityClass::S2(S2Class::AccessControl));
    assert_eq!(home.host.standing(node()), Some(Standing::Granted(known.class)));
    for value in [OnOff::On, OnOff::Off, OnOff::On] {
        assert_eq!(home.set(value), Outcome::Confirmed);
        assert_eq!(home.do_it(json!({ "do": "state", "id": 2 })), (value == OnOff::On).to_string());
        assert_eq!(home.get(), Outcome::Answered(report(value)));
    }
    home.do_it(json!({ "do": "report", "id": 2, "on": false, "secure": true }));
    let told = home.until(|event| reports(event).filter(|(_, command)| *command == report(OnOff::Off)));
    assert_eq!(told.0, LinkSecurity::S2AccessControl);
}

#[test]
fn a_lock_a_meter_and_a_sensor_are_read() {
    let Some(mut home) = Home::start(9) else { return };
    let secure =
        [SUPERVISION, DoorLock::CLASS, Meter::CLASS, MultilevelSensor::CLASS].map(|class| (class, true));
    let dsk = home.begin(&["S2_AccessControl"], &[&[(SECURITY_2, false)], secure.as_slice()].concat(), false);
    home.until(|event| matches!(event, Event::PinNeeded { .. }).then_some(()));
    let now = home.now();
    home.host.confirm(node(), dsk.pin(), now).unwrap();
    home.until(|event| matches!(event, Event::Interviewed(_)).then_some(()));
    for question in [
        Command::from(DoorLock::OperationGet {}),
        Meter::Get { wanted: None }.into(),
        MultilevelSensor::Get { wanted: None }.into(),
    ] {
        let now = home.now();
        let asked = home.host.get(node(), &question, now).unwrap();
        let outcome = home.until(|event| done(event, asked));
        let Outcome::Answered(answer) = outcome else { panic!("{question:?}: {outcome:?}") };
        let shown = readings(&answer);
        println!("{shown:?}");
        assert!(!shown.is_empty(), "{answer:?}");
    }
    let lock = DoorLock::OperationSet { mode: 0xff }.into();
    let now = home.now();
    let asked = home.host.set(node(), &lock, now).unwrap();
    assert_eq!(home.until(|event| done(event, asked)), Outcome::Confirmed);
}

#[test]
fn what_was_said_before_is_not_believed_again() {
    let Some(mut home) = Home::start(2) else { return };
    home.include_switch(&["S2_Authenticated"], false);
    assert_eq!(home.set(OnOff::On), Outcome::Confirmed);
    home.do_it(json!({ "do": "report", "id": 2, "on": true, "secure": true }));
    home.until(|event| reports(event).filter(|(_, command)| *command == report(OnOff::On)));
    home.do_it(json!({ "do": "replay" }));
    let events = home.during(Duration::from_secs(1));
    let repeated =
        |event: &Event| matches!(event, Event::Unsound(_, Unsound::Security2(Unopened::Repeated(_))));
    assert!(events.iter().any(repeated), "{events:#?}");
    assert!(events.iter().all(|event| reports(event).is_none()));
    assert_eq!(home.get(), Outcome::Answered(report(OnOff::On)));
}

#[test]
fn what_is_in_the_clear_or_under_another_key_is_not_believed() {
    let Some(mut home) = Home::start(3) else { return };
    home.include_switch(&["S2_Authenticated"], false);
    assert_eq!(home.set(OnOff::On), Outcome::Confirmed);
    home.do_it(json!({ "do": "report", "id": 2, "on": false, "secure": false }));
    let below = home.until(|event| {
        if let Event::Unsound(_, Unsound::Below { seen, .. }) = event { Some(*seen) } else { None }
    });
    assert_eq!(below, LinkSecurity::None);
    home.do_it(json!({ "do": "rekey", "id": 2, "security": "S2_Authenticated" }));
    home.do_it(json!({ "do": "report", "id": 2, "on": false, "secure": true }));
    let events = home.during(Duration::from_secs(1));
    let refused = |event: &Event| matches!(event, Event::Unsound(_, Unsound::Security2(Unopened::OutOfStep)));
    assert!(events.iter().any(refused), "{events:#?}");
    assert!(events.iter().all(|event| reports(event).is_none()), "{events:#?}");
    assert!(matches!(home.get(), Outcome::NoNonce | Outcome::NoAnswer));
}

#[test]
fn wrong_digits_end_the_key_exchange() {
    let Some(mut home) = Home::start(4) else { return };
    let dsk = home.begin(&["S2_Authenticated"], &[(SECURITY_2, false), (BINARY_SWITCH, true)], false);
    home.until(|event| matches!(event, Event::PinNeeded { .. }).then_some(()));
    let now = home.now();
    home.host.confirm(node(), dsk.pin() ^ 1, now).unwrap();
    let refusal =
        home.until(|event| if let Event::Refused(_, refusal) = event { Some(*refusal) } else { None });
    assert_eq!(refusal, Refusal::Exchange(KexFail::Decrypt));
    let now = home.now();
    let asked = home.host.get(node(), &BinarySwitch::Get {}.into(), now);
    assert_eq!(asked, Err(RequestError::Refused(refusal)));
}

#[test]
fn a_node_without_security_is_refused_and_not_believed() {
    let Some(mut home) = Home::start(5) else { return };
    home.begin(&[], &[(BINARY_SWITCH, false)], false);
    let refusal =
        home.until(|event| if let Event::Refused(_, refusal) = event { Some(*refusal) } else { None });
    assert_eq!(refusal, Refusal::NoSecurity);
    home.do_it(json!({ "do": "report", "id": 2, "on": true, "secure": false }));
    home.until(|event| matches!(event, Event::Unsound(_, Unsound::Refused)).then_some(()));
}

#[test]
fn security_0_is_for_a_node_that_is_named_with_a_reason() {
    let Some(mut home) = Home::start(6) else { return };
    home.begin(&["S0_Legacy"], &[(SECURITY_0, false), (BINARY_SWITCH, true)], false);
    home.until(|event| matches!(event, Event::S0Asked(_)).then_some(()));
    assert_eq!(S0Permission::new(node(), " "), None);
    let now = home.now();
    home.host.permit_s0(S0Permission::new(node(), "the valve of 2009, until it is replaced").unwrap(), now);
    let known =
        home.until(|event| if let Event::Interviewed(known) = event { Some(known.clone()) } else { None });
    assert_eq!(known.class, SecurityClass::S0);
    home.set(OnOff::On);
    let answer = home.get();
    assert_eq!(answer, Outcome::Answered(report(OnOff::On)));
}

#[test]
fn a_node_that_has_security_0_only_is_refused_where_nobody_permits_it() {
    let Some(mut home) = Home::start(7) else { return };
    home.begin(&["S0_Legacy"], &[(SECURITY_0, false), (BINARY_SWITCH, true)], false);
    let refusal =
        home.until(|event| if let Event::Refused(_, refusal) = event { Some(*refusal) } else { None });
    assert_eq!(refusal, Refusal::S0NotPermitted);
}

#[test]
fn a_sleeping_node_is_told_when_it_wakes_up() {
    let Some(mut home) = Home::start(8) else { return };
    home.include_switch(&["S2_Authenticated"], true);
    home.during(Duration::from_millis(500));
    home.do_it(json!({ "do": "sleep", "id": 2 }));
    let now = home.now();
    let command = BinarySwitch::Set { target_value: OnOff::On, duration: None }.into();
    let asked = home.host.set(node(), &command, now).unwrap();
    assert_eq!(home.during(Duration::from_secs(2)), []);
    assert_eq!(home.do_it(json!({ "do": "state", "id": 2 })), "undefined");
    home.do_it(json!({ "do": "wake", "id": 2 }));
    let outcome = home.until(|event| done(event, asked));
    assert_eq!(outcome, Outcome::Confirmed);
    assert_eq!(home.do_it(json!({ "do": "state", "id": 2 })), "true");
}
