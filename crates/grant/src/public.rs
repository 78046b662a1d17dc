//! The public profile: each block is signed with Ed25519, and anybody who has the issuer's key can check it.
//!
//! A narrowing's signature covers the hash of all blocks before it, and so does the proof. So neither can be put behind
//! another grant that names the same holder.

use thingward_crypto::{Digest, Signer, VerifyingKey};
use thingward_model::{NameRef, name};

use crate::chain::{GRANT, NARROWING, extend, head};
use crate::claims::{CLAIMS_BYTES_MAX, Claims, HolderKey, Origin, Place, Terms};
use crate::cose::{Context, Profile};
use crate::keys::{Authenticator, Verifier};
use crate::presentation::{self, Nonce};
use crate::{FormatError, Grant, NARROWINGS_MAX, Operation, Presentation, Refusal};

/// Issues a grant to `holder` into `out`; returns its length in bytes.
///
/// # Errors
///
/// [`FormatError::Malformed`] when the terms lack an audience, a scope, or both an expiry and a use count, or have a
/// time with fractions of a second or no use; [`FormatError::TooLarge`]; [`FormatError::Crypto`] when the signer fails or
/// is not of Ed25519; [`FormatError::BufferTooSmall`].
pub fn issue(
    issuer: &dyn Signer,
    origin: &Origin<'_>,
    terms: &Terms<'_>,
    holder: HolderKey,
    out: &mut [u8],
) -> Result<usize, FormatError> {
    let claims = Claims { origin: Some(*origin), terms: *terms, holder: Some(holder.as_bytes()) };
    let mut room = [0; CLAIMS_BYTES_MAX];
    let payload = claims.write(Profile::Public, Place::First, &mut room)?;
    let head = head(Profile::Public, Place::First, Some(issuer.public_key().id()));
    Ok(Authenticator::Public(issuer).write(context(None), head, payload, out)?.len())
}

/// Narrows `grant` for `next`, and writes the whole of it into `out`; returns its length in bytes.
///
/// # Errors
///
/// As [`issue`]; [`FormatError::TooLarge`] also at [`NARROWINGS_MAX`], [`FormatError::Crypto`] also when `holder` is not
/// the key of the grant's holder.
pub fn narrow(
    holder: &dyn Signer,
    grant: &Grant<'_>,
    terms: &Terms<'_>,
    next: HolderKey,
    out: &mut [u8],
) -> Result<usize, FormatError> {
    if grant.narrowings() >= NARROWINGS_MAX {
        return Err(FormatError::TooLarge);
    }
    let digest = held(holder, grant)?;
    let claims = Claims { origin: None, terms: *terms, holder: Some(next.as_bytes()) };
    let mut room = [0; CLAIMS_BYTES_MAX];
    let payload = claims.write(Profile::Public, Place::Narrowing, &mut room)?;
    let head = head(Profile::Public, Place::Narrowing, None);
    grant.followed_by(out, |out| {
        Ok(Authenticator::Public(holder).write(context(Some(&digest)), head, payload, out)?.len())
    })
}

/// Shows `grant` to `device` for one operation, and writes the presentation into `out`; returns its length in bytes.
///
/// # Errors
///
/// [`FormatError::Crypto`] when `holder` is not the key of the grant's holder; [`FormatError::BufferTooSmall`].
pub fn present(
    holder: &dyn Signer,
    grant: &Grant<'_>,
    device: NameRef<'_, name::Device>,
    nonce: &Nonce,
    operation: &Operation<'_>,
    out: &mut [u8],
) -> Result<usize, FormatError> {
    let digest = held(holder, grant)?;
    presentation::write(Authenticator::Public(holder), grant, &digest, device, nonce, operation, out)
}

/// Checks every signature of a grant, and gives the key of its holder.
///
/// # Errors
///
/// [`FormatError::Crypto`] when a block is not signed by the issuer, or not by the holder before it.
pub fn verify(grant: &Grant<'_>, issuer: &VerifyingKey) -> Result<VerifyingKey, FormatError> {
    Ok(verified_end(grant, issuer)?.0)
}

/// What a device was shown and permitted, for whoever hears of it later: all signatures hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used<'a> {
    /// Where the grant comes from.
    pub origin: Origin<'a>,
    /// The device that it was shown to.
    pub device: NameRef<'a, name::Device>,
    /// The nonce that the device made for it.
    pub nonce: Nonce,
    /// What the holder asked for.
    pub operation: Operation<'a>,
}

/// Checks every signature of a presentation, the holder's too. Whether it was to be permitted, the device decided.
///
/// # Errors
///
/// [`FormatError::Crypto`] when a signature does not hold.
pub fn verify_used<'a>(
    presentation: &Presentation<'a>,
    issuer: &VerifyingKey,
) -> Result<Used<'a>, FormatError> {
    let grant = presentation.grant();
    let (holder, digest) = verified_end(grant, issuer)?;
    presentation.verify(Verifier::Public(&holder), &digest)?;
    Ok(Used {
        origin: *grant.origin_unverified(),
        device: presentation.device,
        nonce: presentation.nonce,
        operation: presentation.operation,
    })
}

/// Checks every signature of a presentation.
#[inline(never)]
pub(crate) fn authenticate(presentation: &Presentation<'_>, issuer: &VerifyingKey) -> Result<(), Refusal> {
    let (holder, digest) = verified_end(presentation.grant(), issuer)?;
    presentation.verify(Verifier::Public(&holder), &digest).map_err(|_| Refusal::NotHolder)
}

/// The holder's key and the hash over all blocks, of a grant whose every signature was checked.
#[inline(never)]
fn verified_end(grant: &Grant<'_>, issuer: &VerifyingKey) -> Result<(VerifyingKey, Digest), FormatError> {
    let (mut key, mut digest) = (issuer.clone(), None);
    for block in grant.blocks() {
        let block = block?;
        block.item.verify(Verifier::Public(&key), context(digest.as_ref()))?;
        digest = Some(extend(digest.as_ref(), &block));
        key = VerifyingKey::from_ed25519(block.claims()?.holder.ok_or(FormatError::Malformed)?)?;
    }
    Ok((key, digest.ok_or(FormatError::Malformed)?))
}

/// The hash over all blocks, when `holder` is who the last one names. The holder need not know the issuer's key.
fn held(holder: &dyn Signer, grant: &Grant<'_>) -> Result<Digest, FormatError> {
    let (mut last, mut digest) = (None, None);
    for block in grant.blocks() {
        let block = block?;
        last = block.claims()?.holder;
        digest = Some(extend(digest.as_ref(), &block));
    }
    if last != Some(HolderKey::from_key(holder.public_key())?.as_bytes()) {
        return Err(FormatError::Crypto);
    }
    digest.ok_or(FormatError::Malformed)
}

/// What a block's signature is for: a grant, or a narrowing of what has this hash.
fn context(before: Option<&Digest>) -> Context<'_> {
    match before {
        None => Context { label: GRANT, digest: &[] },
        Some(digest) => Context { label: NARROWING, digest },
    }
}
