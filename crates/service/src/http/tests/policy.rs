//! Users, groups and policies over the API, and what they change.

use axum::http::StatusCode;
use serde_json::{Value as Json, json};
use thingward_policy::Action;
use thingward_store::registry::{NewToken, TokenId};

use super::{Fixture, rand};
use thingward_model::clock::now;

const ACME: &str = "/api/v1/tenants/acme";

impl Fixture {
    /// A user with these roles, and a token that they made.
    async fn user(&self, name: &str, roles: &[&str]) -> String {
        let body = json!({"roles": roles}).to_string();
        let (status, user) = self.admin("put", &format!("{ACME}/users/{name}"), &body).await;
        assert_eq!(status, StatusCode::OK, "{user}");
        let token = format!("test-{}", base16ct::lower::encode_string(&rand::<16>()));
        let new = NewToken {
            id: TokenId::new(rand()).unwrap(),
            tenant: Some("acme".parse().unwrap()),
            scopes: Action::ALL.to_vec(),
            expires: now().plus_micros(60_000_000),
            parent: None,
            user: Some(user["id"].as_str().unwrap().parse().unwrap()),
            key: None,
        };
        self.add_token(&token, new).await;
        token
    }

    pub(super) async fn apply(&self, after: u64, text: &str) -> (StatusCode, Json) {
        let body = json!({"after": after, "files": [{"name": "own.cedar", "text": text}]}).to_string();
        self.admin("put", &format!("{ACME}/policy"), &body).await
    }

