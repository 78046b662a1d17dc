//! Cedar's own integration tests, asked through our index.
//!
//! The shared vectors are not ours to ship: where the folder is absent these tests say so and pass.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, Schema};
use serde_json::Value as Json;
use thingward_policy::Index;

fn vectors() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/cedar");
    if !folder.exists() {
        println!("skipped: the shared vectors are not here (cedar)");
        return None;
    }
    Some(folder)
}

fn uid(json: &Json) -> EntityUid {
    EntityUid::from_json(json.clone()).unwrap()
}

fn words(json: &Json) -> BTreeSet<String> {
    json.as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_owned()).collect()
}

/// Asks every request of a case and compares decision, reasons and errors; gives how many there were.
fn check(name: &str, policies: &str, schema: &str, entities: &Json, requests: &Json) -> usize {
    let policies = PolicySet::from_str(policies).unwrap();
    let schema = Schema::from_str(schema).unwrap();
    let entities = Entities::from_json_value(entities.clone(), Some(&schema)).unwrap();
    let index = Index::new(policies.policies()).unwrap();
    let requests = requests.as_array().unwrap();
    for wanted in requests {
        let at = format!("{name}: {}", wanted["description"]);
        let action = uid(&wanted["action"]);
        let context = Context::from_json_value(wanted["context"].clone(), Some((&schema, &action))).unwrap();
        let known = wanted["validateRequest"].as_bool().unwrap_or(true).then_some(&schema);
        let request =
            Request::new(uid(&wanted["principal"]), action, uid(&wanted["resource"]), context, known);
        let answer = index.ask(&request.unwrap(), &entities);
        let decision = if wanted["decision"] == "allow" { Decision::Allow } else { Decision::Deny };
        assert_eq!(answer.decision, decision, "{at}");
        assert_eq!(
            answer.reasons.iter().map(ToString::to_string).collect::<BTreeSet<_>>(),
            words(&wanted["reason"]),
            "{at}"
        );
        let failed: BTreeSet<String> = answer.errors.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(failed, words(&wanted["errors"]), "{at}");
        // Ours is the same with one addition: a failure is a no.
        assert_eq!(answer.is_allowed(), decision == Decision::Allow && failed.is_empty(), "{at}");
    }
    requests.len()
}

#[test]
fn the_fuzzed_corpus_is_decided_as_by_cedars_model() {
    let Some(folder) = vectors() else { return };
    let file = fs::File::open(folder.join("corpus_sample.jsonl.gz")).unwrap();
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    let mut requests = 0;
    for line in lines.skip(1) {
        let case: Json = serde_json::from_str(&line.unwrap()).unwrap();
        let text = |name: &str| case[name].as_str().unwrap();
        requests += check(text("id"), text("policies"), text("schema"), &case["entities"], &case["requests"]);
    }
    assert!(requests > 5000, "{requests}");
}

#[test]
fn the_hand_written_tests_are_decided_as_they_say() {
    let Some(folder) = vectors() else { return };
    let mut requests = 0;
    for kind in ["decimal", "example_use_cases"] {
        for entry in fs::read_dir(folder.join("tests").join(kind)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "json") {
                continue;
            }
            let case: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let read = |name: &str| fs::read_to_string(folder.join(case[name].as_str().unwrap())).unwrap();
            let entities = serde_json::from_str(&read("entities")).unwrap();
            let name = path.display().to_string();
            requests += check(&name, &read("policies"), &read("schema"), &entities, &case["requests"]);
        }
    }
    assert!(requests > 30, "{requests}");
}

#[test]
fn the_index_answers_as_cedar_does_over_all_policies() {
    use proptest::prelude::*;

    let part = |kind: &'static str| {
        prop_oneof![
            Just(String::new()),
            (0..3_u8).prop_map(move |n| format!(" == {kind}::\"{n}\"")),
            (0..3_u8).prop_map(|n| format!(" in G::\"{n}\"")),
            Just(format!(" is {kind}")),
            (0..3_u8).prop_map(move |n| format!(" is {kind} in G::\"{n}\"")),
        ]
    };
    let action = prop_oneof![
        Just(String::new()),
        (0..3_u8).prop_map(|n| format!(" == Action::\"{n}\"")),
        Just(" in [Action::\"0\", Action::\"1\"]".to_owned()),
        Just(" in Action::\"all\"".to_owned()),
    ];
    let condition = prop_oneof![
        4 => Just(String::new()),
        1 => Just(" when { principal == resource }".to_owned()),
        1 => Just(" when { principal.missing }".to_owned()),
    ];
    let effect = prop_oneof![Just("permit"), Just("forbid")];
    let policy = (effect, part("U"), action, part("R"), condition)
        .prop_map(|(e, p, a, r, c)| format!("{e} (principal{p}, action{a}, resource{r}){c};"));
    let entities = Entities::from_json_str(
        r#"[{"uid":{"type":"U","id":"0"},"attrs":{},"parents":[{"type":"G","id":"0"}]},
            {"uid":{"type":"U","id":"1"},"attrs":{},"parents":[{"type":"G","id":"1"},{"type":"G","id":"2"}]},
            {"uid":{"type":"G","id":"0"},"attrs":{},"parents":[{"type":"G","id":"1"}]},
            {"uid":{"type":"R","id":"0"},"attrs":{},"parents":[{"type":"G","id":"0"}]},
            {"uid":{"type":"R","id":"1"},"attrs":{},"parents":[{"type":"G","id":"2"}]},
            {"uid":{"type":"Action","id":"0"},"attrs":{},"parents":[{"type":"Action","id":"all"}]},
            {"uid":{"type":"Action","id":"all"},"attrs":{},"parents":[]}]"#,
        None,
    )
    .unwrap();
    proptest!(ProptestConfig::with_cases(300), |(texts in proptest::collection::vec(policy, 0..12))| {
        let policies = PolicySet::from_str(&texts.concat()).unwrap();
        let index = Index::new(policies.policies()).unwrap();
        for (p, a, r) in (0..27).map(|n| (n % 3, n / 3 % 3, n / 9)) {
            let uid = |kind: &str, n: i32| EntityUid::from_str(&format!("{kind}::\"{n}\"")).unwrap();
            let request =
                Request::new(uid("U", p), uid("Action", a), uid("R", r), Context::empty(), None).unwrap();
            let (ours, theirs) =
                (index.ask(&request, &entities), Authorizer::new().is_authorized(&request, &policies, &entities));
            prop_assert_eq!(ours.decision, theirs.decision());
            prop_assert_eq!(ours.reasons, theirs.diagnostics().reason().cloned().collect::<BTreeSet<_>>());
            prop_assert_eq!(ours.errors.len(), theirs.diagnostics().errors().count());
        }
    });
}
