//! What an issuer says apart from grants: signed, with the id of its key, and a version in front.

use thingward_crypto::KeyId;

use crate::cbor::Reader;
use crate::cose::{Context, Head, Item};
use crate::keys::{IssuerKey, TrustedKey};
use crate::{FormatError, Refusal};

/// The version that this code writes, and the only one so far.
pub(crate) const VERSION: u32 = 1;

/// Signs what an issuer says and writes it to the front of `out`; returns its length in bytes.
pub(crate) fn sign(
    key: IssuerKey<'_>,
    label: &'static [u8],
    payload: &[u8],
    out: &mut [u8],
) -> Result<usize, FormatError> {
    let head = Head { is_tagged: true, key_id: Some(key.id()) };
    Ok(key.authenticator().write(Context { label, digest: &[] }, head, payload, out)?.len())
}

/// A statement that nobody has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Statement<'a> {
    item: Item<'a>,
    pub(crate) key_id: KeyId,
}

impl<'a> Statement<'a> {
    /// Reads a statement that is all of `bytes`, and what is behind the version in an array of `len`.
    pub(crate) fn read<T>(
        bytes: &'a [u8],
        len: usize,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, FormatError>,
    ) -> Result<(Self, T), FormatError> {
        let statement = Self::of(bytes)?;
        let said = versioned(statement.item.payload, len, read)?;
        Ok((statement, said))
    }

    #[inline(never)]
    fn of(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut r = Reader::new(bytes);
        let item = Item::read(&mut r)?;
        r.end()?;
        let (Head { is_tagged: true, key_id: Some(key_id) }, Some(_)) = (item.head, item.authenticator)
        else {
            return Err(FormatError::Malformed);
        };
        Ok(Self { item, key_id })
    }

    /// # Errors
    ///
    /// [`Refusal::UnknownIssuer`] when another key is named, [`Refusal::Forged`] when `key` did not sign it for `label`.
    #[inline(never)]
    pub(crate) fn verify(&self, key: &TrustedKey<'_>, label: &'static [u8]) -> Result<(), Refusal> {
        if key.id() != self.key_id {
            return Err(Refusal::UnknownIssuer);
        }
        Ok(self.item.verify(key.verifier(), Context { label, digest: &[] })?)
    }
}

/// What `read` makes of an array of `len` that is all of `payload`, behind its version.
pub(crate) fn versioned<'a, T>(
    payload: &'a [u8],
    len: usize,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, FormatError>,
) -> Result<T, FormatError> {
    let mut r = behind_version(payload, len)?;
    let said = read(&mut r)?;
    r.end()?;
    Ok(said)
}

#[inline(never)]
fn behind_version(payload: &[u8], len: usize) -> Result<Reader<'_>, FormatError> {
    let mut r = Reader::new(payload);
    let is_right = r.array()? == len;
    if r.u32()? != VERSION {
        return Err(FormatError::UnknownVersion);
    }
    if is_right { Ok(r) } else { Err(FormatError::Malformed) }
}
