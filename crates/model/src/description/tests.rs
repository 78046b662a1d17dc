use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn with(actions: Value) -> Value {
    json!({
        "@context": [CONTEXT, {"tw": NAMESPACE}],
        "title": "Parking meter",
        "securityDefinitions": {"auto_sc": {"scheme": "auto"}},
        "security": "auto_sc",
        "actions": actions,
    })
}

fn forms() -> Value {
    json!([{"href": "devices/me/commands"}])
}

fn parse(document: &Value) -> Result<ThingDescription, DescriptionError> {
    ThingDescription::parse(document.to_string().as_bytes())
}

fn action(input: Value) -> Action {
    let document = with(json!({"act": {"input": input, "forms": forms()}}));
    parse(&document).unwrap().actions.into_values().next().unwrap()
}

#[test]
fn a_description_says_what_a_thing_is_and_does() {
    let document = json!({
        "@context": [CONTEXT, {"tw": NAMESPACE, "saref": "https://w3id.org/saref#"}],
        "@type": "saref:Meter",
        "id": "urn:dev:ops:meter-1",
        "title": "Parking meter",
        "titles": {"de": "Parkuhr"},
        "securityDefinitions": {"auto_sc": {"scheme": "auto"}},
        "security": ["auto_sc"],
        "links": [{"href": "https://maker.example"}],
        "properties": {
            "takings": {"type": "number", "unit": "EUR", "readOnly": true, "minimum": 0, "forms": forms()},
            "position": {"type": "string", "tw:category": "location", "tw:stream": "gps", "forms": forms()},
        },
        "actions": {
            "set-rate": {
                "title": "Set the rate",
                "input": {"type": "number", "unit": "EUR/h", "minimum": 0, "maximum": 2},
                "output": {"type": "number", "unit": "EUR/h"},
                "idempotent": true,
                "tw:sensitive": true,
                "forms": forms(),
            },
            "self-test": {"safe": true, "tw:roles": ["technician"], "tw:grants": true, "tw:step": "end", "forms": forms()},
        },
        "events": {"full": {"data": {"type": "boolean"}, "forms": forms()}},
    });
    let thing = parse(&document).unwrap();
    assert_eq!(thing.title, "Parking meter");
    assert_eq!(thing.as_json(), &document);
    let (position, takings) = (&thing.properties["position"], &thing.properties["takings"]);
    assert_eq!(position.category.as_deref(), Some("location"));
    assert_eq!(position.stream.unwrap().as_str(), "gps");
    assert!(takings.schema.is_read_only && takings.schema.unit.as_deref() == Some("EUR"));
    let (rate, test) =
        (&thing.actions[&"set-rate".parse().unwrap()], &thing.actions[&"self-test".parse().unwrap()]);
    assert!(rate.is_sensitive && rate.is_idempotent && !rate.is_safe);
    assert_eq!(rate.roles, ["administrator", "operator"]);
    assert_eq!((test.is_safe, test.roles.as_slice()), (true, ["technician".to_string()].as_slice()));
    assert!(test.is_open_to_grants && !rate.is_open_to_grants);
    assert_eq!((test.step, rate.step), (Some(UseStep::End), None));
    assert!(thing.events["full"].data.is_some());
}

#[track_caller]
fn check(change: impl FnOnce(&mut Value), want: &str) {
    let mut document = with(json!({"act": {"input": {"type": "number"}, "forms": forms()}}));
    change(&mut document);
    assert_eq!(parse(&document).unwrap_err().to_string(), want);
}

