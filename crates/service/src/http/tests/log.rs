//! The audit log through the API: what is done is in it, and provable.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use thingward_audit::checkpoint::Checkpoint;
use thingward_audit::entry::SignedEntry;
use thingward_audit::note::{LogKey, SignedNote};
use thingward_audit::tile;
use thingward_audit::verify::Verifier;
use thingward_audit::{Hash, Subtree, leaf_hash, verify_inclusion};
use thingward_policy::Action;
use tower::ServiceExt;

use super::{Fixture, request};
use crate::http::caller::Peer;
use crate::http::server::admin_router;

pub(super) const LOG: &str = "/api/v1/tenants/acme/log";

async fn bytes(fixture: &Fixture, path: &str) -> (StatusCode, Vec<u8>) {
    let asked = request(Peer::Admin, "get", &format!("{LOG}{path}"), None, "");
    let answer = admin_router(&fixture.app).oneshot(asked).await.unwrap();
    (answer.status(), answer.into_body().collect().await.unwrap().to_bytes().to_vec())
}

async fn key(fixture: &Fixture) -> LogKey {
    let (_, log) = fixture.admin("get", LOG, "").await;
    log["key"].as_str().unwrap().parse().unwrap()
}

async fn do_things(fixture: &Fixture) {
    let token = fixture.made_token(&[Action::ManageDevices, Action::ManageTenants]).await;
    let tenant = "/api/v1/tenants/acme";
    let claim = format!("{tenant}/claims");
    fixture.call("post", &claim, Some(&token), r#"{"name":"meter-1"}"#).await;
    fixture.admin("post", &format!("{tenant}/tokens"), r#"{"scopes":["log:read"]}"#).await;
    fixture.admin("post", &format!("{tenant}/devices/meter-1/release"), "").await;
    fixture.admin("post", &format!("{tenant}/key/withdraw"), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_is_in_the_log_with_who_did_it_and_to_whom() {
    let fixture = Fixture::new().await;
    do_things(&fixture).await;
    let (status, answer) = fixture.admin("get", &format!("{LOG}/entries"), "").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let entries = answer["items"].as_array().unwrap();
    let word = |entry: &serde_json::Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let [first, second] = [0, 2].map(|index| word(&entries[index], "target"));
    assert!(first.starts_with("token/") && second.starts_with("token/"), "{first} {second}");
    let seen: Vec<_> = entries.iter().map(|e| (word(e, "action"), word(e, "target"))).collect();
    let want = [
        ("token.create", first.as_str()),
        ("device.claim", "device/meter-1"),
        ("token.create", second.as_str()),
        ("device.release", "device/meter-1"),
        ("key.withdraw", "key"),
    ];
    assert_eq!(seen, want.map(|(action, target)| (action.to_owned(), target.to_owned())));
    assert_eq!(word(&entries[1], "actor"), first);
    assert_eq!(entries[2]["actor"], "operator");
    assert_eq!(entries[2]["details"]["scopes"], "log:read");
    let (_, page) = fixture.admin("get", &format!("{LOG}/entries?after=1&limit=1"), "").await;
    assert_eq!((page["items"][0]["index"].as_u64(), page["next"].as_str()), (Some(2), Some("2")));
    let (_, other) = fixture.admin("get", "/api/v1/tenants/other/log", "").await;
    assert_eq!(other["size"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_served_as_tiles_that_verify_offline() {
    let fixture = Fixture::new().await;
    do_things(&fixture).await;
    let key = key(&fixture).await;
    let (_, note) = bytes(&fixture, "/checkpoint").await;
    let (status, bundle) = bytes(&fixture, "/tile/entries/000.p/5").await;
    assert_eq!(status, StatusCode::OK);
    let mut verifier = Verifier::new(&key, super::order::request_key);
    let entries = tile::entries(&bundle).unwrap();
    entries.iter().for_each(|entry| verifier.entry(entry).unwrap());
    assert_eq!(verifier.finish(std::str::from_utf8(&note).unwrap()).unwrap().checkpoint.size, 5);
    let (_, hashes) = bytes(&fixture, "/tile/0/000.p/5").await;
    assert_eq!(hashes, entries.iter().map(|entry| leaf_hash(entry)).collect::<Vec<_>>().concat());
    for path in ["entries/000", "0/000.p/6", "0/001.p/1", "9/000", "..%2f", ""] {
        assert_eq!(bytes(&fixture, &format!("/tile/{path}")).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_is_proved_under_the_signed_checkpoint() {
    let fixture = Fixture::new().await;
    do_things(&fixture).await;
    let key = key(&fixture).await;
    let (_, entries) = fixture.admin("get", &format!("{LOG}/entries"), "").await;
    let decode = |text: &serde_json::Value| STANDARD.decode(text.as_str().unwrap()).unwrap();
    for (index, entry) in (0..).zip(entries["items"].as_array().unwrap()) {
        let (_, proof) = fixture.admin("get", &format!("{LOG}/entries/{index}/proof"), "").await;
        let note = SignedNote::parse(proof["checkpoint"].as_str().unwrap()).unwrap();
        let checkpoint = Checkpoint::verify(&note, &key).unwrap();
        let hashes: Vec<Hash> =
            proof["proof"].as_array().unwrap().iter().map(|h| decode(h).try_into().unwrap()).collect();
        let entry = decode(&entry["entry"]);
        assert!(SignedEntry::decode(&entry).is_ok());
        let tree = Subtree::first(checkpoint.size);
        verify_inclusion(index, &leaf_hash(&entry), tree, &checkpoint.root, &hashes).unwrap();
    }
    let (status, _) = fixture.admin("get", &format!("{LOG}/entries/5/proof"), "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_beyond_the_tree_is_not_there() {
    let fixture = Fixture::new().await;
    do_things(&fixture).await;
    const MAX: u64 = u64::MAX;
    for (path, want) in [
        (format!("/entries/{MAX}/proof"), 404),
        ("/entries/18446744073709551616/proof".to_owned(), 404),
        ("/entries/-1/proof".to_owned(), 404),
        ("/entries/0x1/proof".to_owned(), 404),
        ("/tile/0/x999/x999/x999/x999/999".to_owned(), 404),
        ("/tile/0/x018/x446/x744/x073/x709/x551/615.p/1".to_owned(), 404),
        ("/tile/entries/x999/x999/x999/x999/x999/x999/999".to_owned(), 404),
        ("/tile/5/000.p/255".to_owned(), 404),
        ("/tile/entries/000".to_owned(), 404),
        ("/tile/entries/000.p/0".to_owned(), 404),
        ("/tile/entries/000.p/256".to_owned(), 404),
        ("/tile/entries/000.p/5/../5".to_owned(), 404),
        ("/entries?after=18446744073709551616".to_owned(), 400),
        ("/entries?after=-1".to_owned(), 400),
        (format!("/entries?limit={MAX}"), 400),
    ] {
        assert_eq!(bytes(&fixture, &path).await.0.as_u16(), want, "{path}");
    }
    for after in [4, 5, MAX - 1, MAX] {
        let (status, page) = fixture.admin("get", &format!("{LOG}/entries?after={after}"), "").await;
        assert_eq!((status, page["items"].as_array().map(Vec::len)), (StatusCode::OK, Some(0)), "{after}");
        assert_eq!(page["next"], serde_json::Value::Null);
    }
}
