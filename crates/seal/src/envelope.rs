//! A gateway's signed envelope: when and from which link it took a message of the thing behind it.
//!
//! ```text
//! 18([ << {1: algorithm} >>, {4: gateway key id}, << [1, child, topic, received, link, SHA-256(message)] >>, signature ])
//! message, as a byte string
//! ```
//!
//! The message itself follows the signature unchanged, so that a child's chain verifies at the service as if
//! the gateway were not there.

use thingward_crypto::{Digest, KeyId, Signer, VerifyingKey, sha256};
use thingward_model::cbor::{Reader, Writer};
use thingward_model::{DeviceName, Link, Timestamp};

use crate::FormatError;
use crate::cose::{self, PAYLOAD_BYTES_MAX, Sign1};

/// What signatures over envelopes are bound to.
const CONTEXT: &[u8] = b"thingward envelope";
const VERSION: u64 = 1;
/// Room that an envelope takes besides the message, in bytes.
pub const ENVELOPE_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 104;

/// What a gateway says about a message it forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The thing behind the gateway, from its certificate.
    pub child: DeviceName,
    /// The topic that it published to, as it wrote it.
    pub topic: &'a str,
    /// When the gateway took the message.
    pub received: Timestamp,
    /// How it came.
    pub link: Link,
    /// The message's exact bytes.
    pub message: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Signs the envelope into `out`, the message behind it, and returns the length in bytes.
    ///
    /// # Errors
    ///
    /// [`FormatError::BufferTooSmall`] when `out` has less room than the message and [`ENVELOPE_BYTES_MAX`],
    /// or the topic is too long; [`FormatError::Crypto`] when the signer fails.
    pub fn sign(&self, signer: &impl Signer, out: &mut [u8]) -> Result<usize, FormatError> {
        let signed = cose::sign1(signer, CONTEXT, PAYLOAD_BYTES_MAX, out, |payload| {
            let mut e = Writer::new(payload);
            e.array(6)?.u64(VERSION)?.str(self.child.as_str())?.str(self.topic)?;
            e.int(self.received.as_micros())?.u8(self.link.code())?.bytes(&sha256(&[self.message]))?;
            Ok(e.position())
        })?;
        let mut e = Writer::new(out.get_mut(signed..).unwrap_or_default());
        e.bytes(self.message)?;
        Ok(signed + e.position())
    }
}

/// A well-formed envelope whose signature nobody has checked.
pub struct SignedEnvelope<'a> {
    sign1: Sign1<'a>,
    claimed: Envelope<'a>,
    digest: Digest,
}

impl<'a> SignedEnvelope<'a> {
    /// Reads an envelope with its message.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when the bytes are something else.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut r = Reader::new(bytes);
        let sign1 = Sign1::read(&mut r, PAYLOAD_BYTES_MAX)?;
        let message = r.bytes()?;
        r.end()?;
        let mut r = Reader::new(sign1.payload);
        if r.array()? != 6 {
            return Err(FormatError::Malformed);
        }
        if r.u64()? != VERSION {
            return Err(FormatError::UnknownVersion);
        }
        let child = r.str()?.parse().map_err(|_| FormatError::Malformed)?;
        let topic = r.str()?;
        let received = Timestamp::from_micros(r.int()?);
        let link = Link::from_code(r.u8()?).ok_or(FormatError::UnknownVersion)?;
        let digest = *r.byte_array()?;
        r.end()?;
        Ok(Self { sign1, claimed: Envelope { child, topic, received, link, message }, digest })
    }

    /// The key that it says signed it.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.sign1.key_id
    }

    /// The envelope, on the word of `key`'s holder.
    ///
    /// # Errors
    ///
    /// [`FormatError::Crypto`] when `key` did not sign it or the message is another.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Envelope<'a>, FormatError> {
        self.sign1.verify(key, CONTEXT)?;
        if sha256(&[self.claimed.message]) != self.digest {
            return Err(FormatError::Crypto);
        }
        Ok(self.claimed)
    }
}
