//! EDHOC in requests: RFC 9528 appendix A.2, and RFC 9668.

use std::net::SocketAddr;

use thingward_coap::edhoc::{Combined, EdhocError, Identifier, Responder};
use thingward_coap::endpoint::Packet;
use thingward_coap::message::{Code, OptionNumber};
use thingward_coap::wire::{format, with_format};
use tokio::time::Instant;

use super::budget::Admission;
use super::job::busy;
use super::office::Office;
use super::server::Server;
use crate::Core;

/// The CBOR value true, which stands in front of message 1: RFC 9528 appendix A.2.
const MESSAGE_1: u8 = 0xf5;
/// An error of EDHOC without a number of its own: RFC 9528 §6.2.
const UNSPECIFIED: u8 = 1;

impl<C: Core, O: Office> Server<C, O> {
    /// A message of EDHOC in a request of its own.
    pub(super) fn edhoc(&mut self, peer: SocketAddr, request: &Packet) -> Packet {
        let now = Instant::now().into_std();
        let Some(message_1) = request.payload.strip_prefix(&[MESSAGE_1]) else {
            return self.last_message(peer, &request.payload);
        };
        match self.budget.admit(now, peer, request.get(OptionNumber::ECHO)) {
            Admission::Now => {}
            Admission::Proved(echo) => {
                return Packet::new(Code::UNAUTHORIZED).with(OptionNumber::ECHO, &echo);
            }
            Admission::Later => return busy(),
        }
        let is_taken = |identifier: &[u8]| self.endpoint.has_recipient(identifier);
        match self.handshakes.answer(now, peer, message_1, is_taken) {
            Ok(message_2) => edhoc_message(&message_2),
            Err(error) => self.edhoc_refused(error),
        }
    }

    fn edhoc_refused(&self, error: EdhocError) -> Packet {
        self.core.refused();
        edhoc_error(error)
    }

    fn last_message(&mut self, peer: SocketAddr, payload: &[u8]) -> Packet {
        let finished = match self.handshakes.finish(peer, payload) {
            // As if it were of a handshake that somebody else had begun.
            None => return self.edhoc_refused(EdhocError::NotAuthentic),
            Some(Err(error)) => return self.edhoc_refused(error),
            Some(Ok(finished)) => finished,
        };
        let (session, credential) = finished;
        match (self.add(peer, &session, &credential), session.message_4()) {
            (Some(()), Ok(message_4)) => edhoc_message(&message_4),
            _ => self.edhoc_refused(EdhocError::NotAuthentic),
        }
    }

    /// The handshake that ends with message 3 in front of a request: RFC 9668 §3.3. Where there is none, or not any more, the
    /// request has a context already, because it comes again, or it is answered as one without.
    pub(super) fn finish_with(&mut self, peer: SocketAddr, combined: &Combined) {
        let Ok(responder) = Identifier::new(&combined.responder) else { return };
        let payload = [responder.to_cbor(), combined.message_3.clone()].concat();
        match self.handshakes.finish(peer, &payload) {
            None => {}
            Some(Ok((session, credential))) => {
                self.add(peer, &session, &credential);
            }
            Some(Err(error)) => {
                self.edhoc_refused(error);
            }
        }
    }
}

fn edhoc_message(message: &[u8]) -> Packet {
    with_format(Packet::new(Code::CHANGED), format::EDHOC).with_payload(message)
}

/// RFC 9528 §6: what a stranger did wrong with the suite, else only that it is over.
fn edhoc_error(error: EdhocError) -> Packet {
    tracing::debug!(%error, "a handshake fails");
    let body = match error {
        EdhocError::Suite => Responder::WRONG_SUITE.to_vec(),
        _ => {
            let text = error.to_string();
            let len = u8::try_from(text.len()).unwrap_or_default();
            [&[UNSPECIFIED, 0x78, len], text.as_bytes()].concat()
        }
    };
    with_format(Packet::new(Code::BAD_REQUEST), format::EDHOC).with_payload(&body)
}
