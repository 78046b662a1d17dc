//! Requests of others: taken, joined from blocks, answered.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use zeroize::Zeroizing;

use super::block::Block;
use super::client::OUTER_BYTES_MAX;
use super::event::{Event, RequestError, RequestId, RespondError};
use super::limits::{ACK_DELAY, EXCHANGE_LIFETIME};
use super::packet::Packet;
use super::reliable::Owner;
use super::state::{ContextHandle, Endpoint, Protection};
use crate::message::{Code, Message, OptionNumber, Token, Type, uint};
use crate::oscore::{Header, Nonce, Opened, UnprotectError};

/// A request that waits for its answer.
pub(super) struct Asked<P> {
    id: RequestId,
    pub(super) peer: P,
    kind: Type,
    message_id: u16,
    pub(super) token: Token,
    pub(super) protection: Option<Protection>,
    pub(super) key: Packet,
    pub(super) block1: Option<Block>,
    pub(super) block2: Option<Block>,
    pub(super) observe: bool,
    acknowledged: bool,
    came: Duration,
}

/// Critical options that a request may have. A proxy's are not known here: there is none.
const KNOWN: [OptionNumber; 9] = [
    OptionNumber::IF_MATCH,
    OptionNumber::URI_HOST,
    OptionNumber::IF_NONE_MATCH,
    OptionNumber::URI_PORT,
    OptionNumber::URI_PATH,
    OptionNumber::URI_QUERY,
    OptionNumber::ACCEPT,
    OptionNumber::BLOCK2,
    OptionNumber::BLOCK1,
];

impl<P> Asked<P> {
    pub(super) fn due(&self) -> Duration {
        if self.owes_acknowledgement() { self.came + ACK_DELAY } else { self.came + EXCHANGE_LIFETIME }
    }

    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.came + EXCHANGE_LIFETIME <= now
    }

    fn owes_acknowledgement(&self) -> bool {
        self.kind == Type::Confirmable && !self.acknowledged
    }

    pub(super) fn context(&self) -> Option<ContextHandle> {
        self.protection.as_ref().map(|protection| protection.context)
    }
}

impl<P: Copy + Ord> Endpoint<P> {
    /// Answers a request. A body of more than a block goes in blocks.
    ///
    /// # Errors
    ///
    /// [`RespondError`]; nothing was sent then, and the request is over.
    pub fn respond(&mut self, now: Duration, id: RequestId, response: Packet) -> Result<(), RespondError> {
        let mut asked = self.asked(id).ok_or(RespondError::Unknown)?;
        if response.payload.len() > self.limits.body_bytes_max {
            return Err(RequestError::TooLarge.into());
        }
        let response = self.in_blocks(now, &asked, response);
        Ok(self.reply(now, &mut asked, response, Nonce::Request)?)
    }

    pub(super) fn asked(&mut self, id: RequestId) -> Option<Asked<P>> {
        let at = self.asked.iter().position(|asked| asked.id == id)?;
        Some(self.asked.swap_remove(at))
    }

    pub(super) fn request_came(&mut self, now: Duration, peer: P, message: &Message<'_>) {
        let mut asked = Asked {
            id: RequestId(self.fresh_id()),
            peer,
            kind: message.kind,
            message_id: message.id,
            token: message.token,
            protection: None,
            key: Packet::new(message.code),
            block1: None,
            block2: None,
            observe: false,
            acknowledged: false,
            came: now,
        };
        let outcome = match self.opened_request(&mut asked, message) {
            Ok(plain) => match Message::decode(plain.as_deref().map(Vec::as_slice).unwrap_or_default()) {
                Ok(plain) => self.judge(now, &mut asked, &plain),
                Err(_) if plain.is_none() => self.judge(now, &mut asked, message),
                Err(_) => Err(Packet::new(Code::BAD_REQUEST)),
            },
            Err(refusal) => Err(refusal),
        };
        match outcome {
            Ok(request) => {
                let (id, context, observe) = (asked.id, asked.context(), asked.observe);
                self.asked.push(asked);
                self.tell(Event::Request { id, peer, context, request, observe });
            }
            // An answer that cannot be sent is as good as one that got lost.
            Err(answer) => drop(self.reply(now, &mut asked, answer, Nonce::Request)),
        }
    }