    /// Everything in the audit log.
    async fn log(&self) -> Vec<Json> {
        let (_, page) = self.admin("get", &format!("{ACME}/log/entries"), "").await;
        page["items"].as_array().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_does_what_their_roles_say_from_the_moment_they_are_given() {
    let fixture = Fixture::new().await;
    let vera = fixture.user("vera", &["viewer"]).await;
    let see = async || fixture.call("get", &format!("{ACME}/devices"), Some(&vera), "").await.0;
    let keys = async || fixture.call("get", &format!("{ACME}/key"), Some(&vera), "").await.0;
    assert_eq!((see().await, keys().await), (StatusCode::OK, StatusCode::FORBIDDEN));
    fixture.admin("put", &format!("{ACME}/users/vera"), r#"{"roles":["administrator"]}"#).await;
    assert_eq!((see().await, keys().await), (StatusCode::OK, StatusCode::OK));
    fixture.admin("put", &format!("{ACME}/users/vera"), r#"{"roles":[]}"#).await;
    assert_eq!((see().await, keys().await), (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN));
    assert_eq!(fixture.admin("delete", &format!("{ACME}/users/vera"), "").await.0, StatusCode::NO_CONTENT);
    assert_eq!(see().await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_in_the_log_with_who_what_and_why_and_a_flood_of_them_is_one_line() {
    let fixture = Fixture::new().await;
    let vera = fixture.user("vera", &["viewer"]).await;
    for _ in 0..50 {
        let (status, said) = fixture.call("post", &format!("{ACME}/key/withdraw"), Some(&vera), "").await;
        assert_eq!(
            (status, &said["error"]["message"]),
            (StatusCode::FORBIDDEN, &json!("no policy permits it"))
        );
    }
    let log = fixture.log().await;
    let refusals: Vec<&Json> = log.iter().filter(|e| e["action"] == "access.refuse").collect();
    assert_eq!(refusals.len(), 1, "{log:?}");
    assert!(refusals[0]["actor"].as_str().unwrap().starts_with("token/"));
    assert_eq!(refusals[0]["details"], json!({"action": "keys:manage", "reason": "no policy permits it"}));
    let withdrawn = log.iter().any(|e| e["action"] == "key.withdraw");
    assert!(!withdrawn, "it was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_checked_versioned_and_rolled_back_and_hold_at_once() {
    let fixture = Fixture::new().await;
    let vera = fixture.user("vera", &["viewer"]).await;
    let see = async || fixture.call("get", &format!("{ACME}/devices"), Some(&vera), "").await.0;
    assert_eq!(see().await, StatusCode::OK);
    let forbid = "@id(\"out\") forbid (principal == User::\"vera\", action, resource);";
    let (status, applied) = fixture.apply(0, forbid).await;
    assert_eq!((status, &applied["version"]), (StatusCode::OK, &json!(1)), "{applied}");
    assert_eq!(see().await, StatusCode::FORBIDDEN);

    // Somebody who was slower, a file with a mistake, and one with nothing that policies can talk about.
    assert_eq!(fixture.apply(0, "").await.0, StatusCode::CONFLICT);
    let (status, said) =
        fixture.apply(1, "permit (principal, action, resource)\nwhen { principal.age };").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(said["error"]["message"].as_str().unwrap().contains("own.cedar:1: "), "{said}");
    assert_eq!(see().await, StatusCode::FORBIDDEN);

    let (_, old) = fixture.admin("get", &format!("{ACME}/policy/versions/1"), "").await;
    assert_eq!(old["files"][0]["text"], forbid);
    assert_eq!(fixture.apply(1, "").await.0, StatusCode::OK);
    assert_eq!(see().await, StatusCode::OK);
    let back = json!({"after": 2, "note": "back", "files": old["files"]}).to_string();
    assert_eq!(fixture.admin("put", &format!("{ACME}/policy"), &back).await.0, StatusCode::OK);
    assert_eq!(see().await, StatusCode::FORBIDDEN);

    let (_, versions) = fixture.admin("get", &format!("{ACME}/policy/versions"), "").await;
    let numbers: Vec<_> =
        versions["items"].as_array().unwrap().iter().map(|v| v["version"].clone()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    let applied = fixture.log().await.into_iter().filter(|e| e["action"] == "policy.apply").count();
    assert_eq!(applied, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_users_and_groups_are_there_after_a_restart() {
    let mut fixture = Fixture::new().await;
    let nora = fixture.user("nora", &[]).await;
    let group = format!("{ACME}/groups/night/user/nora");
    assert_eq!(fixture.admin("put", &group, "").await.0, StatusCode::NO_CONTENT);
    let text = "permit (principal in Group::\"night\", action == Action::\"devices:read\", resource);";
    assert_eq!(fixture.apply(0, text).await.0, StatusCode::OK);
    for _ in 0..2 {
        let (status, _) = fixture.call("get", &format!("{ACME}/devices"), Some(&nora), "").await;
        assert_eq!(status, StatusCode::OK);
        fixture = fixture.restarted().await;
    }
    assert_eq!(fixture.admin("delete", &group, "").await.0, StatusCode::NO_CONTENT);
    let (status, _) = fixture.call("get", &format!("{ACME}/devices"), Some(&nora), "").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_shows_only_what_the_asker_may_know() {
    let fixture = Fixture::new().await;
    let (vera, aude) = (fixture.user("vera", &["viewer"]).await, fixture.user("aude", &["auditor"]).await);
    let explain = async |token: &str, query: &str| {
        fixture.call("get", &format!("{ACME}/policy/explain?{query}"), Some(token), "").await
    };
    let (status, own) = explain(&vera, "action=commands:send&on=meter-1/rate").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&own["allowed"], &own["policies"], &own["changes"]),
        (&json!(false), &Json::Null, &Json::Null)
    );
    assert_eq!(own["reason"], "no policy permits it");
    let about_vera = "as=user/vera&action=readings:read&on=meter-1/climate/temperature";
    assert_eq!(explain(&vera, &about_vera.replace("vera", "aude")).await.0, StatusCode::FORBIDDEN);
    let (status, full) = explain(&aude, about_vera).await;
    assert_eq!((status, &full["allowed"]), (StatusCode::OK, &json!(true)), "{full}");
    assert_eq!(full["policies"][0]["id"], "baseline.cedar#viewer-reads-what-is-not-about-people");
    let (_, no) = explain(&aude, "as=user/vera&action=keys:manage&on=tenant").await;
    assert_eq!(no["changes"][0], "the role `administrator` for vera");
    for wrong in [
        "action=fly&on=tenant",
        "action=keys:manage&on=a/b",
        "action=commands:send&on=x",
        "as=vera&action=keys:manage&on=tenant",
    ] {
        assert_eq!(explain(&aude, wrong).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_tried_on_what_really_happened() {
    let fixture = Fixture::new().await;
    let anna = fixture.user("anna", &["administrator"]).await;
    let claim = r#"{"name":"meter-1"}"#;
    assert_eq!(
        fixture.call("post", &format!("{ACME}/claims"), Some(&anna), claim).await.0,
        StatusCode::CREATED
    );
    let body = json!({
        "files": [{"name": "own.cedar", "text": "forbid (principal, action == Action::\"devices:manage\", resource);"}],
        "since": "2026-01-01T00:00:00Z"
    });
    let (status, trial) = fixture.admin("post", &format!("{ACME}/policy/try"), &body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{trial}");
    let found = trial["differences"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{trial}");
    assert_eq!(
        (&found[0]["action"], &found[0]["on"], &found[0]["times"]),
        (&json!("devices:manage"), &json!("meter-1"), &json!(1))
    );
    assert_eq!((&found[0]["allowed_now"], &found[0]["allowed_then"]), (&json!(true), &json!(false)));
    // Nothing was applied.
    assert_eq!(
        fixture.call("post", &format!("{ACME}/claims"), Some(&anna), claim).await.0,
        StatusCode::CREATED
    );
    let future = json!({"files": [], "since": "2999-01-01T00:00:00Z"}).to_string();
    let (_, trial) = fixture.admin("post", &format!("{ACME}/policy/try"), &future).await;
    assert_eq!(trial["questions"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_tried_on_the_numbers_that_commands_were_sent_with() {
    let fixture = Fixture::new().await;
    fixture.describe("pump-1");
    let token = fixture.token(Some("acme"), &[Action::SendCommands], 60).await;
    for volume in ["3", "7", "7.0", "8"] {
        let body = format!(r#"{{"action":"set-volume","input":{volume}}}"#);
        let path = format!("{ACME}/devices/pump-1/commands");
        assert_eq!(fixture.call("post", &path, Some(&token), &body).await.0, StatusCode::CREATED);
    }
    let text = r#"@id("quiet") forbid (principal, action == Action::"commands:send",
        resource == Operation::"pump-1/set-volume")
        unless { context has value && context.value.lessThanOrEqual(decimal("5.0")) };"#;
    let body =
        serde_json::json!({"files": [{"name": "own.cedar", "text": text}], "since": "2026-01-01T00:00:00Z"});
    let (status, trial) = fixture.admin("post", &format!("{ACME}/policy/try"), &body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{trial}");
    let mut times: Vec<_> =
        trial["differences"].as_array().unwrap().iter().map(|d| d["times"].as_u64().unwrap()).collect();
    times.sort_unstable();
    assert_eq!(times, [1, 2], "3 stays, 7 was sent twice: {trial}");
}