#[test]
#[cfg_attr(miri, ignore = "each of many mistakes is in a description of its own, which takes too long")]
fn what_is_wrong_with_a_description_is_said_with_its_place() {
    for member in ["@context", "title", "securityDefinitions", "security"] {
        let want = format!("the description has no {member}");
        check(|d| drop(d.as_object_mut().unwrap().remove(member)), &want);
    }
    check(|d| *d = json!([]), "the description is not an object");
    check(
        |d| d["@context"] = json!("https://www.w3.org/2019/wot/td/v1"),
        "/@context does not name https://www.w3.org/2022/wot/td/v1.1",
    );
    check(|d| d["title"] = json!(1), "/title is not a text");
    check(|d| d["title"] = json!("x".repeat(129)), "/title is longer than 128 bytes");
    check(|d| d["security"] = json!("none"), "/security is not in securityDefinitions");
    check(|d| d["security"] = json!(["auto_sc", "x"]), "/security/1 is not in securityDefinitions");
    check(|d| d["securityDefinitions"]["x"] = json!({}), "/securityDefinitions/x has no scheme");
    check(|d| d["actions"]["act"]["forms"] = json!([]), "/actions/act/forms is empty");
    check(|d| d["actions"]["act"]["forms"] = json!([{}]), "/actions/act/forms/0 has no href");
    check(
        |d| d["actions"]["a/b"] = json!({}),
        "/actions/a~1b action name has a character outside A-Z a-z 0-9 . _ -",
    );
    check(|d| d["actions"]["act"]["safe"] = json!("yes"), "/actions/act/safe is not true or false");
    check(
        |d| {
            (d["actions"]["act"]["tw:sensitive"], d["actions"]["act"]["tw:grants"]) =
                (json!(true), json!(true))
        },
        "/actions/act is sensitive and open to grants: a grant is nobody's own approval of an input",
    );
    check(|d| d["actions"]["act"]["tw:step"] = json!("rest"), "/actions/act/tw:step is none of start, end");
    check(
        |d| d["actions"]["act"]["tw:step"] = json!("start"),
        "/actions/act has a tw:step and is not open to grants",
    );
    check(
        |d| d["actions"]["act"]["input"]["type"] = json!("decimal"),
        "/actions/act/input/type is none of boolean, integer, number, string, object, array, null",
    );
    check(
        |d| d["actions"]["act"]["input"]["minimum"] = json!("0"),
        "/actions/act/input/minimum is not a number",
    );
    check(
        |d| d["actions"]["act"]["input"] = json!({"type": "number", "minimum": 2, "maximum": 1}),
        "/actions/act/input has a minimum above its maximum",
    );
    check(
        |d| d["actions"]["act"]["input"] = json!({"type": "integer", "multipleOf": 0}),
        "/actions/act/input has a multipleOf that is not greater than 0",
    );
    check(|d| d["actions"]["act"]["input"]["enum"] = json!([]), "/actions/act/input/enum is empty");
    check(
        |d| d["actions"]["act"]["input"]["enum"] = json!(vec![1; 65]),
        "/actions/act/input/enum has more than 64 items",
    );
    let deep =
        |levels| (1..levels).fold(json!({"type": "null"}), |s, _| json!({"type": "array", "items": s}));
    assert!(parse(&with(json!({"act": {"input": deep(4), "forms": forms()}}))).is_ok());
    check(
        |d| d["actions"]["act"]["input"] = deep(5),
        "/actions/act/input/items/items/items/items is a schema below 4 others",
    );
    let many = |n: usize| -> Value {
        (0..n).map(|n| (format!("a{n}"), json!({"forms": forms()}))).collect::<serde_json::Map<_, _>>().into()
    };
    assert!(parse(&with(many(64))).is_ok());
    check(|d| d["actions"] = many(65), "/actions has more than 64 members");
    check(
        |d| d["description"] = json!("x".repeat(DESCRIPTION_BYTES_MAX)),
        "the description is larger than 65536 bytes",
    );
    let error = ThingDescription::parse(b"{").unwrap_err().to_string();
    assert!(error.starts_with("the description is not JSON"), "{error}");
}

#[test]
fn our_terms_count_only_under_our_namespace() {
    let sensitive = json!({"act": {"tw:sensitive": true, "forms": forms()}});
    for context in [json!(CONTEXT), json!([CONTEXT]), json!([CONTEXT, {"tw": "https://other.example/"}])] {
        let mut document = with(sensitive.clone());
        document["@context"] = context;
        assert_eq!(parse(&document).unwrap_err().path, "/@context");
    }
    assert!(parse(&with(sensitive)).unwrap().actions.into_values().next().unwrap().is_sensitive);
}

