//! What comes from the controller and, through it, from nodes.

use std::time::Duration;

use rand_core::CryptoRng;

use super::event::{ControllerFault, Event, Unsound};
use super::node::{Node, Standing};
use super::transactions::{Ended, Purpose};
use super::{Controller, WIDTH};
use crate::command_class::association::Endpoints;
use crate::command_class::encapsulation::{
    Answer, MultiChannel, MultiCommand, Supervision, SupervisionStatus,
};
use crate::command_class::transport_service::{Assembled, Segment};
use crate::command_class::wake_up::WakeUp;
use crate::command_class::{crc16, field};
use crate::security2::KeySlot;
use crate::serial::message::{Received, TransmitStatus, Update};
use crate::serial::node_info::Listening;
use crate::serial::request::function;
use crate::serial::{Frame, Message};
use crate::{Command, LinkSecurity, NodeId, ParseError};

/// How often a command may be inside another: security, supervision, endpoint, checksum, and some.
const DEPTH_MAX: u8 = 8;

/// How long a supervised command may be sent again.
const SESSION_LIFETIME: Duration = Duration::from_secs(10);

/// Where a command comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) node: NodeId,
    pub(super) endpoint: u8,
    pub(super) security: LinkSecurity,
    /// The key of Security 2 that opened it.
    pub(super) slot: Option<KeySlot>,
    pub(super) multicast: bool,
    depth: u8,
}

impl Origin {
    /// Whether it came in the clear, with nothing around it that was encrypted.
    pub(super) fn is_clear(self) -> bool {
        self.slot.is_none() && self.security == LinkSecurity::None
    }
}

impl<R: CryptoRng> Controller<R> {
    pub(super) fn frame(&mut self, frame: &Frame, now: Duration) {
        let message = match Message::parse(frame, WIDTH) {
            Ok(message) => message,
            Err(error) => return self.unsound(None, Unsound::Message(error)),
        };
        match self.transactions.message(frame, message, now) {
            Ok(Some(ended)) => self.transaction_ended(ended, now),
            Ok(None) => {}
            Err(message) => self.unasked(message, now),
        }
    }

    pub(super) fn transaction_ended(&mut self, ended: Ended, now: Duration) {
        match ended {
            Ended::Answered(Purpose::Start, message) => self.start_answered(message),
            Ended::Answered(Purpose::ProtocolInfo(node), Message::ProtocolInfo(info)) => {
                self.protocol_info(node, info.listening(), now);
            }
            Ended::Transmitted(Purpose::Exchange(node), status) => {
                self.exchange_transmitted(node, status, now)
            }
            Ended::Failed(Purpose::Start) => self.start_failed(ControllerFault::Silent),
            Ended::Failed(Purpose::Exchange(node)) => {
                self.exchange_transmitted(node, TransmitStatus::Failed(0), now);
            }
            Ended::Failed(Purpose::ProtocolInfo(node)) => self.protocol_info(node, Listening::Sleeping, now),
            Ended::Answered(..) | Ended::Transmitted(..) | Ended::Failed(_) => {}
        }
    }

    fn unasked(&mut self, message: Message, now: Duration) {
        match message {
            Message::Received(received) => self.received(&received, now),
            Message::Membership(function::ADD_NODE, callback, status) => self.adding(callback, status, now),
            Message::Membership(_, _, status) => self.removing(status, now),
            Message::Update(Update::SmartStart { home }) => self.smart_start(home, now),
            // A button was pressed, which wakes up a node that sleeps.
            Message::Update(Update::NodeInfo(info)) => {
                if self.nodes.get(&info.node).is_some_and(|node| node.listening == Listening::Sleeping) {
                    self.woke_up(info.node);
                }
            }
            Message::Started(_) => self.started_again(now),
            Message::Update(_) | Message::Raw(..) => {}
            _ => self.unsound(None, Unsound::Status),
        }
    }

    fn received(&mut self, received: &Received, now: Duration) {
        let node = received.source;
        let joining = self.joining() == Some(node);
        let standing = self.nodes.get(&node).map(|node| node.standing);
        match standing {
            _ if received.is_foreign() => return self.unsound(None, Unsound::Stranger),
            _ if joining => {}
            None => return self.unsound(Some(node), Unsound::Stranger),
            Some(Standing::Refused(_)) => return self.unsound(Some(node), Unsound::Refused),
            Some(Standing::Granted(_)) => {}
        }
        let multicast = received.is_multicast();
        let security = LinkSecurity::None;
        let origin = Origin { node, endpoint: 0, security, slot: None, multicast, depth: 0 };
        self.command(&received.command, origin, now);
    }

