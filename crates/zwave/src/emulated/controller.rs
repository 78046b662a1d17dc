//! The controller's end of the line: Host API.

use std::time::Duration;

use rand_core::CryptoRng;

use super::Node;
use crate::serial::message::{Capabilities, InitData, MembershipStatus, TransmitStatus, Update};
use crate::serial::request::function as f;
use crate::serial::{
    AddMode, Link, LinkEvent, Message, NodeIdType, NodeInfo, ProtocolInfo, Received, Request,
};
use crate::{HomeId, NodeId};

/// The number that the bulb is given.
pub(super) const BULB: NodeId = match NodeId::new(2) {
    Some(id) => id,
    None => NodeId::FIRST,
};
const WIDTH: NodeIdType = NodeIdType::Short;
const FUNCTIONS: [u8; 17] = [
    f::GET_INIT_DATA,
    f::APPLICATION_COMMAND,
    f::GET_CONTROLLER_CAPABILITIES,
    f::GET_CAPABILITIES,
    f::SOFT_RESET,
    f::SEND_DATA,
    f::SEND_DATA_MULTICAST,
    f::GET_VERSION,
    f::SEND_DATA_ABORT,
    f::GET_CONTROLLER_ID,
    f::GET_PROTOCOL_INFO,
    f::APPLICATION_UPDATE,
    f::ADD_NODE,
    f::REMOVE_NODE,
    f::GET_SUC_NODE_ID,
    f::REQUEST_NODE_INFO,
    f::IS_FAILED_NODE,
];
/// It keeps the topology, and has never been another's.
const PRIMARY: u8 = 0x08 | 0x10;
/// A static controller that was started by its host, listens, and says nothing of itself.
const STARTED: [u8; 6] = [0x07, 0x00, 0x80, 0x02, 0x07, 0x00];
/// Of version 9 of the API, with a chip of series 500.
const VERSION: (&str, u8) = ("Z-Wave 6.07", 1);
const CHIP: [u8; 2] = [0x05, 0x00];
/// How long it takes somebody to press the bulb's button again.
const PRESSES_AGAIN: Duration = Duration::from_secs(5);
/// What listens, routes and has a specific class.
const LISTENS: [u8; 3] = [0xd3, 0x9c, 0x00];
const CONTROLLER_CLASS: [u8; 3] = [0x02, 0x02, 0x07];
/// A multilevel power switch.
const BULB_CLASS: [u8; 3] = [0x04, 0x11, 0x01];
/// What the bulb says in the clear that it has: Transport Service, Supervision, Security 2.
const BULB_CLASSES: [u16; 3] = [0x55, 0x6c, 0x9f];

/// A controller with a bulb, which joins as soon as it is let in. Bytes and the time go in, bytes come out.
pub struct Controller<R> {
    /// The bulb.
    pub node: Node<R>,
    /// Whether the controller has it on its list: it stays there when it is refused.
    pub(super) is_there: bool,
    link: Link,
    /// What letting nodes in, or out, is called by the host.
    adding: Option<u8>,
    removing: Option<u8>,
    /// When somebody presses the bulb's button again, after it was turned away.
    presses_at: Duration,
    now: Duration,
}

impl<R: CryptoRng> Controller<R> {
    /// A controller and a bulb as they come from the shop; the bulb asks for these keys.
    #[must_use]
    pub fn new(requested: u8, mut rng: R) -> Self {
        let mut home = [0; 4];
        rng.fill_bytes(&mut home);
        // Networks have numbers from there on.
        let home = HomeId(u32::from_be_bytes(home) | 0xc000_0000);
        Self::with(Node::new(home, BULB, requested, rng), false)
    }

    pub(super) fn with(node: Node<R>, is_there: bool) -> Self {
        let (link, now) = (Link::default(), Duration::ZERO);
        Self { node, is_there, link, adding: None, removing: None, presses_at: now, now }
    }

    /// The network.
    #[must_use]
    pub const fn home(&self) -> HomeId {
        self.node.home
    }

    /// Another host is at the line.
    pub fn connected(&mut self) {
        self.link = Link::default();
        (self.adding, self.removing) = (None, None);
    }

