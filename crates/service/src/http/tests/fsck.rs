//! What a check of a data directory sees of log, registry, policies and commands together.

use axum::http::StatusCode;
use serde_json::json;
use thingward_model::clock::now;
use thingward_policy::{Action, PolicyFile};
use thingward_store::registry::{Registry, User, UserId};

use super::Fixture;
use crate::fsck::fsck;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_has_and_the_log_does_not_is_found() {
    let fixture = Fixture::new().await;
    fixture.describe("pump-1");
    let files =
        json!({"after": 0, "files": [{"name": "a.cedar", "text": "permit (principal, action, resource);"}]});
    let path = "/api/v1/tenants/acme/policy";
    assert_eq!(fixture.admin("put", path, &files.to_string()).await.0, StatusCode::OK);
    let path = "/api/v1/tenants/acme/users/vera";
    assert_eq!(fixture.admin("put", path, r#"{"roles":["viewer"]}"#).await.0, StatusCode::OK);
    let token = fixture.token(Some("acme"), &[Action::SendCommands], 60).await;
    let (path, body) = ("/api/v1/tenants/acme/devices/pump-1/commands", r#"{"action":"pause"}"#);
    assert_eq!(fixture.call("post", path, Some(&token), body).await.0, StatusCode::CREATED);
    let (_folder, settings) = fixture.stopped().await;
    let report = fsck(&settings.data_dir).await.unwrap();
    assert_eq!(report.problems, [""; 0]);
    assert_eq!((report.policies, report.commands, report.descriptions), (1, 1, 1));

    let registry = Registry::open(&settings.data_dir.join("registry.sqlite")).await.unwrap();
    let (acme, id) = ("acme".parse().unwrap(), UserId::new([7; 8]));
    let mallory = User { id, name: "mallory".parse().unwrap(), roles: [].into(), created: now() };
    registry.add_user(&acme, &mallory).await.unwrap();
    let forged =
        PolicyFile { name: "a.cedar".to_owned(), text: "forbid (principal, action, resource);".to_owned() };
    registry.add_policy_version(&acme, 1, "operator", "", &[forged], now()).await.unwrap();
    registry.close().await;
    let problems = fsck(&settings.data_dir).await.unwrap().problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    for what in ["user/0707070707070707 is a user", "version 2 of the policies is not what the log says"] {
        assert!(problems.iter().any(|problem| problem.contains(what)), "{what}: {problems:?}");
    }
}
