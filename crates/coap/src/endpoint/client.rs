//! Own requests: blocks out, blocks in, notifications.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::event::{Event, ExchangeId, Failure, RequestError};
use super::exchange::{Exchange, Next, Ticket};
use super::limits::EXCHANGE_LIFETIME;
use super::packet::Packet;
use super::reliable::Owner;
use super::state::{ContextHandle, Endpoint};
use crate::edhoc::with_message_3;
use crate::message::{Code, Message, OptionNumber, Type};

/// Critical options that a response may have.
const KNOWN: [OptionNumber; 2] = [OptionNumber::BLOCK1, OptionNumber::BLOCK2];

impl<P: Copy + Ord> Endpoint<P> {
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
        self.begin(now, (peer, context), request, None)
    }

    /// As [`Self::request`], with message 3 of EDHOC in front of the first block: the context is one that it leads to, and the
    /// response shows that the peer has the keys. RFC 9668 §3.2.
    ///
    /// # Errors
    ///
    /// As [`Self::request`].
    pub fn request_behind(
        &mut self,
        now: Duration,
        peer: P,
        context: ContextHandle,
        request: Packet,
        message_3: Vec<u8>,
    ) -> Result<ExchangeId, RequestError> {
        self.begin(now, (peer, Some(context)), request, Some(message_3))
    }

    fn begin(
        &mut self,
        now: Duration,
        (peer, context): (P, Option<ContextHandle>),
        request: Packet,
        message_3: Option<Vec<u8>>,
    ) -> Result<ExchangeId, RequestError> {
        let of_peer = self.exchanges.iter().filter(|exchange| exchange.peer == peer).count();
        if self.exchanges.len() >= self.limits.exchanges_max || of_peer >= self.limits.per_peer_max {
            return Err(RequestError::TooMany);
        }
        if request.payload.len() > self.limits.body_bytes_max {
            return Err(RequestError::TooLarge);
        }
        let id = ExchangeId(self.fresh_id());
        let mut exchange = Exchange::new(id, (peer, context), request, self.limits.block_exponent);
        self.send_step(now, &mut exchange, message_3)?;
        self.exchanges.push(exchange);
        Ok(id)
    }

    /// Forgets a request or observation. The next notification is answered with a reset, which ends it: RFC 7641 §3.6.
    pub fn forget(&mut self, id: ExchangeId) {
        self.exchanges.retain(|exchange| exchange.id != id);
        self.reliable.forget(Owner::Exchange(id));
    }

    /// Sends the next message of an exchange.
    fn send_step(
        &mut self,
        now: Duration,
        exchange: &mut Exchange<P>,
        message_3: Option<Vec<u8>>,
    ) -> Result<(), RequestError> {
        let packet = exchange.next_packet().ok_or(RequestError::TooLarge)?;
        let (token, message_id) = (self.unguessable.token(), self.fresh_message_id());
        let plain = packet.encode(Type::Confirmable, message_id, token)?;
        let (datagram, protection) = self.protect_request(exchange.context, plain)?;
        let datagram = match message_3 {
            Some(message_3) => {
                with_message_3(&datagram, &message_3).map_err(|_| RequestError::NotAMessage)?
            }
            None => datagram,
        };
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
        // Not from whom it says: as if it had never come.
        let Some(opened) = self.opened(&mut exchange, message) else {
            self.exchanges.push(exchange);
            return true;
        };
        let answered = exchange.awaits(message.token);
        let next = match opened {
            Ok(packet) => exchange.step(now, message.token, packet, self.limits.body_bytes_max),
            Err(failure) => Next::Fail(failure),
        };
        // A response is as good as an acknowledgement (RFC 7252 §5.2.2), which may have been lost.
        if answered || exchange.pending.is_none() || matches!(next, Next::Fail(_)) {
            self.reliable.forget(Owner::Exchange(id));
        }
        match next {
            Next::Wait => self.exchanges.push(exchange),
            Next::Ask => match self.send_step(now, &mut exchange, None) {
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
        if message.options.get(OptionNumber::OSCORE).is_none() && message.code == Code::UNAUTHORIZED {
            return Some(Err(Failure::NoContext));
        }
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

/// The packet of a response with no critical option that is unknown: RFC 7252 §5.4.1.
fn acceptable(message: &Message<'_>) -> Result<Packet, Failure> {
    match message.unacceptable_option(&KNOWN) {
        Some(_) => Err(Failure::CriticalOption),
        None => Ok(Packet::of(message)),
    }
}
