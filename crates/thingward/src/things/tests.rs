use std::collections::BTreeSet;

use serde_json::json;
use thingward_model::description::{Kind as SchemaKind, Schema};

use super::*;

/// A day of each thing, in steps of its own period.
fn day(kind: Kind) -> Vec<Vec<Measured>> {
    let mut thing = kind.build();
    let mut dice = Dice::new(7);
    let seconds = thing.period().as_secs_f64();
    let mut all = Vec::new();
    let mut passed = 0.0;
    while passed < 86_400.0 {
        all.push(thing.step(seconds, &mut dice));
        passed += seconds;
    }
    all
}

fn span(readings: &[Vec<Measured>], field: &str) -> (f64, f64) {
    let numbers = readings.iter().flatten().filter(|m| m.field == field).map(|m| match m.value {
        OwnedValue::Number(n) => n,
        _ => panic!("{field} is a number"),
    });
    numbers.fold((f64::MAX, f64::MIN), |(low, high), n| (low.min(n), high.max(n)))
}

#[test]
fn every_thing_stays_in_the_range_that_its_kind_has() {
    let check = |kind, field, low: f64, high: f64| {
        let (min, max) = span(&day(kind), field);
        assert!(min >= low && max <= high && max > min, "{kind:?} {field}: {min} to {max}");
    };
    check(Kind::Thermometer, "temperature", 15.0, 26.0);
    check(Kind::Thermometer, "humidity", 20.0, 80.0);
    check(Kind::Bulb, "power", 0.0, 10.0);
    check(Kind::InfusionPump, "pressure", 0.0, 120.0);
    check(Kind::InfusionPump, "infused", 0.0, 600.0);
    check(Kind::MillingMachine, "spindle-speed", 0.0, 9000.0);
    check(Kind::MillingMachine, "vibration", 0.0, 12.0);
    check(Kind::ParkingMeter, "battery", 10.0, 13.0);
}

#[test]
fn the_same_seed_gives_the_same_day() {
    for kind in <Kind as clap::ValueEnum>::value_variants().iter().copied() {
        let numbers =
            |day: Vec<Vec<Measured>>| day.into_iter().flatten().map(|m| m.value).collect::<Vec<_>>();
        assert_eq!(numbers(day(kind)), numbers(day(kind)));
    }
}

const KINDS: [Kind; 5] =
    [Kind::Thermometer, Kind::Bulb, Kind::InfusionPump, Kind::MillingMachine, Kind::ParkingMeter];

#[test]
fn every_thing_measures_what_its_description_says_in_the_unit_that_it_says() {
    for kind in KINDS {
        let description = kind.description().unwrap();
        let stream = kind.build().stream();
        let mut seen = BTreeSet::new();
        for measured in day(kind).into_iter().flatten() {
            let property = &description.properties[measured.field];
            assert_eq!(property.stream.unwrap().as_str(), stream, "{kind:?}");
            assert_eq!(property.schema.unit.as_deref().unwrap_or_default(), measured.unit, "{kind:?}");
            let value = match &measured.value {
                OwnedValue::Number(n) => json!(n),
                OwnedValue::Bool(b) => json!(b),
                OwnedValue::Text(t) => json!(t),
                OwnedValue::Data(_) => panic!("{kind:?} measures bytes"),
            };
            assert_eq!(property.schema.validate(&value), Ok(()), "{kind:?} {}", measured.field);
            seen.insert(measured.field.to_owned());
        }
        let described: BTreeSet<String> = description.properties.keys().cloned().collect();
        assert_eq!(seen, described, "{kind:?}");
    }
}

const BY: By<'_> = By { actor: "user/01h", seconds: 60.0 };

/// Words of an input that the schema allows: the middle of its range.
fn example(schema: Option<&Schema>) -> Vec<String> {
    match schema.map(|s| &s.kind) {
        None => Vec::new(),
        Some(SchemaKind::Boolean) => vec!["on".to_owned()],
        Some(SchemaKind::Number(b) | SchemaKind::Integer(b)) => {
            vec![((b.minimum.unwrap() + b.maximum.unwrap()) / 2.0).round().to_string()]
        }
        Some(other) => panic!("no example of {other:?}"),
    }
}

