//! Thing Descriptions under the JSON Schema of those who wrote the standard.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use thingward_model::description::ThingDescription;

use crate::common::{given, have, succeeds};
use crate::script;

/// What the schema says about the files, a line for each complaint.
fn complaints(modules: &str, files: &[PathBuf]) -> String {
    let mut arguments = vec![script("td_validate.mjs"), modules.to_owned()];
    arguments.extend(files.iter().map(|f| f.to_str().unwrap().to_owned()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    succeeds("node", &arguments)
}

/// Those of the demo's things.
fn descriptions() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/things");
    let files = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    files.filter(|f| f.extension().is_some_and(|e| e == "json")).collect()
}

#[test]
fn the_descriptions_of_all_things_are_right_by_the_standards_own_schema() {
    let Some(modules) = given("THINGWARD_NODE_MODULES") else { return };
    if !have(&["node"]) {
        return;
    }
    let files = descriptions();
    assert_eq!(files.len(), 5);
    assert_eq!(complaints(&modules, &files), "");
}

#[test]
fn what_the_standards_schema_refuses_our_reader_refuses_too() {
    let Some(modules) = given("THINGWARD_NODE_MODULES") else { return };
    if !have(&["node"]) {
        return;
    }
    let good: Json = serde_json::from_slice(&fs::read(&descriptions()[0]).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    let mut put = |pointer: &str, member: &str, value: Option<Json>| {
        let mut wrong = good.clone();
        let object = wrong.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => object.insert(member.to_owned(), value),
            None => object.remove(member),
        };
        let file = folder.path().join(format!("{}.json", files.len()));
        fs::write(&file, wrong.to_string()).unwrap();
        files.push(file);
    };
    let action = format!("/actions/{}", good["actions"].as_object().unwrap().keys().next().unwrap());
    for member in ["@context", "title", "security", "securityDefinitions"] {
        put("", member, None);
    }
    put("", "@context", Some(json!("https://example.com/")));
    put("", "title", Some(json!(1)));
    put("", "actions", Some(json!([])));
    put("/securityDefinitions/certificate", "scheme", None);
    put(&action, "forms", None);
    put(&action, "forms", Some(json!([])));
    put(&action, "forms", Some(json!([{}])));
    put(&action, "safe", Some(json!("yes")));
    put(&action, "input", Some(json!({"type": "decimal"})));
    put(&action, "input", Some(json!({"type": "number", "minimum": "0"})));
    let said = complaints(&modules, &files);
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        assert!(said.contains(file.to_str().unwrap()), "the schema takes {text}");
        assert!(ThingDescription::parse(text.as_bytes()).is_err(), "our reader takes {text}");
    }
}
