//! The subset of COSE (RFC 9052) that grants are made of: Sign1 with Ed25519, Mac0 with HMAC-SHA256.
//!
//! ```text
//! first block   18([ << {1: -8} >>, {4: key id}, claims, signature ])      [ << {1: 5} >>, {4: key id}, claims ]
//! narrowing       [ << {1: -8} >>, {},          claims, signature ]        [ << {1: 5} >>, {},          claims ]
//! proof         18([ << {1: -8} >>, {},         payload, signature ])   17([ << {1: 5} >>, {},         payload, tag ])
//! statement     18([ << {1: -8} >>, {4: key id}, payload, signature ])  17([ << {1: 5} >>, {4: key id}, payload, tag ])
//! ```
//!
//! A symmetric block is a COSE_Mac0 whose tag stays with the holder: it is the holder's key.

use thingward_crypto::KeyId;

use crate::FormatError;
use crate::cbor::{self, Major, Reader};
use crate::claims::CLAIMS_BYTES_MAX;
use crate::keys::Verifier;

/// Largest payload of a proof or statement, in bytes; claims are smaller.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 576;
const _: () = assert!(CLAIMS_BYTES_MAX <= PAYLOAD_BYTES_MAX);
/// Largest item in bytes: a payload, its head of 3 bytes, a signature with its head, and 17 bytes of structure.
pub(crate) const ITEM_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 96;

/// Room in front of the payload in what is signed: context, protected header, a label and a digest of 32 bytes.
pub(crate) const PREFIX_BYTES_MAX: usize = 96;
/// The same in what is authenticated with a shared key: without a digest, on chips with little stack.
const MAC_PREFIX_BYTES_MAX: usize = 40;

/// Header labels: RFC 9052 §3.1.
const KEY_ID: i64 = 4;

/// How a grant is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Ed25519 signatures, which anybody can verify.
    Public,
    /// HMAC-SHA256 with keys that come from one that issuer and device share.
    Symmetric,
}

impl Profile {
    /// `{1: -8}`, EdDSA (RFC 9053 §2.2), or `{1: 5}`, HMAC 256/256 (§3.1), encoded.
    const fn protected(self) -> &'static [u8] {
        match self {
            Self::Public => &[0xa1, 0x01, 0x27],
            Self::Symmetric => &[0xa1, 0x01, 0x05],
        }
    }

    const fn from_protected(protected: &[u8]) -> Option<Self> {
        match protected {
            [0xa1, 0x01, 0x27] => Some(Self::Public),
            [0xa1, 0x01, 0x05] => Some(Self::Symmetric),
            _ => None,
        }
    }

    /// CBOR tag of COSE_Sign1 or COSE_Mac0: RFC 9052 §2.
    const fn tag(self) -> u64 {
        match self {
            Self::Public => 18,
            Self::Symmetric => 17,
        }
    }

    /// The context string of what is authenticated: RFC 9052 §4.4 and §6.3.
    const fn structure(self) -> &'static str {
        match self {
            Self::Public => "Signature1",
            Self::Symmetric => "MAC0",
        }
    }

    /// Bytes of a signature or tag.
    const fn authenticator_bytes(self) -> usize {
        match self {
            Self::Public => 64,
            Self::Symmetric => 32,
        }
    }
}

/// What a signature is for: a label, and in the public profile the digest of what it belongs to. Neither a label nor a
/// label with a digest has the length of another, so none can stand for another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) label: &'static [u8],
    pub(crate) digest: &'a [u8],
}

