//! A host with its controller and nodes, as one state machine: bytes, wishes and the time go in, bytes and events come out.
//!
//! After every call the shell writes what [`Controller::output`] gives, takes what [`Controller::event`] gives, and calls
//! [`Controller::tick`] when [`Controller::due`] says so. Time is whatever monotonic clock the shell has.
//!
//! A node gets a [`Standing`] when it joins: the key that it holds, or why it was refused. There is none for a node without a
//! key, so that nothing of it is believed and nothing is sent to it. What arrives with less than the node's own
//! protection is refused; what is passed on says how it was protected.

mod decrypt;
mod encrypt;
mod event;
mod exchange;
mod inclusion;
mod interview;
mod membership;
mod multicast;
mod node;
mod receive;
mod security0;
mod settings;
mod start;
mod transactions;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand_core::CryptoRng;

pub use event::{ControllerFault, Event, Outcome, Refusal, RequestId, Unsound, Withdrawn};
pub use node::{OUTBOX_MAX, OutboxFull, Standing};
pub use settings::{KnownNetwork, KnownNode, NetworkKeySet, S0Permission};

use crate::command_class::encapsulation::{Session, SizedCommand, Supervision};
use crate::command_class::transport_service::Assembler;
use crate::security2::Security2;
use crate::serial::{LinkEvent, NodeIdType};
use crate::{Command, Dsk, HomeId, NodeId, S2Class};
use exchange::{Answer, Exchange, Outgoing};
use inclusion::Inclusion;
use multicast::Group;
use node::Node;
use security0::Security0;
use transactions::Transactions;

/// Nodes' numbers are one byte: the mesh.
const WIDTH: NodeIdType = NodeIdType::Short;

/// Why something is not asked of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The controller has not said yet what it is.
    #[error("the controller is not ready")]
    NotReady,
    /// There is no such node.
    #[error("there is no node {0}")]
    NoNode(NodeId),
    /// It was refused.
    #[error("the node was refused: {0}")]
    Refused(Refusal),
    /// Too much waits for it already.
    #[error(transparent)]
    Full(#[from] OutboxFull),
    /// Longer than the node's link security carries.
    #[error("the command is longer than the node's link security carries")]
    TooLong,
    /// Nodes that cannot be asked at once: of different classes, or that sleep, or do not say whether they did.
    #[error("the nodes cannot be asked at once")]
    Group,
    /// Somebody is joining or leaving already, or nobody is.
    #[error("not while the network is as it is")]
    Membership,
}

/// Who we are in the network.
#[derive(Debug, Clone, Copy)]
struct Own {
    home: HomeId,
    node: NodeId,
}

/// The state machine.
pub struct Controller<R> {
    rng: R,
    transactions: Transactions,
    /// The network that was kept.
    kept: Option<HomeId>,
    own: Option<Own>,
    ready: bool,
    keys: NetworkKeySet,
    least: S2Class,
    security2: Security2,
    security0: Security0,
    nodes: BTreeMap<NodeId, Node>,
    provisioned: Vec<Dsk>,
    exchange: Option<Exchange>,
    inclusion: Option<Inclusion>,
    /// Until when somebody may leave.
    excluding: Option<Duration>,
    assembler: Assembler,
    last_asked: NodeId,
    last_request: u32,
    last_session: u8,
    groups: Vec<Group>,
    last_group: u8,
    events: VecDeque<Event>,
}

impl<R: CryptoRng> Controller<R> {
    /// Begins with asking the controller what it is. `known` is the network with the nodes that joined before; without it any is
    /// taken.
    pub fn start(keys: NetworkKeySet, known: Option<KnownNetwork>, rng: R, now: Duration) -> Self {
        let (kept, known) = known.map_or((None, Vec::new()), |known| (Some(known.home), known.nodes));
        let security0 = Security0::new(keys.s0.clone());
        // Until the controller has said who it is, nothing is encrypted.
        let security2 = Security2::new(HomeId(0), NodeId::FIRST);
        let mut this = Self {
            rng,
            transactions: Transactions::default(),
            kept,
            own: None,
            ready: false,
            keys,
            least: S2Class::Unauthenticated,
            security2,
            security0,
            nodes: known.into_iter().map(|known| (known.node, Node::known(&known))).collect(),
            provisioned: Vec::new(),
            exchange: None,
            inclusion: None,
            excluding: None,
            assembler: Assembler::default(),
            last_asked: NodeId::FIRST,
            last_request: 0,
            last_session: 0,
            groups: Vec::new(),
            last_group: 0,
            events: VecDeque::new(),
        };
        this.begin_start(now);
        this
    }

