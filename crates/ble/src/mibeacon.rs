//! Xiaomi's MiBeacon, versions 2 to 5: service data with objects, which may be encrypted.
//!
//! What objects and devices there are is in `data/mibeacon.csv` and `data/mibeacon_devices.csv`. The maker's own
//! definitions cover a part of them; the rest is what open receivers of these devices read in them.

mod buttons;
mod devices;
mod frame;
mod lock;
mod objects;
mod seal;
#[cfg(test)]
mod tests;

use crate::address::Address;
use crate::draft::Draft;
use crate::error::Error;
use crate::key::Devices;
use crate::report::{Format, Report, Security};

/// The service.
pub const SERVICE: u16 = 0xfe95;

/// Reads service data; `Ok(None)` when it has no object, as most frames of devices that say who they are.
///
/// # Errors
///
/// [`Error`]
pub fn read(address: Address, data: &[u8], devices: &mut Devices) -> Result<Option<Report>, Error> {
    let Some(frame) = frame::Frame::parse(address, data)? else { return Ok(None) };
    let product = devices::find(frame.product);
    let mut draft = Draft::default();
    let security = match (frame.is_encrypted, frame.version) {
        (false, _) => {
            objects::read(frame.payload, product, &mut draft);
            Security::Open
        }
        (true, 2 | 3) => {
            draft = seal::open_legacy(&frame, product, devices)?;
            Security::Unauthenticated
        }
        (true, _) => {
            objects::read(&seal::open(&frame, devices)?, product, &mut draft);
            Security::Encrypted
        }
    };
    let report = draft.finish(address, Format::MiBeacon, security);
    Ok(Some(Report { model: product.map(|product| product.model), ..report }))
}
