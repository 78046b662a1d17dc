//! The symmetric profile: issuer and device share a key, and each holder's key follows from it and the blocks so far.
//!
//! The tag of a block is not sent: it is the key of whoever holds what ends with this block. The issuer hands it to the
//! holder together with the grant, over a channel that keeps it secret; a holder who narrows hands the next tag on. From
//! a tag nobody computes the one before it, so nothing that was taken away comes back. The device computes all of them
//! from the key it shares. That is how RFC 9202 §3.3 lets a device derive a proof-of-possession key from a token, one
//! step for each block, and with HMAC-SHA256 itself as the derivation.

use thingward_crypto::MacKey;
use thingward_crypto::mac::MAC_KEY_BYTES;
use thingward_model::{NameRef, name};

use crate::chain::{GRANT, NARROWING, head};
use crate::claims::{CLAIMS_BYTES_MAX, Claims, Origin, Place, Terms};
use crate::cose::{Context, Profile};
use crate::keys::{Authenticator, SharedKey};
use crate::presentation::{self, Nonce};
use crate::{FormatError, Grant, NARROWINGS_MAX, Operation};

/// The key of a grant's holder. Wiped when dropped; never printed.
pub struct HolderSecret(MacKey);

impl HolderSecret {
    /// The secret of these bytes, as [`Self::expose`] gave them.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; MAC_KEY_BYTES]) -> Self {
        Self(MacKey::new(bytes))
    }

    /// The bytes, for handing them to the holder in secret.
    #[must_use]
    pub fn expose(&self) -> &[u8; MAC_KEY_BYTES] {
        self.0.expose()
    }
}

/// Issues a grant into `out`; returns its length in bytes, and the secret of its holder.
///
/// # Errors
///
/// [`FormatError::Malformed`] when the terms lack an audience, a scope, or both an expiry and a use count, or have a
/// time with fractions of a second or no use; [`FormatError::TooLarge`]; [`FormatError::BufferTooSmall`].
pub fn issue(
    issuer: &SharedKey,
    origin: &Origin<'_>,
    terms: &Terms<'_>,
    out: &mut [u8],
) -> Result<(usize, HolderSecret), FormatError> {
    let claims = Claims { origin: Some(*origin), terms: *terms, holder: None };
    let mut room = [0; CLAIMS_BYTES_MAX];
    let payload = claims.write(Profile::Symmetric, Place::First, &mut room)?;
    let head = head(Profile::Symmetric, Place::First, Some(issuer.id()));
    let len = head.write(Profile::Symmetric, payload, None, out)?.len();
    Ok((len, HolderSecret(context(Place::First).derive(issuer.mac_key(), payload)?)))
}

/// Narrows `grant`, and writes the whole of it into `out`; returns its length in bytes, and the secret of the next
/// holder.
///
/// # Errors
///
/// As [`issue`]; [`FormatError::TooLarge`] also at [`NARROWINGS_MAX`]. Whether `holder` is the grant's holder only the
/// issuer and the device can tell.
pub fn narrow(
    holder: &HolderSecret,
    grant: &Grant<'_>,
    terms: &Terms<'_>,
    out: &mut [u8],
) -> Result<(usize, HolderSecret), FormatError> {
    if grant.narrowings() >= NARROWINGS_MAX {
        return Err(FormatError::TooLarge);
    }
    let claims = Claims { origin: None, terms: *terms, holder: None };
    let mut room = [0; CLAIMS_BYTES_MAX];
    let payload = claims.write(Profile::Symmetric, Place::Narrowing, &mut room)?;
    let head = head(Profile::Symmetric, Place::Narrowing, None);
    let len = grant.followed_by(out, |out| Ok(head.write(Profile::Symmetric, payload, None, out)?.len()))?;
    Ok((len, HolderSecret(context(Place::Narrowing).derive(&holder.0, payload)?)))
}

/// Shows `grant` to `device` for one operation, and writes the presentation into `out`; returns its length in bytes.
///
/// # Errors
///
/// [`FormatError::BufferTooSmall`].
pub fn present(
    holder: &HolderSecret,
    grant: &Grant<'_>,
    device: NameRef<'_, name::Device>,
    nonce: &Nonce,
    operation: &Operation<'_>,
    out: &mut [u8],
) -> Result<usize, FormatError> {
    presentation::write(Authenticator::Symmetric(&holder.0), grant, &[], device, nonce, operation, out)
}

/// The secret of the grant's holder, as whoever shares a key with the issuer computes it.
#[inline(never)]
pub(crate) fn holder(grant: &Grant<'_>, issuer: &SharedKey) -> Result<MacKey, FormatError> {
    let (mut key, mut place) = (None, Place::First);
    for block in grant.blocks() {
        let before = key.as_ref().unwrap_or(issuer.mac_key());
        key = Some(context(place).derive(before, block?.item.payload)?);
        place = Place::Narrowing;
    }
    key.ok_or(FormatError::Malformed)
}

/// What a block's tag is for. It needs no digest: the key itself comes from all blocks before.
const fn context(place: Place) -> Context<'static> {
    match place {
        Place::First => Context { label: GRANT, digest: &[] },
        Place::Narrowing => Context { label: NARROWING, digest: &[] },
    }
}
