//! Air quality: formats 6 and E1.

use crate::draft::Draft;
use crate::ruuvi::{Fields, climate, scaled};

const CALIBRATING: u8 = 1;
const VOC_LOW: u8 = 1 << 6;
const NOX_LOW: u8 = 1 << 7;

/// Data format 6.
pub(super) fn read_6(data: &[u8], draft: &mut Draft) -> Option<()> {
    let mut fields = Fields(data);
    climate(&mut fields, draft)?;
    let pm25 = scaled(fields.u16()?, u16::MAX, 10);
    draft.number("pm25", "ug/m3", pm25);
    let carbon_dioxide = scaled(fields.u16()?, u16::MAX, 1);
    draft.number("carbon_dioxide", "ppm", carbon_dioxide);
    let (voc, nox, luminosity) = (fields.u8()?, fields.u8()?, fields.u8()?);
    draft.number("illuminance", "lx", (luminosity != u8::MAX).then(|| logarithmic(luminosity)));
    let _reserved = fields.u8()?;
    draft.number("measurement_sequence", "", f64::from(fields.u8()?));
    indices(voc, nox, fields.u8()?, draft);
    draft.number("iaqs", "", quality(carbon_dioxide, pm25));
    fields.take::<3>().map(|_address| ())
}

/// Data format E1, "Extended v1".
pub(super) fn read_e1(data: &[u8], draft: &mut Draft) -> Option<()> {
    let mut fields = Fields(data);
    climate(&mut fields, draft)?;
    draft.number("pm1", "ug/m3", scaled(fields.u16()?, u16::MAX, 10));
    let pm25 = scaled(fields.u16()?, u16::MAX, 10);
    draft.number("pm25", "ug/m3", pm25);
    draft.number("pm4", "ug/m3", scaled(fields.u16()?, u16::MAX, 10));
    draft.number("pm10", "ug/m3", scaled(fields.u16()?, u16::MAX, 10));
    let carbon_dioxide = scaled(fields.u16()?, u16::MAX, 1);
    draft.number("carbon_dioxide", "ppm", carbon_dioxide);
    let (voc, nox) = (fields.u8()?, fields.u8()?);
    draft.number("illuminance", "lx", scaled(fields.u24()?, 0x00ff_ffff, 100));
    let _reserved = fields.u24()?;
    draft.number("measurement_sequence", "", scaled(fields.u24()?, 0x00ff_ffff, 1));
    indices(voc, nox, fields.u8()?, draft);
    draft.number("iaqs", "", quality(carbon_dioxide, pm25));
    fields.take::<11>().map(|_reserved_and_address| ())
}

/// The two indices of nine bits, whose lowest ones are among the flags.
fn indices(voc: u8, nox: u8, flags: u8, draft: &mut Draft) {
    let index = |high: u8, low: u8| u16::from(high) << 1 | u16::from(flags & low != 0);
    draft.number("voc_index", "", scaled(index(voc, VOC_LOW), 0x1ff, 1));
    draft.number("nox_index", "", scaled(index(nox, NOX_LOW), 0x1ff, 1));
    draft.flag("calibrating", flags & CALIBRATING != 0);
}

/// Format 6 has 0 to 65535 lx on a logarithmic scale of 254 steps.
fn logarithmic(code: u8) -> f64 {
    (f64::from(code) * 65_536_f64.ln() / 254.0).exp_m1().round()
}

/// Ruuvi's index of indoor air quality (docs.ruuvi.com, "Ruuvi Indoor Air Quality Score"): 100 less the distance from
/// clean air, where 60 ug/m3 of PM 2.5 and 2300 ppm of carbon dioxide are each 100.
fn quality(carbon_dioxide: Option<f64>, pm25: Option<f64>) -> Option<f64> {
    let carbon_dioxide = (carbon_dioxide?.clamp(420.0, 2300.0) - 420.0) * 100.0 / (2300.0 - 420.0);
    let pm25 = pm25?.clamp(0.0, 60.0) * 100.0 / 60.0;
    Some((100.0 - carbon_dioxide.hypot(pm25)).max(0.0).round())
}
