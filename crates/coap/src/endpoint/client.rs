//! Own requests: blocks out, blocks in, notifications.

use alloc::vec;
use core::time::Duration;

use super::block::{Block, NotJoined, join};
use super::event::{Event, ExchangeId, Failure, RequestError};
use super::limits::{EXCHANGE_LIFETIME, NOTIFICATION_AGE};
use super::packet::Packet;
use super::reliable::Owner;
use super::state::{ContextHandle, Endpoint, Protection};
use crate::message::{Code, Message, OptionNumber, Token, Type, uint};

/// An own request until its response is whole, or an observation.
pub(super) struct Exchange<P> {
    pub(super) id: ExchangeId,
    peer: P,
    context: Option<ContextHandle>,
    request: Packet,
    /// How much of the request's body has arrived.
    sent: usize,
    exponent: u8,
    /// The message that is to be answered next, and until when.
    pending: Option<(Ticket, Duration)>,
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
struct Ticket {
    token: Token,
    protection: Option<Protection>,
}

/// Critical options that a response may have.
const KNOWN: [OptionNumber; 2] = [OptionNumber::BLOCK1, OptionNumber::BLOCK2];

impl<P> Exchange<P> {
    pub(super) fn due(&self) -> Option<Duration> {
        self.pending.as_ref().map(|(_, until)| *until)
    }
}

impl<P: Copy + Eq> Endpoint<P> {
    /// Asks a peer, protected where there is a context. A body of more than a block goes in blocks. With an Observe option
    /// of 0 it observes.
    ///
    /// # Errors
    ///
    /// [`RequestError`]; nothing was sent then.
    pub fn request(
        &mut self,
        now: Duration,
        peer: P,
        context: Option<ContextHandle>,
        request: Packet,
    ) -> Result<ExchangeId, RequestError> {
        let of_peer = self.exchanges.iter().filter(|exchange| exchange.peer == peer).count();
        if self.exchanges.len() >= self.limits.exchanges_max || of_peer >= self.limits.per_peer_max {
            return Err(RequestError::TooMany);
        }
        if request.payload.len() > self.limits.body_bytes_max {
            return Err(RequestError::TooLarge);
        }
        let id = ExchangeId(self.fresh_id());
        let mut exchange = Exchange {
            id,
            peer,
            context,
            request,
            sent: 0,
            exponent: self.limits.block_exponent,
            pending: None,
            observation: None,
            newest: None,
            collected: None,
            echoed: false,
            told: false,
        };
        self.send_step(now, &mut exchange)?;
        self.exchanges.push(exchange);
        Ok(id)
    }

    /// Forgets a request or observation. The next notification is answered with a reset, which ends it: RFC 7641 §3.6.
    pub fn forget(&mut self, id: ExchangeId) {
        self.exchanges.retain(|exchange| exchange.id != id);
        self.reliable.forget(Owner::Exchange(id));
    }

    /// Sends the next message of an exchange.
    fn send_step(&mut self, now: Duration, exchange: &mut Exchange<P>) -> Result<(), RequestError> {
        let packet = exchange.next_packet().ok_or(RequestError::TooLarge)?;
        let (token, message_id) = (self.unguessable.token(), self.fresh_message_id());
        let plain = packet.encode(Type::Confirmable, message_id, token)?;
        let (datagram, protection) = self.protect_request(exchange.context, plain)?;
        let owner = Owner::Exchange(exchange.id);
        self.reliable.forget(owner);
        self.send_reliably(now, exchange.peer, message_id, owner, datagram);
        exchange.pending = Some((Ticket { token, protection }, now + EXCHANGE_LIFETIME));
        Ok(())
    }