#[test]
fn every_thing_does_everything_that_its_description_says_and_gives_what_it_says() {
    for kind in KINDS {
        let description = kind.description().unwrap();
        assert!(!description.actions.is_empty());
        for (name, action) in &description.actions {
            let input = action.read_input(&example(action.input.as_ref())).unwrap();
            let output = kind.build().act(name.as_str(), &input, &BY).unwrap();
            let expected = action.output.as_ref().map_or(output.is_null(), |s| s.validate(&output).is_ok());
            assert!(expected, "{kind:?} {name}: {output}");
        }
        assert!(kind.build().act("explode", &Json::Null, &BY).is_err());
    }
}

/// What the thing measures after an action, some time later.
#[track_caller]
fn check(kind: Kind, action: &str, input: Json, field: &str, want: impl Fn(&OwnedValue) -> bool) {
    let (mut thing, mut dice) = (kind.build(), Dice::new(7));
    thing.act(action, &input, &BY).unwrap();
    let mut last = None;
    for _ in 0..10 {
        last = thing.step(1.0, &mut dice).into_iter().find(|m| m.field == field);
    }
    let value = last.unwrap().value;
    assert!(want(&value), "{kind:?} {action}: {field} is {value:?}");
}

#[test]
fn what_a_thing_was_told_shows_in_what_it_measures() {
    let is = |want: f64| move |v: &OwnedValue| *v == OwnedValue::Number(want);
    check(Kind::Bulb, "dim", json!(40), "level", is(40.0));
    check(Kind::Bulb, "dim", json!(0), "on", |v| *v == OwnedValue::Bool(false));
    check(Kind::Bulb, "switch", json!(true), "level", is(80.0));
    check(Kind::InfusionPump, "set-rate", json!(12.5), "rate", is(12.5));
    check(Kind::InfusionPump, "stop", Json::Null, "rate", is(0.0));
    check(Kind::InfusionPump, "stop", Json::Null, "state", |v| *v == OwnedValue::Text("stopped".to_owned()));
    check(Kind::MillingMachine, "stop", Json::Null, "spindle-speed", is(0.0));
    check(Kind::ParkingMeter, "set-rate", json!(3.5), "rate", is(3.5));
    let mut thermometer = Kind::Thermometer.build();
    thermometer.act("set-interval", &json!(60), &BY).unwrap();
    assert_eq!(thermometer.period(), Duration::from_secs(60));
}

#[test]
fn only_what_can_hurt_somebody_needs_a_passkey() {
    let mut sensitive = Vec::new();
    for kind in KINDS {
        let actions = kind.description().unwrap().actions;
        sensitive.extend(
            actions
                .iter()
                .filter(|(_, a)| a.is_sensitive)
                .map(|(name, _)| format!("{} {name}", kind.as_str())),
        );
    }
    assert_eq!(sensitive, ["infusion-pump set-rate"]);
}

#[test]
fn a_bay_is_for_whoever_paid_no_longer_than_they_paid_and_for_nobody_else() {
    let (mut meter, mut dice) = (Kind::ParkingMeter.build(), Dice::new(7));
    let by = |actor, seconds| By { actor, seconds };
    let mut left = |meter: &mut Box<dyn Thing>| {
        let paid = meter.step(60.0, &mut dice).into_iter().find(|m| m.field == "paid-left").unwrap();
        let OwnedValue::Number(seconds) = paid.value else { panic!("{:?}", paid.value) };
        seconds
    };
    let parked = meter.act("park", &json!(30), &by("holder/a", 7200.0)).unwrap();
    assert_eq!(parked, json!({"seconds": 1800.0}));
    assert_eq!(left(&mut meter), 1740.0);
    assert!(meter.act("park", &json!(1), &by("holder/b", 7200.0)).is_err());
    assert!(meter.act("leave", &Json::Null, &by("holder/b", 7200.0)).is_err());
    // On top of what is left, and never beyond the right to it.
    assert_eq!(meter.act("park", &json!(10), &by("holder/a", 7200.0)).unwrap(), json!({"seconds": 2340.0}));
    assert_eq!(meter.act("park", &json!(240), &by("holder/a", 3600.0)).unwrap(), json!({"seconds": 3600.0}));
    // A new price is for who pays from now on.
    meter.act("set-rate", &json!(9), &BY).unwrap();
    assert_eq!(left(&mut meter), 3540.0);
    let leave = |meter: &mut Box<dyn Thing>| meter.act("leave", &Json::Null, &by("holder/a", 60.0)).unwrap();
    assert_eq!(leave(&mut meter), json!({"rest": 59.0}));
    assert_eq!(leave(&mut meter), json!({"rest": 0.0}));
    meter.act("park", &json!(1), &by("holder/b", 7200.0)).unwrap();
}
