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
    let this = |also| Some(Telling::This { also });
    assert_eq!(limits.refused(&home, "no", "operation/bulb/on", begun), this(0));
    for _ in 0..5 {
        assert_eq!(limits.refused(&home, "no", "operation/bulb/on", begun), None);
    }
    assert_eq!(limits.refused(&home, "no", "operation/bulb/off", begun), this(0));
    assert_eq!(limits.refused(&home, "no", "operation/bulb/on", begun + REFUSED_EVERY), this(5));
}

#[test]
fn of_too_many_different_refusals_it_is_told_how_many_more_there_are() {
    let (mut limits, begun) = (Limits::default(), Instant::now());
    let home = "home".parse().unwrap();
    let told: Vec<_> = (0..1000).filter_map(|n| limits.refused(&home, "no", &n.to_string(), begun)).collect();
    let (these, others) = told.split_at(REFUSED_MAX);
    assert!(these.iter().all(|told| *told == Telling::This { also: 0 }));
    assert_eq!(*others, [Telling::Others { count: 1 }]);
    // A minute later nothing of before is told apart any more, and when there are too many again all are in one number.
    let later = begun + REFUSED_EVERY;
    let told: Vec<_> = (0..1000).filter_map(|n| limits.refused(&home, "no", &n.to_string(), later)).collect();
    let counted = told.iter().map(|told| match told {
        Telling::This { also } => 1 + also,
        Telling::Others { count } => *count,
    });
    let left = limits.others.as_ref().unwrap().also;
    assert_eq!(u64::try_from(REFUSED_MAX).unwrap() + 1 + counted.sum::<u64>() + left, 2000);
}

#[test]
fn what_was_only_counted_is_told_when_it_is_told_apart_no_more() {
    let (mut limits, begun) = (Limits::default(), Instant::now());
    let home = "home".parse().unwrap();
    for _ in 0..5000 {
        limits.refused(&home, "no", "operation/lock/open", begun);
    }
    let later = begun + REFUSED_EVERY;
    let told: Vec<_> = (0..100).filter_map(|n| limits.refused(&home, "no", &n.to_string(), later)).collect();
    assert_eq!(told[REFUSED_MAX - 1..], [Telling::This { also: 0 }, Telling::Others { count: 1 + 4999 }]);
}

#[test]
fn what_was_only_counted_is_told_when_nothing_more_comes() {
    let (mut limits, begun) = (Limits::default(), Instant::now());
    let home = "home".parse().unwrap();
    for _ in 0..5000 {
        limits.refused(&home, "no", "operation/lock/open", begun);
    }
    assert!(limits.over(begun).0.is_empty());
    let lock = (home, "operation/lock/open".to_owned());
    assert_eq!(limits.over(begun + REFUSED_EVERY), (vec![(lock, "no", 4998)], 0));
    assert_eq!(limits.over(begun + 2 * REFUSED_EVERY), (Vec::new(), 0));
    assert!(limits.refused.is_empty());
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
