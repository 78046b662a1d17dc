//! The devices that encrypt: their keys, and how far their counters came.

use std::collections::BTreeMap;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::address::Address;
use crate::error::Error;

/// Devices with a key that are kept; a site has tens.
pub const DEVICES_MAX: usize = 4096;

/// A device's key, as its owner or the maker's cloud tells it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct BindKey {
    bytes: [u8; 16],
    #[zeroize(skip)]
    pub(crate) kind: KeyKind,
}

/// What a key is for. One for the other would be a way around the check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// AES-CCM with a check of four bytes.
    Authenticated,
    /// AES-CCM without one.
    Legacy,
}

impl BindKey {
    /// Of BTHome, and of MiBeacon 4 and 5.
    pub const fn new(key: &[u8; 16]) -> Self {
        Self { bytes: *key, kind: KeyKind::Authenticated }
    }

    /// Of MiBeacon 2 and 3, which fill it up with four bytes that are the same for all.
    pub const fn legacy(key: &[u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *key;
        let bytes = [a, b, c, d, e, f, 0x8d, 0x3d, 0x3c, 0x97, g, h, i, j, k, l];
        Self { bytes, kind: KeyKind::Legacy }
    }

    pub(crate) const fn bytes(&self) -> &[u8; 16] {
        &self.bytes
    }
}

/// The devices whose keys are known, each with the highest counter that was taken from it.
///
/// Where a tag is checked only who has the key moves a counter, and no device is forgotten to make room for another, so
/// nobody can make a counter start again. Without a tag, in MiBeacon 2 and 3, anybody can.
#[derive(Default)]
pub struct Devices {
    known: BTreeMap<Address, Device>,
}

struct Device {
    key: BindKey,
    last: Option<u32>,
}

/// There are [`DEVICES_MAX`] devices already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {DEVICES_MAX} devices with keys already")]
pub struct TooManyDevices;

impl Devices {
    /// Takes a key for a device, in place of an earlier one. `last` is the highest counter taken with this key, from
    /// [`Devices::last_counter`] of an earlier run; with a new key there is none.
    ///
    /// # Errors
    ///
    /// [`TooManyDevices`].
    pub fn trust(&mut self, address: Address, key: BindKey, last: Option<u32>) -> Result<(), TooManyDevices> {
        if self.known.len() >= DEVICES_MAX && !self.known.contains_key(&address) {
            return Err(TooManyDevices);
        }
        self.known.insert(address, Device { key, last });
        Ok(())
    }

    /// Forgets a device with its key and counter.
    pub fn forget(&mut self, address: Address) {
        self.known.remove(&address);
    }

    /// The highest counter that was taken from a device, to be kept over a restart.
    pub fn last_counter(&self, address: Address) -> Option<u32> {
        self.known.get(&address).and_then(|device| device.last)
    }

    pub(crate) fn is_known(&self, address: Address) -> bool {
        self.known.contains_key(&address)
    }

    /// What `open` makes of the device's key, if it is of the kind and the counter is new.
    pub(crate) fn open<T>(
        &mut self,
        address: Address,
        kind: KeyKind,
        counter: u32,
        open: impl FnOnce(&BindKey) -> Option<T>,
    ) -> Result<T, Error> {
        let device = self.known.get_mut(&address).ok_or(Error::KeyMissing)?;
        if device.key.kind != kind {
            return Err(Error::KeyKind);
        }
        let opened = open(&device.key).ok_or(Error::WrongKey)?;
        device.advance(counter)?;
        Ok(opened)
    }
}

impl Device {
    /// Of the legacy counter eight bits are known to count, and 24 above them were only seen as zero. So there only what
    /// was taken last is told when it comes again. To refuse lower ones would let a forged high one silence the device.
    fn advance(&mut self, counter: u32) -> Result<(), Error> {
        match self.last {
            Some(last) if last == counter => return Err(Error::Repeated { counter }),
            Some(last) if last > counter && self.key.kind == KeyKind::Authenticated => {
                return Err(Error::Replayed { counter, last });
            }
            Some(_) | None => self.last = Some(counter),
        }
        Ok(())
    }
}
