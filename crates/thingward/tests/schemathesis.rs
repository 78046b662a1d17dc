//! The API under Schemathesis: requests made from the OpenAPI document that the service serves, right ones and wrong
//! ones. Whatever comes back has to be in the document. Skips, and says so, where it is not installed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Place, given, shown, wait_for};
use serde_json::{Value as Json, json};
use thingward_policy::Action;

/// A meter that takes its rate from operators.
const DESCRIPTION: &str = r#"{
  "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"tw": "urn:thingward:td:"}],
  "title": "Meter", "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}}, "security": "nosec_sc",
  "actions": {
    "set-rate": {
      "input": {"type": "number", "minimum": 0, "maximum": 10, "unit": "EUR/h"},
      "forms": [{"href": "devices/me/commands/+"}]
    }
  }
}"#;

/// What names in paths are, so that requests get beyond "not found", and who can be spared.
const CONFIGURATION: &str = r#"
[parameters]
"path.tenant" = "acme"
"path.device" = "meter-1"
"path.kind" = "users"
"path.member" = "jo"
"path.command" = "COMMAND"
# Nothing comes that would be worth a longer wait.
"query.wait" = 1

[[operations]]
include-path-regex = "/(release|revoke)$"
parameters = { "path.device" = "meter-2" }
"#;

/// Without an end, or the end of everything after it.
const LEFT_OUT: &str = "/(readings/follow|key/withdraw)$";
/// What only a token for all tenants reaches.
const OF_ALL: &str = "^/(metrics|api/v1/(tenants|tokens|tokens/.*))$";
/// Not that every request that fits the document is taken: much of what is right is not said in JSON Schema.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,negative_data_rejection,\
                      ignored_auth,missing_required_header,unsupported_method,allow_header_conformance";
/// Requests for each operation that are made up.
const EXAMPLES: &str = "25";
/// A run, at most.
const SECONDS: &str = "300";

/// Asks for what `which` says with this token.
fn run(place: &Place, program: &Path, token: &Json, which: [&str; 2]) {
    let (token, key) = split(token["token"].as_str().unwrap());
    let output = Command::new("timeout")
        .args(["--kill-after=1", SECONDS])
        .arg(program)
        .args(["--config-file", shown(&place.path("schemathesis.toml")), "--no-color"])
        .args(["run", &format!("{}/api/v1/openapi.json", place.url)])
        .args(["--tls-verify", shown(&place.path("data").join("root.pem"))])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--phases", "coverage,fuzzing", "--checks", CHECKS, "--max-examples", EXAMPLES])
        .args(["--request-timeout", "10", "--continue-on-failure", "--seed", "1", "--no-shrink"])
        .args(["--suppress-health-check", "all", "--warnings", "off"])
        .args(which)
        .envs(key.map(|key| ("THINGWARD_TOKEN_KEY", key)))
        .envs(key.map(|_| ("SCHEMATHESIS_HOOKS", "signing")))
        .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers"))
        .current_dir(place.folder())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// What is shown, and what it signs with, where it may change something.
fn split(token: &str) -> (&str, Option<&str>) {
    token.split_once('.').map_or((token, None), |(token, key)| (token, Some(key)))
}

#[test]
fn no_request_gets_an_answer_that_the_document_does_not_describe() {
    let Some(python) = given("THINGWARD_PYTHON") else { return };
    let program = Path::new(&python).with_file_name("schemathesis");
    if !program.exists() {
        println!("SKIPPED: schemathesis is not installed");
        return;
    }
    let place = Place::new();
    let _service = place.service(&["acme"]);
    let (description, home) = (place.path("meter.td.json"), place.path("meter-1"));
    std::fs::write(&description, DESCRIPTION).unwrap();
    place.enrol("acme", "device", "meter-1");
    place.enrol("acme", "device", "meter-2");
    let arguments = ["device", "run", "--home", shown(&home), "--description", shown(&description)];
    let _device = place.start_as("meter-1", &arguments);
    wait_for("the device", || place.run(&["device", "status", "--home", shown(&home)]).0 == 0);
    for watts in ["watts=3.5:W", "watts=4.25:W", "watts=5:W"] {
        place.done(&["device", "send", "--home", shown(&home), "power", watts]);
    }
    wait_for("readings", || place.readings("acme").len() == 3);
    wait_for("the description", || place.run(&["command", "actions", "meter-1"]).0 == 0);
    place.done(&["user", "set", "jo", "--tenant", "acme", "--role", "viewer"]);
    place.run(&["command", "send", "meter-1", "set-rate", "2", "--wait", "0s"]);
    let sent = place.done(&["command", "list", "meter-1"]);
    let configuration = CONFIGURATION.replace("COMMAND", sent[0]["id"].as_str().unwrap());
    std::fs::write(place.path("schemathesis.toml"), configuration).unwrap();
    let scopes: Vec<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
    let create = ["token", "create", "--scope", &scopes.join(",")];
    let token = |more: &[&str]| place.done(&[&create, more].concat());
    let (of_tenant, of_all) = (token(&["--tenant", "acme"]), token(&["--all-tenants"]));
    run(&place, &program, &of_tenant, ["--exclude-path-regex", LEFT_OUT]);
    run(&place, &program, &of_all, ["--include-path-regex", OF_ALL]);
    // Nothing of it took the service or the tenant away.
    place.done(&["key", "show", "--tenant", "acme"]);
    let about = [json!(3.5), json!(4.25), json!(5.0)];
    let kept: Vec<_> = place.readings("acme").iter().map(|reading| reading["value"].clone()).collect();
    assert_eq!(kept, about);
}
