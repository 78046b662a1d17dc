//! A stream that only the customer reads: service and operator hold ciphertext, the customer's key opens it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use common::{Place, wait_for};

#[test]
fn readings_sealed_for_the_customer_open_with_the_customers_key_and_with_no_other() {
    let place = Place::with("sealed_for = \"customer\"");
    let _service = place.start(&["service", "run"]);
    wait_for("the service", || place.run(&["tenant", "list"]).0 == 0);
    let path = |name: &str| place.path(name).display().to_string();
    place.done(&["key", "create", &path("customer.key")]);
    let reference = format!("file:{}", path("customer.key"));
    place.done(&["tenant", "create", "acme", "--customer-key", &reference]);
    let public = place.done(&["key", "create", "--recipient", &path("recipient.key")]);
    let other = place.done(&["key", "create", "--recipient", &path("other.key")]);
    assert_ne!(public["public_key"], other["public_key"]);
    place.done(&["key", "set-recipient", public["public_key"].as_str().unwrap()]);

    let claim = place.done(&["device", "claim", "pump-1"]);
    place.done(&["device", "enrol", &place.url, "--claim", claim["claim"].as_str().unwrap()]);
    let _device = place.start(&["device", "run"]);
    let send = ["device", "send", "infusion", "rate=12.25", "state=infusing"];
    wait_for("the device", || place.run(&send).0 == 0);

    let query = ["reading", "query", "--assurance", "end-to-end"];
    wait_for("a signed reading", || place.done(&query).as_array().unwrap().len() == 1);
    let sealed = place.done(&query);
    assert_eq!(sealed[0]["kind"], "sealed");
    let opened = place.done(&["reading", "query", "--recipient", &path("recipient.key")]);
    let values: Vec<_> = opened.as_array().unwrap().iter().map(|r| (&r["field"], &r["value"])).collect();
    assert_eq!(values, [(&"rate".into(), &12.25.into()), (&"state".into(), &"infusing".into())]);
    place.fails(&["reading", "query", "--recipient", &path("other.key")], 4);
}
