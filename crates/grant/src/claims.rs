//! What a block of a grant says: the claims of a CWT (RFC 8392 §3), of which a narrowing has a part.

use thingward_crypto::VerifyingKey;
use thingward_model::{NameRef, Timestamp, name};

use crate::cbor::{self, Reader, Writer};
use crate::{Audience, FormatError, Profile, Scope};

/// Largest claims of one block, in bytes: a scope, three names and a reference of greatest length, and the rest.
pub const CLAIMS_BYTES_MAX: usize = 544;
/// Longest payment or reason reference, in bytes.
pub const REFERENCE_BYTES_MAX: usize = 40;

/// Claim keys: RFC 8392 §4, RFC 8747 §3.1 (cnf), RFC 9200 (scope). Ours are from the range for private use.
const ISSUER: i64 = 1;
const AUDIENCE: i64 = 3;
const EXPIRES: i64 = 4;
const NOT_BEFORE: i64 = 5;
const ID: i64 = 7;
const HOLDER: i64 = 8;
const SCOPE: i64 = 9;
const EPOCH: i64 = -65_537;
const USES: i64 = -65_538;
const REFERENCE: i64 = -65_539;

/// The place of a claim in the order that their encoded keys have: those from 0 on ascend, those below come behind them and
/// descend (RFC 8949 §4.2.1), and ours are so far below that none has the place of another. `None` for what is none of ours.
const fn place_in_order(claim: i64) -> Option<u64> {
    match claim {
        ISSUER | AUDIENCE..=NOT_BEFORE | ID..=SCOPE => Some(claim.unsigned_abs()),
        REFERENCE..=EPOCH => Some(claim.unsigned_abs()),
        _ => None,
    }
}

/// A `cnf` claim in front of the 32 bytes of an Ed25519 key: `{1: {1: 1, -1: 6, -2: h'...'}}`, a COSE_Key in RFC 8747
/// §3.2 and RFC 9053 §7.2.
const CONFIRMATION: [u8; 10] = [0xa1, 0x01, 0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 0x20];

/// A grant's name (`cti`): random, never used twice by an issuer. Eight bytes, since devices keep lists of them.
pub type GrantId = [u8; 8];

/// Why somebody has a grant, in a word that means nothing to outsiders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    /// It was paid for.
    Payment(&'a str),
    /// There is another reason.
    Reason(&'a str),
}

/// Where a grant comes from: what only its issuer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The tenant that it is of.
    pub issuer: NameRef<'a, name::Tenant>,
    /// Names the grant.
    pub id: GrantId,
    /// The issuer's epoch at the audience. A grant of an earlier one than the device knows is void.
    pub epoch: u32,
    /// Why the holder has it.
    pub reference: Option<Reference<'a>>,
}

/// What a block demands. Nothing is demanded where there is `None`; a use has to meet the terms of every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms<'a> {
    /// The device has to be this, or in this.
    pub audience: Option<Audience<'a>>,
    /// The first moment at which it counts no more. In whole seconds from 1970 to 2106.
    pub expires: Option<Timestamp>,
    /// The first moment at which it counts. In whole seconds from 1970 to 2106.
    pub not_before: Option<Timestamp>,
    /// The grant, with all its narrowings, is used this often and no more. At least 1.
    pub uses: Option<u32>,
    /// What may be done.
    pub scope: Option<Scope<'a>>,
}

/// The key of a grant's holder, as RFC 8032 writes it. Nothing is known of it: a key that no signature can be checked
/// with is refused when a signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HolderKey([u8; 32]);

impl HolderKey {
    /// The key of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// # Errors
    ///
    /// [`FormatError::Crypto`] when `key` is no Ed25519 key.
    pub fn from_key(key: &VerifyingKey) -> Result<Self, FormatError> {
        key.to_ed25519().map(Self).ok_or(FormatError::Crypto)
    }

    /// The bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// All that a block says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claims<'a> {
    pub(crate) origin: Option<Origin<'a>>,
    pub(crate) terms: Terms<'a>,
    /// The bytes of a [`HolderKey`].
    pub(crate) holder: Option<&'a [u8; 32]>,
}

/// Where a block stands in its grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    Narrowing,
}

