use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::SCOPE_BYTES_MAX;

fn permission(text: &str) -> OwnedPermission {
    text.parse().unwrap()
}

#[test]
fn a_permission_reads_as_it_is_typed() {
    let read =
        permission("reserve minutes=1..120 zone=a,b slowly=true note=\"a, b\" until=\"1..2\" door=3 =..5");
    let json = json!([{"action": "reserve", "bounds": {
        "": {"max": 5}, "door": 3, "minutes": {"min": 1, "max": 120}, "note": "a, b", "slowly": true,
        "until": "1..2", "zone": ["a", "b"],
    }}]);
    assert_eq!(permissions_to_json(core::slice::from_ref(&read)), json);
    assert_eq!(permissions_from_json(&json), Ok(Vec::from([read])));
    assert_eq!(permissions_to_json(&[permission("leave")]), json!([{"action": "leave"}]));
}

#[test]
fn what_is_no_permission_is_refused_with_what_would_be_right() {
    for text in
        ["", "Park!", "park minutes", "park m=5..1", "park m=..", "park m=", "park m=1 m=2", "park m=\"a"]
    {
        assert!(text.parse::<OwnedPermission>().is_err(), "{text}");
    }
    for json in [
        json!({}),
        json!(["park"]),
        json!([{"bounds": {}}]),
        json!([{"action": "park", "bound": {}}]),
        json!([{"action": "park", "bounds": {"m": {}}}]),
        json!([{"action": "park", "bounds": {"m": {"min": 2, "max": 1}}}]),
        json!([{"action": "park", "bounds": {"m": {"min": 1.5}}}]),
        json!([{"action": "park", "bounds": {"m": []}}]),
        json!([{"action": "park", "bounds": {"m": null}}]),
    ] {
        assert!(permissions_from_json(&json).is_err(), "{json}");
    }
}

#[track_caller]
fn check_within(text: &str, want: Result<(), &str>) {
    let opened =
        ["park minutes=1..240", "open door=1..4 slowly=true,false", "light =a,b", "leave", "heat =5.."];
    let opened: Vec<OwnedPermission> = opened.iter().map(|text| permission(text)).collect();
    let is = permission(text).within(&opened).map_err(|beyond| beyond.to_string());
    assert_eq!(is, want.map_err(ToString::to_string), "{text}");
}

#[test]
fn a_permission_is_within_what_is_open_when_no_bound_goes_beyond() {
    for text in
        ["park minutes=1..240", "park minutes=2,240", "park", "open door=4 slowly=true", "light =b", "leave"]
    {
        check_within(text, Ok(()));
    }
    check_within("heat =6..", Ok(()));
    check_within("set-rate =1", Err("`set-rate` is not open to grants"));
    check_within("leave bay=1", Err("`leave`: bay is not open to grants"));
    let beyond = "`park`: minutes goes beyond what is open to grants, which is 1..240";
    for text in [
        "park minutes=0..240",
        "park minutes=1..241",
        "park minutes=..240",
        "park minutes=1..",
        "park minutes=241",
        "park minutes=a",
    ] {
        check_within(text, Err(beyond));
    }
    check_within("light =c", Err("`light`: its input goes beyond what is open to grants, which is a,b"));
    check_within("light =1..2", Err("`light`: its input goes beyond what is open to grants, which is a,b"));
    check_within("heat =4..", Err("`heat`: its input goes beyond what is open to grants, which is 5.."));
}

fn value() -> impl Strategy<Value = OwnedValue> {
    prop_oneof![
        any::<bool>().prop_map(OwnedValue::Bool),
        any::<i64>().prop_map(OwnedValue::Integer),
        ".{0,6}".prop_map(OwnedValue::Text),
    ]
}

fn bound() -> impl Strategy<Value = OwnedBound> {
    let ends = |(a, b): (i32, i32)| (i64::from(a.min(b)), i64::from(a.max(b)));
    prop_oneof![
        proptest::collection::vec(value(), 1..4).prop_map(OwnedBound::OneOf),
        any::<(i32, i32)>()
            .prop_map(ends)
            .prop_map(|(least, most)| OwnedBound::Range { at_least: Some(least), at_most: Some(most) }),
        any::<i32>().prop_map(|n| OwnedBound::Range { at_least: Some(n.into()), at_most: None }),
        any::<i32>().prop_map(|n| OwnedBound::Range { at_least: None, at_most: Some(n.into()) }),
    ]
}

proptest! {
    #[test]
    fn text_json_and_scope_say_the_same(bounds in proptest::collection::btree_map("[a-z]{0,5}", bound(), 0..4)) {
        let permission = OwnedPermission { action: "park".parse().unwrap(), bounds };
        prop_assert_eq!(permission.to_string().parse::<OwnedPermission>(), Ok(permission.clone()));
        let all = [permission];
        prop_assert_eq!(permissions_from_json(&permissions_to_json(&all)), Ok(all.to_vec()));
        let mut room = [0; SCOPE_BYTES_MAX];
        if let Ok(scope) = write(&all, &mut room) {
            prop_assert_eq!(read(&scope), Ok(all.to_vec()));
        }
    }

    #[test]
    fn no_text_makes_a_reader_panic(text: String) {
        drop(text.parse::<OwnedPermission>());
    }
}
