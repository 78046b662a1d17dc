//! EDHOC as the responder: RFC 9528 appendix A.2. What is open is bounded, and forgotten soon.
//!
//! Who has no certificate yet, or a small network, proves itself with a raw key, and says with it who it is. Who has one may show it
//! in message 3, and is that member from then on.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_core::Rng;
use thingward_coap::edhoc::{
    Credential, CredentialId, DhKey, EdhocError, Identifier, Message1, Method, OwnKey, Proof, Responder,
    Session, Suites, error_message,
};
use thingward_crypto::{SignatureAlgorithm, system_rng};
use thingward_model::clock::now;
use thingward_pki::proof::{Anchor, member_of};
use thingward_pki::{LeafIdentity, PkiError};

use super::book::RawKey;
use super::budget::Size;
use super::office::NoMember;
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

/// Who the other end of a handshake has proved to be.
#[derive(Debug)]
pub(super) enum Shown {
    /// Whoever has this raw key.
    Raw(RawKey),
    /// The holder of this certificate, which leads to our root and is valid now.
    Certificate(Box<LeafIdentity>),
}

/// Why a handshake fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error(transparent)]
    Edhoc(#[from] EdhocError),
    /// Nobody known vouches for who is there.
    #[error(transparent)]
    Certificate(#[from] PkiError),
    /// Somebody is there who is known, and not let in.
    #[error(transparent)]
    NoMember(#[from] NoMember),
    #[error("there are too many members here")]
    NoRoom,
}

impl HandshakeError {
    /// The error message that says so: RFC 9528 §6.
    pub(super) fn message(&self) -> Vec<u8> {
        match self {
            Self::Edhoc(error) => error.message(),
            other => error_message(&other.to_string()),
        }
    }
}

struct Open {
    address: SocketAddr,
    responder: Responder,
    since: Instant,
}

/// The raw key of this end, and who is shaking hands with it.
pub(super) struct Handshakes {
    key: DhKey,
    own: Credential,
    /// What the key of the certificate signs with.
    signs: SignatureAlgorithm,
    open: VecDeque<Open>,
}

/// Message 1 was taken.
pub(super) enum Begun {
    /// Message 2.
    Answered(Vec<u8>),
    /// It is for the key of the certificate to answer, with this identifier.
    ToBeSigned(Box<Message1>, Identifier),
}

impl Handshakes {
    pub(super) fn new(key: DhKey, own: Credential, signs: SignatureAlgorithm) -> Self {
        Self { key, own, signs, open: VecDeque::new() }
    }

    /// What can be done with a method: a static key is on P-256, a signature is what the certificate's key makes.
    fn suites(&self, method: Method) -> Suites {
        match (method.initiator(), method.responder()) {
            (_, Proof::StaticDh) => Suites::P256,
            (Proof::StaticDh, Proof::Signature) if self.signs == SignatureAlgorithm::Ed25519 => Suites::NONE,
            (_, Proof::Signature) => Suites::of(self.signs),
        }
    }

    /// How large the answer to message 1 is.
    pub(super) fn size(&self, message_1: &[u8]) -> Size {
        let message_1 = Message1::read(message_1, |method| self.suites(method));
        match message_1.map(|message_1| message_1.method().responder()) {
            Ok(Proof::Signature) => Size::Large,
            Ok(Proof::StaticDh) | Err(_) => Size::Small,
        }
    }

    /// Begins to answer message 1, with an identifier that is not taken.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        address: SocketAddr,
        message_1: &[u8],
        is_taken: impl Fn(&[u8]) -> bool,
    ) -> Result<Begun, EdhocError> {
        let message_1 = Message1::read(message_1, |method| self.suites(method))?;
        let identifier = self.fresh_identifier(is_taken)?;
        if message_1.method().responder() == Proof::Signature {
            return Ok(Begun::ToBeSigned(Box::new(message_1), identifier));
        }
        let ephemeral = ephemeral(&message_1);
        let key = OwnKey::Static(&self.key);
        let responder = Responder::answer(&message_1, ephemeral, identifier, key, &self.own)?;
        let message_2 = responder.message_2().to_vec();
        self.open(now, address, responder);
        Ok(Begun::Answered(message_2))
    }

    /// Message 2 is on its way. The oldest makes room: of this place, or of all.
    pub(super) fn open(&mut self, now: Instant, address: SocketAddr, responder: Responder) {
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
        anchor: Anchor<'_>,
    ) -> Option<Result<(Session, Shown), HandshakeError>> {
        let at = self.open.iter().position(|open| {
            open.address == address && payload.starts_with(&open.responder.identifier().to_cbor())
        })?;
        let Open { responder, .. } = self.open.remove(at)?;
        let message_3 = payload.get(responder.identifier().to_cbor().len()..).unwrap_or_default();
        Some(finished(responder, message_3, anchor))
    }
}

/// A fresh key on the curve that somebody asks for.
pub(super) fn ephemeral(message_1: &Message1) -> DhKey {
    DhKey::ephemeral(message_1.suite().curve(), |bytes| system_rng().fill_bytes(bytes))
}

fn finished(
    responder: Responder,
    message_3: &[u8],
    anchor: Anchor<'_>,
) -> Result<(Session, Shown), HandshakeError> {
    let named = responder.read(message_3)?;
    match named.id() {
        CredentialId::Value(claims) => {
            let peer = Credential::from_claims_set(claims)?;
            let key = *peer.static_key().ok_or(EdhocError::Credential)?;
            Ok((named.finish(&peer)?, Shown::Raw(key)))
        }
        CredentialId::Chain(chain) => {
            let leaf = member_of(chain.certificates(), anchor, now())?;
            let peer = Credential::chain(chain.certificates(), leaf.key.clone())?;
            Ok((named.finish(&peer)?, Shown::Certificate(Box::new(leaf))))
        }
        // Nobody is known beforehand by a short name: each shows what it has.
        CredentialId::Kid(_) | CredentialId::Thumbprint(_) => Err(EdhocError::UnknownCredential.into()),
    }
}

#[cfg(test)]
mod tests;
