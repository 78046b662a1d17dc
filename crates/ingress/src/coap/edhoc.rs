//! EDHOC in requests: RFC 9528 appendix A.2, and RFC 9668.

use std::net::SocketAddr;
use std::sync::Arc;

use thingward_coap::edhoc::{Combined, EdhocError, Identifier, Session};
use thingward_coap::endpoint::{Packet, RequestId};
use thingward_coap::message::{Code, OptionNumber};
use thingward_coap::wire::{format, with_format};
use tokio::time::Instant;

use super::book::Record;
use super::budget::Admission;
use super::handshake::{Begun, HandshakeError, Shown};
use super::job::busy;
use super::office::Office;
use super::server::Server;
use super::signing::Signed;
use crate::Core;

/// The CBOR value true, which stands in front of message 1: RFC 9528 appendix A.2.
const MESSAGE_1: u8 = 0xf5;

impl<C: Core, O: Office> Server<C, O> {
    /// A message of EDHOC in a request of its own. `None` when it is answered later.
    pub(super) fn edhoc(&mut self, id: RequestId, peer: SocketAddr, request: &Packet) -> Option<Packet> {
        let now = Instant::now().into_std();
        let Some(message_1) = request.payload.strip_prefix(&[MESSAGE_1]) else {
            return Some(self.last_message(peer, &request.payload));
        };
        let size = self.handshakes.size(message_1);
        match self.budget.admit(now, peer, size, request.get(OptionNumber::ECHO)) {
            Admission::Now => {}
            Admission::Proved(echo) => {
                return Some(Packet::new(Code::UNAUTHORIZED).with(OptionNumber::ECHO, &echo));
            }
            Admission::Later => return Some(busy()),
        }
        let is_taken = |identifier: &[u8]| self.endpoint.has_recipient(identifier);
        match self.handshakes.begin(now, peer, message_1, is_taken) {
            Ok(Begun::Answered(message_2)) => Some(edhoc_message(&message_2)),
            Ok(Begun::ToBeSigned(message_1, identifier)) => {
                let begun = self.signing.answer(&self.office, (id, peer), message_1, identifier);
                if begun.is_some() { None } else { Some(busy()) }
            }
            Err(error) => Some(self.edhoc_refused(&error.into())),
        }
    }

    /// Message 2 is signed, or not.
    pub(super) fn signed(&mut self, Signed { id, address, responder }: Signed) {
        let answer = match responder {
            // An identifier that somebody else got meanwhile: one in four thousand millions, who begins anew.
            Some(Ok(responder)) if self.endpoint.has_recipient(responder.identifier().as_bytes()) => busy(),
            Some(Ok(responder)) => {
                let message_2 = edhoc_message(responder.message_2());
                self.handshakes.open(Instant::now().into_std(), address, responder);
                message_2
            }
            Some(Err(error)) => self.edhoc_refused(&error.into()),
            None => busy(),
        };
        self.respond(id, answer);
    }

    fn edhoc_refused(&self, error: &HandshakeError) -> Packet {
        tracing::info!(%error, "a handshake fails");
        self.no_handshake(error)
    }

    fn no_handshake(&self, error: &HandshakeError) -> Packet {
        self.core.refused();
        with_format(Packet::new(Code::BAD_REQUEST), format::EDHOC).with_payload(&error.message())
    }

    fn last_message(&mut self, peer: SocketAddr, payload: &[u8]) -> Packet {
        match self.finish(peer, payload) {
            // As if it were of a handshake that somebody else had begun. Anybody can send that as often as they like.
            None => {
                tracing::debug!(%peer, "the end of no handshake is let go");
                self.no_handshake(&EdhocError::NotAuthentic.into())
            }
            Some(Err(error)) => self.edhoc_refused(&error),
            Some(Ok(session)) => match session.message_4() {
                Ok(message_4) => edhoc_message(&message_4),
                Err(error) => self.edhoc_refused(&error.into()),
            },
        }
    }

    /// The handshake that ends with message 3 in front of a request: RFC 9668 §3.3. Where there is none, or not any more, the
    /// request has a context already, because it comes again, or it is answered as one without.
    pub(super) fn finish_with(&mut self, peer: SocketAddr, combined: &Combined) {
        let Ok(responder) = Identifier::new(&combined.responder) else { return };
        let payload = [responder.to_cbor(), combined.message_3.clone()].concat();
        if let Some(Err(error)) = self.finish(peer, &payload) {
            self.edhoc_refused(&error);
        }
    }

    /// Who ends its handshake with this has a context then.
    fn finish(&mut self, address: SocketAddr, payload: &[u8]) -> Option<Result<Session, HandshakeError>> {
        let finished = self.handshakes.finish(address, payload, (&self.root, &self.trust_domain))?;
        Some(finished.and_then(|(session, shown)| {
            let (key, member) = match shown {
                Shown::Raw(key) => {
                    let known = self.book.find(&key).filter(|record| self.is_member(record));
                    (Some(key), known)
                }
                Shown::Certificate(leaf) => {
                    let record = Record::new(None, &leaf);
                    self.office.check_member(&record.member)?;
                    (None, Some(Arc::new(record)))
                }
            };
            if member.as_ref().is_some_and(|member| !self.has_room_for(&member.who())) {
                return Err(HandshakeError::NoRoom);
            }
            self.add(address, &session, key, member)?;
            Ok(session)
        }))
    }
}

fn edhoc_message(message: &[u8]) -> Packet {
    with_format(Packet::new(Code::CHANGED), format::EDHOC).with_payload(message)
}
