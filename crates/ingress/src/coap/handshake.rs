//! EDHOC as the responder: RFC 9528 appendix A.2. What is open is bounded, and forgotten soon.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_core::Rng;
use thingward_coap::edhoc::{Credential, CredentialId, DhKey, EdhocError, Identifier, Responder, Session};
use thingward_crypto::system_rng;

use crate::place;

/// Most handshakes between message 2 and message 3.
const OPEN_MAX: usize = 1024;
/// Those of one place.
const OPEN_OF_PLACE_MAX: usize = 16;
/// How long one stays open: MAX_TRANSMIT_SPAN of RFC 7252 §4.8.2 is 45 seconds, and a thing may be slow.
const LIFE: Duration = Duration::from_secs(60);
/// Bytes of an identifier. It is random, so that nobody ends a handshake who has not seen it, and drawn again as long as a
/// context or a handshake has it already.
const IDENTIFIER_BYTES: usize = 4;

struct Open {
    address: SocketAddr,
    responder: Responder,
    since: Instant,
}

/// The raw key of this end, and who is shaking hands with it.
pub(super) struct Handshakes {
    key: DhKey,
    own: Credential,
    open: VecDeque<Open>,
}

impl Handshakes {
    pub(super) fn new(key: DhKey, own: Credential) -> Self {
        Self { key, own, open: VecDeque::new() }
    }

    /// Message 2 for message 1, with an identifier that is not taken. The oldest makes room: of this place, or of all.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        address: SocketAddr,
        message_1: &[u8],
        is_taken: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, EdhocError> {
        let identifier = self.fresh_identifier(is_taken)?;
        let ephemeral = DhKey::fresh(|bytes| system_rng().fill_bytes(bytes)).0;
        let responder = Responder::answer(message_1, ephemeral, identifier, &self.key, &self.own)?;
        let message_2 = responder.message_2().to_vec();
        self.open.retain(|open| now.saturating_duration_since(open.since) < LIFE);
        let of_place = |open: &&Open| place(open.address.ip()) == place(address.ip());
        if self.open.iter().filter(of_place).count() >= OPEN_OF_PLACE_MAX
            && let Some(oldest) = self.open.iter().position(|open| of_place(&open))
        {
            self.open.remove(oldest);
        }
        if self.open.len() >= OPEN_MAX {
            self.open.pop_front();
        }
        self.open.push_back(Open { address, responder, since: now });
        Ok(message_2)
    }

    fn fresh_identifier(&self, is_taken: impl Fn(&[u8]) -> bool) -> Result<Identifier, EdhocError> {
        let is_open = |bytes: &[u8]| self.open.iter().any(|o| o.responder.identifier().as_bytes() == bytes);
        loop {
            let mut bytes = [0; IDENTIFIER_BYTES];
            system_rng().fill_bytes(&mut bytes);
            if !is_open(&bytes) && !is_taken(&bytes) {
                return Identifier::new(&bytes);
            }
        }
    }

    /// The session, and whose it is, for message 3 behind its identifier. `None` when no handshake of that address waits
    /// for it. Whatever comes, the handshake is over.
    pub(super) fn finish(
        &mut self,
        address: SocketAddr,
        payload: &[u8],
    ) -> Option<Result<(Session, Credential), EdhocError>> {
        let at = self.open.iter().position(|open| {
            open.address == address && payload.starts_with(&open.responder.identifier().to_cbor())
        })?;
        let Open { responder, .. } = self.open.remove(at)?;
        let message_3 = payload.get(responder.identifier().to_cbor().len()..).unwrap_or_default();
        Some(finished(responder, message_3))
    }
}

fn finished(responder: Responder, message_3: &[u8]) -> Result<(Session, Credential), EdhocError> {
    let named = responder.read(message_3)?;
    // Nobody's key is known beforehand by a short name: each is shown.
    let CredentialId::Value(claims) = named.id() else { return Err(EdhocError::NotAuthentic) };
    let peer = Credential::from_claims_set(claims)?;
    Ok((named.finish(&peer)?, peer))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use thingward_coap::edhoc::Initiator;

    use super::*;

    fn address(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], port))
    }

    fn handshakes() -> Handshakes {
        let key = DhKey::new(&[5; 32]).unwrap();
        let own = Credential::claims_set("gateway", &key);
        Handshakes::new(key, own)
    }

    fn free(_: &[u8]) -> bool {
        false
    }

    fn begun() -> Initiator {
        Initiator::start(DhKey::new(&[9; 32]).unwrap(), Identifier::new(&[0]).unwrap(), &[])
    }

    #[test]
    fn an_identifier_that_a_context_has_is_drawn_again() {
        let (mut ours, drawn) = (handshakes(), RefCell::new(Vec::new()));
        let is_taken = |bytes: &[u8]| {
            drawn.borrow_mut().push(bytes.to_vec());
            drawn.borrow().len() < 3
        };
        ours.answer(Instant::now(), address(1, 7), begun().message_1(), is_taken).unwrap();
        assert_eq!(drawn.borrow().len(), 3);
        assert_eq!(ours.open[0].responder.identifier().as_bytes(), drawn.borrow()[2]);
    }

    #[test]
    fn a_handshake_ends_with_the_key_of_who_began_it_and_once() {
        let (mut ours, now, peer) = (handshakes(), Instant::now(), address(1, 7));
        let begun = begun();
        let message_2 = ours.answer(now, peer, begun.message_1(), free).unwrap();
        let named = begun.read(&message_2).unwrap();
        let raw = DhKey::new(&[6; 32]).unwrap();
        let own = Credential::claims_set("", &raw);
        let gateway = ours.own.clone();
        let (message_3, session) = named.finish(&gateway, &raw, &own).unwrap();
        let payload = [session.responder().to_cbor(), message_3].concat();
        assert!(ours.finish(address(1, 8), &payload).is_none());
        let (theirs, credential) = ours.finish(peer, &payload).unwrap().unwrap();
        assert_eq!(credential.public, raw.public());
        assert_eq!(theirs.export(0x8000), session.export(0x8000));
        assert!(ours.finish(peer, &payload).is_none());
    }

    #[test]
    fn what_is_open_is_bounded_and_forgotten() {
        let (mut ours, now) = (handshakes(), Instant::now());
        for port in 0..40 {
            ours.answer(now, address(1, port), begun().message_1(), free).unwrap();
        }
        assert_eq!(ours.open.len(), OPEN_OF_PLACE_MAX);
        for host in 0..1100_u16 {
            let [high, low] = host.to_be_bytes();
            let far = SocketAddr::from(([198, 18, high, low], 1));
            ours.answer(now, far, begun().message_1(), free).unwrap();
        }
        assert_eq!(ours.open.len(), OPEN_MAX);
        ours.answer(now + LIFE, address(1, 1), begun().message_1(), free).unwrap();
        assert_eq!(ours.open.len(), 1);
    }
}
