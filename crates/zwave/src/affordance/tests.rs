//! Every line of the tables against the code.

use std::collections::BTreeSet;

use super::tables::{AFFORDANCES, EVENTS, QUANTITIES, STATES};
use super::*;
use crate::command_class::field::Scaled;
use crate::command_class::sensors::MultilevelSensor;

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn written(value: &Shown) -> String {
    match value {
        Shown::Number(number) => number.to_string(),
        Shown::Flag(flag) => flag.to_string(),
        Shown::Word(word) => word.to_string(),
        Shown::Bytes(_) | Shown::Unknown => format!("{value:?}"),
    }
}

fn all_rows() -> Vec<&'static Row> {
    (0..=u8::MAX).flat_map(rows).collect()
}

#[test]
fn every_example_shows_what_its_line_says() {
    for row in all_rows() {
        let command = Command::parse(&unhex(row.example)).unwrap();
        assert!(!matches!(command, Command::Raw { .. }), "{row:?}");
        let reading = readings(&command).into_iter().find(|reading| {
            reading.kind == row.kind
                && (reading.name == row.name || matches!(row.by, By::Name(_) | By::Quantity))
        });
        let reading = reading.unwrap_or_else(|| panic!("{row:?} shows nothing"));
        assert_eq!(written(&reading.value), row.shows, "{row:?}");
        let fits = match row.value_type {
            ValueType::Boolean => matches!(reading.value, Shown::Flag(_)),
            ValueType::Integer | ValueType::Number => matches!(reading.value, Shown::Number(_)),
            ValueType::Word => matches!(reading.value, Shown::Word(_)),
        };
        assert!(fits, "{row:?}");
    }
}

#[test]
fn every_line_is_read_and_none_says_a_thing_twice() {
    for (text, keys) in [(AFFORDANCES, 3), (QUANTITIES, 3), (STATES, 3), (EVENTS, 2)] {
        let lines: Vec<_> = text.lines().skip(1).collect();
        let keys: BTreeSet<_> =
            lines.iter().map(|line| line.split(',').take(keys).collect::<Vec<_>>()).collect();
        assert_eq!(keys.len(), lines.len());
    }
    assert_eq!(all_rows().len(), AFFORDANCES.lines().count() - 1);
    let numbers = 0..=255;
    let read = |class| {
        numbers
            .clone()
            .flat_map(move |kind| (0..=255).filter_map(move |scale| quantities(class, kind, scale)))
    };
    assert_eq!((0..=u8::MAX).flat_map(read).count(), QUANTITIES.lines().count() - 1);
    let events = numbers.clone().flat_map(|kind| (0..=255).filter_map(move |event| events(kind, event)));
    assert_eq!(events.count(), EVENTS.lines().count() - 1);
    for line in STATES.lines().skip(1) {
        let [class, field, number, name] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let [class, number] = [class, number].map(|text| u8::from_str_radix(&text[2..], 16).unwrap());
        assert_eq!(states(class, field, number.into()), Some(name));
    }
}

#[test]
fn every_name_is_lower_case_with_hyphens_and_short_enough() {
    let names = [(AFFORDANCES, 4), (QUANTITIES, 3), (STATES, 3), (EVENTS, 2)];
    for (text, column) in names {
        for line in text.lines().skip(1) {
            let name = line.split(',').nth(column).unwrap();
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            assert!(!name.is_empty() && name.len() <= 64 && name.chars().all(fits), "{line}");
        }
    }
}

#[test]
fn every_line_that_says_what_writes_it_makes_that_command() {
    for row in all_rows() {
        let command = Command::parse(&unhex(row.example)).unwrap();
        let shown = readings(&command)
            .into_iter()
            .find(|reading| reading.name.ends_with(row.name))
            .unwrap_or_else(|| readings(&command).remove(0));
        let written = write(row.class, &shown.name, &shown.value);
        let number = written.as_ref().map(|command| command.to_bytes()[1]);
        assert_eq!(number, row.write, "{row:?}");
        if let Some(written) = written {
            // What is set reads as what is reported, but for the number of the command.
            let mut report = written.to_bytes();
            report[1] = row.command;
            if row.class != 0x62 {
                assert_eq!(readings(&Command::parse(&report).unwrap())[0].value, shown.value, "{row:?}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_not_written() {
    for (class, name, value) in [
        (0x25, "on", Shown::Number(1.0)),
        (0x26, "level", Shown::Number(100.0)),
        (0x26, "level", Shown::Number(f64::NAN)),
        (0x40, "mode", Shown::Word("warm".into())),
        (0x43, "heating-setpoint", Shown::Number(1e9)),
        (0x43, "hot-setpoint", Shown::Number(20.0)),
        (0x31, "air-temperature", Shown::Number(20.0)),
    ] {
        assert_eq!(write(class, name, &value), None, "{name} {value:?}");
    }
}

fn sensor(sensor_type: u8, scale: u8, digits: i32) -> Vec<Reading> {
    let value = Scaled { precision: 1, scale, size: 2, digits };
    readings(&MultilevelSensor::Report { sensor_type, value }.into())
}

#[test]
fn a_value_is_shown_in_the_unit_of_its_quantity() {
    let show =
        |value, name: &'static str, unit| Reading { kind: Kind::Property, name: name.into(), value, unit };
    assert_eq!(sensor(1, 0, 215), [show(Shown::Number(21.5), "air-temperature", "Cel")]);
    let fahrenheit = sensor(1, 1, 2120);
    assert_eq!((fahrenheit[0].unit, written(&fahrenheit[0].value).get(..3)), ("Cel", Some("100")));
    assert_eq!(sensor(8, 0, 1013), [show(Shown::Number(101_300.0), "atmospheric-pressure", "Pa")]);
}

#[test]
fn what_no_table_has_is_shown_raw_and_by_a_name_that_says_so() {
    assert_eq!(sensor(0xee, 2, 10)[0].name, "measured-238-2");
    let raw = readings(&Command::parse(&[0x91, 0x01, 0x0f]).unwrap());
    assert_eq!((raw[0].name.as_ref(), &raw[0].value), ("raw-91", &Shown::Bytes(vec![0x01, 0x0f])));
    let event = readings(&Command::parse(&unhex("7105000000ffee0900")).unwrap());
    assert_eq!(written(&event[0].value), "238-9");
    let over = readings(&Command::parse(&unhex("7105000000ff07000108")).unwrap());
    assert_eq!(written(&over[0].value), "over");
}