    /// Bytes of the host.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) {
        self.now = now;
        for event in self.link.receive(bytes, now) {
            if let LinkEvent::Received(frame) = event
                && let Ok(request) = Request::parse(&frame, WIDTH)
            {
                self.request(request);
            }
        }
    }

    /// Does what is due on the line.
    pub fn tick(&mut self, now: Duration) {
        self.now = now;
        // A frame that was never acknowledged is lost.
        let _ = self.link.tick(now);
        self.press();
    }

    /// Bytes for the host, if there are any.
    pub fn output(&mut self) -> Option<Vec<u8>> {
        self.link.output()
    }

    /// Somebody turns the bulb's knob; it says so, where it has somebody to say it to.
    pub fn turn(&mut self, level: u8, now: Duration) {
        self.now = now;
        let before = self.node.bulb.on();
        if !self.node.bulb.set(level) || !self.node.is_member() {
            return;
        }
        let (told, switched) = (self.node.bulb.level_report(), self.node.bulb.switch_report());
        let switched = (self.node.bulb.on() != before).then_some(switched);
        let said: Vec<_> =
            [told].into_iter().chain(switched).flat_map(|report| self.node.say(&report)).collect();
        self.heard(said);
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::GetControllerId => self.say(&Message::ControllerId(self.home(), NodeId::FIRST)),
            Request::GetCapabilities => self.say(&Message::Capabilities(Capabilities {
                version: [1, 0],
                product: [0; 3],
                functions: FUNCTIONS.to_vec(),
            })),
            Request::GetInitData => {
                let nodes =
                    [NodeId::FIRST].into_iter().chain(self.is_there.then_some(self.node.id)).collect();
                self.say(&Message::InitData(InitData {
                    version: 9,
                    capabilities: 8,
                    nodes,
                    chip: Some(CHIP),
                }));
            }
            Request::GetVersion => self.say(&Message::Version(VERSION.0.to_owned(), VERSION.1)),
            Request::GetControllerCapabilities => self.say(&Message::ControllerCapabilities(PRIMARY)),
            Request::GetSucNodeId => self.say(&Message::SucNodeId(Some(NodeId::FIRST))),
            Request::SoftReset => self.say(&Message::Started(STARTED.to_vec())),
            Request::GetProtocolInfo(node) => self.say(&Message::ProtocolInfo(self.protocol_info(node))),
            Request::RequestNodeInfo(node) => {
                let is_there = self.is_there && node == self.node.id;
                self.say(&Message::Accepted(f::REQUEST_NODE_INFO, true));
                self.say(&Message::Update(if is_there {
                    Update::NodeInfo(self.node_info())
                } else {
                    Update::NodeInfoFailed
                }));
            }
            Request::IsFailedNode(_) => self.say(&Message::Accepted(f::IS_FAILED_NODE, false)),
            Request::SendData { node, data, callback, .. } => {
                self.send(f::SEND_DATA, &[node], &data, callback)
            }
            Request::SendDataMulticast { nodes, data, callback, .. } => {
                self.send(f::SEND_DATA_MULTICAST, &nodes, &data, callback);
            }
            Request::AddNode(AddMode::Any, callback) => self.let_in(callback),
            Request::AddNode(AddMode::Stop, callback) => {
                let done = MembershipStatus::Done(Some(self.node.id));
                if self.adding.take().is_some() && callback != 0 {
                    self.say(&Message::Membership(f::ADD_NODE, callback, done));
                }
            }
            Request::RemoveNode(true, callback) => self.let_out(callback),
            Request::RemoveNode(false, callback) => {
                let done = MembershipStatus::Done(None);
                if self.removing.take().is_some() && callback != 0 {
                    self.say(&Message::Membership(f::REMOVE_NODE, callback, done));
                }
            }
            // Other ways in, and functions that it has not said it has.
            _ => {}
        }
    }

    fn send(&mut self, function: u8, nodes: &[NodeId], data: &[u8], callback: u8) {
        let is_heard = self.is_there && nodes.contains(&self.node.id);
        let status = if is_heard { TransmitStatus::Acknowledged } else { TransmitStatus::NotAcknowledged };
        self.say(&Message::Accepted(function, true));
        if callback != 0 {
            self.say(&Message::Transmitted(function, callback, status));
        }
        if is_heard && function == f::SEND_DATA {
            let said = self.node.receive(data, self.now);
            self.heard(said);
        } else if is_heard {
            self.node.receive_multicast(data);
        }
    }

    /// What the bulb says over the air.
    fn heard(&mut self, said: Vec<Vec<u8>>) {
        let source = self.node.id;
        for command in said {
            self.say(&Message::Received(Received {
                status: 0,
                target: None,
                source,
                command,
                trailer: vec![],
            }));
        }
    }

    fn let_in(&mut self, callback: u8) {
        self.adding = Some(callback);
        self.say(&Message::Membership(f::ADD_NODE, callback, MembershipStatus::Ready));
        self.press();
    }

    /// Somebody in the house presses the bulb's button, when it belongs nowhere and somebody may join.
    fn press(&mut self) {
        let Some(callback) = self.adding.filter(|_| !self.node.is_member() && self.now >= self.presses_at)
        else {
            return;
        };
        self.presses_at = self.now + PRESSES_AGAIN;
        self.node.reset();
        self.is_there = true;
        let node = MembershipStatus::Node(Some(self.node_info()));
        for status in [MembershipStatus::Found, node, MembershipStatus::ProtocolDone] {
            self.say(&Message::Membership(f::ADD_NODE, callback, status));
        }
    }

    fn let_out(&mut self, callback: u8) {
        self.removing = Some(callback);
        let mut steps = vec![MembershipStatus::Ready];
        if self.is_there {
            let node = MembershipStatus::Node(Some(self.node_info()));
            steps.extend([MembershipStatus::Found, node, MembershipStatus::Done(Some(self.node.id))]);
            self.node.reset();
            self.is_there = false;
        }
        for status in steps {
            self.say(&Message::Membership(f::REMOVE_NODE, callback, status));
        }
    }

    fn node_info(&self) -> NodeInfo {
        let (device_class, supported) = (BULB_CLASS, BULB_CLASSES.to_vec());
        NodeInfo { node: self.node.id, device_class, supported, controlled: Vec::new() }
    }

    fn protocol_info(&self, node: NodeId) -> ProtocolInfo {
        match node {
            NodeId::FIRST => ProtocolInfo { capabilities: LISTENS, device_class: CONTROLLER_CLASS },
            node if self.is_there && node == self.node.id => {
                ProtocolInfo { capabilities: LISTENS, device_class: BULB_CLASS }
            }
            _ => ProtocolInfo { capabilities: [0; 3], device_class: [0; 3] },
        }
    }

    fn say(&mut self, message: &Message) {
        // A host that acknowledges nothing hears no more.
        if let Ok(frame) = message.to_frame(WIDTH) {
            let _ = self.link.send(frame, self.now);
        }
    }
}
