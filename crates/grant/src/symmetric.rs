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
use crate::keys::{Authenticator, SharedKey, Verifier};
use crate::presentation::{self, Nonce};
use crate::{FormatError, Grant, NARROWINGS_MAX, Operation, Presentation, Refusal};

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
    Ok((len, HolderSecret(derive(issuer.mac_key(), Place::First, payload)?)))
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
    Ok((len, HolderSecret(derive(&holder.0, Place::Narrowing, payload)?)))
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

/// Checks that whoever made the proof has the secret of the grant's holder.
#[inline(never)]
pub(crate) fn authenticate(presentation: &Presentation<'_>, issuer: &SharedKey) -> Result<(), Refusal> {
    let mut key = issuer.mac_key().clone();
    for block in presentation.grant().blocks() {
        let block = block?;
        key = derive(&key, block.place, block.item.payload)?;
    }
    presentation.verify(Verifier::Symmetric(&key), &[]).map_err(|_| Refusal::NotHolder)
}

/// The key of whoever holds what ends with this block: the tag that is not sent.
#[inline(never)]
fn derive(key: &MacKey, place: Place, payload: &[u8]) -> Result<MacKey, FormatError> {
    context(place).with_mac_structure(payload, |parts| key.derive(parts))
}

/// What a block's tag is for. It needs no digest: the key itself comes from all blocks before.
const fn context(place: Place) -> Context<'static> {
    match place {
        Place::First => Context { label: GRANT, digest: &[] },
        Place::Narrowing => Context { label: NARROWING, digest: &[] },
    }
}