impl Context<'_> {
    /// Sig_structure or MAC_structure up to where the payload's bytes begin: RFC 9052 §4.4, §6.3.
    pub(crate) fn prefix<'o>(
        &self,
        profile: Profile,
        payload: &[u8],
        out: &'o mut [u8],
    ) -> Result<&'o [u8], FormatError> {
        cbor::written(out, |e| {
            e.array(4)?.str(profile.structure())?.bytes(profile.protected())?;
            e.bytes_len(self.label.len().saturating_add(self.digest.len()))?;
            e.raw(self.label)?.raw(self.digest)?.bytes_len(payload.len())?;
            Ok(())
        })
    }

    /// All of the structure in one piece, for signatures.
    pub(crate) fn whole<'o>(&self, payload: &[u8], out: &'o mut [u8]) -> Result<&'o [u8], FormatError> {
        let at = self.prefix(Profile::Public, payload, out)?.len();
        let end = at.saturating_add(payload.len());
        out.get_mut(at..end).ok_or(FormatError::TooLarge)?.copy_from_slice(payload);
        out.get(..end).ok_or(FormatError::TooLarge)
    }

    /// What `work` makes of MAC_structure, in two parts.
    pub(crate) fn with_mac_structure<T>(
        &self,
        payload: &[u8],
        work: impl FnOnce(&[&[u8]]) -> T,
    ) -> Result<T, FormatError> {
        let mut room = [0; MAC_PREFIX_BYTES_MAX];
        Ok(work(&[self.prefix(Profile::Symmetric, payload, &mut room)?, payload]))
    }
}

/// What an item is, apart from what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) is_tagged: bool,
    pub(crate) key_id: Option<KeyId>,
}

impl Head {
    pub(crate) fn write<'o>(
        self,
        profile: Profile,
        payload: &[u8],
        authenticator: Option<&[u8]>,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], FormatError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(FormatError::TooLarge);
        }
        cbor::written(out, |e| {
            if self.is_tagged {
                e.tag(profile.tag())?;
            }
            e.array(if authenticator.is_some() { 4 } else { 3 })?.bytes(profile.protected())?;
            match self.key_id {
                Some(id) => e.map(1)?.int(KEY_ID)?.bytes(&id)?,
                None => e.map(0)?,
            };
            e.bytes(payload)?;
            if let Some(authenticator) = authenticator {
                e.bytes(authenticator)?;
            }
            Ok(())
        })
    }
}

/// An item that nobody has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    pub(crate) head: Head,
    pub(crate) profile: Profile,
    pub(crate) payload: &'a [u8],
    /// The signature or tag, where one is sent.
    pub(crate) authenticator: Option<&'a [u8]>,
    /// The exact bytes of all of it.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Item<'a> {
    /// Reads one item, leaving `r` behind it.
    pub(crate) fn read(r: &mut Reader<'a>) -> Result<Self, FormatError> {
        let start = r.position();
        let tag = if r.next_major()? == Major::Tag { Some(r.tag()?) } else { None };
        let len = r.array()?;
        let profile = Profile::from_protected(r.bytes()?).ok_or(FormatError::UnknownVersion)?;
        let key_id = match r.map()? {
            0 => None,
            1 if r.int()? == KEY_ID => Some(*r.byte_array()?),
            _ => return Err(FormatError::Malformed),
        };
        let payload = r.bytes()?;
        let authenticator = match len {
            3 => None,
            4 => Some(r.bytes()?),
            _ => return Err(FormatError::Malformed),
        };
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(FormatError::TooLarge);
        }
        let is_right = tag.is_none_or(|tag| tag == profile.tag())
            && authenticator.is_none_or(|a| a.len() == profile.authenticator_bytes());
        if !is_right {
            return Err(FormatError::Malformed);
        }
        let head = Head { is_tagged: tag.is_some(), key_id };
        Ok(Self { head, profile, payload, authenticator, bytes: r.since(start)? })
    }

    /// # Errors
    ///
    /// [`FormatError::Crypto`] when `key` did not authenticate it for `context`, or it is of the other profile.
    pub(crate) fn verify(&self, key: Verifier<'_>, context: Context<'_>) -> Result<(), FormatError> {
        match self.authenticator {
            Some(authenticator) if self.profile == key.profile() => {
                key.verify(context, self.payload, authenticator)
            }
            _ => Err(FormatError::Crypto),
        }
    }
}