#[track_caller]
fn check_input(schema: Value, input: Value, want: Result<(), &str>) {
    let got = action(schema).validate(&input).map_err(|e| e.to_string());
    assert_eq!(got, want.map_err(String::from), "{input}");
}

#[test]
fn an_input_is_checked_against_every_bound_and_told_what_would_be_right() {
    let rate = || json!({"type": "number", "unit": "EUR/h", "minimum": 0, "maximum": 2});
    check_input(rate(), json!(2), Ok(()));
    check_input(rate(), json!(0.5), Ok(()));
    check_input(rate(), json!(3.5), Err("3.5 is above the maximum 2 EUR/h"));
    check_input(rate(), json!(-1), Err("-1 is below the minimum 0 EUR/h"));
    check_input(rate(), json!("2"), Err("\"2\" is not a number from 0 to 2 EUR/h"));
    check_input(rate(), json!(null), Err("null is not a number from 0 to 2 EUR/h"));
    let inside = || json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1});
    check_input(inside(), json!(0.1), Ok(()));
    check_input(inside(), json!(0), Err("0 is not above 0"));
    check_input(inside(), json!(1), Err("1 is not below 1"));
    check_input(json!({"type": "number", "multipleOf": 0.1}), json!(0.3), Ok(()));
    check_input(json!({"type": "number", "multipleOf": 0.1}), json!(0.35), Err("0.35 is no multiple of 0.1"));
    check_input(json!({"type": "integer"}), json!(3.0), Ok(()));
    check_input(
        json!({"type": "integer", "minimum": 1}),
        json!(3.5),
        Err("3.5 is not a whole number from 1 up"),
    );
    check_input(json!({"type": "integer"}), json!(1e300), Err("1e+300 is not a whole number"));
    check_input(json!({"type": "boolean"}), json!(1), Err("1 is not true or false"));
    let word = || json!({"type": "string", "minLength": 1, "maxLength": 3});
    check_input(word(), json!("grün"), Err("\"grün\" is not a text of 1 to 3 characters"));
    check_input(word(), json!("grü"), Ok(()));
    check_input(word(), json!(""), Err("\"\" is not a text of 1 to 3 characters"));
    let mode = || json!({"type": "string", "enum": ["eco", "fast"]});
    check_input(mode(), json!("eco"), Ok(()));
    check_input(mode(), json!("slow"), Err("\"slow\" is not one of \"eco\", \"fast\""));
    check_input(json!({"const": 3}), json!(3.0), Ok(()));
    check_input(json!({"const": 3}), json!(4), Err("4 is not one of 3"));
    let either = || json!({"oneOf": [{"type": "boolean"}, {"type": "integer"}, {"type": "number"}]});
    check_input(either(), json!(true), Ok(()));
    check_input(either(), json!(1), Err("1 fits 2 of the alternatives, and has to fit one"));
    check_input(
        json!({"type": "string", "pattern": "^a+$"}),
        json!("aa"),
        Err("has a pattern, which cannot be checked"),
    );
    let row = || json!({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2});
    check_input(row(), json!([true]), Ok(()));
    check_input(row(), json!([true, 1]), Err("1: 1 is not true or false"));
    check_input(row(), json!([]), Err("[] is not an array of 1 to 2 items"));
}

#[test]
fn an_object_has_the_members_that_it_must_and_no_others() {
    let dim = || {
        json!({"type": "object", "required": ["level"], "properties": {
            "level": {"type": "integer", "minimum": 0, "maximum": 100, "unit": "%"},
            "seconds": {"type": "number"},
        }})
    };
    check_input(dim(), json!({"level": 5}), Ok(()));
    check_input(dim(), json!({"level": 5, "seconds": 0.5}), Ok(()));
    check_input(dim(), json!({"seconds": 1}), Err("level is missing: a whole number from 0 to 100 %"));
    check_input(dim(), json!({"level": 101}), Err("level: 101 is above the maximum 100 %"));
    check_input(dim(), json!({"level": 1, "x": 1}), Err("there is no x; there is level, seconds"));
    check_input(dim(), json!(5), Err("5 is not an object of level, seconds"));
}

