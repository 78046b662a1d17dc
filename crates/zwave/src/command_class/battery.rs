//! What runs on a battery: CC, "Battery".

use super::Value;
use super::field::{Field, Scaled, write_signed};
use crate::ParseError;
use crate::bytes::Reader;

/// How full it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// Per cent.
    Percent(u8),
    /// The thing warns that it will stop soon.
    Low,
}

impl Field for Charge {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        match reader.u8()? {
            percent @ 0..=100 => Ok(Self::Percent(percent)),
            0xff => Ok(Self::Low),
            other => Err(ParseError::Reserved { field: "battery level", value: other.into() }),
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Percent(percent) => *percent,
            Self::Low => 0xff,
        });
    }
    fn value(&self) -> Value {
        match self {
            Self::Percent(percent) => (*percent).into(),
            Self::Low => 0_u8.into(),
        }
    }
    fn values(&self, name: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push((name, self.value()));
        out.push(("is_low", (*self == Self::Low).into()));
    }
}

bit_fields! {
    /// What is the matter with it.
    Status {
        /// 0 discharging, 1 charging, 2 maintaining.
        charging_status: u8 = 6, 2,
        rechargeable: bool = 5, 1,
        backup: bool = 4, 1,
        overheating: bool = 3, 1,
        low_fluid: bool = 2, 1,
        /// 0 no, 1 soon, 3 now.
        recharge_or_replace: u8 = 0, 2,
    }
}

bit_fields! {
    /// More of what is the matter with it.
    Trouble {
        low_temperature_status: bool = 1, 1,
        disconnected: bool = 0, 1,
    }
}

/// What it still takes: per cent of what it took when new, and its temperature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Per cent; 255 is not known.
    pub maximum_capacity: u8,
    /// `None` where it is not known.
    pub temperature: Option<Scaled>,
}

impl Field for Health {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let [maximum_capacity, head] = reader.array()?;
        let known = head & 0x07 != 0;
        let temperature = if known { Some(Scaled::from_head(head, reader)?) } else { None };
        Ok(Self { maximum_capacity, temperature })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.maximum_capacity);
        out.push(self.temperature.map_or(0, Scaled::head));
        if let Some(temperature) = self.temperature {
            write_signed(temperature.size, temperature.digits, out);
        }
    }
    fn value(&self) -> Value {
        self.maximum_capacity.into()
    }
    fn values(&self, _: &'static str, out: &mut Vec<(&'static str, Value)>) {
        let known = self.maximum_capacity != 0xff;
        out.push(("maximum_capacity", if known { self.maximum_capacity.into() } else { Value::Unknown }));
        self.temperature.values("temperature", out);
    }
}

command_class! {
    /// How a battery is: class 0x80.
    Battery = 0x80 {
        Get = 0x02 {},
        Report = 0x03 { level: Charge, status: Option<Status>, trouble: Option<Trouble> },
        HealthGet = 0x04 {},
        HealthReport = 0x05 { health: Health },
    }
}
