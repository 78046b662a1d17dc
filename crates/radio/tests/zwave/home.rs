//! An emulated controller with emulated nodes, and what a gateway is to their driver.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use serde_json::{Value as Json, json};
use thingward_model::Link;
use thingward_radio::wire::{
    Address, Admission, AdmissionState, Argument, Call, Exception, Name, RefusalKind, Secret, Sentence,
    Start, Text, Thing, Value,
};
use thingward_radio::zwave::ZwaveRadio;
use thingward_radio::{Order, Output, Radio, Report};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) const SECURITY_0: u8 = 0x98;
pub(crate) const SECURITY_2: u8 = 0x9f;
pub(crate) const SUPERVISION: u8 = 0x6c;
pub(crate) const BINARY_SWITCH: u8 = 0x25;
pub(crate) const MULTILEVEL_SENSOR: u8 = 0x31;
pub(crate) const DOOR_LOCK: u8 = 0x62;
pub(crate) const WAKE_UP: u8 = 0x84;

pub(crate) const SWITCH: [(u8, bool); 3] = [(SECURITY_2, false), (SUPERVISION, true), (BINARY_SWITCH, true)];

/// The emulated controller in its process, the driver that talks to it, and what a gateway does.
pub(crate) struct Home {
    process: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
    line: TcpStream,
    radio: ZwaveRadio<ChaCha20Rng>,
    began: Instant,
    kept: Option<Secret>,
    network: String,
    seed: u8,
    /// Reports that nobody has waited for yet.
    unseen: VecDeque<Report>,
    /// One home at a time: an emulated controller does not wait long for who shares its processor with others.
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Home {
    /// `None`, said aloud, where the peer is not installed.
    pub(crate) fn start(seed: u8, exceptions: &[(&str, &str)]) -> Option<Self> {
        let Ok(modules) = std::env::var("THINGWARD_NODE_MODULES") else {
            println!("SKIPPED: THINGWARD_NODE_MODULES is not set");
            return None;
        };
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut home = Self {
            process,
            says,
            hears,
            line,
            radio,
            began,
            kept: None,
            network,
            seed,
            unseen: VecDeque::new(),
            _turn: turn,
        };
        home.begin(exceptions);
        Some(home)
    }

    pub(crate) fn begin(&mut self, exceptions: &[(&str, &str)]) {
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
    pub(crate) fn restart(&mut self, exceptions: &[(&str, &str)]) {
        self.seed += 20;
        self.radio = ZwaveRadio::new(ChaCha20Rng::from_seed([self.seed; 32]));
        self.began = Instant::now();
        self.begin(exceptions);
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.radio.order(order, self.began.elapsed());
    }

    /// Has the emulated nodes do something.
    pub(crate) fn do_it(&mut self, what: Json) -> String {
        writeln!(self.hears, "{what}").unwrap();
        let mut answer = String::new();
        self.says.read_line(&mut answer).unwrap();
        assert!(!answer.starts_with("error"), "{answer}");
        answer.trim().to_owned()
    }

    /// One round of the line; gives what was reported, and keeps what is to be kept.
    pub(crate) fn turn(&mut self) -> Vec<Report> {
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

    pub(crate) fn drain(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        while let Some(output) = self.radio.output() {
            match output {
                Output::Line(bytes) => self.line.write_all(&bytes).unwrap(),
                Output::End => panic!("Z-Wave gives no line up"),
                Output::Report(Report::Keep(secret)) => {
                    self.kept = Some(secret);
                    self.order(Order::Kept);
                }
                Output::Report(report) => reports.push(report),
            }
        }
        reports
    }

    /// Goes on until a report is what is waited for.
    pub(crate) fn until<T>(&mut self, mut wanted: impl FnMut(&Report) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while Instant::now() < deadline {
            while let Some(report) = self.unseen.pop_front() {
                if let Some(found) = wanted(&report) {
                    return found;
                }
                seen.push(report);
            }
            let reports = self.turn();
            self.unseen.extend(reports);
        }
        panic!("waited in vain; seen: {seen:#?}");
    }

    /// Reports of a while, and those that nobody has waited for.
    pub(crate) fn during(&mut self, time: Duration) -> Vec<Report> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let reports = self.turn();
            self.unseen.extend(reports);
        }
        self.unseen.drain(..).collect()
    }

    pub(crate) fn admit(&mut self, printed: Option<&str>) {
        let printed = printed.map(|text| Secret::new(text.as_bytes().to_vec()));
        self.order(Order::Admit(Admission { seconds: 60, printed }));
    }

    /// A node waits to be let in.
    pub(crate) fn wants_to_join(&mut self, security: &[&str], classes: &[(u8, bool)], sleeping: bool) {
        // One that comes while the host still ends what was before is forgotten. Then nothing is due.
        let deadline = Instant::now() + PATIENCE;
        while self.radio.due().is_some() && Instant::now() < deadline {
            let reports = self.turn();
            self.unseen.extend(reports);
        }
        let join =
            json!({ "do": "join", "id": 2, "security": security, "classes": classes, "sleeping": sleeping });
        assert_eq!(self.do_it(join), "ok");
    }

    /// A node joins with all its digits.
    pub(crate) fn begin_including(&mut self, security: &[&str], classes: &[(u8, bool)], sleeping: bool) {
        let dsk = self.dsk();
        self.wants_to_join(security, classes, sleeping);
        self.admit(Some(&dsk));
    }

    /// The same, up to the end of its interview and of the questions after it.
    pub(crate) fn include(&mut self, security: &[&str], classes: &[(u8, bool)], sleeping: bool) -> Thing {
        self.begin_including(security, classes, sleeping);
        let thing = self.until(thing);
        self.during(Duration::from_millis(500));
        thing
    }

    /// The device-specific key that the next node has.
    pub(crate) fn dsk(&mut self) -> String {
        self.do_it(json!({ "do": "key" })).strip_prefix("dsk ").unwrap().to_owned()
    }

    pub(crate) fn address(&self) -> Address {
        Address::new(&format!("{}-2", self.network)).unwrap()
    }

    pub(crate) fn call(&mut self, id: u32, action: &str, arguments: &[(&str, Value)]) -> Option<String> {
        self.call_without_waiting(id, action, arguments);
        self.until(|report| done(report, id))
    }

    pub(crate) fn call_without_waiting(&mut self, id: u32, action: &str, arguments: &[(&str, Value)]) {
        let (thing, action) = (self.address(), Name::new(action).unwrap());
        let arguments = arguments
            .iter()
            .map(|(name, value)| Argument { name: Name::new(name).unwrap(), value: value.clone() })
            .collect();
        self.order(Order::Call(Call { id, thing, action, arguments }));
    }

    /// What the node's switch is.
    pub(crate) fn state(&mut self) -> String {
        self.do_it(json!({ "do": "state", "id": 2 }))
    }

    pub(crate) fn node_says(&mut self, on: bool, secure: bool) {
        self.do_it(json!({ "do": "report", "id": 2, "on": on, "secure": secure }));
    }

    /// Lets nobody join any more.
    pub(crate) fn close(&mut self) {
        self.order(Order::Close);
        self.until(|report| matches!(report, Report::Admission(AdmissionState::Closed)).then_some(()));
        self.unseen.clear();
    }
}

pub(crate) fn thing(report: &Report) -> Option<Thing> {
    if let Report::Thing(thing) = report { Some(thing.clone()) } else { None }
}

pub(crate) fn done(report: &Report, wanted: u32) -> Option<Option<String>> {
    match report {
        Report::Done { id, failure } if *id == wanted => Some(failure.as_ref().map(Text::to_string)),
        _ => None,
    }
}

/// The value of this name, and how it was protected.
pub(crate) fn reading(report: &Report, name: &str) -> Option<(Link, Value)> {
    let Report::Readings(said) = report else { return None };
    let found = said.readings.iter().find(|reading| reading.name.as_str() == name)?;
    Some((said.link, found.value.clone()))
}

pub(crate) fn refusal(report: &Report) -> Option<(RefusalKind, String)> {
    match report {
        Report::Refused { kind, reason, .. } => Some((*kind, reason.to_string())),
        _ => None,
    }
}