#[test]
fn an_action_without_input_takes_none() {
    let document = with(json!({"stop": {"forms": forms()}}));
    let stop = parse(&document).unwrap().actions.into_values().next().unwrap();
    assert_eq!(stop.validate(&Value::Null), Ok(()));
    assert_eq!(stop.validate(&json!({})).unwrap_err().to_string(), "the action takes no input");
    assert_eq!(stop.read_input(&[] as &[&str]), Ok(Value::Null));
    assert_eq!(stop.read_input(&["now"]).unwrap_err().to_string(), "the action takes no input");
}

#[track_caller]
fn check_words(schema: Value, words: &[&str], want: Result<Value, &str>) {
    let got = action(schema).read_input(words).map_err(|e| e.to_string());
    assert_eq!(got, want.map_err(String::from), "{words:?}");
}

#[test]
fn words_of_a_command_line_become_what_the_schema_asks_for() {
    let rate = || json!({"type": "number", "maximum": 2, "unit": "EUR/h"});
    check_words(rate(), &["1.50"], Ok(json!(1.5)));
    check_words(rate(), &["2.0"], Ok(json!(2)));
    check_words(rate(), &["3.50"], Err("3.5 is above the maximum 2 EUR/h"));
    check_words(rate(), &["much"], Err("\"much\" is not a number up to 2 EUR/h"));
    check_words(rate(), &["inf"], Err("\"inf\" is not a number up to 2 EUR/h"));
    check_words(rate(), &["1", "2"], Err("takes one value: a number up to 2 EUR/h"));
    check_words(rate(), &[], Err("null is not a number up to 2 EUR/h"));
    check_words(json!({"type": "boolean"}), &["on"], Ok(json!(true)));
    check_words(json!({"type": "boolean"}), &["maybe"], Err("\"maybe\" is not true or false"));
    check_words(json!({"type": "string"}), &["3.5"], Ok(json!("3.5")));
    let dim =
        || json!({"type": "object", "properties": {"level": {"type": "integer"}, "on": {"type": "boolean"}}});
    check_words(dim(), &["level=5", "on=off"], Ok(json!({"level": 5, "on": false})));
    check_words(dim(), &["5"], Err("\"5\" is not NAME=VALUE"));
    check_words(dim(), &["level=high"], Err("level: \"high\" is not a whole number"));
    check_words(dim(), &["level=1", "level=2"], Err("level is given twice"));
    check_words(dim(), &["x=1"], Err("there is no x; there is level, on"));
}

proptest! {
    #[test]
    fn a_number_is_taken_exactly_within_its_bounds(n in -100.0..100.0_f64, low in -50.0..0.0_f64, high in 0.0..50.0_f64) {
        let action = action(json!({"type": "number", "minimum": low, "maximum": high}));
        prop_assert_eq!(action.validate(&json!(n)).is_ok(), (low..=high).contains(&n));
        prop_assert_eq!(action.read_input(&[n.to_string()]).is_ok(), (low..=high).contains(&n));
    }

    #[test]
    fn no_bytes_bring_the_reader_down(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _any: Result<ThingDescription, DescriptionError> = ThingDescription::parse(&bytes);
    }
}

#[test]
fn a_name_of_any_kind_is_bounded() {
    let names: Vec<String> = vec![String::new(), "x".repeat(WORD_BYTES_MAX + 1)];
    for name in names {
        let mut document = with(json!({}));
        document["properties"] = json!({name: {"forms": forms()}});
        assert_eq!(parse(&document).unwrap_err().path, "/properties");
    }
}
