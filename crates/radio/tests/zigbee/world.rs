//! A driver, its line, the coordinator behind it, and a gateway that keeps what it is given.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use thingward_radio::wire::{
    Address, Admission, AdmissionState, Argument, Call, Exception, Name, Order, Reading, Readings,
    RefusalKind, Report, Secret, Sentence, Start, Thing, Value,
};
use thingward_radio::zigbee::ZigbeeRadio;
use thingward_radio::{Output, Radio};

use thingward_zigbee::emulated::{Coordinator, Kind, Ncp, Node};
use thingward_zigbee::security::InstallCode;

pub(crate) const CODE: &str = "83FED3407A939723A5C639B26916D505C3B5";
/// Of another thing.
pub(crate) const OTHER_CODE: &str = "93FED3407A939723A5C639B26916D5054B14";
pub(crate) const THERMOMETER: u64 = 0x0015_8d00_0000_0001;
pub(crate) const BULB: u64 = 0x0015_8d00_0000_0002;

const STEP: Duration = Duration::from_millis(100);

type Line = Ncp<Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>>>>;

pub(crate) struct World {
    pub(crate) radio: ZigbeeRadio,
    pub(crate) coordinator: Rc<RefCell<Coordinator>>,
    line: Line,
    pub(crate) now: Duration,
    /// What the driver said since the last time somebody looked.
    pub(crate) reports: Vec<Report>,
    pub(crate) kept: Option<Vec<u8>>,
    /// Whether nothing goes over the line.
    pub(crate) is_cut: bool,
    /// Whether the gateway says that what it is given is durable.
    pub(crate) keeps: bool,
    /// For how long the network's key is used.
    pub(crate) key_days: Option<u16>,
}

impl World {
    pub(crate) fn new(nodes: Vec<Node>) -> Self {
        Self::at(Coordinator::with(nodes))
    }

    pub(crate) fn at(coordinator: Coordinator) -> Self {
        let coordinator = Rc::new(RefCell::new(coordinator));
        let line = line(&coordinator);
        let (radio, reports) = (ZigbeeRadio::default(), Vec::new());
        Self {
            radio,
            coordinator,
            line,
            now: Duration::ZERO,
            reports,
            kept: None,
            is_cut: false,
            keeps: true,
            key_days: None,
        }
    }

    /// With its network up.
    pub(crate) fn started(nodes: Vec<Node>) -> Self {
        let mut world = Self::new(nodes);
        world.start();
        assert!(world.take().iter().any(|report| matches!(report, Report::Ready { .. })));
        world
    }

    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    pub(crate) fn start_with(&mut self, exceptions: &[u64]) {
        let exception = |eui64: &u64| Exception {
            thing: address(*eui64),
            reason: Sentence::new("its maker never printed an install code").unwrap(),
        };
        let kept = self.kept.clone().map(Secret::new);
        let exceptions = exceptions.iter().map(exception).collect();
        let key_days = self.key_days;
        self.order(Order::Start(Start { kept, exceptions, key_days, ..Start::default() }));
    }

    /// The driver's process ends, and another one begins.
    pub(crate) fn restart(&mut self) {
        self.restart_with(&[]);
    }

    pub(crate) fn restart_with(&mut self, exceptions: &[u64]) {
        self.radio = ZigbeeRadio::default();
        self.line = line(&self.coordinator);
        self.reports.clear();
        self.start_with(exceptions);
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.radio.order(order, self.now);
        self.settle();
    }