    /// The datagram inside a protected one, `None` for one that is not protected; or what it is refused with.
    fn opened_request(
        &mut self,
        asked: &mut Asked<P>,
        message: &Message<'_>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Packet> {
        let Some(value) = message.options.get(OptionNumber::OSCORE) else { return Ok(None) };
        let refusal = |code| Packet::new(code).with_uint(OptionNumber::MAX_AGE, 0);
        let header = Header::decode(value).map_err(|_| refusal(Code::BAD_OPTION))?;
        let (handle, context) = self
            .context_of(&header.kid.ok_or_else(|| refusal(Code::UNAUTHORIZED))?, header.kid_context.as_ref())
            .ok_or_else(|| refusal(Code::UNAUTHORIZED))?;
        // A query in it may hold a secret.
        let mut out = Zeroizing::new(vec![0; 2 * message.payload.len() + OUTER_BYTES_MAX]);
        let opened = context.unprotect_request(message, &mut out).map_err(|error| {
            refusal(match error {
                UnprotectError::Replay | UnprotectError::OtherContext => Code::UNAUTHORIZED,
                UnprotectError::Header(_) | UnprotectError::NotProtected => Code::BAD_OPTION,
                UnprotectError::Decryption | UnprotectError::Plaintext | UnprotectError::Write(_) => {
                    Code::BAD_REQUEST
                }
            })
        })?;
        match opened {
            Opened::Fresh { len, exchange } => {
                asked.protection = Some(Protection { context: handle, exchange });
                out.truncate(len);
                Ok(Some(out))
            }
            Opened::Unproven { exchange } => {
                let challenge = context.challenge().unwrap_or_default().to_vec();
                asked.protection = Some(Protection { context: handle, exchange });
                Err(Packet::new(Code::UNAUTHORIZED).with(OptionNumber::ECHO, &challenge))
            }
        }
    }

    /// The whole request when it is there, else the answer that goes at once.
    fn judge(
        &mut self,
        now: Duration,
        asked: &mut Asked<P>,
        message: &Message<'_>,
    ) -> Result<Packet, Packet> {
        let answer = |code| Packet::new(code);
        if message.unacceptable_option(&KNOWN).is_some() {
            return Err(answer(Code::BAD_OPTION));
        }
        let mut request = Packet::of(message);
        asked.key = request.cache_key();
        asked.block1 = Block::of(&request, OptionNumber::BLOCK1).map_err(|_| answer(Code::BAD_REQUEST))?;
        asked.block2 = Block::of(&request, OptionNumber::BLOCK2).map_err(|_| answer(Code::BAD_REQUEST))?;
        let observe = request.get(OptionNumber::OBSERVE).and_then(uint);
        // RFC 7959 §2.6: a later block of a state is no observation.
        let is_first = asked.block2.is_none_or(|block| block.number == 0);
        asked.observe = observe == Some(0) && is_first && matches!(request.code, Code::GET | Code::FETCH);
        if observe == Some(1) {
            self.stop_observing(asked);
        }
        if let Some(answer) = self.next_block_of(now, asked) {
            return Err(answer);
        }
        // What was kept of the response is gone, and only a GET says again all that was asked.
        if asked.block2.is_some_and(|block| block.number > 0) && request.code != Code::GET {
            return Err(answer(Code::REQUEST_ENTITY_INCOMPLETE));
        }
        self.join_upload(now, asked, &mut request)?;
        let of_peer = self.asked.iter().filter(|other| other.peer == asked.peer).count();
        if self.asked.len() >= self.limits.asked_max || of_peer >= self.limits.per_peer_max {
            return Err(answer(Code::SERVICE_UNAVAILABLE));
        }
        let ours = [OptionNumber::BLOCK1, OptionNumber::BLOCK2, OptionNumber::OBSERVE];
        Ok(ours.into_iter().fold(request, Packet::without))
    }

    /// Sends a response: with the acknowledgement if there was none, else by itself.
    pub(super) fn reply(
        &mut self,
        now: Duration,
        asked: &mut Asked<P>,
        mut response: Packet,
        nonce: Nonce,
    ) -> Result<(), RequestError> {
        if let Some(block) = asked.block1 {
            let ours = Block { exponent: block.exponent.min(self.limits.block_exponent), ..block };
            response = response.with_uint(OptionNumber::BLOCK1, ours.value());
        }
        let (kind, id) = match (asked.kind, asked.acknowledged) {
            (Type::Confirmable, false) => (Type::Acknowledgement, asked.message_id),
            (Type::Confirmable, true) if self.may_repeat_to(asked.peer) => {
                (Type::Confirmable, self.fresh_message_id())
            }
            _ => (Type::NonConfirmable, self.fresh_message_id()),
        };
        let plain = response.encode(kind, id, asked.token)?;
        let datagram = self.protect_response(asked.protection.as_mut(), plain, nonce)?;
        if kind == Type::Confirmable {
            self.send_reliably(now, asked.peer, id, Owner::Response, datagram);
            return Ok(());
        }
        if !asked.acknowledged {
            self.seen.answered(asked.peer, asked.message_id, &datagram);
        }
        self.send(asked.peer, datagram);
        Ok(())
    }

    /// Whether one more response by itself may wait for its acknowledgement. Where it may not it goes once.
    fn may_repeat_to(&self, peer: P) -> bool {
        let (of_peer, all) = self.reliable.responses(peer);
        of_peer < self.limits.per_peer_max && all < self.limits.asked_max
    }

    /// Acknowledges requests whose answers take their time: RFC 7252 §5.2.2.
    pub(super) fn acknowledge_late(&mut self, now: Duration) {
        let late = |asked: &Asked<P>| asked.owes_acknowledgement() && asked.due() <= now;
        while let Some(asked) = self.asked.iter_mut().find(|asked| late(asked)) {
            asked.acknowledged = true;
            let (peer, id) = (asked.peer, asked.message_id);
            self.answer_empty(peer, id, Type::Acknowledgement);
        }
    }
}
