//! One request to the controller at a time, each with what ends it.

use std::collections::VecDeque;
use std::time::Duration;

use super::WIDTH;
use crate::command_class::transport_service::Segment;
use crate::serial::message::TransmitStatus;
use crate::serial::{AddMode, Frame, FrameKind, Link, Message, Request, TransmitOptions};
use crate::{Command, NodeId};

/// How long a response may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long sending over the radio may take: Host API, 65 s with exploring.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(65);
/// Longest command in one frame, in bytes.
const FRAME_MAX: usize = 46;
/// Requests that wait.
const QUEUE_MAX: usize = 128;
/// Those among which one more answer or segment may wait: others cause them, and what we began does not give way to them.
const ASIDE_MAX: usize = 64;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A question of the start.
    Start,
    /// What the protocol knows of a node.
    ProtocolInfo(NodeId),
    /// Nodes join or leave; how far that is comes unasked.
    Membership,
    /// A part of the exchange that is under way.
    Exchange(NodeId),
    /// Something that nobody waits for.
    Aside,
}

/// What became of a request.
#[derive(Debug, Clone)]
pub(super) enum Ended {
    Answered(Purpose, Message),
    Transmitted(Purpose, TransmitStatus),
    Failed(Purpose),
}

enum Stage {
    Delivery,
    Response,
    Callback(u8),
}

struct Current {
    purpose: Purpose,
    function: u8,
    stage: Stage,
    wants: Wants,
    due: Duration,
}

#[derive(Clone, Copy)]
enum Wants {
    Nothing,
    Response,
    Callback(u8),
}

#[derive(Default)]
pub(super) struct Transactions {
    pub(super) link: Link,
    queue: VecDeque<(Purpose, Frame, Wants)>,
    current: Option<Current>,
    last_callback: u8,
    last_segmented: u8,
    /// The last command that went in segments, with its number.
    segmented: Option<(NodeId, u8, Vec<u8>)>,
}

impl Transactions {
    pub(super) fn query(&mut self, purpose: Purpose, request: &Request) {
        self.push(purpose, request, Wants::Response);
    }

    /// Lets nodes in, or stops; returns the number that names its callbacks.
    pub(super) fn add(&mut self, mode: AddMode) -> u8 {
        let callback = self.callback();
        self.push(Purpose::Membership, &Request::AddNode(mode, callback), Wants::Nothing);
        callback
    }

    /// Lets nodes out; nobody is told of the end.
    pub(super) fn remove(&mut self, start: bool) {
        let callback = if start { self.callback() } else { 0 };
        self.push(Purpose::Membership, &Request::RemoveNode(start, callback), Wants::Nothing);
    }

    /// Sends a command to a node, in segments if it is long. What waits for it hears of the last one.
    pub(super) fn send(&mut self, purpose: Purpose, node: NodeId, command: Vec<u8>) {
        if command.len() <= FRAME_MAX {
            return self.send_frame(purpose, node, command);
        }
        self.last_segmented = (self.last_segmented + 1) & 0x0f;
        let Some(segments) = Segment::split(&command, self.last_segmented) else { return };
        let last = segments.len().saturating_sub(1);
        for (at, segment) in segments.into_iter().enumerate() {
            let purpose = if at == last { purpose } else { Purpose::Aside };
            self.send_frame(purpose, node, Command::from(segment).to_bytes());
        }
        self.segmented = Some((node, self.last_segmented, command));
    }

    /// A node misses a segment: it is sent again, if it is of the last command in segments.
    pub(super) fn send_again(&mut self, node: NodeId, session: u8, offset: u16) {
        let Some((_, _, command)) =
            self.segmented.as_ref().filter(|(to, number, _)| (*to, *number) == (node, session))
        else {
            return;
        };
        let segments = Segment::split(command, session).unwrap_or_default();
        let missing = segments.into_iter().find(|segment| match segment {
            Segment::First { .. } => offset == 0,
            Segment::Subsequent { offset: at, .. } => *at == offset,
            Segment::Request { .. } | Segment::Complete { .. } | Segment::Wait { .. } => false,
        });
        if let Some(segment) = missing {
            self.send_frame(Purpose::Aside, node, Command::from(segment).to_bytes());
        }
    }

