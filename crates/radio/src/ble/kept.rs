//! What is kept: the keys of things that encrypt, how far their counters came, and what things were seen to have.

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use thingward_ble::{Address, BindKey};

use super::member::Had;
use crate::wire::{KEPT_BYTES_MAX, Name, Secret, Wiped};

/// Most things with keys.
pub(super) const THINGS_MAX: usize = 256;

/// Most bytes of names and units that are kept. What has no room is seen again.
const SEEN_BYTES_MAX: usize = KEPT_BYTES_MAX / 2;
/// More than what a name and its unit need besides their text.
const SEEN_BYTES_EACH: usize = 16;

/// All of it.
#[derive(Debug, Default, Encode, Decode)]
pub(super) struct Kept {
    #[n(0)]
    pub(super) things: Vec<KeptThing>,
    #[n(1)]
    pub(super) seen: Vec<Seen>,
}

/// What a thing was seen to have.
#[derive(Debug, Encode, Decode)]
pub(super) struct Seen {
    #[n(0)]
    pub(super) address: ByteArray<6>,
    #[n(1)]
    pub(super) name: Name,
    #[n(2)]
    pub(super) had: Had,
}

/// A thing that encrypts.
#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct KeptThing {
    #[n(0)]
    address: ByteArray<6>,
    /// 16 bytes, or the 12 of MiBeacon 2 and 3.
    #[n(1)]
    key: Secret,
    /// The highest counter that was taken; none before the first.
    #[n(2)]
    pub(super) last: Option<u32>,
}

/// What was kept is nothing that is kept here.
#[derive(Debug, thiserror::Error)]
#[error("what was kept cannot be read")]
pub(super) struct NotKept;

/// What is printed is not `ADDRESS:BINDKEY`.
#[derive(Debug, thiserror::Error)]
#[error("what is printed is not ADDRESS:BINDKEY, with a key of 32 or 24 hexadecimal digits")]
pub(super) struct NotPrinted;

impl Seen {
    fn bytes_max(&self) -> usize {
        self.address.len() + self.name.as_str().len() + self.had.unit.as_str().len() + SEEN_BYTES_EACH
    }
}

impl KeptThing {
    /// What is printed on a thing, or what its maker's cloud tells.
    pub(super) fn printed(secret: &Secret) -> Result<Self, NotPrinted> {
        let text = std::str::from_utf8(secret.expose()).map_err(|_| NotPrinted)?;
        let (address, key) = text.trim().rsplit_once(':').ok_or(NotPrinted)?;
        let address = parse(address).ok_or(NotPrinted)?.0.into();
        let thing = Self { address, key: Secret::new(unhex(key).ok_or(NotPrinted)?), last: None };
        thing.bind_key().map(|_| thing.clone()).ok_or(NotPrinted)
    }

    pub(super) fn address(&self) -> Address {
        Address(*self.address)
    }

    /// `None` where it is not as long as a key.
    pub(super) fn bind_key(&self) -> Option<BindKey> {
        let key = self.key.expose();
        let legacy = || <&[u8; 12]>::try_from(key).ok().map(BindKey::legacy);
        <&[u8; 16]>::try_from(key).ok().map(BindKey::new).or_else(legacy)
    }

    /// Whether the key is the same.
    pub(super) fn has_key_of(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

/// All of it, as it was kept.
pub(super) fn read(secret: &Secret) -> Result<Kept, NotKept> {
    let kept: Kept = minicbor::decode(secret.expose()).map_err(|_| NotKept)?;
    let things = &kept.things;
    let is_right = things.len() <= THINGS_MAX && things.iter().all(|thing| thing.bind_key().is_some());
    if is_right { Ok(kept) } else { Err(NotKept) }
}

/// All of it, to be kept.
pub(super) fn write(things: Vec<KeptThing>, seen: impl Iterator<Item = Seen>) -> Secret {
    let mut room = SEEN_BYTES_MAX;
    let fits = |seen: &Seen| {
        let left = room.checked_sub(seen.bytes_max());
        room = left.unwrap_or_default();
        left.is_some()
    };
    let kept = Kept { things, seen: seen.take_while(fits).collect() };
    let mut bytes = Wiped::default();
    // Memory takes everything.
    let _ = minicbor::encode(&kept, &mut bytes);
    Secret::new(std::mem::take(&mut *bytes.into_inner()))
}

/// An address of six bytes in hexadecimal, with or without colons.
pub(super) fn parse(text: &str) -> Option<Address> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    Some(Address(unhex(&digits)?.try_into().ok()?))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_right = text.len().is_multiple_of(2) && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let byte = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    if is_right { (0..text.len()).step_by(2).map(byte).collect() } else { None }
}
