use std::format;
use std::string::ToString;

use proptest::prelude::*;
use serde_json::json;
use thingward_model::NameRef;

use super::*;
use crate::scope::Arguments;
use crate::{OPERATION_BYTES_MAX, Operation, SCOPE_BYTES_MAX};

fn described(actions: &Json) -> ThingDescription {
    let mut document = json!({
        "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"tw": "urn:thingward:td:"}],
        "title": "Parking meter",
        "securityDefinitions": {"auto_sc": {"scheme": "auto"}},
        "security": "auto_sc",
        "actions": actions,
    });
    for action in document["actions"].as_object_mut().unwrap().values_mut() {
        action["forms"] = json!([{"href": "devices/me/commands"}]);
    }
    ThingDescription::parse(document.to_string().as_bytes()).unwrap()
}

/// Whether the description opens an operation.
#[track_caller]
fn check(actions: &Json, action: &str, arguments: &[(&str, Value<'_>)], want: bool) {
    let mut room = [0; SCOPE_BYTES_MAX];
    let scope = opened(&described(actions), &mut room).unwrap();
    let mut room = [0; OPERATION_BYTES_MAX];
    let operation = Operation::write(NameRef::new(action).unwrap(), arguments, &mut room).unwrap();
    assert_eq!(scope.allows(&operation, Arguments::MustBeBound), Ok(want), "{action} {arguments:?}");
}

#[test]
fn a_description_opens_its_open_actions_within_the_bounds_of_their_inputs_and_nothing_else() {
    let actions = json!({
        "reserve": {"tw:grants": true, "input": {
            "type": "object", "required": ["minutes"],
            "properties": {
                "minutes": {"type": "integer", "minimum": 1, "maximum": 240},
                "note": {"type": "string"},
            },
        }},
        "open": {"tw:grants": true, "input": {"enum": ["front", "back", "moon"], "type": "string", "maxLength": 5}},
        "light": {"tw:grants": true, "input": {"type": "boolean"}},
        "ring": {"tw:grants": true},
        "set-rate": {"input": {"type": "number", "minimum": 0, "maximum": 2}},
    });
    for (minutes, want) in [(0, false), (1, true), (240, true), (241, false)] {
        check(&actions, "reserve", &[("minutes", Value::Integer(minutes))], want);
    }
    check(&actions, "reserve", &[("minutes", Value::Integer(5)), ("note", Value::Text("hi"))], false);
    check(&actions, "reserve", &[], false);
    check(&actions, "open", &[("", Value::Text("back"))], true);
    check(&actions, "open", &[("", Value::Text("side"))], false);
    check(&actions, "light", &[("", Value::Bool(false))], true);
    check(&actions, "light", &[("", Value::Integer(0))], false);
    check(&actions, "ring", &[], true);
    check(&actions, "set-rate", &[("", Value::Integer(0))], false);
}

#[track_caller]
fn check_refused(input: Json, want: &str) {
    let thing = described(&json!({"act": {"tw:grants": true, "input": input}}));
    let error = opened(&thing, &mut [0; SCOPE_BYTES_MAX]).unwrap_err();
    assert_eq!(error.to_string(), format!("act cannot be open to grants: {want}"));
}

#[test]
fn what_has_no_bounds_cannot_be_opened() {
    check_refused(json!({"type": "string"}), "its input is a text without an enum");
    check_refused(json!({"type": "integer"}), "its input is a number without bounds");
    check_refused(json!({}), "its input is no truth, number or text");
    check_refused(json!({"type": "array"}), "its input is no truth, number or text");
    check_refused(json!({"oneOf": [{"const": 1}]}), "its input has alternatives");
    check_refused(
        json!({"type": "integer", "minimum": 0, "multipleOf": 15}),
        "its input goes in steps; an enum of its values would do",
    );
    check_refused(
        json!({"type": "number", "minimum": 0.2, "maximum": 0.8}),
        "its input has bounds with no whole number between them",
    );
    check_refused(
        json!({"type": "number", "maximum": 1e300}),
        "its input has a bound that is not exact as a whole number",
    );
    check_refused(
        json!({"enum": [1.5, 2]}),
        "its input has an enum with something else than truths, whole numbers and texts",
    );
    check_refused(json!({"enum": [7], "type": "string"}), "its input has an enum of which nothing is valid");
    let member = json!({"type": "object", "required": ["note"], "properties": {"note": {"type": "string"}}});
    check_refused(member, "note is a text without an enum");
}

#[test]
fn what_opens_more_than_a_device_keeps_is_refused() {
    let many: serde_json::Map<_, _> = (0..9).map(|n| (format!("a{n}"), json!({"tw:grants": true}))).collect();
    let error = opened(&described(&many.into()), &mut [0; SCOPE_BYTES_MAX]).unwrap_err();
    assert_eq!(error, OpeningError::Format(FormatError::TooLarge));
}

fn bound() -> impl Strategy<Value = Option<f64>> {
    proptest::option::of((-12..12_i32).prop_map(|quarters| f64::from(quarters) / 4.0))
}

proptest! {
    #[test]
    fn of_whole_numbers_exactly_those_are_open_that_the_schema_takes(
        minimum in bound(), maximum in bound(), above in bound(), below in bound(),
    ) {
        prop_assume!(minimum.is_none() || maximum.is_none() || minimum <= maximum);
        let mut input = json!({"type": "number"});
        for (name, bound) in [
            ("minimum", minimum), ("maximum", maximum), ("exclusiveMinimum", above), ("exclusiveMaximum", below),
        ] {
            if let Some(bound) = bound {
                input[name] = json!(bound);
            }
        }
        let thing = described(&json!({"act": {"tw:grants": true, "input": input}}));
        let action = &thing.actions[&"act".parse().unwrap()];
        let mut room = [0; SCOPE_BYTES_MAX];
        let scope = opened(&thing, &mut room);
        let takes = |n: i64| action.validate(&json!(n)).is_ok();
        match scope {
            Ok(scope) => for n in -5..5 {
                let mut room = [0; OPERATION_BYTES_MAX];
                let operation = Operation::write(NameRef::new("act").unwrap(), &[("", Value::Integer(n))], &mut room);
                prop_assert_eq!(scope.allows(&operation.unwrap(), Arguments::MustBeBound), Ok(takes(n)), "{}", n);
            },
            Err(_) => {
                let is_free = [minimum, maximum, above, below].iter().all(Option::is_none);
                prop_assert!(is_free || !(-5..5).any(takes));
            }
        }
    }
}
