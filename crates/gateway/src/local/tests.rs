use serde_json::json;

use super::*;

#[test]
fn an_application_that_asks_without_end_is_held_to_its_share() {
    let (mut limits, begun) = (Limits::default(), Instant::now());
    let (home, other) = ("home".parse().unwrap(), "other".parse().unwrap());
    let asked = (0..1000).filter(|_| limits.may_call(&home, begun)).count();
    assert_eq!(asked, 40);
    assert!(limits.may_call(&other, begun), "another is served");
    let later = begun + Duration::from_millis(500);
    assert_eq!((0..1000).filter(|_| limits.may_call(&home, later)).count(), 10);
}

#[test]
fn the_same_refusal_is_told_once_a_minute_with_how_often_it_was() {
    let (mut limits, begun) = (Limits::default(), Instant::now());
    let home = "home".parse().unwrap();
    assert_eq!(limits.refused(&home, "operation/bulb/on", begun), Some(0));
    for _ in 0..5 {
        assert_eq!(limits.refused(&home, "operation/bulb/on", begun), None);
    }
    assert_eq!(limits.refused(&home, "operation/bulb/off", begun), Some(0));
    assert_eq!(limits.refused(&home, "operation/bulb/on", begun + REFUSED_EVERY), Some(5));
    let told = (0..1000).filter(|n| limits.refused(&home, &n.to_string(), begun).is_some()).count();
    assert_eq!(told, REFUSED_MAX - 2);
}

#[test]
fn an_input_is_what_radios_take_or_none() {
    let argument = |name: &str, value| wire::Argument { name: wire::Name::new(name).unwrap(), value };
    assert_eq!(arguments(&Json::Null), Some(Vec::new()));
    assert_eq!(arguments(&json!(70.5)), Some(vec![argument("", wire::Value::Number(70.5))]));
    let two = json!({"level": 70, "slow": true});
    let want = vec![argument("level", wire::Value::Number(70.0)), argument("slow", wire::Value::Bool(true))];
    assert_eq!(arguments(&two), Some(want));
    let many: serde_json::Map<_, _> = (0..17).map(|n| (n.to_string(), json!(n))).collect();
    for wrong in
        [json!([1]), json!({"a": {"b": 1}}), json!({"a": null}), json!("x".repeat(1025)), json!(many)]
    {
        assert_eq!(arguments(&wrong), None, "{wrong}");
    }
}
