//! A controller and a thing in memory, and the host in front of them.

use std::collections::VecDeque;
use std::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use thingward_zwave::command_class::field::OnOff;
use thingward_zwave::command_class::switches::BinarySwitch;
use thingward_zwave::controller::{Controller, Event, KnownNetwork, KnownNode, NetworkKeySet, RequestId};
use thingward_zwave::emulated::Fault;
use thingward_zwave::serial::message::{Capabilities, InitData, MembershipStatus, TransmitStatus};
use thingward_zwave::serial::request::function;
use thingward_zwave::serial::{
    AddMode, Decoder, Message, NodeIdType, NodeInfo, ProtocolInfo, Received, Request, Unit,
};
use thingward_zwave::{Command, NodeId, S2Class, SecurityClass};

use crate::thing::{HOME, HOST, Thing, thing_that};

const WIDTH: NodeIdType = NodeIdType::Short;
/// More than an inclusion takes.
const STEPS_MAX: usize = 2000;

pub(crate) struct Home {
    pub(crate) host: Controller<ChaCha20Rng>,
    pub(crate) thing: Thing,
    pub(crate) now: Duration,
    pub(crate) events: Vec<Event>,
    /// Bytes of the controller, whole units, that the host has not had yet.
    pub(crate) line: VecDeque<Vec<u8>>,
    /// What the thing said over the radio, as the host got it.
    pub(crate) heard: Vec<Vec<u8>>,
    /// What the host sent over the radio.
    pub(crate) sent: Vec<Vec<u8>>,
    /// Bytes that are changed on the way to the host: after so many units, this bit of the next.
    pub(crate) flip: Option<(usize, usize)>,
    pub(crate) units: usize,
    /// Nodes that the controller says there are.
    pub(crate) members: Vec<NodeId>,
    /// Functions that the controller says it has.
    pub(crate) functions: Vec<u8>,
    pub(crate) silent: bool,
    /// It takes requests and does nothing.
    pub(crate) forgets: bool,
    /// It does not hear acknowledgements of the radio, but what the thing says.
    pub(crate) deaf: bool,
    /// Command classes that the joining thing says it has.
    pub(crate) supported: Vec<u16>,
    decoder: Decoder,
}

impl Home {
    pub(crate) fn new(thing: Thing, known: Vec<KnownNode>) -> Self {
        let mut rng = ChaCha20Rng::from_seed([5; 32]);
        let keys = NetworkKeySet::generate(&mut rng);
        Self {
            host: Controller::start(
                keys,
                Some(KnownNetwork { home: HOME, nodes: known }),
                rng,
                Duration::ZERO,
            ),
            thing,
            now: Duration::ZERO,
            events: Vec::new(),
            line: VecDeque::new(),
            heard: Vec::new(),
            sent: Vec::new(),
            flip: None,
            units: 0,
            members: vec![HOST],
            functions: vec![function::SEND_DATA, function::ADD_NODE, function::GET_PROTOCOL_INFO],
            silent: false,
            forgets: false,
            deaf: false,
            supported: vec![0x9f, 0x6c, 0x25],
            decoder: Decoder::default(),
        }
    }

    /// A home that is ready, with a thing that has not joined.
    pub(crate) fn ready(thing: Thing) -> Self {
        let mut home = Self::new(thing, Vec::new());
        home.settle();
        assert!(matches!(home.events[..], [Event::Ready { .. }]), "{:?}", home.events);
        home.events.clear();
        home
    }

    /// A home that the thing has joined with the best key.
    pub(crate) fn joined(thing: Thing) -> Self {
        let mut home = Self::ready(thing);
        home.join();
        assert_eq!(home.thing.class(), Some(S2Class::AccessControl), "{:?}", home.events);
        home.events.clear();
        home
    }

    /// The thing joins, and somebody tells its digits.
    pub(crate) fn join(&mut self) {
        self.host.include(self.now).unwrap();
        self.settle();
        if self.events.iter().any(|event| matches!(event, Event::PinNeeded { .. })) {
            let (node, pin) = (self.thing.id, self.thing.dsk().pin());
            let _ = self.host.confirm(node, pin, self.now);
        }
        self.settle();
    }

    /// Goes on until nobody has anything to say.
    pub(crate) fn settle(&mut self) {
        for _ in 0..STEPS_MAX {
            self.events.extend(std::iter::from_fn(|| self.host.event()));
            if let Some(bytes) = self.host.output() {
                self.host_said(&bytes);
            } else if let Some(bytes) = self.line.pop_front() {
                self.deliver(bytes);
            } else {
                return;
            }
        }
        unreachable!("they never stop");
    }

