//! A report while its objects are read.

use crate::address::Address;
use crate::report::{Detail, Event, Format, Name, Raw, Reading, Report, Security, Value};

/// Names get their numbers at the end, when it is known which of them come several times.
#[derive(Default)]
pub(crate) struct Draft {
    readings: Vec<Reading>,
    /// Without an action: the thing is there, and nothing happened to it. It counts for the numbers.
    events: Vec<(Name, Option<&'static str>, Option<Detail>)>,
    raw: Vec<Raw>,
}

impl Draft {
    pub(crate) fn reading(&mut self, name: &'static str, unit: &'static str, value: Value) {
        self.readings.push(Reading { name: Name::new(name), unit, value });
    }

    /// A number, if it was measured.
    pub(crate) fn number(&mut self, name: &'static str, unit: &'static str, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            self.reading(name, unit, Value::Number(value));
        }
    }

    pub(crate) fn flag(&mut self, name: &'static str, value: bool) {
        self.reading(name, "", Value::Flag(value));
    }

    pub(crate) fn event(&mut self, name: Name, action: Option<&'static str>, detail: Option<Detail>) {
        self.events.push((name, action, detail));
    }

    pub(crate) fn object(&mut self, id: u16, value: &[u8]) {
        self.raw.push(Raw::Object { id, value: value.to_vec() });
    }

    pub(crate) fn rest(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.raw.push(Raw::Rest(bytes.to_vec()));
        }
    }

    /// Whether there was something, and all of it had a meaning.
    pub(crate) fn is_understood(&self) -> bool {
        self.raw.is_empty() && !(self.readings.is_empty() && self.events.is_empty())
    }

    pub(crate) fn finish(mut self, address: Address, format: Format, security: Security) -> Report {
        // A level and a flag may share a name, which then is still clear.
        let kind = |reading: &Reading| (reading.name, matches!(reading.value, Value::Flag(_)));
        let kinds: Vec<_> = self.readings.iter().map(kind).collect();
        for (reading, nth) in self.readings.iter_mut().zip(numbers(&kinds)) {
            reading.name = nth.map_or(reading.name, |n| reading.name.nth(n));
        }
        let sources: Vec<Name> = self.events.iter().map(|(name, ..)| *name).collect();
        let events =
            self.events.into_iter().zip(numbers(&sources)).filter_map(|((name, action, detail), nth)| {
                Some(Event { name: nth.map_or(name, |n| name.nth(n)), action: action?, detail })
            });
        let events = events.collect();
        Report { address, format, security, model: None, readings: self.readings, events, raw: self.raw }
    }
}

/// For each key its number among its equals, from one, if there are several.
fn numbers<K: PartialEq>(keys: &[K]) -> Vec<Option<usize>> {
    let nth = |(at, key): (usize, &K)| {
        let before = keys.iter().take(at).filter(|other| *other == key).count();
        let several = before > 0 || keys.iter().skip(at + 1).any(|other| other == key);
        several.then_some(before + 1)
    };
    keys.iter().enumerate().map(nth).collect()
}
