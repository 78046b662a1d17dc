//! The objects of both versions.

use std::sync::LazyLock;

use crate::draft::Draft;
use crate::report::{Detail, Name, Value};
use crate::table::{Factor, double, lines, signed, unsigned};

pub(super) const FILE: &str = include_str!("../../data/bthome.csv");

/// By their ids.
static OBJECTS: LazyLock<[Option<Object>; 256]> = LazyLock::new(|| {
    let mut objects = [None; 256];
    for (id, object) in lines(FILE).filter_map(parse) {
        if let Some(slot) = objects.get_mut(usize::from(id)) {
            *slot = Some(object);
        }
    }
    objects
});

/// What an id stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    name: &'static str,
    unit: &'static str,
    /// `None`: the value begins with its length.
    bytes: Option<usize>,
    kind: Kind,
}

/// How a value is written.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Unsigned(Factor),
    Signed(Factor),
    /// Of version 1 only.
    Float(Factor),
    Flag,
    Time,
    Text,
    Raw,
    /// Numbers of a version, the last of them first.
    Version,
    Button,
    Dimmer,
}

/// A line of the file.
pub(super) fn parse(mut fields: impl Iterator<Item = &'static str>) -> Option<(u8, Object)> {
    let id = u8::from_str_radix(fields.next()?, 16).ok()?;
    let (name, unit, bytes) = (fields.next()?, fields.next()?, fields.next()?.parse().ok());
    let (kind, factor) = (fields.next()?, Factor::parse(fields.next()?));
    let kind = match kind {
        "uint" => Kind::Unsigned(factor?),
        "sint" => Kind::Signed(factor?),
        "flag" => Kind::Flag,
        "time" => Kind::Time,
        "text" => Kind::Text,
        "raw" => Kind::Raw,
        "version" => Kind::Version,
        "button" => Kind::Button,
        "dimmer" => Kind::Dimmer,
        _ => return None,
    };
    (bytes.is_some() != matches!(kind, Kind::Text | Kind::Raw))
        .then_some((id, Object { name, unit, bytes, kind }))
}

fn object(id: u8) -> Option<Object> {
    OBJECTS.get(usize::from(id)).copied().flatten()
}

/// Reads all objects of version 2. Behind an unknown or cut one nothing is understood.
pub(super) fn read(mut bytes: &[u8], draft: &mut Draft) {
    while let Some((id, object, value, rest)) = next(bytes) {
        if object.read(value, draft).is_none() {
            draft.object(id.into(), value);
        }
        bytes = rest;
    }
    draft.rest(bytes);
}

fn next(bytes: &[u8]) -> Option<(u8, Object, &[u8], &[u8])> {
    let (id, rest) = bytes.split_first()?;
    let object = object(*id)?;
    let (len, rest) = match object.bytes {
        Some(len) => (len, rest),
        None => rest.split_first().map(|(len, rest)| (usize::from(*len), rest))?,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    Some((*id, object, value, rest))
}

/// Reads all objects of version 1: a byte with type and length, id, value.
pub(super) fn read_v1(mut bytes: &[u8], draft: &mut Draft) {
    while let Some((form, id, value, rest)) = next_v1(bytes) {
        let object = object(id).and_then(|object| object.written_as(form));
        if object.and_then(|object| object.read(value, draft)).is_none() {
            draft.object(id.into(), value);
        }
        bytes = rest;
    }
    draft.rest(bytes);
}

fn next_v1(bytes: &[u8]) -> Option<(u8, u8, &[u8], &[u8])> {
    let (head, rest) = bytes.split_first()?;
    let (object, rest) = rest.split_at_checked(usize::from(head & 0x1f))?;
    let (id, value) = object.split_first()?;
    Some((head >> 5, *id, value, rest))
}

impl Object {
    /// The object with its value in the form that version 1 states; numbers may be of any length there.
    fn written_as(self, form: u8) -> Option<Self> {
        let kind = match (form, self.kind) {
            (0, Kind::Unsigned(factor) | Kind::Signed(factor)) => Kind::Unsigned(factor),
            (1, Kind::Unsigned(factor) | Kind::Signed(factor)) => Kind::Signed(factor),
            (2, Kind::Unsigned(factor) | Kind::Signed(factor)) => Kind::Float(factor),
            (0, kind @ (Kind::Flag | Kind::Time | Kind::Button | Kind::Dimmer | Kind::Version)) => kind,
            (3, Kind::Text) => Kind::Text,
            (5, Kind::Time) => Kind::Time,
            _ => return None,
        };
        Some(Self { kind, ..self })
    }

    /// `None` when the value has no meaning.
    fn read(self, value: &[u8], draft: &mut Draft) -> Option<()> {
        let Self { name, unit, kind, .. } = self;
        match kind {
            Kind::Unsigned(factor) => draft.number(name, unit, factor.of(unsigned(value)?)),
            Kind::Signed(factor) => draft.number(name, unit, factor.of(signed(value)?)),
            Kind::Float(factor) => draft.number(name, unit, float(value)? * factor.of(1)),
            Kind::Flag => match value {
                [0] => draft.flag(name, false),
                [1] => draft.flag(name, true),
                _ => return None,
            },
            Kind::Time => draft.reading(name, unit, Value::Time(u64::try_from(unsigned(value)?).ok()?)),
            Kind::Text => draft.reading(name, unit, Value::Text(str::from_utf8(value).ok()?.to_owned())),
            Kind::Raw => draft.reading(name, unit, Value::Bytes(value.to_vec())),
            Kind::Version => {
                let parts: Vec<String> = value.iter().rev().map(u8::to_string).collect();
                draft.reading(name, unit, Value::Text(parts.join(".")));
            }
            Kind::Button => draft.event(Name::new(name), button(value)?, None),
            Kind::Dimmer => {
                let (action, steps) = dimmer(value)?;
                draft.event(Name::new(name), action, steps.map(Detail::Steps));
            }
        }
        Some(())
    }
}

/// What a button's value says: that it is there, or what was done with it.
fn button(value: &[u8]) -> Option<Option<&'static str>> {
    Some(match value {
        [0x00] => None,
        [0x01] => Some("press"),
        [0x02] => Some("double_press"),
        [0x03] => Some("triple_press"),
        [0x04] => Some("long_press"),
        [0x05] => Some("long_double_press"),
        [0x06] => Some("long_triple_press"),
        [0x80] => Some("hold_press"),
        _ => return None,
    })
}

fn dimmer(value: &[u8]) -> Option<(Option<&'static str>, Option<u8>)> {
    match value {
        [0x00, ..] => Some((None, None)),
        [0x01, steps] => Some((Some("rotate_left"), Some(*steps))),
        [0x02, steps] => Some((Some("rotate_right"), Some(*steps))),
        _ => None,
    }
}

/// A finite float of two, four or eight bytes.
fn float(bytes: &[u8]) -> Option<f64> {
    let float = match bytes.len() {
        2 => half(u16::from_le_bytes(bytes.try_into().ok()?)),
        4 => return crate::table::float(bytes),
        _ => f64::from_le_bytes(bytes.try_into().ok()?),
    };
    float.is_finite().then_some(float)
}

/// A float of IEEE 754 with 16 bits. Every step is exact, as what `powi` gives need not be.
fn half(bits: u16) -> f64 {
    let fraction = double((bits & 0x3ff).into());
    let size = match (bits >> 10) & 0x1f {
        0 => fraction / f64::from(1_u32 << 24),
        31 => return f64::NAN,
        exponent => (fraction + 1024.0) * f64::from(1_u32 << exponent) / f64::from(1_u32 << 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}
