//! What readings are called here: the lines of `data/ble.csv`.

use std::sync::LazyLock;

use thingward_ble::{Detail, Raw, Reading as Said, Report as Advertised, Value as Saying};

use crate::wire::{DATA_BYTES_MAX, Name, Reading, Text, Value, Words};

/// A reading that is called differently, or has another unit.
struct Line {
    word: &'static str,
    is_flag: bool,
    unit: &'static str,
    name: &'static str,
    senml: &'static str,
    factor: f64,
}

const TEXT: &str = include_str!("../../data/ble.csv");

static LINES: LazyLock<Vec<Line>> = LazyLock::new(|| TEXT.lines().skip(1).filter_map(line).collect());

fn line(text: &'static str) -> Option<Line> {
    let columns: Vec<&'static str> = text.split(',').collect();
    let [word, kind, unit, name, senml, factor] = *columns else { return None };
    Some(Line { word, is_flag: kind == "flag", unit, name, senml, factor: factor.parse().ok()? })
}

/// Something that was said, and whether it is an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct News {
    pub(super) reading: Reading,
    pub(super) is_event: bool,
}

/// What an advertisement says. Its number, by which repeated ones are told apart, is none of it.
pub(super) fn news(said: &Advertised) -> Vec<News> {
    let readings =
        said.readings.iter().filter(|reading| reading.name.word() != "packet_id").filter_map(reading);
    let raw = said.raw.iter().filter_map(raw);
    let mut news: Vec<News> = readings.chain(raw).map(|reading| News { reading, is_event: false }).collect();
    for event in &said.events {
        let name = hyphened(&event.name.to_string());
        let action = Value::Text(Words::fitting(&hyphened(event.action)));
        let how_much = event.detail.map(|detail| match detail {
            Detail::Steps(steps) => ("steps", steps),
            Detail::Presses(presses) => ("presses", presses),
            Detail::Seconds(seconds) => ("seconds", seconds),
        });
        let more = how_much.map(|(what, n)| (format!("{name}-{what}"), Value::Number(n.into())));
        let all = [(name, action)].into_iter().chain(more);
        news.extend(all.filter_map(|(name, value)| {
            let reading = Reading { name: Name::new(&name)?, unit: Text::default(), value };
            Some(News { reading, is_event: true })
        }));
    }
    news
}

fn reading(said: &Said) -> Option<Reading> {
    let is_flag = matches!(said.value, Saying::Flag(_));
    let word = said.name.word();
    let line = LINES.iter().find(|line| (line.word, line.is_flag, line.unit) == (word, is_flag, said.unit));
    // What stands behind the word tells several of it apart.
    let full = said.name.to_string();
    let name = match line {
        Some(line) => format!("{}{}", line.name, hyphened(full.strip_prefix(word).unwrap_or_default())),
        None => hyphened(&full),
    };
    let value = match &said.value {
        Saying::Number(number) => {
            let number = line.map_or(*number, |line| scaled(*number, line.factor));
            Value::Number(Some(number).filter(|number| number.is_finite())?)
        }
        Saying::Flag(flag) => Value::Bool(*flag),
        // Doubles have all whole seconds that anybody lives to see.
        Saying::Time(seconds) => Value::Number(*seconds as f64),
        Saying::Text(text) => Value::Text(Words::fitting(text)),
        Saying::Bytes(bytes) => data(bytes)?,
    };
    let unit = match said.value {
        Saying::Time(_) => "s",
        _ => line.map_or(said.unit, |line| line.senml),
    };
    Some(Reading { name: Name::new(&name)?, unit: Text::fitting(unit), value })
}

/// Divided, thousandths come out as the nearest double; multiplied they do not.
fn scaled(number: f64, factor: f64) -> f64 {
    if factor < 1.0 && (1.0 / factor).fract() == 0.0 { number / (1.0 / factor) } else { number * factor }
}

fn raw(raw: &Raw) -> Option<Reading> {
    let (name, bytes) = match raw {
        Raw::Object { id, value } => (format!("raw-{id:04x}"), value),
        Raw::Rest(bytes) => ("raw".to_owned(), bytes),
    };
    Some(Reading { name: Name::new(&name)?, unit: Text::default(), value: data(bytes)? })
}

fn data(bytes: &[u8]) -> Option<Value> {
    (bytes.len() <= DATA_BYTES_MAX).then(|| Value::Data(bytes.to_vec()))
}

fn hyphened(name: &str) -> String {
    name.replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_can_be_read() {
        assert_eq!(LINES.len(), TEXT.lines().count() - 1);
    }
}
