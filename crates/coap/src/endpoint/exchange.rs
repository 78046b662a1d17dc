//! What an own request does with each response: RFC 7641 §3 and RFC 7959 §2.

use core::time::Duration;

use super::block::{Block, NotJoined, join};
use super::event::{ExchangeId, Failure};
use super::limits::NOTIFICATION_AGE;
use super::packet::Packet;
use super::state::{ContextHandle, Protection};
use crate::message::{Code, OptionNumber, Token, uint};

/// An own request until its response is whole, or an observation.
pub(super) struct Exchange<P> {
    pub(super) id: ExchangeId,
    pub(super) peer: P,
    pub(super) context: Option<ContextHandle>,
    request: Packet,
    /// How much of the request's body has arrived.
    sent: usize,
    exponent: u8,
    /// The message that is to be answered next, and until when.
    pub(super) pending: Option<(Ticket, Duration)>,
    /// The one that notifications belong to.
    observation: Option<Ticket>,
    /// The last notification's number and time.
    newest: Option<(u32, Duration)>,
    /// What came of the response so far.
    collected: Option<Packet>,
    echoed: bool,
    /// The first state of what is observed was told.
    told: bool,
}

/// What the response to a message has.
#[derive(Clone)]
pub(super) struct Ticket {
    pub(super) token: Token,
    pub(super) protection: Option<Protection>,
}

/// What an exchange does after a response.
pub(super) enum Next {
    Wait,
    Ask,
    Observing(Packet),
    Notify(Packet),
    Over(Packet),
    Fail(Failure),
}

impl<P> Exchange<P> {
    pub(super) fn new(
        id: ExchangeId,
        (peer, context): (P, Option<ContextHandle>),
        request: Packet,
        exponent: u8,
    ) -> Self {
        Self {
            id,
            peer,
            context,
            request,
            sent: 0,
            exponent,
            pending: None,
            observation: None,
            newest: None,
            collected: None,
            echoed: false,
            told: false,
        }
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.pending.as_ref().map(|(_, until)| *until)
    }

    /// Whether the message with this token was not answered yet.
    pub(super) fn awaits(&self, token: Token) -> bool {
        self.pending.as_ref().is_some_and(|(ticket, _)| ticket.token == token)
    }

    pub(super) fn wants(&self, token: Token) -> bool {
        self.awaits(token) || self.observation.as_ref().is_some_and(|ticket| ticket.token == token)
    }

    pub(super) fn ticket(&mut self, token: Token) -> Option<&mut Ticket> {
        let pending = self.pending.as_mut().map(|(ticket, _)| ticket);
        [self.observation.as_mut(), pending].into_iter().flatten().find(|ticket| ticket.token == token)
    }

    /// The next block that is asked for, the next block that goes, or the whole request.
    pub(super) fn next_packet(&self) -> Option<Packet> {
        if let Some(collected) = &self.collected {
            let block = Block::at(collected.payload.len(), self.exponent)?;
            // RFC 8132 §2.1: the body of a FETCH says what it is about. One that went in blocks is not said again.
            let is_said = self.request.code == Code::FETCH && self.sent == 0;
            let request = if is_said { self.request.clone() } else { self.request.with_body(&[]) };
            return Some(
                request.without(OptionNumber::OBSERVE).with_uint(OptionNumber::BLOCK2, block.value()),
            );
        }
        if self.request.payload.len() <= 16 << self.exponent && self.sent == 0 {
            return Some(self.request.clone());
        }
        let (block, payload) = Block::at(self.sent, self.exponent)?.cut(&self.request.payload)?;
        let request = self.request.with_body(payload);
        Some(request.with_uint(OptionNumber::BLOCK1, block.value()))
    }

