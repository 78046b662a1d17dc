//! A grant in use: with it goes a proof of its holder's key, over the device's nonce and the one operation asked for.
//!
//! ```text
//! presentation = grant, proof
//! proof payload = [1, device, nonce, operation]
//! ```

use thingward_model::{NameRef, name};

use crate::cbor::{self, Reader};
use crate::cose::{Context, Head, Item, PAYLOAD_BYTES_MAX};
use crate::keys::{Authenticator, Verifier};
use crate::statement::{VERSION, versioned};
use crate::{FormatError, Grant, Operation};

/// A number that a device makes for one presentation: random, so that nobody who heard one before can use it again.
pub type Nonce = [u8; 16];

/// What a proof is authenticated for.
const USE: &[u8] = b"thingward use";

/// A well-formed presentation that nobody has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presentation<'a> {
    grant: Grant<'a>,
    proof: Item<'a>,
    pub(crate) device: NameRef<'a, name::Device>,
    pub(crate) nonce: Nonce,
    pub(crate) operation: Operation<'a>,
}

impl<'a> Presentation<'a> {
    /// Reads a presentation that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when it is none, not in its one encoding, or beyond a limit.
    #[inline(never)]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut r = Reader::new(bytes);
        let grant = Grant::read(&mut r)?;
        let proof = Item::read(&mut r)?;
        r.end()?;
        let is_proof =
            proof.head == PROOF && proof.authenticator.is_some() && proof.profile == grant.profile();
        if !is_proof {
            return Err(FormatError::Malformed);
        }
        versioned(proof.payload, 4, |r| {
            Ok(Self {
                grant,
                proof,
                device: r.name()?,
                nonce: *r.byte_array()?,
                operation: Operation::read(r)?,
            })
        })
    }

    /// The grant, on nobody's word: to look up how often it was used.
    #[must_use]
    pub const fn grant(&self) -> &Grant<'a> {
        &self.grant
    }

    /// The device that it is shown to, on nobody's word.
    #[must_use]
    pub const fn device(&self) -> NameRef<'a, name::Device> {
        self.device
    }

    /// The nonce that it answers, on nobody's word: to look up whether the device made it.
    #[must_use]
    pub const fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// What is asked for, on nobody's word.
    #[must_use]
    pub const fn operation(&self) -> Operation<'a> {
        self.operation
    }

    /// # Errors
    ///
    /// [`FormatError::Crypto`] when `holder` did not make the proof, for the grant of this digest.
    pub(crate) fn verify(&self, holder: Verifier<'_>, digest: &[u8]) -> Result<(), FormatError> {
        self.proof.verify(holder, Context { label: USE, digest })
    }
}

const PROOF: Head = Head { is_tagged: true, key_id: None };

/// Writes the presentation of `grant` into `out`; returns its length in bytes.
pub(crate) fn write(
    holder: Authenticator<'_>,
    grant: &Grant<'_>,
    digest: &[u8],
    device: NameRef<'_, name::Device>,
    nonce: &Nonce,
    operation: &Operation<'_>,
    out: &mut [u8],
) -> Result<usize, FormatError> {
    let mut room = [0; PAYLOAD_BYTES_MAX];
    let payload = cbor::written(&mut room, |e| {
        e.array(4)?.u32(VERSION)?.str(device.as_str())?.bytes(nonce)?.raw(operation.as_bytes())?;
        Ok(())
    })?;
    let context = Context { label: USE, digest };
    grant.followed_by(out, |out| Ok(holder.write(context, PROOF, payload, out)?.len()))
}
