//! A grant as it travels: the issuer's block, and behind it what each holder appended. A CBOR sequence (RFC 8742).

use thingward_crypto::{Digest, KeyId, sha256};

use crate::cbor::{Major, Reader};
use crate::claims::{Claims, HolderKey, Origin, Place, Terms};
use crate::cose::{Head, Item, Profile};
use crate::{FormatError, GRANT_BYTES_MAX, NARROWINGS_MAX};

/// What the issuer's block is authenticated for.
pub(crate) const GRANT: &[u8] = b"thingward grant";
/// What a narrowing is authenticated for.
pub(crate) const NARROWING: &[u8] = b"thingward narrowing";

/// A well-formed grant that nobody has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant<'a> {
    profile: Profile,
    key_id: KeyId,
    origin: Origin<'a>,
    narrowings: usize,
    bytes: &'a [u8],
}

impl<'a> Grant<'a> {
    /// Reads a grant that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when it is none, not in its one encoding, or beyond a limit.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut r = Reader::new(bytes);
        let grant = Self::read(&mut r)?;
        r.end()?;
        Ok(grant)
    }

    /// Reads the blocks of a grant, up to what is no narrowing.
    pub(crate) fn read(r: &mut Reader<'a>) -> Result<Self, FormatError> {
        let start = r.position();
        let first = Block::read(r, Place::First)?;
        let (Some(key_id), Some(origin)) = (first.item.head.key_id, first.claims()?.origin) else {
            return Err(FormatError::Malformed);
        };
        let profile = first.item.profile;
        let mut narrowings = 0_usize;
        while !r.is_at_end() && r.next_major()? == Major::Array {
            let narrowing = Block::read(r, Place::Narrowing)?;
            narrowing.claims()?;
            if narrowing.item.profile != profile {
                return Err(FormatError::Malformed);
            }
            narrowings = narrowings.saturating_add(1);
            if narrowings > NARROWINGS_MAX {
                return Err(FormatError::TooLarge);
            }
        }
        let bytes = r.since(start)?;
        if bytes.len() > GRANT_BYTES_MAX {
            return Err(FormatError::TooLarge);
        }
        Ok(Self { profile, key_id, origin, narrowings, bytes })
    }

    /// How it is authenticated.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// The issuer's key, by its own word.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Where it says that it comes from: on nobody's word, to look up and to show, never to act on.
    #[must_use]
    pub const fn origin_unverified(&self) -> &Origin<'a> {
        &self.origin
    }

    /// The terms of its blocks in their order, on nobody's word.
    pub fn terms_unverified(&self) -> impl Iterator<Item = Result<Terms<'a>, FormatError>> {
        self.blocks().map(|block| Ok(block?.claims()?.terms))
    }

    /// How often it was narrowed.
    #[must_use]
    pub const fn narrowings(&self) -> usize {
        self.narrowings
    }

    /// The exact bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The exact bytes of the issuer's block: the grant as it was issued.
    ///
    /// # Errors
    ///
    /// [`FormatError`] never, in practice: the bytes were read before.
    pub fn issued_bytes(&self) -> Result<&'a [u8], FormatError> {
        Ok(self.blocks().next().ok_or(FormatError::Malformed)??.item.bytes)
    }

    /// Whose key has to show it, on nobody's word. `None` in the symmetric profile, where that is a secret.
    ///
    /// # Errors
    ///
    /// [`FormatError`] never, in practice: the bytes were read before.
    pub fn holder_unverified(&self) -> Result<Option<HolderKey>, FormatError> {
        let last = self.blocks().last().ok_or(FormatError::Malformed)??;
        Ok(last.claims()?.holder.copied().map(HolderKey::from_bytes))
    }

    /// Whose key the issuer gave it to, on nobody's word. `None` in the symmetric profile.
    ///
    /// # Errors
    ///
    /// As [`Self::holder_unverified`].
    pub fn first_holder_unverified(&self) -> Result<Option<HolderKey>, FormatError> {
        let first = self.blocks().next().ok_or(FormatError::Malformed)??;
        Ok(first.claims()?.holder.copied().map(HolderKey::from_bytes))
    }

    /// Its blocks, the issuer's first.
    pub(crate) fn blocks(&self) -> Blocks<'a> {
        Blocks { reader: Reader::new(self.bytes), place: Place::First }
    }

    /// This grant with something appended, at the front of `out`; returns the length in bytes.
    pub(crate) fn followed_by(
        &self,
        out: &mut [u8],
        write: impl FnOnce(&mut [u8]) -> Result<usize, FormatError>,
    ) -> Result<usize, FormatError> {
        let (front, back) = out.split_at_mut_checked(self.bytes.len()).ok_or(FormatError::BufferTooSmall)?;
        front.copy_from_slice(self.bytes);
        Ok(self.bytes.len().saturating_add(write(back)?))
    }
}

/// One link of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    pub(crate) item: Item<'a>,
    pub(crate) place: Place,
}

impl<'a> Block<'a> {
    fn read(r: &mut Reader<'a>, place: Place) -> Result<Self, FormatError> {
        let item = Item::read(r)?;
        if item.head.is_tagged != head(item.profile, place, None).is_tagged
            || item.head.key_id.is_some() != (place == Place::First)
            || item.authenticator.is_some() != (item.profile == Profile::Public)
        {
            return Err(FormatError::Malformed);
        }
        Ok(Self { item, place })
    }

    /// What it says. Read when asked for: who only checks tags has no use for it.
    pub(crate) fn claims(&self) -> Result<Claims<'a>, FormatError> {
        Claims::read(self.item.payload, self.item.profile, self.place)
    }
}

/// How a block starts. A public grant by itself is a CWT, which has the tag of its COSE structure in front (RFC 8392 §6);
/// what follows it is told by its place and goes without.
pub(crate) fn head(profile: Profile, place: Place, key_id: Option<KeyId>) -> Head {
    Head { is_tagged: profile == Profile::Public && place == Place::First, key_id }
}

/// The hash over a grant's blocks up to this one: each covers the hash before it and the block's exact bytes.
pub(crate) fn extend(digest: Option<&Digest>, block: &Block<'_>) -> Digest {
    sha256(&[digest.map_or(&[][..], |d| d), block.item.bytes])
}

/// The blocks of a grant that was read before. An error is not to be skipped: a block left out would be a wider grant.
#[derive(Debug, Clone)]
pub(crate) struct Blocks<'a> {
    reader: Reader<'a>,
    place: Place,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_at_end() {
            return None;
        }
        let place = core::mem::replace(&mut self.place, Place::Narrowing);
        Some(Block::read(&mut self.reader, place))
    }
}
