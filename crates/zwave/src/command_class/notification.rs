//! What happened: CC, "Notification", "Alarm Sensor".

use super::Value;
use super::field::{Field, OnOff, SizedMask};
use crate::ParseError;
use crate::bytes::{Reader, bits, mask};

/// A report from version 2 on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// Node of a sensor network that is not in use any more.
    pub source: u8,
    /// 0xff while it is reported unasked.
    pub status: u8,
    /// What kind of thing happened: 6 access control, 7 home security, …
    pub notification_type: u8,
    /// What happened, in the numbering of its kind; 0 that it is over.
    pub event: u8,
    /// What goes with it.
    pub parameters: Vec<u8>,
    /// Counts reports.
    pub sequence: Option<u8>,
}

impl Field for Detail {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let [source, status, notification_type, event] = reader.array()?;
        let head = reader.u8()?;
        let parameters = reader.take((head & 0x1f).into())?.to_vec();
        let sequence = if head & 0x80 != 0 { Some(reader.u8()?) } else { None };
        Ok(Self { source, status, notification_type, event, parameters, sequence })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let parameters = self.parameters.get(..31).unwrap_or(&self.parameters);
        let length = u8::try_from(parameters.len()).unwrap_or(0);
        out.extend([self.source, self.status, self.notification_type, self.event]);
        out.push(u8::from(self.sequence.is_some()) << 7 | length);
        out.extend(parameters);
        out.extend(self.sequence);
    }

    fn value(&self) -> Value {
        self.event.into()
    }

    fn values(&self, _: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push(("notification_status", self.status.into()));
        out.push(("notification_type", self.notification_type.into()));
        out.push(("notification_event", self.event.into()));
        if !self.parameters.is_empty() {
            out.push(("event_parameters", Value::Bytes(self.parameters.clone())));
        }
        self.sequence.values("sequence_number", out);
    }
}

/// Kinds that a node reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kinds {
    /// Whether it also reports alarms of version 1.
    pub supports_v1_alarm: bool,
    /// Numbers of kinds.
    pub types: Vec<u8>,
}

impl Field for Kinds {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let head = reader.u8()?;
        let types = bits(reader.take((head & 0x1f).into())?, 0);
        Ok(Self { supports_v1_alarm: head & 0x80 != 0, types })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut mask = mask(&self.types, 0, 0);
        mask.truncate(31);
        out.push(u8::from(self.supports_v1_alarm) << 7 | u8::try_from(mask.len()).unwrap_or(0));
        out.append(&mut mask);
    }

    fn value(&self) -> Value {
        self.types.value()
    }

    fn values(&self, _: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push(("supports_v1_alarm", self.supports_v1_alarm.into()));
        out.push(("supported_notification_types", self.types.value()));
    }
}

group! {
    /// What is asked about, from version 2 on.
    Asked {
        notification_type: u8,
        notification_event: Option<u8>,
    }
}

command_class! {
    /// What happened: class 0x71.
    Notification = 0x71 {
        EventSupportedGet = 0x01 { notification_type: u8 },
        EventSupportedReport = 0x02 { notification_type: u8, supported_events: SizedMask<0, 5> },
        Get = 0x04 { alarm_type: u8, asked: Option<Asked> },
        Report = 0x05 { alarm_type: u8, alarm_level: u8, detail: Option<Detail> },
        Set = 0x06 { notification_type: u8, notification_status: u8 },
        SupportedGet = 0x07 {},
        SupportedReport = 0x08 { kinds: Kinds },
    }
}

command_class! {
    /// An alarm of old things: class 0x9c. Types: 0 general, 1 smoke, 2 CO, 3 CO2, 4 heat, 5 water leak.
    AlarmSensor = 0x9c {
        Get = 0x01 { sensor_type: u8 },
        Report = 0x02 { source_node: u8, sensor_type: u8, state: OnOff, duration: u16 },
        SupportedGet = 0x03 {},
        SupportedReport = 0x04 { supported_sensor_types: SizedMask<0, 8> },
    }
}
