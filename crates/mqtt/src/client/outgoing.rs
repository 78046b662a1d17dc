//! Messages on their way to the server, in order.

use std::collections::VecDeque;

use crate::client::event::{Message, PublishError, Token};
use crate::codec::{Delivery, PacketId, QoS, ReasonCode};

/// One QoS 1 or 2 message that the server has not taken over yet.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) token: Token,
    pub(super) stage: Stage,
    /// Sent on the connection that there is, so that it counts against the receive maximum.
    pub(super) here: bool,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are of the large kind")]
pub(super) enum Stage {
    /// Sent as PUBLISH; `id` is in use.
    Sent { id: PacketId, message: Message },
    /// QoS 2 past PUBREC: only the identifier is left to be released.
    Released { id: PacketId },
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Sent, in the order of sending.
    pub(super) inflight: VecDeque<Outgoing>,
    waiting: VecDeque<(Token, Message)>,
    waiting_bytes: usize,
    last_id: u16,
}

/// What an acknowledgement did.
pub(super) enum Progress {
    /// Nothing is known under this identifier.
    Unknown,
    /// Something is, and the acknowledgement does not fit it.
    Wrong,
    /// PUBREL has to be sent.
    Release,
    /// The exchange is over.
    Done(Token),
}

impl Outbox {
    pub(super) fn wait(
        &mut self,
        token: Token,
        message: Message,
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<(), PublishError> {
        let bytes = self.waiting_bytes.saturating_add(message.payload.len());
        if self.waiting.len() >= messages_max || bytes > bytes_max {
            return Err(PublishError::Full);
        }
        self.waiting_bytes = bytes;
        self.waiting.push_back((token, message));
        Ok(())
    }

    pub(super) fn next_waiting(&mut self) -> Option<(Token, Message)> {
        let (token, message) = self.waiting.pop_front()?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(message.payload.len());
        Some((token, message))
    }

    /// A new connection: what was in flight has to be sent again.
    pub(super) fn reconnected(&mut self) {
        self.inflight.iter_mut().for_each(|out| out.here = false);
    }

    /// Messages that the server has on this connection and has not finished.
    pub(super) fn open(&self) -> usize {
        self.inflight.iter().filter(|out| out.here).count()
    }

    pub(super) fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    /// A new session knows nothing of what was sent: all of it waits again, before the rest. What was past PUBREC
    /// had arrived; its tokens are returned.
    pub(super) fn restart(&mut self) -> Vec<Token> {
        let mut arrived = Vec::new();
        for out in std::mem::take(&mut self.inflight).into_iter().rev() {
            match out.stage {
                Stage::Sent { message, .. } => {
                    self.waiting_bytes = self.waiting_bytes.saturating_add(message.payload.len());
                    self.waiting.push_front((out.token, message));
                }
                Stage::Released { .. } => arrived.push(out.token),
            }
        }
        arrived.reverse();
        arrived
    }

    /// An identifier that neither a message nor `used` has.
    pub(super) fn free_id(&mut self, used: impl Fn(PacketId) -> bool) -> Option<PacketId> {
        for _ in 0..=u16::MAX {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = PacketId::new(self.last_id)
                && !used(id)
                && self.position(id).is_none()
            {
                return Some(id);
            }
        }
        None
    }

    pub(super) fn ack(&mut self, id: PacketId) -> Progress {
        self.settle(
            id,
            |stage| matches!(stage, Stage::Sent { message, .. } if message.qos == QoS::AtLeastOnce),
        )
    }

    pub(super) fn complete(&mut self, id: PacketId) -> Progress {
        self.settle(id, |stage| matches!(stage, Stage::Released { .. }))
    }

    pub(super) fn received(&mut self, id: PacketId, reason: ReasonCode) -> Progress {
        let Some(index) = self.position(id) else { return Progress::Unknown };
        let Some(out) = self.inflight.get_mut(index) else { return Progress::Unknown };
        match &out.stage {
            Stage::Sent { message, .. } if message.qos != QoS::ExactlyOnce => Progress::Wrong,
            Stage::Sent { .. } if reason.is_failure() => {
                let token = out.token;
                self.inflight.remove(index);
                Progress::Done(token)
            }
            Stage::Sent { .. } | Stage::Released { .. } => {
                out.stage = Stage::Released { id };
                out.here = true;
                Progress::Release
            }
        }
    }

    fn settle(&mut self, id: PacketId, fits: impl Fn(&Stage) -> bool) -> Progress {
        let Some(index) = self.position(id) else { return Progress::Unknown };
        if !self.inflight.get(index).is_some_and(|out| fits(&out.stage)) {
            return Progress::Wrong;
        }
        self.inflight.remove(index).map_or(Progress::Unknown, |out| Progress::Done(out.token))
    }

    fn position(&self, id: PacketId) -> Option<usize> {
        self.inflight.iter().position(|out| out.stage.id() == id)
    }
}

impl Stage {
    pub(super) const fn id(&self) -> PacketId {
        match self {
            Self::Sent { id, .. } | Self::Released { id } => *id,
        }
    }
}

impl Message {
    pub(super) const fn delivery(&self, id: PacketId, duplicate: bool) -> Delivery {
        match self.qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            QoS::AtLeastOnce => Delivery::AtLeastOnce { id, duplicate },
            QoS::ExactlyOnce => Delivery::ExactlyOnce { id, duplicate },
        }
    }
}