    /// Takes a response; says whether anybody wants it.
    pub(super) fn response(&mut self, now: Duration, peer: P, message: &Message<'_>) -> bool {
        let Some(at) = self.exchanges.iter().position(|e| e.peer == peer && e.wants(message.token)) else {
            return false;
        };
        let mut exchange = self.exchanges.swap_remove(at);
        let id = exchange.id;
        let next = match self.opened(&mut exchange, message) {
            Some(Ok(packet)) => exchange.step(now, message.token, packet, self.limits.body_bytes_max),
            Some(Err(failure)) => Next::Fail(failure),
            // Not from whom it says: as if it had never come.
            None => Next::Wait,
        };
        match next {
            Next::Wait => self.exchanges.push(exchange),
            Next::Ask => match self.send_step(now, &mut exchange) {
                Ok(()) => self.exchanges.push(exchange),
                Err(_) => self.tell(Event::Failed { exchange: id, failure: Failure::NotSent }),
            },
            Next::Notify(response) => {
                self.exchanges.push(exchange);
                self.tell(Event::Notification { exchange: id, response });
            }
            Next::Observing(response) => {
                self.exchanges.push(exchange);
                self.tell(Event::Response { exchange: id, response, observing: true });
            }
            Next::Over(response) => {
                self.reliable.forget(Owner::Exchange(id));
                self.tell(Event::Response { exchange: id, response, observing: false });
            }
            Next::Fail(failure) => self.tell(Event::Failed { exchange: id, failure }),
        }
        true
    }

    /// The plain response; `None` when it is not authentic.
    fn opened(
        &mut self,
        exchange: &mut Exchange<P>,
        message: &Message<'_>,
    ) -> Option<Result<Packet, Failure>> {
        let Some(protection) = exchange.ticket(message.token)?.protection.as_mut() else {
            return Some(acceptable(message));
        };
        let context = self.context(protection.context)?;
        let mut out = vec![0; 2 * message.payload.len() + OUTER_BYTES_MAX];
        let len = context.unprotect_response(&mut protection.exchange, message, &mut out).ok()?;
        Some(acceptable(&Message::decode(out.get(..len)?).ok()?))
    }

    pub(super) fn fail(&mut self, at: usize, failure: Failure) {
        let exchange = self.exchanges.swap_remove(at).id;
        self.reliable.forget(Owner::Exchange(exchange));
        self.tell(Event::Failed { exchange, failure });
    }
}

/// Room for what of an outer message is not in the payload: header, token, and options that everybody sees.
pub(super) const OUTER_BYTES_MAX: usize = 2048;

/// What an exchange does after a response.
enum Next {
    Wait,
    Ask,
    Observing(Packet),
    Notify(Packet),
    Over(Packet),
    Fail(Failure),
}

impl<P> Exchange<P> {
    fn wants(&self, token: Token) -> bool {
        self.pending.as_ref().is_some_and(|(ticket, _)| ticket.token == token)
            || self.observation.as_ref().is_some_and(|ticket| ticket.token == token)
    }

    fn ticket(&mut self, token: Token) -> Option<&mut Ticket> {
        let pending = self.pending.as_mut().map(|(ticket, _)| ticket);
        [self.observation.as_mut(), pending].into_iter().flatten().find(|ticket| ticket.token == token)
    }

    /// The next block that is asked for, the next block that goes, or the whole request.
    fn next_packet(&self) -> Option<Packet> {
        if let Some(collected) = &self.collected {
            let block = Block::at(collected.payload.len(), self.exponent)?;
            let request = self.request.clone().with_payload(&[]);
            return Some(
                request.without(OptionNumber::OBSERVE).with_uint(OptionNumber::BLOCK2, block.value()),
            );
        }
        if self.request.payload.len() <= 16 << self.exponent && self.sent == 0 {
            return Some(self.request.clone());
        }
        let (block, payload) = Block::at(self.sent, self.exponent)?.cut(&self.request.payload)?;
        let request = self.request.clone().with_payload(payload);
        Some(request.with_uint(OptionNumber::BLOCK1, block.value()))
    }

    fn step(&mut self, now: Duration, token: Token, packet: Packet, body_bytes_max: usize) -> Next {
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
        let notification = packet.get(OptionNumber::OBSERVE).and_then(uint);
        if self.collected.is_none() || notification.is_some() {
            self.collected = None;
            if !self.observed(now, token, notification) {
                return Next::Wait;
            }
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

    /// Notes a notification; says whether it is newer than the last: RFC 7641 §3.4. What is no notification is.
    fn observed(&mut self, now: Duration, token: Token, number: Option<u32>) -> bool {
        let Some(number) = number else { return true };
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
            None => packet.clone().with_payload(&[]),
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

/// The packet of a response with no critical option that is unknown: RFC 7252 §5.4.1.
fn acceptable(message: &Message<'_>) -> Result<Packet, Failure> {
    match message.unacceptable_option(&KNOWN) {
        Some(_) => Err(Failure::CriticalOption),
        None => Ok(Packet::of(message)),
    }
}
