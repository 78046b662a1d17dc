//! Devices of Xiaomi's that came before MiBeacon or go without it, never encrypted.
//!
//! Their services belong to others too, so data of another length is none of theirs.

use crate::address::Address;
use crate::draft::Draft;
use crate::report::{Format, Report, Security};

/// The service that the plant sensor HHCCJCY10 uses.
pub const SERVICE_PLANT: u16 = 0xfd50;
/// The service of weight scales.
pub const SERVICE_SCALE: u16 = 0x181d;
/// The service of body composition scales.
pub const SERVICE_BODY_SCALE: u16 = 0x181b;

/// Reads the plant sensor's data: big-endian moisture, temperature, illuminance, battery, conductivity.
pub fn read_plant(address: Address, data: &[u8]) -> Option<Report> {
    let [moisture, t1, t0, l2, l1, l0, battery, c1, c0] = *<&[u8; 9]>::try_from(data).ok()?;
    let mut draft = Draft::default();
    draft.number("temperature", "Cel", f64::from(i16::from_be_bytes([t1, t0])) / 10.0);
    draft.number("moisture", "%", f64::from(moisture));
    draft.number("illuminance", "lx", f64::from(u32::from_be_bytes([0, l2, l1, l0])));
    draft.number("battery", "%EL", f64::from(battery));
    draft.number("conductivity", "uS/cm", f64::from(u16::from_be_bytes([c1, c0])));
    Some(draft.finish(address, Format::PlantSensor, Security::Open))
}

/// What a scale says about its measurement.
struct Weighing {
    pounds: bool,
    catty: bool,
    stabilized: bool,
    removed: bool,
}

impl Weighing {
    /// Reads into `draft` a mass in 1/200 kg, or in hundredths of the other units; says whether somebody stands
    /// still.
    fn read(self, raw: u16, draft: &mut Draft) -> bool {
        let raw = f64::from(raw);
        let mass = match (self.pounds, self.catty) {
            (false, false) => raw / 200.0,
            (true, _) => raw * 0.453_592_37 / 100.0,
            (false, true) => raw * 0.5 / 100.0,
        };
        let stands = self.stabilized && !self.removed;
        draft.number("mass_non_stabilized", "kg", mass);
        draft.number("mass", "kg", stands.then_some(mass));
        draft.flag("stabilized", stands);
        stands
    }
}

/// Reads the first scale's data: flags, mass, and the time of its clock.
pub fn read_scale(address: Address, data: &[u8]) -> Option<Report> {
    let [flags, m0, m1, ..] = *<&[u8; 10]>::try_from(data).ok()?;
    let bit = |n: u8| flags >> n & 1 == 1;
    let mut draft = Draft::default();
    let weighing = Weighing { pounds: bit(0), catty: bit(4), stabilized: bit(5), removed: bit(7) };
    weighing.read(u16::from_le_bytes([m0, m1]), &mut draft);
    Some(draft.finish(address, Format::XiaomiScale, Security::Open))
}

/// Reads the body composition scale's data: flags, the time of its clock, impedance, mass.
pub fn read_body_scale(address: Address, data: &[u8]) -> Option<Report> {
    let [units, state, _, _, _, _, _, _, _, i0, i1, m0, m1] = *<&[u8; 13]>::try_from(data).ok()?;
    let bit = |n: u8| state >> n & 1 == 1;
    let mut draft = Draft::default();
    let weighing = Weighing { pounds: units & 1 == 1, catty: bit(6), stabilized: bit(5), removed: bit(7) };
    let stands = weighing.read(u16::from_le_bytes([m0, m1]), &mut draft);
    let impedance = f64::from(u16::from_le_bytes([i0, i1]));
    draft.number("impedance", "Ohm", (stands && bit(1)).then_some(impedance));
    Some(draft.finish(address, Format::XiaomiScale, Security::Open))
}