    /// Carries everything until nothing moves.
    fn settle(&mut self) {
        while let Some(output) = self.radio.output() {
            match output {
                Output::Line(_) if self.is_cut => {}
                Output::Line(octets) => {
                    for answer in self.line.receive(&octets) {
                        self.radio.receive(&answer, self.now);
                    }
                }
                Output::Report(Report::Keep(secret)) => {
                    self.kept = Some(secret.expose().to_vec());
                    self.reports.push(Report::Keep(secret));
                    if self.keeps {
                        self.radio.order(Order::Kept, self.now);
                    }
                }
                Output::Report(report) => self.reports.push(report),
                Output::End => panic!("the protocol cannot go on"),
            }
        }
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.now += STEP;
            let news = self.coordinator.borrow_mut().tick(self.now);
            if self.is_cut {
                // Lost.
            } else if let Some(octets) = self.line.tell(news) {
                self.radio.receive(&octets, self.now);
            }
            if self.radio.due().is_some_and(|due| due <= self.now) {
                self.radio.tick(self.now);
            }
            self.settle();
        }
    }

    /// How often the coordinator was asked this since it started.
    pub(crate) fn asked(&self, id: u16) -> usize {
        let is_asked = |message: &&Vec<u8>| message.get(3..5) == Some(&id.to_le_bytes()[..]);
        self.line.received.iter().filter(is_asked).count()
    }

    pub(crate) fn take(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    pub(crate) fn admit(&mut self, printed: Option<String>) {
        let printed = printed.map(|printed| Secret::new(printed.into_bytes()));
        self.order(Order::Admit(Admission { seconds: 60, printed }));
    }

    /// Admits a node, which then joins.
    pub(crate) fn join(&mut self, eui64: u64) {
        self.admit(Some(format!("{eui64:016x}:{CODE}")));
        self.pass(3);
        let things = things(&self.reports);
        assert!(things.iter().any(|thing| thing.address == address(eui64)), "{:?}", self.reports);
    }

    pub(crate) fn call(&mut self, eui64: u64, action: &str, arguments: &[(&str, Value)]) {
        let argument =
            |(name, value): &(&str, Value)| Argument { name: Name::new(name).unwrap(), value: value.clone() };
        self.order(Order::Call(Call {
            id: 7,
            thing: address(eui64),
            action: Name::new(action).unwrap(),
            arguments: arguments.iter().map(argument).collect(),
        }));
    }
}

/// A node that joins with what is printed on it, where something is.
pub(crate) fn node(kind: Kind, eui64: u64, short: u16, code: Option<&str>) -> Node {
    let code = code.map(|code| InstallCode::parse(code).unwrap());
    Node::new(kind, eui64, short, code.as_ref())
}

fn line(coordinator: &Rc<RefCell<Coordinator>>) -> Line {
    let behind = Rc::clone(coordinator);
    Ncp::new(Box::new(move |message: &[u8]| behind.borrow_mut().respond(message)))
}

pub(crate) fn address(eui64: u64) -> Address {
    Address::new(&format!("{eui64:016x}")).unwrap()
}

pub(crate) fn things(reports: &[Report]) -> Vec<Thing> {
    reports
        .iter()
        .filter_map(|report| if let Report::Thing(thing) = report { Some(thing.clone()) } else { None })
        .collect()
}

pub(crate) fn readings(reports: &[Report]) -> Vec<Readings> {
    let readings = reports.iter().filter_map(|report| match report {
        Report::Readings(readings) => Some(readings.clone()),
        _ => None,
    });
    readings.collect()
}

/// The last reading of a name.
pub(crate) fn last(reports: &[Report], name: &str) -> Option<Reading> {
    let mut all = readings(reports).into_iter().flat_map(|said| said.readings);
    all.rfind(|reading| reading.name.as_str() == name)
}

pub(crate) fn refusals(reports: &[Report]) -> Vec<(Option<Address>, RefusalKind, String)> {
    let refusals = reports.iter().filter_map(|report| match report {
        Report::Refused { thing, kind, reason } => Some((thing.clone(), *kind, reason.to_string())),
        _ => None,
    });
    refusals.collect()
}

pub(crate) fn admissions(reports: &[Report]) -> Vec<AdmissionState> {
    let states = reports.iter().filter_map(|report| match report {
        Report::Admission(state) => Some(state.clone()),
        _ => None,
    });
    states.collect()
}

pub(crate) fn trouble(reports: &[Report]) -> Option<String> {
    reports
        .iter()
        .find_map(|report| if let Report::Trouble(reason) = report { Some(reason.to_string()) } else { None })
}

pub(crate) fn done(reports: &[Report]) -> Option<Option<String>> {
    reports.iter().find_map(|report| match report {
        Report::Done { id: 7, failure } => Some(failure.as_ref().map(ToString::to_string)),
        _ => None,
    })
}
