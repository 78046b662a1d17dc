//! BTHome, version 2 and 1 (bthome.io/format, bthome.io/v1): service data with a list of objects, which may be
//! encrypted.
//!
//! The objects are in `data/bthome.csv`. Both versions have the same; version 1 writes length and type before each
//! id.

mod objects;
mod seal;
#[cfg(test)]
mod tests;

use crate::address::Address;
use crate::draft::Draft;
use crate::error::Error;
use crate::key::Devices;
use crate::report::{Format, Report, Security};

/// The service of version 2.
pub const SERVICE: u16 = 0xfcd2;
/// The service of version 1.
pub const SERVICE_V1: u16 = 0x181c;
/// The service of version 1 with encryption.
pub const SERVICE_V1_ENCRYPTED: u16 = 0x181e;

const ENCRYPTED: u8 = 1;
const WITH_ADDRESS: u8 = 1 << 1;
const VERSION: u8 = 2;

/// Reads service data of version 2.
///
/// # Errors
///
/// [`Error`]
pub fn read(address: Address, data: &[u8], devices: &mut Devices) -> Result<Report, Error> {
    let format = Format::BthomeV2;
    let (info, rest) = data.split_first().ok_or(Error::TooShort(format))?;
    if info >> 5 != VERSION {
        return Err(Error::Version(format, info >> 5));
    }
    let rest = if info & WITH_ADDRESS == 0 {
        rest
    } else {
        let (stated, rest) = rest.split_first_chunk().ok_or(Error::TooShort(format))?;
        if Address::from_air(*stated) != address {
            return Err(Error::AddressMismatch);
        }
        rest
    };
    let mut draft = Draft::default();
    if info & ENCRYPTED == 0 {
        objects::read(rest, &mut draft);
        return Ok(draft.finish(address, format, Security::Open));
    }
    objects::read(&seal::open_v2(address, *info, rest, devices)?, &mut draft);
    Ok(draft.finish(address, format, Security::Encrypted))
}

/// Reads service data of version 1.
pub fn read_v1(address: Address, data: &[u8]) -> Report {
    let mut draft = Draft::default();
    objects::read_v1(data, &mut draft);
    draft.finish(address, Format::BthomeV1, Security::Open)
}

/// Reads service data of version 1 with encryption.
///
/// # Errors
///
/// [`Error`]
pub fn read_v1_encrypted(address: Address, data: &[u8], devices: &mut Devices) -> Result<Report, Error> {
    let mut draft = Draft::default();
    objects::read_v1(&seal::open_v1(address, data, devices)?, &mut draft);
    Ok(draft.finish(address, Format::BthomeV1, Security::Encrypted))
}
