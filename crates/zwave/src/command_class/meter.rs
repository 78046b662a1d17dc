//! What is metered: CC, "Meter", "Energy Production".

use super::Value;
use super::field::{Bytes, Field, Scaled, read_signed, write_signed};
use crate::ParseError;
use crate::bytes::{Reader, bits, mask};

/// The value of the scale field that says that the scale is in a byte of its own.
const SCALE_BEYOND: u8 = 7;

/// A reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What is metered: 1 electricity, 2 gas, 3 water, 4 heating, 5 cooling.
    pub meter_type: u8,
    /// 1 is consumed, 2 produced.
    pub rate_type: u8,
    /// The unit, in the numbering of what is metered.
    pub scale: u8,
    /// The value; its own scale is the lower two bits of [`Self::scale`].
    pub value: Scaled,
    /// Seconds since the reading before, and that reading.
    pub previous: Option<(u16, Option<i32>)>,
}

impl Field for Reading {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let head = reader.u8()?;
        let value = Scaled::read(reader)?;
        let mut scale = value.scale | (head >> 7) << 2;
        let mut previous = None;
        if !reader.is_empty() {
            let delta = reader.u16()?;
            let before = if delta == 0 { None } else { Some(read_signed(value.size, reader)?) };
            previous = Some((delta, before));
        }
        if scale == SCALE_BEYOND {
            scale |= (reader.u8()? & 0x1f) << 3;
        }
        Ok(Self { meter_type: head & 0x1f, rate_type: head >> 5 & 0x03, scale, value, previous })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push((self.scale >> 2 & 1) << 7 | (self.rate_type & 0x03) << 5 | self.meter_type & 0x1f);
        Scaled { scale: self.scale & 0x03, ..self.value }.write(out);
        if let Some((delta, before)) = self.previous {
            out.extend(delta.to_be_bytes());
            if let Some(before) = before {
                write_signed(self.value.size, before, out);
            }
        }
        if self.scale & 0x07 == SCALE_BEYOND {
            out.push(self.scale >> 3);
        }
    }

    fn value(&self) -> Value {
        self.value.value()
    }

    fn values(&self, name: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push((name, self.value.value()));
        out.push(("meter_type", self.meter_type.into()));
        out.push(("rate_type", self.rate_type.into()));
        out.push(("scale", self.scale.into()));
        let (delta, before) = self.previous.unwrap_or_default();
        out.push(("delta_time", delta.into()));
        if let Some(digits) = before {
            let precision = self.value.precision;
            out.push(("previous_value", Value::Decimal { digits: digits.into(), precision }));
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// 1 is consumed, 2 produced, 0 whichever.
    pub rate_type: u8,
    /// The unit, in the numbering of what is metered.
    pub scale: u8,
}

impl Field for Wanted {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let head = reader.u8()?;
        let mut scale = head >> 3 & 0x07;
        if scale == SCALE_BEYOND {
            scale |= (reader.optional().unwrap_or(0) & 0x1f) << 3;
        }
        Ok(Self { rate_type: head >> 6, scale })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.rate_type << 6 | (self.scale & 0x07) << 3);
        if self.scale & 0x07 == SCALE_BEYOND {
            out.push(self.scale >> 3);
        }
    }

    fn value(&self) -> Value {
        self.scale.into()
    }

    fn values(&self, _: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push(("rate_type", self.rate_type.into()));
        out.push(("scale", self.scale.into()));
    }
}

/// What a meter can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supported {
    /// Whether it can be set to zero.
    pub supports_reset: bool,
    /// Bits: consumed, produced.
    pub rate_types: u8,
    /// What is metered.
    pub meter_type: u8,
    /// Units, in the numbering of what is metered.
    pub scales: Vec<u8>,
}

impl Field for Supported {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let head = reader.u8()?;
        let first = reader.u8()?;
        let mut scales = bits(&[first & 0x7f], 0);
        if first & 0x80 != 0 {
            let length = reader.u8()?;
            scales.extend(bits(reader.take(length.into())?, 8).into_iter().filter_map(beyond));
        }
        let (supports_reset, rate_types, meter_type) = (head & 0x80 != 0, head >> 5 & 0x03, head & 0x1f);
        Ok(Self { supports_reset, rate_types, meter_type, scales })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let reset = u8::from(self.supports_reset) << 7;
        out.push(reset | (self.rate_types & 0x03) << 5 | self.meter_type & 0x1f);
        let (near, far): (Vec<u8>, Vec<u8>) = self.scales.iter().partition(|scale| **scale < SCALE_BEYOND);
        let near = mask(&near, 0, 1).first().copied().unwrap_or(0);
        if far.is_empty() {
            out.push(near);
            return;
        }
        let far: Vec<u8> = far.iter().map(|scale| scale >> 3).collect();
        let far = mask(&far, 0, 1);
        out.extend([near | 0x80, u8::try_from(far.len()).unwrap_or(u8::MAX)]);
        out.extend(far);
    }

    fn value(&self) -> Value {
        self.scales.value()
    }

    fn values(&self, _: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push(("supports_reset", self.supports_reset.into()));
        out.push(("supported_rate_types", bits(&[self.rate_types], 1).value()));
        out.push(("meter_type", self.meter_type.into()));
        out.push(("supported_scales", self.scales.value()));
    }
}

/// The combined number of the unit with this bit, counted from 8, among those in a byte of their own.
fn beyond(bit: u8) -> Option<u8> {
    bit.checked_sub(8)?.checked_mul(8)?.checked_add(SCALE_BEYOND)
}

command_class! {
    /// Consumption and production: class 0x32.
    Meter = 0x32 {
        Get = 0x01 { wanted: Option<Wanted> },
        Report = 0x02 { value: Reading },
        SupportedGet = 0x03 {},
        SupportedReport = 0x04 { supported: Supported },
        Reset = 0x05 { target: Bytes },
    }
}

command_class! {
    /// What a plant produces: class 0x90. 0 is the present power, 1 all of it, 2 today's, 3 the time of it.
    EnergyProduction = 0x90 {
        Get = 0x02 { parameter: u8 },
        Report = 0x03 { parameter: u8, value: Scaled },
    }
}