    pub(super) fn step(
        &mut self,
        now: Duration,
        token: Token,
        packet: Packet,
        body_bytes_max: usize,
    ) -> Next {
        if let Some(echo) = packet.get(OptionNumber::ECHO)
            && packet.code == Code::UNAUTHORIZED
            && !core::mem::replace(&mut self.echoed, true)
        {
            self.request = self.request.clone().with(OptionNumber::ECHO, echo);
            return Next::Ask;
        }
        if packet.code == Code::CONTINUE {
            return self.next_block(&packet);
        }
        // Unasked, it says nothing.
        let notification = packet.get(OptionNumber::OBSERVE).and_then(uint).filter(|_| self.observes());
        if let Some(number) = notification {
            if !self.observed(now, token, number) {
                return Next::Wait;
            }
            self.collected = None;
        }
        match self.collect(packet, body_bytes_max) {
            Ok(None) => Next::Ask,
            Ok(Some(whole)) => self.complete(whole),
            Err(failure) => Next::Fail(failure),
        }
    }

    /// RFC 7959 §2.3: the peer took a block whole, and may want smaller ones from there on.
    fn next_block(&mut self, packet: &Packet) -> Next {
        let Ok(Some(block)) = Block::of(packet, OptionNumber::BLOCK1) else {
            return Next::Fail(Failure::Blocks);
        };
        let left = self.request.payload.len().saturating_sub(self.sent);
        let taken = (16 << self.exponent).min(left);
        if Block::at(self.sent, self.exponent).is_none_or(|sent| sent.number != block.number) || taken == left
        {
            return Next::Fail(Failure::Blocks);
        }
        self.sent += taken;
        self.exponent = self.exponent.min(block.exponent);
        Next::Ask
    }

    fn observes(&self) -> bool {
        self.request.get(OptionNumber::OBSERVE).and_then(uint) == Some(0)
    }

    /// Notes a notification; says whether it is newer than the last: RFC 7641 §3.4.
    fn observed(&mut self, now: Duration, token: Token, number: u32) -> bool {
        let pending = self.pending.as_ref().filter(|(ticket, _)| ticket.token == token);
        if let Some((ticket, _)) = pending {
            self.observation = Some(ticket.clone());
        }
        // Of protected ones, those that are not newer were refused as replays.
        if self.context.is_some() {
            return true;
        }
        let newer = self.newest.is_none_or(|(last, at)| {
            let ahead = number.wrapping_sub(last) & 0xff_ffff;
            (ahead != 0 && ahead < 1 << 23) || now > at + NOTIFICATION_AGE
        });
        if newer {
            self.newest = Some((number, now));
        }
        newer
    }

    /// Joins the blocks of a response; `None` as long as some are missing.
    fn collect(&mut self, mut packet: Packet, max: usize) -> Result<Option<Packet>, Failure> {
        let block = Block::of(&packet, OptionNumber::BLOCK2).map_err(|_| Failure::Blocks)?;
        let Some(block) = block else {
            self.collected = None;
            return if packet.payload.len() > max { Err(Failure::TooLarge) } else { Ok(Some(packet)) };
        };
        let mut whole = match self.collected.take() {
            Some(collected) if collected.get(OptionNumber::ETAG) != packet.get(OptionNumber::ETAG) => {
                return Err(Failure::Blocks);
            }
            Some(collected) => collected,
            None => packet.with_body(&[]),
        };
        let payload = core::mem::take(&mut packet.payload);
        join(&mut whole.payload, block, &payload, max).map_err(|error| match error {
            NotJoined::OutOfOrder => Failure::Blocks,
            NotJoined::TooLarge => Failure::TooLarge,
        })?;
        if !block.more {
            return Ok(Some(whole.without(OptionNumber::BLOCK2)));
        }
        self.exponent = self.exponent.min(block.exponent);
        self.collected = Some(whole);
        Ok(None)
    }

    fn complete(&mut self, whole: Packet) -> Next {
        self.pending = None;
        if self.observation.is_none() || whole.get(OptionNumber::OBSERVE).is_none() {
            return Next::Over(whole);
        }
        if core::mem::replace(&mut self.told, true) { Next::Notify(whole) } else { Next::Observing(whole) }
    }
}
