//! A use of a grant as its device reports it: the device's reply, and behind it the presentation that it permitted. The
//! bytes are in `docs/wire/grants.md`.

use std::string::{String, ToString};
use std::vec::Vec;

use minicbor::Decoder;
use thingward_crypto::{Digest, KeyId, VerifyingKey, sha256};
use thingward_grant::public::{Used, verify_used};
use thingward_grant::{Audience, GrantId, Nonce, Presentation};
use thingward_seal::command::{Outcome, Reply, SignedReply};

/// A report of a use that nobody has checked.
pub struct UseReport<'a> {
    reply: SignedReply<'a>,
    reply_bytes: &'a [u8],
    presentation: Presentation<'a>,
    presentation_bytes: &'a [u8],
}

/// A use that its device vouches for, and the grant's holder.
#[derive(Debug, Clone, Copy)]
pub struct ReportedUse<'a> {
    /// What was asked for, on the word of the issuer and all holders.
    pub used: Used<'a>,
    /// What became of it, on the device's word.
    pub reply: Reply<'a>,
    /// SHA-256 over the signed reply.
    pub reply_hash: Digest,
    /// SHA-256 over the grant as it was issued.
    pub issued_hash: Digest,
}

/// Why a report is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UseFault {
    /// Not a reply and a presentation, each in its one encoding.
    #[error("malformed")]
    Malformed,
    /// The device did not sign the reply.
    #[error("wrong-signer")]
    Signer,
    /// The reply is about another presentation.
    #[error("about another presentation")]
    OtherPresentation,
    /// The grant, a narrowing or the proof is not by whom it says.
    #[error("forged")]
    Forged,
    /// It was not begun, so it is no use.
    #[error("of something that was refused")]
    Refused,
    /// It was shown to, or is for, another device, or is of another tenant.
    #[error("of another device")]
    OtherDevice,
}

impl<'a> UseReport<'a> {
    /// Reads a report that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`UseFault::Malformed`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, UseFault> {
        let mut d = Decoder::new(bytes);
        d.skip().map_err(|_| UseFault::Malformed)?;
        let (reply_bytes, presentation_bytes) =
            bytes.split_at_checked(d.position()).ok_or(UseFault::Malformed)?;
        let reply = SignedReply::decode(reply_bytes).map_err(|_| UseFault::Malformed)?;
        let presentation = Presentation::decode(presentation_bytes).map_err(|_| UseFault::Malformed)?;
        Ok(Self { reply, reply_bytes, presentation, presentation_bytes })
    }

    /// The key that the reply says it is signed with.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.reply.key_id()
    }

    /// The grant's id, on nobody's word.
    #[must_use]
    pub const fn grant_unverified(&self) -> GrantId {
        self.presentation.grant().origin_unverified().id
    }

    /// Checks it all: the device's word on this presentation, and the presentation of a grant by `issuer` to the device.
    ///
    /// # Errors
    ///
    /// [`UseFault`].
    pub fn verify(
        &self,
        tenant: &str,
        device: &str,
        device_key: &VerifyingKey,
        issuer: &VerifyingKey,
    ) -> Result<ReportedUse<'a>, UseFault> {
        let reply = self.reply.verify(device_key).map_err(|_| UseFault::Signer)?;
        if reply.command != sha256(&[self.presentation_bytes]) {
            return Err(UseFault::OtherPresentation);
        }
        if matches!(reply.outcome, Outcome::Refused { .. }) {
            return Err(UseFault::Refused);
        }
        let used = verify_used(&self.presentation, issuer).map_err(|_| UseFault::Forged)?;
        if used.nonce != reply.id {
            return Err(UseFault::OtherPresentation);
        }
        let is_for_it = self.presentation.grant().terms_unverified().all(|terms| {
            // Whether it is in a class, the device knows.
            terms.is_ok_and(
                |terms| !matches!(terms.audience, Some(Audience::Device(name)) if name.as_str() != device),
            )
        });
        if used.origin.issuer.as_str() != tenant || used.device.as_str() != device || !is_for_it {
            return Err(UseFault::OtherDevice);
        }
        let issued = self.presentation.grant().issued_bytes().map_err(|_| UseFault::Malformed)?;
        Ok(ReportedUse {
            used,
            reply,
            reply_hash: sha256(&[self.reply_bytes]),
            issued_hash: sha256(&[issued]),
        })
    }
}

impl ReportedUse<'_> {
    /// Which use: the nonce.
    #[must_use]
    pub const fn nonce(&self) -> Nonce {
        self.used.nonce
    }

    /// What an entry's target says of it.
    #[must_use]
    pub fn target(&self) -> String {
        std::format!("operation/{}/{}", self.used.device, self.used.operation.action())
    }

    /// What an entry's details say of it.
    #[must_use]
    pub fn details(&self) -> Vec<(&'static str, String)> {
        let hex = base16ct::lower::encode_string;
        Vec::from([
            ("id", hex(&self.used.nonce)),
            ("grant", hex(&self.used.origin.id)),
            ("outcome", self.reply.outcome.as_str().to_string()),
            ("reply", hex(&self.reply_hash)),
        ])
    }
}