    /// Takes bytes as they come from the controller.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) {
        let events = self.transactions.link.receive(bytes, now);
        self.link_events(events, now);
        self.go_on(now);
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Duration) {
        let events = self.transactions.link.tick(now);
        self.link_events(events, now);
        if let Some(ended) = self.transactions.expire(now) {
            self.transaction_ended(ended, now);
        }
        self.exchange_due(now);
        self.inclusion_due(now);
        self.exclusion_due(now);
        self.go_on(now);
    }

    /// When [`Self::tick`] is due.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let exchange = self.exchange.as_ref().and_then(|exchange| exchange.due);
        let inclusion = self.inclusion.as_ref().map(|inclusion| inclusion.due);
        self.transactions.due().into_iter().chain(exchange).chain(inclusion).chain(self.excluding).min()
    }

    /// Bytes to be written at once, if there are any.
    pub fn output(&mut self) -> Option<Vec<u8>> {
        self.transactions.link.output()
    }

    /// What happened, if something did.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How a node stands; `None` for one that is not there.
    #[must_use]
    pub fn standing(&self, node: NodeId) -> Option<Standing> {
        self.nodes.get(&node).map(|node| node.standing)
    }

    /// Grants no key of a lesser class from now on: with [`S2Class::Authenticated`], no node joins whose device-specific key
    /// nobody compared.
    pub const fn require(&mut self, least: S2Class) {
        self.least = least;
    }

    /// Has a node do something. Where it can, it says whether it did.
    ///
    /// # Errors
    ///
    /// [`RequestError`], with nothing asked.
    pub fn set(&mut self, node: NodeId, command: &Command, now: Duration) -> Result<RequestId, RequestError> {
        let (bytes, answer) = if self.node(node)?.is_supervised() {
            let (bytes, session) = self.supervise(command);
            (bytes, Answer::Supervision(session))
        } else {
            (command.to_bytes(), Answer::None)
        };
        self.ask(node, bytes, answer, now)
    }

    /// Asks a node; the answer is the next command of the same class.
    ///
    /// # Errors
    ///
    /// [`RequestError`], with nothing asked.
    pub fn get(&mut self, node: NodeId, command: &Command, now: Duration) -> Result<RequestId, RequestError> {
        self.ask(node, command.to_bytes(), Answer::Class(command.class()), now)
    }

    /// Takes a request back that waits: it is not sent any more, and no [`Event::Done`] comes of it. `None` for one that is under
    /// way or over.
    pub fn withdraw(&mut self, id: RequestId) -> Option<Withdrawn> {
        self.nodes.values_mut().find_map(|node| node.withdraw(id))
    }

    /// Has nothing to do with a node any more: what waits for it comes to nothing, and it is refused from here on.
    pub fn refuse(&mut self, node: NodeId, now: Duration) {
        let Some(listening) = self.nodes.get(&node).map(|node| node.listening) else { return };
        self.drop_node(node, now);
        self.nodes.insert(node, Node::new(Standing::Refused(Refusal::Removed), listening, &[]));
        self.go_on(now);
    }

    fn ask(
        &mut self,
        node: NodeId,
        command: Vec<u8>,
        answer: Answer,
        now: Duration,
    ) -> Result<RequestId, RequestError> {
        if command.len() > self.node(node)?.command_max() {
            return Err(RequestError::TooLong);
        }
        let id = self.next_id();
        let node = self.nodes.get_mut(&node).ok_or(RequestError::NoNode(node))?;
        node.push(Outgoing { id: Some(id), command, answer, sent: false, group: None })?;
        self.go_on(now);
        Ok(id)
    }

    /// A command that is answered with whether it was done, and the number that names it.
    fn supervise(&mut self, command: &Command) -> (Vec<u8>, u8) {
        self.last_session = (self.last_session + 1) & 0x3f;
        let session = Session { request_status_updates: true, session_id: self.last_session };
        let command =
            Command::from(Supervision::Get { session, encapsulated: SizedCommand(command.to_bytes()) });
        (command.to_bytes(), self.last_session)
    }

    const fn next_id(&mut self) -> RequestId {
        self.last_request = self.last_request.wrapping_add(1);
        RequestId(self.last_request)
    }

    /// A node that may be spoken to.
    fn node(&self, node: NodeId) -> Result<&Node, RequestError> {
        if !self.ready {
            return Err(RequestError::NotReady);
        }
        let found = self.nodes.get(&node).ok_or(RequestError::NoNode(node))?;
        match found.standing {
            Standing::Granted(_) => Ok(found),
            Standing::Refused(refusal) => Err(RequestError::Refused(refusal)),
        }
    }

    fn link_events(&mut self, events: Vec<LinkEvent>, now: Duration) {
        for event in events {
            match event {
                LinkEvent::Received(frame) => self.frame(&frame, now),
                LinkEvent::Delivered(frame) => self.transactions.delivered(&frame, now),
                LinkEvent::Lost(_) => {
                    if let Some(ended) = self.transactions.lost() {
                        self.transaction_ended(ended, now);
                    }
                }
                LinkEvent::Broken => self.events.push_back(Event::Unsound(None, Unsound::Line)),
            }
        }
    }

    /// Starts what can be started.
    fn go_on(&mut self, now: Duration) {
        self.next_exchange(now);
        self.transactions.start_next(now);
    }
}
