//! Values as a person reads them.

use std::fmt;

use super::{Class, Integer, Value};

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.class(), self.number()) {
            (Class::Boolean, 0) => f.write_str("false"),
            (Class::Boolean, 1) => f.write_str("true"),
            _ if self.is_non_value() => f.write_str("no value"),
            (Class::Data | Class::Bitmap | Class::Cluster | Class::Attribute, number) => {
                write!(f, "0x{number:0width$x}", width = usize::from(self.width()) * 2)
            }
            (_, number) => write!(f, "{number}"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoData | Self::Octets(None, _) | Self::Text(None, _) => f.write_str("no value"),
            Self::List(_, _, None) | Self::Structure(None) => f.write_str("no value"),
            Self::Integer(integer) => integer.fmt(f),
            Self::Semi(raw) => write!(f, "{}", semi(*raw)),
            Self::Single(number) if number.is_nan() => f.write_str("no value"),
            Self::Double(number) if number.is_nan() => f.write_str("no value"),
            Self::Single(number) => write!(f, "{number}"),
            Self::Double(number) => write!(f, "{number}"),
            Self::Octets(Some(octets), _) => hex(f, octets),
            Self::Text(Some(text), _) => write!(f, "{:?}", String::from_utf8_lossy(text)),
            Self::List(_, _, Some(items)) => row(f, "[", items, "]"),
            Self::Structure(Some(items)) => row(f, "{", items, "}"),
            Self::TimeOfDay([h, m, s, hundredths]) => write!(f, "{h:02}:{m:02}:{s:02}.{hundredths:02}"),
            Self::Date([year, month, day, _]) => write!(f, "{}-{month:02}-{day:02}", 1900 + u16::from(*year)),
            Self::Eui64(eui64) => eui64.fmt(f),
            Self::Key(_) => f.write_str("a key"),
        }
    }
}

/// As it is displayed: a key is not shown.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}:{self}", self.data_type().number())
    }
}

fn hex(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

fn row(f: &mut fmt::Formatter<'_>, open: &str, items: &[Value], close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (i, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
    }
    f.write_str(close)
}

/// The number that a half-precision value stands for: IEEE 754, binary16. Every step is exact, as what `powi` gives need not be.
fn semi(raw: u16) -> f64 {
    let sign = if raw & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = ((raw >> 10) & 31, f64::from(raw & 0x3ff) / 1024.0);
    sign * match exponent {
        0 => fraction / f64::from(1_u32 << 14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction) * f64::from(1_u32 << exponent) / f64::from(1_u32 << 15),
    }
}