    /// Lets time pass in steps of what is due.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.host.due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.host.tick(self.now);
            self.settle();
        }
        self.now = end;
        self.host.tick(self.now);
        self.settle();
    }

    fn deliver(&mut self, mut bytes: Vec<u8>) {
        if let Some((unit, bit)) = self.flip
            && unit == self.units
            && let Some(byte) = bytes.get_mut(bit / 8)
        {
            *byte ^= 1 << (bit % 8);
        }
        self.units += 1;
        self.host.receive(&bytes, self.now);
    }

    pub(crate) fn message(&mut self, message: &Message) {
        self.line.push_back(message.to_frame(WIDTH).unwrap().to_bytes());
    }

    /// The thing says something over the radio.
    pub(crate) fn radio(&mut self, commands: Vec<Vec<u8>>) {
        for command in commands {
            self.heard.push(command.clone());
            let source = self.thing.id;
            self.message(&Message::Received(Received {
                status: 0,
                target: None,
                source,
                command,
                trailer: vec![],
            }));
        }
    }

    fn host_said(&mut self, bytes: &[u8]) {
        let mut units = Vec::new();
        self.decoder.push(bytes, |unit| units.push(unit));
        for unit in units {
            let Unit::Frame(frame) = unit else { continue };
            if self.silent {
                continue;
            }
            self.line.push_back(vec![0x06]);
            if !self.forgets {
                self.request(Request::parse(&frame, WIDTH).unwrap());
            }
        }
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::GetControllerId => self.message(&Message::ControllerId(HOME, HOST)),
            Request::GetCapabilities => {
                let functions = self.functions.clone();
                let capabilities = Capabilities { version: [1, 0], product: [0; 3], functions };
                self.message(&Message::Capabilities(capabilities));
            }
            Request::GetInitData => {
                let nodes = self.members.clone();
                let data = InitData { version: 9, capabilities: 8, nodes, chip: None };
                self.message(&Message::InitData(data));
            }
            Request::GetProtocolInfo(_) => {
                let info = ProtocolInfo { capabilities: [0x80, 0, 0], device_class: [4, 16, 1] };
                self.message(&Message::ProtocolInfo(info));
            }
            Request::SendData { node, data, callback, .. } => {
                self.message(&Message::Accepted(function::SEND_DATA, true));
                let told = |status| Message::Transmitted(function::SEND_DATA, callback, status);
                self.sent.push(data.clone());
                let answers =
                    if node == self.thing.id { self.thing.receive(&data, self.now) } else { Vec::new() };
                if self.deaf {
                    self.radio(answers);
                    self.message(&told(TransmitStatus::NotAcknowledged));
                } else {
                    self.message(&told(TransmitStatus::Acknowledged));
                    self.radio(answers);
                }
            }
            Request::SendDataMulticast { data, callback, .. } => {
                let (function, acknowledged) = (function::SEND_DATA_MULTICAST, TransmitStatus::Acknowledged);
                self.message(&Message::Accepted(function, true));
                self.message(&Message::Transmitted(function, callback, acknowledged));
                self.thing.receive_multicast(&data);
            }
            Request::AddNode(AddMode::Any, callback) => self.let_in(callback),
            // The key of a thing that starts smart does not travel whole.
            Request::Raw(function::ADD_NODE, data) => self.let_in(data[1]),
            _ => {}
        }
    }

    fn let_in(&mut self, callback: u8) {
        let supported = self.supported.clone();
        let info = NodeInfo { node: self.thing.id, device_class: [4, 16, 1], supported, controlled: vec![] };
        for status in [
            MembershipStatus::Ready,
            MembershipStatus::Found,
            MembershipStatus::Node(Some(info)),
            MembershipStatus::ProtocolDone,
        ] {
            self.message(&Message::Membership(function::ADD_NODE, callback, status));
        }
    }

    /// What became of a request.
    pub(crate) fn outcome(&self, id: RequestId) -> Option<&thingward_zwave::controller::Outcome> {
        self.events.iter().find_map(|event| match event {
            Event::Done(done, outcome) if *done == id => Some(outcome),
            _ => None,
        })
    }

    /// Why the thing was refused.
    pub(crate) fn refusal(&self) -> Option<thingward_zwave::controller::Refusal> {
        self.events.iter().find_map(|event| match event {
            Event::Refused(_, refusal) => Some(*refusal),
            _ => None,
        })
    }
}

/// The thing's number.
pub(crate) const THING: u16 = 9;

pub(crate) fn thing_node() -> NodeId {
    NodeId::new(THING).unwrap()
}

/// The keys of the network.
pub(crate) fn keys() -> NetworkKeySet {
    NetworkKeySet::generate(&mut ChaCha20Rng::from_seed([5; 32]))
}

pub(crate) const ALL_OF_S2: u8 = 0x07;
pub(crate) const BEST: SecurityClass = SecurityClass::S2(S2Class::AccessControl);

pub(crate) fn thing(fault: Fault) -> Thing {
    thing_that(THING, ALL_OF_S2, fault)
}

pub(crate) fn set(value: OnOff) -> Command {
    BinarySwitch::Set { target_value: value, duration: None }.into()
}

pub(crate) fn report(value: OnOff) -> Command {
    BinarySwitch::Report { current_value: value, target: None }.into()
}