impl<'a> Claims<'a> {
    /// Writes the claims to the front of `out`.
    pub(crate) fn write<'o>(
        &self,
        profile: Profile,
        place: Place,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], FormatError> {
        self.check(profile, place)?;
        cbor::written(out, |e| self.encode(e))
    }

    fn encode(&self, e: &mut Writer<'_>) -> Result<(), FormatError> {
        let Self { origin, terms, holder } = self;
        let Terms { audience, expires, not_before, uses, scope } = terms;
        let reference = origin.and_then(|o| o.reference);
        // Issuer, id and epoch come together.
        let of_origin = if origin.is_some() { 3 } else { 0 };
        let alone = [
            audience.is_some(),
            expires.is_some(),
            not_before.is_some(),
            holder.is_some(),
            scope.is_some(),
            uses.is_some(),
            reference.is_some(),
        ];
        e.map(alone.into_iter().map(usize::from).sum::<usize>().saturating_add(of_origin))?;
        if let Some(origin) = origin {
            e.int(ISSUER)?.str(origin.issuer.as_str())?;
        }
        if let Some(audience) = audience {
            audience.write(e.int(AUDIENCE)?)?;
        }
        if let Some(time) = expires {
            e.int(EXPIRES)?.u32(seconds(*time)?)?;
        }
        if let Some(time) = not_before {
            e.int(NOT_BEFORE)?.u32(seconds(*time)?)?;
        }
        if let Some(origin) = origin {
            e.int(ID)?.bytes(&origin.id)?;
        }
        if let Some(key) = holder {
            e.int(HOLDER)?.raw(&CONFIRMATION)?;
            e.raw(*key)?;
        }
        if let Some(scope) = scope {
            e.int(SCOPE)?.bytes(scope.as_bytes())?;
        }
        if let Some(origin) = origin {
            e.int(EPOCH)?.u32(origin.epoch)?;
        }
        if let Some(uses) = uses {
            e.int(USES)?.u32(*uses)?;
        }
        match reference {
            Some(Reference::Payment(text)) => e.int(REFERENCE)?.array(2)?.u8(PAYMENT)?.str(text)?,
            Some(Reference::Reason(text)) => e.int(REFERENCE)?.array(2)?.u8(REASON)?.str(text)?,
            None => e,
        };
        Ok(())
    }

    /// Reads claims that are all of `bytes`.
    pub(crate) fn read(bytes: &'a [u8], profile: Profile, place: Place) -> Result<Self, FormatError> {
        let mut r = Reader::new(bytes);
        let (mut issuer, mut id, mut epoch, mut reference) = (None, None, None, None);
        let (mut terms, mut holder) = (Terms::default(), None);
        let mut last = 0;
        for _ in 0..r.map()? {
            let claim = r.int()?;
            let place = place_in_order(claim).ok_or(FormatError::UnknownVersion)?;
            if place <= last {
                return Err(FormatError::Malformed);
            }
            last = place;
            match claim {
                ISSUER => issuer = Some(r.name()?),
                AUDIENCE => terms.audience = Some(Audience::read(&mut r)?),
                EXPIRES => terms.expires = Some(read_time(&mut r)?),
                NOT_BEFORE => terms.not_before = Some(read_time(&mut r)?),
                ID => id = Some(*r.byte_array()?),
                HOLDER => holder = Some(read_holder(&mut r)?),
                SCOPE => terms.scope = Some(Scope::from_bytes(r.bytes()?)?),
                EPOCH => epoch = Some(r.u32()?),
                USES => terms.uses = Some(r.u32()?),
                _ => reference = Some(read_reference(&mut r)?),
            }
        }
        r.end()?;
        let origin = match (issuer, id, epoch) {
            (Some(issuer), Some(id), Some(epoch)) => Some(Origin { issuer, id, epoch, reference }),
            (None, None, None) if reference.is_none() => None,
            _ => return Err(FormatError::Malformed),
        };
        let claims = Self { origin, terms, holder };
        claims.check(profile, place)?;
        Ok(claims)
    }

    /// What every block has to say, and may not.
    fn check(&self, profile: Profile, place: Place) -> Result<(), FormatError> {
        let Self { origin, terms, holder } = self;
        let has_reference_that_fits = origin.and_then(|o| o.reference).is_none_or(|reference| {
            let (Reference::Payment(text) | Reference::Reason(text)) = reference;
            text.len() <= REFERENCE_BYTES_MAX
        });
        if !has_reference_that_fits {
            return Err(FormatError::TooLarge);
        }
        let is_placed = match place {
            // A grant is for somebody, for something, and ends.
            Place::First => {
                let ends = terms.expires.is_some() || terms.uses.is_some();
                origin.is_some() && terms.audience.is_some() && terms.scope.is_some() && ends
            }
            Place::Narrowing => origin.is_none(),
        };
        let is_held = holder.is_some() == (profile == Profile::Public);
        let is_usable = terms.uses != Some(0);
        if is_placed && is_held && is_usable { Ok(()) } else { Err(FormatError::Malformed) }
    }
}

const PAYMENT: u8 = 0;
const REASON: u8 = 1;

/// RFC 8392 §2 allows fractions and negative times; one encoding is enough.
pub(crate) fn seconds(time: Timestamp) -> Result<u32, FormatError> {
    let seconds = u32::try_from(time.as_seconds()).map_err(|_| FormatError::Malformed)?;
    if Timestamp::from_seconds(seconds.into()) == time { Ok(seconds) } else { Err(FormatError::Malformed) }
}

pub(crate) fn read_time(r: &mut Reader<'_>) -> Result<Timestamp, FormatError> {
    Ok(Timestamp::from_seconds(r.u32()?.into()))
}

fn read_holder<'a>(r: &mut Reader<'a>) -> Result<&'a [u8; 32], FormatError> {
    let key = r.raw(CONFIRMATION.len().saturating_add(32))?.strip_prefix(&CONFIRMATION);
    key.and_then(|key| key.try_into().ok()).ok_or(FormatError::Malformed)
}

fn read_reference<'a>(r: &mut Reader<'a>) -> Result<Reference<'a>, FormatError> {
    if r.array()? != 2 {
        return Err(FormatError::Malformed);
    }
    let kind = r.u32()?;
    let text = r.str()?;
    match u8::try_from(kind) {
        Ok(PAYMENT) => Ok(Reference::Payment(text)),
        Ok(REASON) => Ok(Reference::Reason(text)),
        _ => Err(FormatError::UnknownVersion),
    }
}