    pub(super) fn command(&mut self, bytes: &[u8], mut origin: Origin, now: Duration) {
        if origin.depth >= DEPTH_MAX {
            return self.unsound(Some(origin.node), Unsound::Command(ParseError::TooDeep));
        }
        origin.depth += 1;
        let command = match Command::parse(bytes) {
            Ok(command) => command,
            Err(error) => return self.unsound(Some(origin.node), Unsound::Command(error)),
        };
        match command {
            // Segments are outermost: what was put together of several would have the protection of the last.
            Command::TransportService(_) if origin.depth > 1 => {
                self.unsound(Some(origin.node), Unsound::Command(ParseError::TooDeep));
            }
            Command::TransportService(Segment::Request { session, offset }) => {
                self.transactions.send_again(origin.node, session, offset);
            }
            Command::TransportService(segment) => match self.assembler.push(origin.node, segment, now) {
                Assembled::Command(whole, told) => {
                    self.aside(origin.node, &told.into());
                    self.command(&whole, origin, now);
                }
                Assembled::Missing(asked) => self.aside(origin.node, &asked.into()),
                Assembled::More | Assembled::Ignored => {}
            },
            Command::Security2(command) => self.security2_command(command, bytes, origin, now),
            Command::Security0(command) => self.security0_command(command, bytes, origin, now),
            Command::Crc16(crc16::Crc16::Encapsulation { encapsulated }) => {
                self.command(&encapsulated.0, origin, now);
            }
            other => self.believed(other, origin, now),
        }
    }

    /// Commands other than those that get them here.
    pub(super) fn believed(&mut self, command: Command, mut origin: Origin, now: Duration) {
        let node = origin.node;
        let Some(Standing::Granted(granted)) = self.nodes.get(&node).map(|node| node.standing) else {
            return self.unsound(Some(node), Unsound::KeyExchange);
        };
        if origin.security < LinkSecurity::from(granted) {
            return self.unsound(Some(node), Unsound::Below { seen: origin.security, granted });
        }
        match command {
            Command::Supervision(Supervision::Get { session, encapsulated }) => {
                let session = session.session_id;
                if !origin.multicast {
                    self.supervised(node, origin.endpoint, session);
                }
                if !self.repeats_session(node, session, now) {
                    self.command(&encapsulated.0, origin, now);
                }
            }
            Command::Supervision(Supervision::Report { answer, status, duration }) => {
                let takes = duration.seconds().map(|seconds| Duration::from_secs(seconds.into()));
                let said = (status, answer.more_updates_follow, takes);
                self.exchange_supervised(node, answer.session_id, said, now);
            }
            Command::MultiChannel(MultiChannel::Encapsulation { source, encapsulated, .. }) => {
                origin.endpoint = source & 0x7f;
                self.command(&encapsulated.0, origin, now);
            }
            Command::MultiCommand(MultiCommand::Encapsulation { encapsulated }) => {
                for inner in encapsulated.0 {
                    self.command(&inner.0, origin, now);
                }
            }
            command => self.report(command, origin, now),
        }
    }

    /// Whether a supervised command is the one before, sent again because our answer was lost.
    fn repeats_session(&mut self, node: NodeId, session: u8, now: Duration) -> bool {
        let last = self.nodes.get_mut(&node).and_then(|node| node.last_session.replace((session, now)));
        last.is_some_and(|(last, came)| last == session && now.saturating_sub(came) < SESSION_LIFETIME)
    }

    fn report(&mut self, command: Command, origin: Origin, now: Duration) {
        let Origin { node, endpoint, security, .. } = origin;
        if command == Command::from(WakeUp::Notification {}) {
            self.woke_up(node);
        }
        self.learn(node, &command);
        self.exchange_answer(node, &command, now);
        self.events.push_back(Event::Report { node, endpoint, security, command });
    }

    fn woke_up(&mut self, node: NodeId) {
        let granted = |peer: &&mut Node| matches!(peer.standing, Standing::Granted(_));
        if let Some(peer) = self.nodes.get_mut(&node).filter(granted) {
            peer.awake = true;
            self.events.push_back(Event::Awake(node));
            if peer.is_drained() {
                self.send_to_sleep(node);
            }
        }
    }

    /// Says that a supervised command was taken, to the endpoint that it came from.
    fn supervised(&mut self, node: NodeId, endpoint: u8, session_id: u8) {
        let answer = Answer { more_updates_follow: false, request_wake_up: false, session_id };
        let (status, duration) = (SupervisionStatus::Success, field::Duration(0));
        let mut command = Command::from(Supervision::Report { answer, status, duration });
        if endpoint != 0 {
            let (destination, encapsulated) = (Endpoints::One(endpoint), field::Bytes(command.to_bytes()));
            command = MultiChannel::Encapsulation { source: 0, destination, encapsulated }.into();
        }
        if let Some(frame) = self.seal_aside(node, &command.to_bytes()) {
            self.transactions.send(Purpose::Aside, node, frame);
        }
    }

    /// Sends in the clear what says nothing: that a segment came, or is missing.
    fn aside(&mut self, node: NodeId, command: &Command) {
        self.transactions.send(Purpose::Aside, node, command.to_bytes());
    }

    pub(super) fn unsound(&mut self, node: Option<NodeId>, why: Unsound) {
        self.events.push_back(Event::Unsound(node, why));
    }
}
