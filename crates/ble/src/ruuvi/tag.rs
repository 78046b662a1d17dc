//! The tags: formats 3 and 5.

use crate::draft::Draft;
use crate::ruuvi::{Fields, climate, scaled};

/// Metres per second squared in ten `g`. Receivers of these tags take 9.8 for one, well within what they measure.
const TEN_G: i64 = 98;

/// Data format 3, "RAWv1".
pub(super) fn read_3(data: &[u8], draft: &mut Draft) -> Option<()> {
    let mut fields = Fields(data);
    let humidity = fields.u8()?;
    draft.number("humidity", "%RH", (humidity <= 200).then(|| f64::from(humidity) / 2.0));
    let (whole, hundredths) = (fields.u8()?, fields.u8()?);
    draft.number("temperature", "Cel", temperature(whole, hundredths));
    // All values are pressures in this format.
    let raw = fields.u16()?;
    draft.number("pressure", "hPa", (f64::from(raw) + 50_000.0) / 100.0);
    acceleration(&mut fields, draft)?;
    draft.number("voltage", "mV", f64::from(fields.u16()?));
    Some(())
}

/// A sign, degrees in seven bits, and hundredths.
fn temperature(whole: u8, hundredths: u8) -> Option<f64> {
    let size = (f64::from(whole & 0x7f) * 100.0 + f64::from(hundredths)) / 100.0;
    (hundredths < 100).then_some(if whole & 0x80 == 0 { size } else { -size })
}

/// Data format 5, "RAWv2".
pub(super) fn read_5(data: &[u8], draft: &mut Draft) -> Option<()> {
    let mut fields = Fields(data);
    climate(&mut fields, draft)?;
    acceleration(&mut fields, draft)?;
    // Eleven bits of millivolts above 1600, five of two dBm above -40.
    let power = fields.u16()?;
    let (voltage, transmit) = (power >> 5, power & 0x1f);
    draft.number("voltage", "mV", (voltage != 0x7ff).then(|| f64::from(voltage) + 1600.0));
    draft.number("transmit_power", "dBm", (transmit != 0x1f).then(|| f64::from(transmit) * 2.0 - 40.0));
    draft.number("movement_counter", "", scaled(fields.u8()?, u8::MAX, 1));
    draft.number("measurement_sequence", "", scaled(fields.u16()?, u16::MAX, 1));
    fields.take::<6>().map(|_address| ())
}

/// Three axes and their sum; without one of them the others are no acceleration.
fn acceleration(fields: &mut Fields<'_>, draft: &mut Draft) -> Option<()> {
    let axis = |raw: i16| scaled(i64::from(raw) * TEN_G, i64::from(i16::MIN) * TEN_G, 10_000);
    let axes = (axis(fields.i16()?), axis(fields.i16()?), axis(fields.i16()?));
    if let (Some(x), Some(y), Some(z)) = axes {
        draft.number("acceleration_x", "m/s2", x);
        draft.number("acceleration_y", "m/s2", y);
        draft.number("acceleration_z", "m/s2", z);
        draft.number("acceleration_total", "m/s2", x.hypot(y).hypot(z));
    }
    Some(())
}
