//! What nodes are: thermometers, bulbs, plugs with a meter, contacts of doors.

use std::collections::BTreeMap;

use crate::zcl::{DataType, Length, Value};

pub(super) const ON_OFF: u16 = 0x0006;
pub(super) const LEVEL: u16 = 0x0008;
pub(super) const ZONE: u16 = 0x0500;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reports temperature, humidity and what is left in its battery.
    Thermometer,
    /// Is switched and dimmed.
    Bulb,
    /// Is switched, and says what goes through it.
    Plug,
    /// Says when a door opens and closes, once it is enrolled.
    Contact,
}

impl Kind {
    pub(super) fn endpoint(self) -> u8 {
        if self == Self::Bulb { 11 } else { 1 }
    }

    /// What has a mains plug listens always.
    pub(super) fn capability(self) -> u8 {
        if matches!(self, Self::Bulb | Self::Plug) { 0x8e } else { 0x80 }
    }

    pub(super) fn clusters(self) -> &'static [u16] {
        match self {
            Self::Thermometer => &[0x0000, 0x0001, 0x0402, 0x0405],
            Self::Bulb => &[0x0000, 0x0003, ON_OFF, LEVEL],
            Self::Plug => &[0x0000, ON_OFF, 0x0702, 0x0b04],
            Self::Contact => &[0x0000, ZONE],
        }
    }

    pub(super) fn attributes(self) -> BTreeMap<(u16, u16), Value> {
        let numbers: &[(u16, u16, &str, i128)] = match self {
            Self::Thermometer => {
                &[(0x0001, 0x0021, "uint8", 182), (0x0402, 0, "int16", 2100), (0x0405, 0, "uint16", 5800)]
            }
            Self::Bulb => &[(ON_OFF, 0, "bool", 0), (LEVEL, 0, "uint8", 254)],
            Self::Plug => &[
                (ON_OFF, 0, "bool", 0),
                (0x0702, 0, "uint48", 1500),
                (0x0702, 0x0300, "enum8", 0),
                (0x0702, 0x0301, "uint24", 1),
                (0x0702, 0x0302, "uint24", 1000),
                (0x0b04, 0x050b, "int16", 425),
                (0x0b04, 0x0604, "uint16", 1),
                (0x0b04, 0x0605, "uint16", 10),
            ],
            Self::Contact => &[(ZONE, 1, "enum16", 0x15), (ZONE, 2, "map16", 0)],
        };
        let model = format!("{self:?}");
        let text = |text: &str| Value::Text(Some(text.as_bytes().to_vec()), Length::Short);
        let mut all = BTreeMap::from([((0, 4), text("Emulated")), ((0, 5), text(&model))]);
        all.extend(numbers.iter().filter_map(|(cluster, id, of, number)| {
            let value = Value::integer(DataType::named(of)?, *number).ok()?;
            Some(((*cluster, *id), value))
        }));
        all
    }
}
