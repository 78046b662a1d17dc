//! The frame around the objects.

use crate::address::Address;
use crate::error::Error;
use crate::report::Format;

const ENCRYPTED: u16 = 1 << 3;
const WITH_ADDRESS: u16 = 1 << 4;
const WITH_CAPABILITY: u16 = 1 << 5;
const WITH_OBJECT: u16 = 1 << 6;
const MESH: u16 = 1 << 7;
/// In the capability: one more byte of it follows.
const CAPABILITY_IO: u8 = 1 << 5;

pub(super) struct Frame<'a> {
    pub(super) address: Address,
    pub(super) version: u8,
    pub(super) is_encrypted: bool,
    pub(super) product: u16,
    /// Control, product and counter: the five bytes that encryption binds.
    pub(super) head: [u8; 5],
    /// Objects, or what encryption made of them.
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// `None` when there is no object in it.
    pub(super) fn parse(address: Address, data: &'a [u8]) -> Result<Option<Self>, Error> {
        let short = Error::TooShort(Format::MiBeacon);
        let (head, mut rest) = data.split_first_chunk::<5>().ok_or(short)?;
        let [low, high, product_low, product_high, _counter] = *head;
        let control = u16::from_le_bytes([low, high]);
        let version = high >> 4;
        if control & MESH != 0 {
            return Err(Error::Mesh);
        }
        if !(2..=5).contains(&version) {
            return Err(Error::Version(Format::MiBeacon, version));
        }
        if control & WITH_ADDRESS != 0 {
            let (stated, after) = rest.split_first_chunk().ok_or(short)?;
            if Address::from_air(*stated) != address {
                return Err(Error::AddressMismatch);
            }
            rest = after;
        }
        if control & WITH_CAPABILITY != 0 {
            let (capability, after) = rest.split_first().ok_or(short)?;
            let more = usize::from(capability & CAPABILITY_IO != 0);
            rest = after.get(more..).ok_or(short)?;
        }
        let is_encrypted = control & ENCRYPTED != 0;
        let product = u16::from_le_bytes([product_low, product_high]);
        let frame = Self { address, version, is_encrypted, product, head: *head, payload: rest };
        Ok((control & WITH_OBJECT != 0).then_some(frame))
    }

    /// The counter: what follows the payload is above the frame's own eight bits.
    pub(super) fn counter(&self, [low, middle, high]: [u8; 3]) -> u32 {
        let [.., counter] = self.head;
        u32::from_le_bytes([counter, low, middle, high])
    }
}
