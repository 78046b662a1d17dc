//! The objects: an id, a length, a value.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::draft::Draft;
use crate::mibeacon::devices::Product;
use crate::mibeacon::{buttons, lock};
use crate::report::Name;
use crate::table::{Factor, double, float, lines, signed, unsigned};

pub(super) const FILE: &str = include_str!("../../data/mibeacon.csv");

/// By their ids; an object with several parts has several lines.
static OBJECTS: LazyLock<BTreeMap<u16, Vec<Part>>> = LazyLock::new(|| {
    let mut objects: BTreeMap<u16, Vec<Part>> = BTreeMap::new();
    for (id, part) in lines(FILE).filter_map(parse) {
        objects.entry(id).or_default().push(part);
    }
    objects
});

/// Seconds since somebody moved that still are movement.
const RECENT_SECONDS: i64 = 30;
/// From here on a light sensor that knows light and dark says light.
const LIGHT: i64 = 100;

/// A part of a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Only in values that begin with this byte.
    when: Option<u8>,
    offset: usize,
    bytes: usize,
    kind: Kind,
    name: &'static str,
    unit: &'static str,
}

/// How a part is written, or what it says by being there.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Unsigned(Factor),
    Signed(Factor),
    Float,
    Flag,
    /// Yes when zero.
    Zero,
    Always(bool),
    Recent,
    Light,
    Cell,
    Event(&'static str),
    Click(&'static str),
    Buttons,
    Fingerprint,
    Lock,
    Armed,
    Body,
    Scale,
}

/// A line of the file.
pub(super) fn parse(mut fields: impl Iterator<Item = &'static str>) -> Option<(u16, Part)> {
    let mut next = || fields.next();
    let id = u16::from_str_radix(next()?, 16).ok()?;
    let when = Some(next()?).filter(|when| !when.is_empty()).map(str::parse).transpose().ok()?;
    let (offset, bytes) = (next()?.parse().unwrap_or(0), next()?.parse().unwrap_or(0));
    let (kind, factor) = (next()?, Factor::parse(next()?));
    let kind = match kind.split_once(':').unwrap_or((kind, "")) {
        ("uint", _) => Kind::Unsigned(factor?),
        ("sint", _) => Kind::Signed(factor?),
        ("float", _) => Kind::Float,
        ("flag", _) => Kind::Flag,
        ("zero", _) => Kind::Zero,
        ("true", _) => Kind::Always(true),
        ("false", _) => Kind::Always(false),
        ("recent", _) => Kind::Recent,
        ("light", _) => Kind::Light,
        ("cell", _) => Kind::Cell,
        ("event", action) => Kind::Event(action),
        ("click", action) => Kind::Click(action),
        ("buttons", _) => Kind::Buttons,
        ("fingerprint", _) => Kind::Fingerprint,
        ("lock", _) => Kind::Lock,
        ("armed", _) => Kind::Armed,
        ("body", _) => Kind::Body,
        ("scale", _) => Kind::Scale,
        _ => return None,
    };
    Some((id, Part { when, offset, bytes, kind, name: next()?, unit: next()? }))
}

/// Reads all objects. Behind one that is cut off nothing is understood.
pub(super) fn read(mut bytes: &[u8], product: Option<Product>, draft: &mut Draft) {
    while let Some((id, value, rest)) = next(bytes) {
        if object(id, value, product, draft).is_none() {
            draft.object(id, value);
        }
        bytes = rest;
    }
    draft.rest(bytes);
}

fn next(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let ([low, high, len], rest) = bytes.split_first_chunk::<3>().map(|(head, rest)| (*head, rest))?;
    let (value, rest) = rest.split_at_checked(usize::from(len))?;
    Some((u16::from_le_bytes([low, high]), value, rest))
}

/// `None` when the object has no meaning. Later parts may be absent, but the value has no bytes that are no part.
fn object(id: u16, value: &[u8], product: Option<Product>, draft: &mut Draft) -> Option<()> {
    let parts =
        OBJECTS.get(&id)?.iter().filter(|part| part.when.is_none_or(|when| value.first() == Some(&when)));
    let present = parts.filter(|part| part.offset + part.bytes <= value.len()).collect::<Vec<_>>();
    let end = present.iter().map(|part| part.offset + part.bytes).max()?;
    if end != 0 && end != value.len() {
        return None;
    }
    present.into_iter().try_for_each(|part| part.read(value, product, draft))
}

impl Part {
    fn read(&self, value: &[u8], product: Option<Product>, draft: &mut Draft) -> Option<()> {
        let Self { name, unit, .. } = *self;
        let bytes = value.get(self.offset..self.offset + self.bytes)?;
        match self.kind {
            Kind::Unsigned(factor) => draft.number(name, unit, factor.of(unsigned(bytes)?)),
            Kind::Signed(factor) => draft.number(name, unit, factor.of(signed(bytes)?)),
            Kind::Float => draft.number(name, unit, float(bytes)?),
            Kind::Flag => draft.flag(name, unsigned(bytes)? != 0),
            Kind::Zero => draft.flag(name, unsigned(bytes)? == 0),
            Kind::Always(state) => draft.flag(name, state),
            Kind::Recent => draft.flag(name, unsigned(bytes)? <= RECENT_SECONDS),
            Kind::Light => match product {
                Some(Product { light_is_a_flag: true, .. }) => draft.flag("light", unsigned(bytes)? >= LIGHT),
                _ => draft.number(name, unit, double(unsigned(bytes)?)),
            },
            Kind::Cell => draft.number(name, unit, cell(unsigned(bytes)?)),
            Kind::Event(action) => draft.event(Name::new(name), Some(action), None),
            Kind::Click(action) => buttons::click(action, value, product, draft)?,
            Kind::Buttons => buttons::read(value, product?, draft)?,
            Kind::Fingerprint => lock::fingerprint(value, draft)?,
            Kind::Lock => lock::lock(value, product, draft)?,
            Kind::Armed => lock::armed(value, draft)?,
            Kind::Body => body(value, draft)?,
            Kind::Scale => scale(value, draft)?,
        }
        Some(())
    }
}

/// The voltage of a battery's level, as receivers of these devices show it: from 2.2 V in a straight line to 3.1 V.
fn cell(percent: i64) -> f64 {
    double(2200 + 9 * percent) / 1000.0
}

/// A thermometer's two probes and its battery. Of the body's temperature there is no published formula; this is the
/// one that receivers fitted to what the maker's app shows between 36.5 and 37.8 degrees.
#[expect(clippy::approx_constant, reason = "a fitted figure, not the logarithm of two")]
fn body(value: &[u8], draft: &mut Draft) -> Option<()> {
    let [a0, a1, b0, b1, battery] = *<&[u8; 5]>::try_from(value).ok()?;
    let probe = |low, high| f64::from(i16::from_le_bytes([low, high])) / 100.0;
    let (first, second) = (probe(a0, a1), probe(b0, b1));
    let body = 3.719_34e-11 * (0.693_14 * first).exp() - 1.028_01e-8 * (0.538_71 * second).exp() + 36.413;
    draft.number("temperature", "Cel", body.is_finite().then_some(body));
    draft.number("battery", "%EL", f64::from(battery));
    Some(())
}

/// The scale S400: who stands on it, and in one number mass, heart rate and impedance. With a mass the impedance is
/// that at the lower frequency, without one that at the higher.
fn scale(value: &[u8], draft: &mut Draft) -> Option<()> {
    let [profile, m0, m1, m2, m3, ..] = *<&[u8; 9]>::try_from(value).ok()?;
    let measured = u32::from_le_bytes([m0, m1, m2, m3]);
    let (mass, heart, impedance) = (measured & 0x7ff, measured >> 11 & 0x7f, measured >> 18);
    let tenths = |raw: u32| (raw != 0).then(|| f64::from(raw) / 10.0);
    draft.number("profile_id", "", f64::from(profile));
    draft.number("mass", "kg", tenths(mass));
    draft.number("heart_rate", "1/min", (1..127).contains(&heart).then(|| f64::from(heart + 50)));
    draft.number(if mass == 0 { "impedance_high" } else { "impedance_low" }, "Ohm", tenths(impedance));
    draft.flag("stabilized", measured != 0);
    Some(())
}