    /// Sends one frame to several nodes at once.
    pub(super) fn send_multicast(&mut self, nodes: Vec<NodeId>, data: Vec<u8>) {
        let callback = self.callback();
        let request =
            Request::SendDataMulticast { nodes, data, options: TransmitOptions::MULTICAST, callback };
        self.push(Purpose::Aside, &request, Wants::Callback(callback));
    }

    fn send_frame(&mut self, purpose: Purpose, node: NodeId, data: Vec<u8>) {
        let callback = self.callback();
        let request = Request::SendData { node, data, options: TransmitOptions::RELIABLE, callback };
        self.push(purpose, &request, Wants::Callback(callback));
    }

    /// In the order in which they were encrypted: each one is under the nonce after that of the one before.
    fn push(&mut self, purpose: Purpose, request: &Request, wants: Wants) {
        let most = if purpose == Purpose::Aside { ASIDE_MAX } else { QUEUE_MAX };
        if let Ok(frame) = request.to_frame(WIDTH)
            && self.queue.len() < most
        {
            self.queue.push_back((purpose, frame, wants));
        }
    }

    const fn callback(&mut self) -> u8 {
        // Zero asks for none.
        self.last_callback = if self.last_callback == u8::MAX { 1 } else { self.last_callback + 1 };
        self.last_callback
    }

    pub(super) fn start_next(&mut self, now: Duration) {
        if self.current.is_some() {
            return;
        }
        let Some((purpose, frame, wants)) = self.queue.pop_front() else { return };
        let function = frame.function();
        // The link is idle, so that it takes it.
        if self.link.send(frame, now).is_ok() {
            let due = now + RESPONSE_TIMEOUT * 2;
            self.current = Some(Current { purpose, function, stage: Stage::Delivery, wants, due });
        }
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.link.due().into_iter().chain(self.current.as_ref().map(|current| current.due)).min()
    }

    pub(super) fn expire(&mut self, now: Duration) -> Option<Ended> {
        let current = self.current.take_if(|current| current.due <= now)?;
        Some(Ended::Failed(current.purpose))
    }

    /// Drops everything that waits or is under way.
    pub(super) fn abandon(&mut self) {
        self.queue.clear();
        self.current = None;
        self.link.abandon();
    }

    pub(super) fn lost(&mut self) -> Option<Ended> {
        self.current.take().map(|current| Ended::Failed(current.purpose))
    }

    /// The frame of the current request arrived.
    pub(super) fn delivered(&mut self, frame: &Frame, now: Duration) {
        let Some(current) = self.current.as_mut().filter(|current| current.function == frame.function())
        else {
            return;
        };
        match (&current.stage, current.wants) {
            (Stage::Delivery, Wants::Nothing) => self.current = None,
            (Stage::Delivery, _) => {
                current.stage = Stage::Response;
                current.due = now + RESPONSE_TIMEOUT;
            }
            (Stage::Response | Stage::Callback(_), _) => {}
        }
    }

    /// Whether a message ends the current request, or brings it on; otherwise it is given back.
    pub(super) fn message(
        &mut self,
        frame: &Frame,
        message: Message,
        now: Duration,
    ) -> Result<Option<Ended>, Message> {
        let Some(current) = self.current.as_mut().filter(|current| current.function == frame.function())
        else {
            return Err(message);
        };
        match (&current.stage, frame.kind(), &message, current.wants) {
            (Stage::Response | Stage::Delivery, FrameKind::Response, Message::Accepted(_, false), _) => {
                Ok(self.lost())
            }
            (Stage::Response | Stage::Delivery, FrameKind::Response, _, Wants::Callback(callback)) => {
                current.stage = Stage::Callback(callback);
                current.due = now + CALLBACK_TIMEOUT;
                Ok(None)
            }
            (Stage::Response | Stage::Delivery, FrameKind::Response, _, Wants::Response) => {
                Ok(self.current.take().map(|current| Ended::Answered(current.purpose, message)))
            }
            (Stage::Callback(ours), FrameKind::Request, Message::Transmitted(_, theirs, status), _)
                if ours == theirs =>
            {
                let status = *status;
                Ok(self.current.take().map(|current| Ended::Transmitted(current.purpose, status)))
            }
            _ => Err(message),
        }
    }
}
