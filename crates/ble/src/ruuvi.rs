//! Sensors of Ruuvi: data formats 3, 5, 6 and E1 (docs.ruuvi.com, Bluetooth advertisements), which are never
//! encrypted.
//!
//! A value that its format calls unavailable is no reading. Numbers are big-endian.

mod air;
mod tag;
#[cfg(test)]
mod tests;

use crate::address::Address;
use crate::draft::Draft;
use crate::error::Error;
use crate::report::{Format, Report, Security};
use crate::table::double;

/// The company's id before its data.
pub const COMPANY: u16 = 0x0499;

/// Reads the company's data.
///
/// # Errors
///
/// [`Error::TooShort`], [`Error::Version`].
pub fn read(address: Address, data: &[u8]) -> Result<Report, Error> {
    let (format, data) = data.split_first().ok_or(Error::TooShort(Format::Ruuvi))?;
    let mut draft = Draft::default();
    let read = match format {
        0x03 => tag::read_3(data, &mut draft),
        0x05 => tag::read_5(data, &mut draft),
        0x06 => air::read_6(data, &mut draft),
        0xe1 => air::read_e1(data, &mut draft),
        other => return Err(Error::Version(Format::Ruuvi, *other)),
    };
    read.ok_or(Error::TooShort(Format::Ruuvi))?;
    Ok(draft.finish(address, Format::Ruuvi, Security::Open))
}

/// The fields of a format, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(field)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]| *byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(|bytes| i16::from_be_bytes(*bytes))
    }

    fn u24(&mut self) -> Option<u32> {
        self.take().map(|[a, b, c]| u32::from_be_bytes([0, *a, *b, *c]))
    }
}

/// `raw` in parts of one, unless it is the value that says unavailable.
fn scaled<T: Into<i64> + PartialEq>(raw: T, unavailable: T, parts: i32) -> Option<f64> {
    (raw != unavailable).then(|| double(raw.into()) / f64::from(parts))
}

/// Temperature, humidity and pressure as formats 5, 6 and E1 have them.
fn climate(fields: &mut Fields<'_>, draft: &mut Draft) -> Option<()> {
    draft.number("temperature", "Cel", scaled(fields.i16()?, i16::MIN, 200));
    draft.number("humidity", "%RH", scaled(fields.u16()?, u16::MAX, 400));
    draft.number("pressure", "hPa", pressure(fields.u16()?));
    Some(())
}

fn pressure(raw: u16) -> Option<f64> {
    (raw != u16::MAX).then(|| (f64::from(raw) + 50_000.0) / 100.0)
}
