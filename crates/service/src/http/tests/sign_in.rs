//! Set-up, invitations, sign-ins, sessions and approvals, with an authenticator of our own.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use thingward_crypto::{SignatureAlgorithm, SoftwareKey, sha256, system_rng};
use thingward_policy::Action;

use super::browser::{Browser, Passkey, code_of};
use super::{Fixture, ORIGIN};
use crate::http::caller::Peer;

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_link_makes_the_first_administrator_once() {
    let fixture = Fixture::new().await;
    let old = fixture.set_up_code().await;
    let code = fixture.set_up_code().await;
    let mut browser = fixture.browser();
    assert_eq!(browser.call("POST", "links/open", json!({"code": old})).await.0, 404, "a newer one ends it");
    let (_, status, info) = browser.redeem(&code, Some("anna")).await;
    assert_eq!(status, 200, "{info}");
    assert_eq!((&info["tenant"], &info["user"]["name"]), (&json!("acme"), &json!("anna")));
    assert_eq!(info["user"]["roles"], json!(["administrator"]));
    assert!(info["may"].as_array().unwrap().contains(&json!("users:manage")), "{info}");
    let (status, own) = browser.call("GET", "session", Json::Null).await;
    assert_eq!((status, &own["id"]), (StatusCode::OK, &info["id"]));
    assert_eq!(browser.call("GET", "tenants/acme/devices", Json::Null).await.0, 200);
    assert_eq!(browser.call("GET", "tenants/other/devices", Json::Null).await.0, 404);
    assert_eq!(browser.call("POST", "links/open", json!({"code": code})).await.0, 404, "it works once");
    assert_eq!(fixture.admin("POST", "/api/v1/tenants/acme/set-up", "").await.0, 409);
    assert_eq!(browser.call("POST", "tenants/acme/set-up", Json::Null).await.0, 403);
    let (deeds, actor) = (fixture.deeds().await, format!("user/{}", info["user"]["id"].as_str().unwrap()));
    for deed in ["user.add", "passkey.add", "session.begin"] {
        assert!(deeds.iter().any(|d| d.starts_with(&format!("{actor} {deed} "))), "{deed} not in {deeds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_with_its_time() {
    let fixture = Fixture::new().await;
    let code = fixture.set_up_code().await;
    let registry = fixture.app.shared.store.registry();
    let in_minutes = |n: i64| thingward_model::clock::now().plus_micros(n * 60_000_000);
    assert!(registry.link(&code, in_minutes(14)).await.is_ok());
    assert!(registry.link(&code, in_minutes(15)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_invited_and_recovered_by_another_who_may_and_never_by_a_token_or_themselves() {
    let fixture = Fixture::new().await;
    let (browser, _) = fixture.administrator().await;
    let (status, made) = browser.call("PUT", "tenants/acme/users/vera", json!({"roles": ["viewer"]})).await;
    assert_eq!((status, &made["passkeys"]), (StatusCode::OK, &json!(0)));
    let token = fixture.token(Some("acme"), &[Action::ManageUsers], 60).await;
    let path = "/api/v1/tenants/acme/users/vera/link";
    assert_eq!(fixture.call("POST", path, Some(&token), r#"{"kind":"invite"}"#).await.0, 403);
    let (status, _) = browser.call("POST", "tenants/acme/users/anna/link", json!({"kind": "recover"})).await;
    assert_eq!(status, 403, "not for oneself");
    let link =
        |kind: &'static str| browser.call("POST", "tenants/acme/users/vera/link", json!({"kind": kind}));
    let (status, invite) = link("invite").await;
    assert_eq!(status, 201, "{invite}");
    let mut vera = fixture.browser();
    let (old, status, info) = vera.redeem(&code_of(&invite), None).await;
    assert_eq!(status, 200, "{info}");
    assert_eq!(vera.call("GET", "tenants/acme/users", Json::Null).await.0, 403);
    assert_eq!(vera.call("POST", "tenants/acme/users/anna/link", json!({"kind": "recover"})).await.0, 403);
    assert_eq!(link("invite").await.0, 409, "she has a passkey");
    assert_eq!(link("set-up").await.0, 400);
    let (_, recover) = link("recover").await;
    let mut again = fixture.browser();
    let (new, status, _) = again.redeem(&code_of(&recover), None).await;
    assert_eq!(status, 200);
    assert_eq!(vera.call("GET", "session", Json::Null).await.0, 401, "her former sessions are over");
    assert_eq!(fixture.browser().sign_in(&old).await.0, 401, "her former passkey is nobody's");
    assert_eq!(fixture.browser().sign_in(&new).await.0, 200);
    assert_eq!(fixture.words().await.map(drop), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_signs_in_with_what_this_service_asked_for_and_nothing_else() {
    let fixture = Fixture::new().await;
    let (_, mut passkey) = fixture.administrator().await;
    let mut browser = fixture.browser();
    let (status, info) = browser.sign_in(&passkey).await;
    assert_eq!((status, &info["by"]), (StatusCode::OK, &json!("passkey")));
    // The same answer again.
    let key = browser.public();
    let answer = json!({"credential": passkey.get(&browser.begin().await), "key": key});
    assert_eq!(browser.call("POST", "sign-in/passkey", answer.clone()).await.0, 200);
    assert_eq!(browser.call("POST", "sign-in/passkey", answer.clone()).await.0, 401, "replayed");
    // A challenge of nobody, of a link, of another process.
    for challenge in ["AAAA", &URL_SAFE_NO_PAD.encode([7; 64])] {
        let options = json!({"challenge": challenge});
        let answer = json!({"credential": passkey.get(&options), "key": key});
        assert_eq!(browser.call("POST", "sign-in/passkey", answer).await.0, 401, "{challenge}");
    }
    let fresh = async || browser.begin().await;
    let refused = async |answer: Json, what: &str| {
        let body = json!({"credential": answer, "key": key});
        let (status, said) = browser.call("POST", "sign-in/passkey", body).await;
        assert_eq!(status, 401, "{what}: {said}");
        assert_eq!(said["error"]["code"], "not-signed-in", "{what}");
    };
    let mut other = passkey.get(&fresh().await);
    other["response"]["userHandle"] = URL_SAFE_NO_PAD.encode("somebody").into();
    refused(other, "another user's handle").await;
    let mut bent = passkey.get(&fresh().await);
    bent["response"]["signature"] = URL_SAFE_NO_PAD.encode([1; 64]).into();
    refused(bent, "a signature of nothing").await;
    let unknown = Passkey { id: vec![9; 16], ..fixture.stranger(&passkey) };
    refused(unknown.get(&fresh().await), "a passkey that nobody has").await;
    let strange_key = json!({"credential": passkey.get(&fresh().await), "key": fixture.browser().public()});
    assert_eq!(
        browser.call("POST", "sign-in/passkey", strange_key).await.0,
        401,
        "a session with another key"
    );
    passkey.origin = "https://evil.example".to_owned();
    refused(passkey.get(&fresh().await), "a page of somebody else").await;
    passkey.origin = ORIGIN.to_owned();
    passkey.rp_id = "evil.example".to_owned();
    refused(passkey.get(&fresh().await), "another relying party").await;
    assert_eq!(fixture.app.shared.core.metrics().sign_ins_refused.get(), 9);
    for broken in
        [json!({}), json!({"credential": {"id": "!", "response": {}}}), json!([1]), json!({"credential": 3})]
    {
        assert_eq!(browser.call("POST", "sign-in/passkey", broken).await.0, 400);
    }
    for key in ["", "AAAA", "no base64!", &"A".repeat(5000)] {
        assert_eq!(browser.call("POST", "sign-in/passkey/begin", json!({"key": key})).await.0, 400);
    }
}

impl Fixture {
    /// Somebody else's passkey that says it is of the same user.
    fn stranger(&self, of: &Passkey) -> Passkey {
        Passkey {
            key: SoftwareKey::generate(SignatureAlgorithm::Ed25519, &mut system_rng()),
            id: of.id.clone(),
            handle: of.handle.clone(),
            rp_id: of.rp_id.clone(),
            origin: of.origin.clone(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_attempts_from_one_place_are_refused_and_counted_and_leave_others_alone() {
    let fixture = Fixture::new().await;
    let (_, passkey) = fixture.administrator().await;
    let stranger = fixture.stranger(&passkey);
    let mut seen = std::collections::BTreeMap::new();
    let mut browser = fixture.browser();
    for _ in 0..1000 {
        *seen.entry(browser.sign_in(&stranger).await.0.as_u16()).or_insert(0) += 1;
    }
    assert_eq!(seen, [(401, 60), (429, 940)].into());
    assert_eq!(fixture.app.shared.core.metrics().sign_ins_refused.get(), 60);
    let answer = browser.send("POST", "links/open", &json!({"code": "x"}), &[("origin", ORIGIN)]).await;
    assert_eq!(answer.status, 429);
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    let elsewhere = Peer::Tls { address: "198.51.100.7".parse().unwrap(), chain: Arc::new([]) };
    assert!(fixture.app.attempt(&elsewhere).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_changes_nothing_for_pages_of_other_sites() {
    let fixture = Fixture::new().await;
    let (browser, _) = fixture.administrator().await;
    let path = "tenants/acme/users/eve";
    let body = json!({"roles": ["administrator"]});
    for headers in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "https://console.example.evil.example")],
        &[("origin", "https://console.example:8443")],
        &[("origin", ORIGIN), ("sec-fetch-site", "cross-site")],
        &[("origin", ORIGIN), ("sec-fetch-site", "same-site")],
    ] {
        let answer = browser.send("PUT", path, &body, headers).await;
        assert_eq!(
            (answer.status, &answer.body["error"]["code"]),
            (StatusCode::FORBIDDEN, &json!("other-site"))
        );
    }
    let headers = [("origin", ORIGIN), ("sec-fetch-site", "same-origin")];
    assert_eq!(browser.send("PUT", path, &body, &headers).await.status, 428);
    // Nor can another site sign somebody in as somebody else.
    let (_, credential) = Passkey::create(&json!({"user": {"id": "x"}, "rp": {"id": "y"}, "challenge": "z"}));
    for (path, body) in [
        (
            "sign-in/passkey",
            json!({"key": browser.public(), "credential": {"id": "A", "response": {"clientDataJSON": "A",
            "authenticatorData": "A", "signature": "A"}}}),
        ),
        ("links/open", json!({"code": "x"})),
        ("links/redeem", json!({"code": "x", "passkey": "p", "credential": credential})),
    ] {
        let answer = fixture.browser().send("POST", path, &body, &[]).await;
        assert_eq!(answer.status, 403, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_browsers_to_run_and_frame_nothing_of_others() {
    let fixture = Fixture::new().await;
    for path in ["session", "openapi.json", "nothing", "tenants/acme/users"] {
        let answer = fixture.browser().send("GET", path, &Json::Null, &[]).await;
        let header = |name: &str| answer.headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert!(!header("content-security-policy").contains("unsafe"), "{path}");
        assert_eq!(
            (header("x-frame-options"), header("x-content-type-options")),
            ("DENY".into(), "nosniff".into())
        );
        assert_eq!(header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_end_when_somebody_ends_them_or_the_user_goes() {
    let fixture = Fixture::new().await;
    let (browser, passkey) = fixture.administrator().await;
    let mut second = fixture.browser();
    second.sign_in(&passkey).await;
    let list = async |of: &Browser<'_>| of.call("GET", "tenants/acme/sessions", Json::Null).await;
    let (_, sessions) = list(&browser).await;
    let items = sessions["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items.iter().filter(|s| s["current"] == true).count(), 1);
    let other = items.iter().find(|s| s["current"] == false).unwrap()["id"].as_str().unwrap();
    let path = format!("tenants/acme/sessions/{other}");
    assert_eq!(browser.call("DELETE", &path, Json::Null).await.0, 204);
    assert_eq!(second.call("GET", "session", Json::Null).await.0, 401);
    // Somebody who may not manage users sees and ends their own only.
    browser.call("PUT", "tenants/acme/users/vera", json!({"roles": ["viewer"]})).await;
    let (_, invite) = browser.call("POST", "tenants/acme/users/vera/link", json!({"kind": "invite"})).await;
    let mut vera = fixture.browser();
    vera.redeem(&code_of(&invite), None).await;
    let (_, own) = list(&vera).await;
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    let (_, all) = list(&browser).await;
    let anna = all["items"].as_array().unwrap().iter().find(|s| s["user"] == "anna").unwrap();
    let path = format!("tenants/acme/sessions/{}", anna["id"].as_str().unwrap());
    assert_eq!(vera.call("DELETE", &path, Json::Null).await.0, 403);
    let (status, token) =
        vera.call("POST", "tenants/acme/tokens", json!({"scopes": ["readings:read"]})).await;
    assert_eq!(status, 403, "{token}");
    assert_eq!(browser.call("DELETE", "tenants/acme/users/vera", Json::Null).await.0, 204);
    assert_eq!(vera.call("GET", "session", Json::Null).await.0, 401);
    // Signing out takes the cookie away.
    let answer = browser.send("DELETE", "session", &Json::Null, &[("origin", ORIGIN)]).await;
    assert_eq!(answer.status, 204);
    assert!(answer.headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(browser.call("GET", "session", Json::Null).await.0, 401);
    assert_eq!(fixture.words().await.map(drop), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_over_when_it_is_not_used_or_too_old_and_outlives_a_restart() {
    let fixture = Fixture::new().await;
    let (browser, _) = fixture.administrator().await;
    let Browser { cookie, key, .. } = browser;
    let secret = cookie.as_deref().unwrap().split_once('=').unwrap().1.to_owned();
    let fixture = fixture.restarted().await;
    let browser = Browser { fixture: &fixture, cookie, key };
    assert_eq!(browser.call("GET", "session", Json::Null).await.0, 200);
    let registry = fixture.app.shared.store.registry();
    let in_hours = |n: i64| thingward_model::clock::now().plus_micros(n * 3_600_000_000);
    assert!(registry.session(&secret, in_hours(13)).await.is_err(), "unused for 12 hours");
    for n in 1..=16 {
        assert!(registry.session(&secret, in_hours(n * 10)).await.is_ok(), "{n}");
    }
    assert!(registry.session(&secret, in_hours(7 * 24)).await.is_err(), "seven days old");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_several_passkeys_and_keeps_the_last_one() {
    let fixture = Fixture::new().await;
    let (browser, first) = fixture.administrator().await;
    let path = "tenants/acme/users/anna/passkeys";
    let (status, begun) = browser.call("POST", &format!("{path}/begin"), Json::Null).await;
    assert_eq!(status, 200, "{begun}");
    assert_eq!(begun["options"]["excludeCredentials"].as_array().unwrap().len(), 1);
    let (second, credential) = Passkey::create(&begun["options"]);
    let body = json!({"name": "key ring", "credential": credential});
    assert_eq!(browser.call("POST", path, body.clone()).await.0, 201);
    assert_eq!(browser.call("POST", path, body).await.0, 400, "the challenge is spent");
    let mut elsewhere = [fixture.browser(), fixture.browser()];
    assert_eq!(elsewhere[0].sign_in(&first).await.0, 200);
    assert_eq!(elsewhere[1].sign_in(&second).await.0, 200);
    let remove = async |passkey: &Passkey| {
        browser.call("DELETE", &format!("{path}/{}", URL_SAFE_NO_PAD.encode(&passkey.id)), Json::Null).await.0
    };
    assert_eq!(remove(&first).await, 204);
    assert_eq!(elsewhere[0].call("GET", "session", Json::Null).await.0, 401, "it began with that passkey");
    assert_eq!(elsewhere[1].call("GET", "session", Json::Null).await.0, 200);
    assert_eq!(fixture.browser().sign_in(&first).await.0, 401);
    assert_eq!(remove(&first).await, 404);
    assert_eq!(remove(&second).await, 409);
    assert_eq!(fixture.browser().sign_in(&second).await.0, 200);
    assert_eq!(fixture.words().await.map(drop), Ok(()));
    // Somebody else's page, or a token, adds none.
    let token = fixture.token(Some("acme"), Action::ALL, 60).await;
    let begin = "/api/v1/tenants/acme/users/anna/passkeys/begin";
    assert_eq!(fixture.call("POST", begin, Some(&token), "").await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_open_one_link_at_the_same_time_become_one_user() {
    let fixture = Fixture::new().await;
    let code = fixture.set_up_code().await;
    let (one, two) = (fixture.browser(), fixture.browser());
    let opened = async |browser: &Browser<'_>, name: &str| {
        let (_, opened) = browser.call("POST", "links/open", json!({"code": code})).await;
        let (_, credential) = Passkey::create(&opened["options"]);
        json!({"code": code, "user": name, "passkey": "phone", "credential": credential})
    };
    let (first, second) = (opened(&one, "anna").await, opened(&two, "mallory").await);
    let answers =
        tokio::join!(one.call("POST", "links/redeem", first), two.call("POST", "links/redeem", second));
    let mut statuses = [answers.0.0.as_u16(), answers.1.0.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 404]);
}

impl Fixture {
    /// A device of `acme` says what it can do.
    pub(super) fn describe(&self, device: &str) {
        use crate::pipeline::Via;
        let text = r#"{"@context": ["https://www.w3.org/2022/wot/td/v1.1", {"tw": "urn:thingward:td:"}],
            "title": "Pump", "securityDefinitions": {"n": {"scheme": "nosec"}}, "security": "n", "actions": {
            "set-dose": {"tw:sensitive": true, "input": {"type": "number", "maximum": 10}, "forms": [{"href": "x"}]},
            "set-volume": {"input": {"type": "number"}, "forms": [{"href": "x"}]}, "pause": {"forms": [{"href": "x"}]}}}"#;
        let thing = thingward_model::description::ThingDescription::parse(text.as_bytes()).unwrap();
        let (acme, device) = ("acme".parse().unwrap(), device.parse().unwrap());
        let shared = &self.app.shared;
        shared.directory.access.described(&acme, &device, &thing, Via::Device);
        let key = crate::description::key(&acme, &device);
        let kept = crate::description::encode(Via::Device, text.as_bytes());
        let sealed = shared.opener.lock().unwrap().seal(&key, &kept).unwrap();
        let mut batch = thingward_store::hot::Batch::new();
        batch.put(thingward_store::hot::Space::Descriptions, key, sealed);
        shared.store.commit(batch).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_a_token_or_user_that_is_gone_do_not_outlive_a_kill() {
    let fixture = Fixture::new().await;
    fixture.describe("pump-1");
    let (anna, _) = fixture.administrator().await;
    anna.call("PUT", "tenants/acme/users/otto", json!({"roles": ["operator"]})).await;
    let (_, invite) = anna.call("POST", "tenants/acme/users/otto/link", json!({"kind": "invite"})).await;
    let mut otto = fixture.browser();
    otto.redeem(&code_of(&invite), None).await;
    let commands = "tenants/acme/devices/pump-1/commands";
    let pause = json!({"action": "pause", "lifetime_seconds": 3600});
    let [of_anna, of_otto] =
        [anna.call("POST", commands, pause.clone()).await, otto.call("POST", commands, pause).await];
    assert_eq!((of_anna.0.as_u16(), of_otto.0.as_u16()), (201, 201), "{} {}", of_anna.1, of_otto.1);
    // The registry has forgotten him, and the process ends before it takes his command back.
    let (acme, name) = ("acme".parse().unwrap(), "otto".parse().unwrap());
    fixture
        .app
        .shared
        .store
        .registry()
        .remove_user(&acme, &name, thingward_model::clock::now())
        .await
        .unwrap();
    let fixture = fixture.restarted().await;
    let (_, all) = fixture.admin("GET", &format!("/api/v1/{commands}"), "").await;
    let state = |made: &Json| {
        let is_it = |c: &&Json| c["id"] == made["id"];
        all["items"].as_array().unwrap().iter().find(is_it).unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!((state(&of_anna.1).as_str(), state(&of_otto.1).as_str()), ("waiting", "cancelled"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensitive_command_takes_its_users_passkey_over_exactly_that_command() {
    let fixture = Fixture::new().await;
    fixture.describe("pump-1");
    let (browser, passkey) = fixture.administrator().await;
    let commands = "tenants/acme/devices/pump-1/commands";
    let order = |dose: f64| json!({"action": "set-dose", "input": dose, "lifetime_seconds": 60});
    let (status, said) = browser.call("POST", commands, order(2.5)).await;
    assert_eq!((status, &said["error"]["code"]), (StatusCode::FORBIDDEN, &json!("not-permitted")), "{said}");
    assert_eq!(
        browser.call("POST", &format!("{commands}/prepare"), order(11.0)).await.0,
        400,
        "out of bounds"
    );
    let prepare = async || {
        let (status, prepared) = browser.call("POST", &format!("{commands}/prepare"), order(2.5)).await;
        assert_eq!(status, 200, "{prepared}");
        assert_eq!(prepared["options"]["allowCredentials"][0]["id"], URL_SAFE_NO_PAD.encode(&passkey.id));
        let command = URL_SAFE_NO_PAD.decode(prepared["command"].as_str().unwrap()).unwrap();
        assert_eq!(prepared["options"]["challenge"], URL_SAFE_NO_PAD.encode(sha256(&[&command])));
        prepared
    };
    let approved = |order: Json, prepared: &Json, credential: Json| {
        let mut body = order;
        body["approval"] = json!({"command": prepared["command"], "credential": credential});
        body
    };
    let prepared = prepare().await;
    let good = passkey.get(&prepared["options"]);
    let stranger = fixture.stranger(&passkey).get(&prepared["options"]);
    let other = passkey.get(&prepare().await["options"]);
    for (order, credential, reason) in [
        (order(3.0), good.clone(), "another command"),
        (json!({"action": "pause"}), good.clone(), "another command"),
        (order(2.5), stranger, "does not hold"),
        (order(2.5), other, "does not hold"),
    ] {
        let (status, said) = browser.call("POST", commands, approved(order, &prepared, credential)).await;
        assert_eq!(status, 403, "{said}");
        assert!(said["error"]["message"].as_str().unwrap().contains(reason), "{said}");
    }
    let mut broken = approved(order(2.5), &prepared, good.clone());
    broken["approval"]["command"] = "AAAA".into();
    assert_eq!(browser.call("POST", commands, broken).await.0, 403);
    // Another user cannot use it, nor a program.
    browser.call("PUT", "tenants/acme/users/otto", json!({"roles": ["operator"]})).await;
    let (_, invite) = browser.call("POST", "tenants/acme/users/otto/link", json!({"kind": "invite"})).await;
    let mut otto = fixture.browser();
    otto.redeem(&code_of(&invite), None).await;
    let body = approved(order(2.5), &prepared, good.clone());
    assert_eq!(otto.call("POST", commands, body.clone()).await.0, 403);
    let token = fixture.token(Some("acme"), &[Action::SendCommands], 60).await;
    let path = format!("/api/v1/{commands}");
    assert_eq!(fixture.call("POST", &path, Some(&token), &body.to_string()).await.0, 403);
    assert_eq!(
        fixture.call("POST", &format!("{path}/prepare"), Some(&token), &order(2.5).to_string()).await.0,
        403
    );
    // The right one is sent once, whoever sends it again.
    let (status, sent) = browser.call("POST", commands, body.clone()).await;
    assert_eq!((status, &sent["state"]), (StatusCode::CREATED, &json!("waiting")), "{sent}");
    let (status, again) = browser.call("POST", commands, body).await;
    assert_eq!((status, &again["id"]), (StatusCode::OK, &sent["id"]));
    // Its approval is the log's evidence, and is in what the device gets.
    let index = sent["log"].as_u64().unwrap();
    let path = format!("/api/v1/tenants/acme/log/entries?after={}&limit=1", index - 1);
    let (_, log) = fixture.admin("get", &path, "").await;
    let entry =
        base64::engine::general_purpose::STANDARD.decode(log["items"][0]["entry"].as_str().unwrap()).unwrap();
    let entry = thingward_audit::entry::SignedEntry::decode(&entry).unwrap();
    let entry = entry.claimed_unverified();
    assert_eq!(entry.action, "command.send");
    let client_data = passkey.client_data("webauthn.get", prepared["options"]["challenge"].as_str().unwrap());
    let evidence = entry.evidence.as_ref().unwrap();
    assert!(evidence.windows(client_data.len()).any(|w| w == client_data));
}
