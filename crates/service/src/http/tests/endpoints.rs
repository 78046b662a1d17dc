//! Every endpoint of the document against callers that may not.

use std::collections::BTreeSet;
use std::path::PathBuf;

use axum::http::StatusCode;
use serde_json::Value as Json;
use thingward_model::Timestamp;
use thingward_model::clock::now;
use thingward_policy::Action;

use super::{Fixture, call, remote};
use crate::http::{api, document};

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Access {
    /// Anyone.
    Open,
    /// A token with this scope, of the tenant in the path.
    Tenant(Action),
    /// A token with this scope, of no tenant.
    Installation(Action),
    /// A token with this scope; what it sees depends on its tenant.
    Any(Action),
    /// Any token of the tenant in the path.
    Reached,
    /// The administration socket.
    Socket,
    /// The administration socket, for a tenant.
    SocketInTenant,
    /// Anyone, from a page of the console.
    Page,
    /// Anyone's browser, on its way to a provider of sign-ins and back.
    Browser,
    /// Anyone, for what is offered; nothing is here.
    Stranger,
    /// The payment provider, by its signature.
    Provider,
    /// The session itself.
    Own,
    /// A user of the tenant in the path, in a session and not with a token.
    OwnInTenant,
}

use Access::{
    Any, Browser, Installation, Open, Own, OwnInTenant, Page, Provider, Reached, Socket, SocketInTenant,
    Stranger, Tenant,
};
use Action::{
    IssueGrants, ManageDevices, ManageKeys, ManagePolicy, ManageTenants, ManageTokens, ManageUsers,
    ReadDevices, ReadLog, ReadPolicy, ReadReadings, ReadSegments, RevokeGrants, SendCommands,
};

/// What a session or token signs with: RFC 8032 §7.1, test 1.
const KEY: &str = r#"{"key":"MCowBQYDK2VwAyEA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const CREDENTIAL: &str = r#"{"key":"MCowBQYDK2VwAyEA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","credential":{"id":"AA","response":{"clientDataJSON":"AA","authenticatorData":"AA","signature":"AA"}}}"#;
const REDEEMED: &str = r#"{"code":"none","passkey":"p","credential":{"id":"AA","response":{"clientDataJSON":"AA","attestationObject":"AA"}}}"#;
const NEW_PASSKEY: &str =
    r#"{"name":"p","credential":{"id":"AA","response":{"clientDataJSON":"AA","attestationObject":"AA"}}}"#;

const NEW_TOKEN: &str = r#"{"lifetime_seconds":3600,"scopes":["tokens:manage"],"key":"MCowBQYDK2VwAyEA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

const NEW_GRANT: &str = r#"{"audience":"device/nobody","permissions":[{"action":"on"}],"uses":1,"holder":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

const NEW_OFFER: &str =
    r#"{"start":"on","finish":"off","amount":240,"currency":"EUR","per":60,"most":120,"notice":"n"}"#;
const NEW_PURCHASE: &str = r#"{"quantity":60,"holder":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","return_url":"https://console.example/near#x"}"#;

/// Method, path, access, and a body that is right.
const TABLE: &[(&str, &str, Access, &str)] = &[
    ("get", "/health", Open, ""),
    ("get", "/ready", Open, ""),
    ("get", "/metrics", Installation(ReadDevices), ""),
    ("get", "/api/v1/openapi.json", Open, ""),
    ("get", "/api/v1/sign-in", Open, ""),
    ("post", "/api/v1/sign-in/passkey/begin", Open, KEY),
    ("post", "/api/v1/sign-in/passkey", Page, CREDENTIAL),
    ("get", "/api/v1/sign-in/oidc/{provider}", Browser, ""),
    ("get", "/api/v1/sign-in/oidc/{provider}/callback", Browser, ""),
    ("post", "/api/v1/links/open", Page, r#"{"code":"none"}"#),
    ("post", "/api/v1/links/redeem", Page, REDEEMED),
    ("get", "/api/v1/near/{tenant}/{device}", Stranger, ""),
    ("get", "/api/v1/near/{tenant}/{device}/revocation", Open, ""),
    ("post", "/api/v1/near/{tenant}/{device}/purchases", Stranger, NEW_PURCHASE),
    ("get", "/api/v1/near/{tenant}/{device}/purchases/{purchase}", Stranger, ""),
    ("post", "/api/v1/payments/webhook", Provider, r#"{"data":{"payment":"pay_1"}}"#),
    ("get", "/api/v1/session", Own, ""),
    ("delete", "/api/v1/session", Own, ""),
    ("get", "/api/v1/tenants", Any(ManageTenants), ""),
    ("post", "/api/v1/tenants", Socket, r#"{"name":"new","customer_key":"file:/none"}"#),
    ("get", "/api/v1/tenants/{tenant}/key", Tenant(ManageKeys), ""),
    ("post", "/api/v1/tenants/{tenant}/key/rotate", Tenant(ManageKeys), ""),
    ("post", "/api/v1/tenants/{tenant}/key/withdraw", Tenant(ManageKeys), ""),
    ("post", "/api/v1/tenants/{tenant}/key/restore", Tenant(ManageKeys), ""),
    ("put", "/api/v1/tenants/{tenant}/key/recipient", Tenant(ManageKeys), r#"{"recipient":null}"#),
    ("post", "/api/v1/tenants/{tenant}/claims", Tenant(ManageDevices), r#"{"name":"meter-1"}"#),
    ("get", "/api/v1/tenants/{tenant}/makers", Tenant(ReadDevices), ""),
    ("put", "/api/v1/tenants/{tenant}/makers/{maker}", Tenant(ManageDevices), r#"{"certificates":""}"#),
    ("put", "/api/v1/tenants/{tenant}/makers/{maker}/serials/{serial}", Tenant(ManageDevices), "{}"),
    ("delete", "/api/v1/tenants/{tenant}/makers/{maker}", Tenant(ManageDevices), ""),
    ("get", "/api/v1/tenants/{tenant}/devices", Tenant(ReadDevices), ""),
    ("get", "/api/v1/tenants/{tenant}/devices/{device}", Tenant(ReadDevices), ""),
    ("post", "/api/v1/tenants/{tenant}/devices/{device}/release", Tenant(ManageDevices), ""),
    ("post", "/api/v1/tenants/{tenant}/devices/{device}/revoke", Tenant(ManageDevices), "{}"),
    ("post", "/api/v1/tenants/{tenant}/devices/{device}/attestation/ask", Tenant(ManageDevices), ""),
    (
        "post",
        "/api/v1/tenants/{tenant}/devices/{device}/attestation/accept",
        Tenant(ManageDevices),
        r#"{"evidence":""}"#,
    ),
    ("get", "/api/v1/tenants/{tenant}/gateways/{gateway}", Tenant(ReadDevices), ""),
    ("get", "/api/v1/tenants/{tenant}/gateways/{gateway}/admission", Tenant(ReadDevices), ""),
    (
        "post",
        "/api/v1/tenants/{tenant}/gateways/{gateway}/admission",
        Tenant(ManageDevices),
        r#"{"seconds":60}"#,
    ),
    ("delete", "/api/v1/tenants/{tenant}/gateways/{gateway}/admission", Tenant(ManageDevices), ""),
    ("post", "/api/v1/tenants/{tenant}/gateways/{gateway}/roll", Tenant(ManageDevices), "{}"),
    ("get", "/api/v1/tenants/{tenant}/devices/{device}/description", Tenant(ReadDevices), ""),
    (
        "post",
        "/api/v1/tenants/{tenant}/devices/{device}/commands",
        Tenant(SendCommands),
        r#"{"action":"on"}"#,
    ),
    (
        "post",
        "/api/v1/tenants/{tenant}/devices/{device}/commands/prepare",
        Tenant(SendCommands),
        r#"{"action":"on"}"#,
    ),
    ("get", "/api/v1/tenants/{tenant}/devices/{device}/commands", Tenant(ReadDevices), ""),
    ("get", "/api/v1/tenants/{tenant}/devices/{device}/commands/{command}", Tenant(ReadDevices), ""),
    ("delete", "/api/v1/tenants/{tenant}/devices/{device}/commands/{command}", Tenant(SendCommands), ""),
    ("get", "/api/v1/tenants/{tenant}/devices/{device}/revocation", Tenant(ReadDevices), ""),
    ("get", "/api/v1/tenants/{tenant}/groups/{group}/revocation", Tenant(ReadDevices), ""),
    ("get", "/api/v1/tenants/{tenant}/beacon", Tenant(ReadDevices), ""),
    ("get", "/api/v1/tenants/{tenant}/grants", Tenant(ReadDevices), ""),
    ("post", "/api/v1/tenants/{tenant}/grants", Tenant(IssueGrants), NEW_GRANT),
    ("get", "/api/v1/tenants/{tenant}/grants/{grant}", Tenant(ReadDevices), ""),
    ("delete", "/api/v1/tenants/{tenant}/grants/{grant}", Tenant(RevokeGrants), ""),
    ("get", "/api/v1/tenants/{tenant}/devices/{device}/offer", Tenant(ReadDevices), ""),
    ("put", "/api/v1/tenants/{tenant}/devices/{device}/offer", Tenant(IssueGrants), NEW_OFFER),
    ("delete", "/api/v1/tenants/{tenant}/devices/{device}/offer", Tenant(RevokeGrants), ""),
    ("get", "/api/v1/tenants/{tenant}/purchases", Tenant(ReadDevices), ""),
    ("get", "/api/v1/tenants/{tenant}/purchases/{purchase}", Tenant(ReadDevices), ""),
    ("post", "/api/v1/tenants/{tenant}/purchases/{purchase}/refund", Tenant(RevokeGrants), ""),
    ("get", "/api/v1/tenants/{tenant}/findings", Tenant(ReadDevices), ""),
    ("get", "/api/v1/tenants/{tenant}/tokens", Tenant(ManageTokens), ""),
    ("post", "/api/v1/tenants/{tenant}/tokens", Tenant(ManageTokens), NEW_TOKEN),
    ("delete", "/api/v1/tenants/{tenant}/tokens/{token}", Tenant(ManageTokens), ""),
    ("get", "/api/v1/tenants/{tenant}/users", Tenant(ManageUsers), ""),
    ("put", "/api/v1/tenants/{tenant}/users/{user}", Tenant(ManageUsers), r#"{"roles":["viewer"]}"#),
    ("delete", "/api/v1/tenants/{tenant}/users/{user}", Tenant(ManageUsers), ""),
    ("post", "/api/v1/tenants/{tenant}/users/{user}/link", OwnInTenant, r#"{"kind":"invite"}"#),
    ("get", "/api/v1/tenants/{tenant}/users/{user}/passkeys", Tenant(ManageUsers), ""),
    ("post", "/api/v1/tenants/{tenant}/users/{user}/passkeys", OwnInTenant, NEW_PASSKEY),
    ("post", "/api/v1/tenants/{tenant}/users/{user}/passkeys/begin", OwnInTenant, ""),
    ("delete", "/api/v1/tenants/{tenant}/users/{user}/passkeys/{passkey}", Tenant(ManageUsers), ""),
    ("post", "/api/v1/tenants/{tenant}/set-up", SocketInTenant, ""),
    ("get", "/api/v1/tenants/{tenant}/sessions", Tenant(ManageUsers), ""),
    ("delete", "/api/v1/tenants/{tenant}/sessions/{session}", Tenant(ManageUsers), ""),
    ("get", "/api/v1/tenants/{tenant}/groups", Tenant(ManageUsers), ""),
    ("put", "/api/v1/tenants/{tenant}/groups/{group}/{kind}/{member}", Tenant(ManageUsers), ""),
    ("delete", "/api/v1/tenants/{tenant}/groups/{group}/{kind}/{member}", Tenant(ManageUsers), ""),
    ("get", "/api/v1/tenants/{tenant}/policy", Tenant(ReadPolicy), ""),
    ("put", "/api/v1/tenants/{tenant}/policy", Tenant(ManagePolicy), r#"{"after":0,"files":[]}"#),
    ("get", "/api/v1/tenants/{tenant}/policy/versions", Tenant(ReadPolicy), ""),
    ("get", "/api/v1/tenants/{tenant}/policy/versions/{version}", Tenant(ReadPolicy), ""),
    ("post", "/api/v1/tenants/{tenant}/policy/check", Tenant(ReadPolicy), r#"{"files":[]}"#),
    (
        "post",
        "/api/v1/tenants/{tenant}/policy/try",
        Tenant(ReadPolicy),
        r#"{"files":[],"since":"2026-01-01T00:00:00Z"}"#,
    ),
    ("get", "/api/v1/tenants/{tenant}/policy/explain", Reached, ""),
    ("get", "/api/v1/tokens", Socket, ""),
    ("post", "/api/v1/tokens", Socket, r#"{"scopes":["readings:read"]}"#),
    ("delete", "/api/v1/tokens/{token}", Socket, ""),
    ("get", "/api/v1/tenants/{tenant}/readings", Tenant(ReadReadings), ""),
    ("get", "/api/v1/tenants/{tenant}/readings/latest", Tenant(ReadReadings), ""),
    ("get", "/api/v1/tenants/{tenant}/readings/windows", Tenant(ReadReadings), ""),
    ("get", "/api/v1/tenants/{tenant}/readings/follow", Tenant(ReadReadings), ""),
    ("get", "/api/v1/tenants/{tenant}/chains", Tenant(ReadReadings), ""),
    ("get", "/api/v1/tenants/{tenant}/log", Tenant(ReadLog), ""),
    ("get", "/api/v1/tenants/{tenant}/log/checkpoint", Tenant(ReadLog), ""),
    ("get", "/api/v1/tenants/{tenant}/log/tile/{piece}", Tenant(ReadLog), ""),
    ("get", "/api/v1/tenants/{tenant}/log/entries", Tenant(ReadLog), ""),
    ("get", "/api/v1/tenants/{tenant}/log/entries/{index}/proof", Tenant(ReadLog), ""),
    ("get", "/api/v1/tenants/{tenant}/segments", Tenant(ReadSegments), ""),
    ("get", "/api/v1/tenants/{tenant}/segments/{segment}", Tenant(ReadSegments), ""),
];

fn documented() -> BTreeSet<(String, String)> {
    let document: Json = serde_json::from_str(document()).unwrap();
    let methods = |(path, item): (&String, &Json)| -> Vec<(String, String)> {
        item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())).collect()
    };
    document["paths"].as_object().unwrap().iter().flat_map(methods).collect()
}

#[test]
fn document_router_and_table_have_the_same_endpoints() {
    let tested = TABLE.iter().map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned()));
    assert_eq!(documented(), tested.collect());
    let operation = ["/health", "/ready", "/metrics"].map(|path| ("get".to_owned(), path.to_owned()));
    // The router's way to say that a part may have slashes.
    let name = |path: &str| path.replace("{*", "{");
    let routes = api::routes().into_iter().map(|r| (r.method.as_str().to_lowercase(), name(r.path)));
    assert_eq!(documented(), routes.chain(operation).collect());
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document: Json = serde_json::from_str(document()).unwrap();
    let items =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let names: Vec<_> = items.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let different: BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len(), "{names:?}");
}

fn concrete(path: &str, tenant: &str) -> String {
    path.replace("{tenant}", tenant)
        .replace("/explain", "/explain?action=keys:manage&on=tenant")
        .replace("{device}", "nobody")
        .replace("{gateway}", "nobody")
        .replace("{grant}", "0123456789abcdef")
        .replace("{purchase}", "0123456789abcdef")
        .replace("{command}", "0123456789abcdef0123456789abcdef")
        .replace("{user}", "anna")
        .replace("{group}/{kind}/{member}", "north/user/anna")
        .replace("{version}", "1")
        .replace("{maker}", "none")
        .replace("{serial}", "4711")
        .replace("{passkey}", "AAAA")
        .replace("{provider}", "none?key=MCowBQYDK2VwAyEA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
        .replace(
            "/none?key=MCowBQYDK2VwAyEA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo/callback",
            "/none/callback",
        )
        .replace("{session}", "0123456789abcdef")
        .replace("{token}", "0123456789abcdef")
        .replace("{piece}", "0/000.p/1")
        .replace("{index}", "0")
        .replace("{segment}", "0123456789abcdef0123456789abcdef")
}

fn but(scope: Action) -> Vec<Action> {
    Action::ALL.iter().copied().filter(|s| *s != scope).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_gets_nothing_from_any_endpoint() {
    let fixture = Fixture::new().await;
    let expired = fixture.token(None, Action::ALL, -1).await;
    let foreign = fixture.token(Some("other"), Action::ALL, 60).await;
    for (method, path, access, body) in TABLE {
        let (what, path) = (format!("{method} {path}"), concrete(path, "acme"));
        let answer = async |token: Option<&str>| fixture.call(method, &path, token, body).await.0;
        if *access == Open {
            assert_eq!(answer(None).await, StatusCode::OK, "{what}");
            continue;
        }
        if matches!(access, Browser | Stranger) {
            assert_eq!(answer(None).await, StatusCode::NOT_FOUND, "{what}: no such provider or offer");
            continue;
        }
        if *access == Provider {
            assert_eq!(answer(None).await, StatusCode::BAD_REQUEST, "{what}: not signed");
            continue;
        }
        if *access == Page {
            assert_eq!(answer(None).await, StatusCode::FORBIDDEN, "{what}: of no page");
            continue;
        }
        assert_eq!(answer(None).await, StatusCode::UNAUTHORIZED, "{what}: no token");
        assert_eq!(answer(Some("unknown")).await, StatusCode::UNAUTHORIZED, "{what}: unknown token");
        assert_eq!(answer(Some(&expired)).await, StatusCode::UNAUTHORIZED, "{what}: expired token");
        let for_foreign = match access {
            Tenant(_) | Reached | OwnInTenant | SocketInTenant | Own => StatusCode::NOT_FOUND,
            // Sees its own tenant; `a_token_of_a_tenant_lists_that_tenant` says so.
            Any(_) => StatusCode::OK,
            Installation(_) | Socket | Open | Page | Browser | Stranger | Provider => StatusCode::FORBIDDEN,
        };
        assert_eq!(answer(Some(&foreign)).await, for_foreign, "{what}: token of another tenant");
        let (Tenant(scope) | Installation(scope) | Any(scope)) = *access else { continue };
        let under_scoped = fixture.token(None, &but(scope), 60).await;
        assert_eq!(answer(Some(&under_scoped)).await, StatusCode::FORBIDDEN, "{what}: without the scope");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_is_answered_by_every_endpoint() {
    let fixture = Fixture::new().await;
    // Nobody has described themselves, so nobody may be told anything by the baseline.
    let permit = "permit (principal is Token, action == Action::\"commands:send\", resource);";
    assert_eq!(fixture.apply(0, permit).await.0, StatusCode::OK);
    for (method, path, access, body) in TABLE {
        let (what, path) = (format!("{method} {path}"), concrete(path, "acme"));
        // What only sessions and pages do, `sign_in` does.
        if matches!(access, Page | Own | OwnInTenant) {
            continue;
        }
        let (status, answer) = fixture.admin(method, &path, body).await;
        check_answered(&format!("{what} on the socket"), status, &answer);
        let (Tenant(scope) | Installation(scope) | Any(scope)) = *access else { continue };
        let tenant = matches!(access, Tenant(_)).then_some("acme");
        let token = fixture.token(tenant, &[scope], 60).await;
        let (status, answer) = fixture.call(method, &path, Some(&token), body).await;
        check_answered(&what, status, &answer);
    }
}

/// What is asked with a body, or made for its caller alone.
const ASKED: [&str; 4] = ["/policy/check", "/policy/try", "/commands/prepare", "/passkeys/begin"];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_for_who_may_and_does_not_sign() {
    let fixture = Fixture::new().await;
    let permit = "permit (principal is Token, action == Action::\"commands:send\", resource);";
    assert_eq!(fixture.apply(0, permit).await.0, StatusCode::OK);
    fixture.describe("nobody");
    let (mut asked_to_sign, before) = (0, fixture.entries().await.len());
    for (method, path, access, body) in TABLE {
        let Tenant(scope) = *access else { continue };
        if *method == "get" || ASKED.iter().any(|end| path.ends_with(end)) {
            continue;
        }
        let (what, path) = (format!("{method} {path}"), concrete(path, "acme"));
        let token = fixture.token(Some("acme"), &[scope], 60).await;
        let (status, answer) = call(fixture.tls(), remote(), method, &path, Some(&token), body).await;
        assert!(!status.is_success(), "{what}: {status} {answer}");
        asked_to_sign += usize::from(status == StatusCode::PRECONDITION_REQUIRED);
    }
    assert!(asked_to_sign >= 9, "{asked_to_sign}");
    assert_eq!(fixture.entries().await.len(), before, "in the log is nothing of it");
}

#[track_caller]
fn check_answered(what: &str, status: StatusCode, answer: &Json) {
    assert!(!matches!(status.as_u16(), 401 | 403 | 405 | 500), "{what}: {status} {answer}");
    assert_ne!(answer["error"]["message"], "page not found", "{what}");
    assert_ne!(answer["error"]["message"], "tenant not found", "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_tenant_lists_that_tenant() {
    let fixture = Fixture::new().await;
    let token = fixture.token(Some("other"), &[ManageTenants], 60).await;
    let (_, answer) = fixture.call("get", "/api/v1/tenants", Some(&token), "").await;
    let names: Vec<_> = answer["items"].as_array().unwrap().iter().map(|t| t["name"].clone()).collect();
    assert_eq!(names, ["other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_makes_no_stronger_one_and_a_revoked_one_ends() {
    let fixture = Fixture::new().await;
    let path = "/api/v1/tenants/acme/tokens";
    let weak = fixture.token(Some("acme"), &[ManageTokens], 60).await;
    let (status, _) = fixture.call("post", path, Some(&weak), r#"{"scopes":["keys:manage"]}"#).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, made) = fixture.call("post", path, Some(&weak), NEW_TOKEN).await;
    assert_eq!(status, StatusCode::CREATED);
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let (status, listed) = fixture.call("get", path, Some(token), "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(!listed.to_string().contains(token));
    let (status, _) = fixture.call("delete", &format!("{path}/{id}"), Some(&weak), "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(fixture.call("get", path, Some(token), "").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_not_outlive_the_one_that_made_it() {
    let fixture = Fixture::new().await;
    let path = "/api/v1/tenants/acme/tokens";
    let parent = fixture.token(Some("acme"), &[ManageTokens], 60).await;
    let (status, made) = fixture.call("post", path, Some(&parent), NEW_TOKEN).await;
    assert_eq!(status, StatusCode::CREATED);
    let expires = Timestamp::parse_rfc3339(made["expires"].as_str().unwrap()).unwrap();
    assert!(expires <= now().plus_micros(60_000_000), "{expires}");
    let (_, listed) = fixture.call("get", path, Some(&parent), "").await;
    let is_parent = |t: &&Json| t["id"] != made["id"];
    let id = listed["items"].as_array().unwrap().iter().find(is_parent).unwrap()["id"].as_str().unwrap();
    assert_eq!(fixture.admin("delete", &format!("{path}/{id}"), "").await.0, StatusCode::NO_CONTENT);
    let child = made["token"].as_str().unwrap();
    assert_eq!(fixture.call("get", path, Some(child), "").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_url_is_no_token() {
    let fixture = Fixture::new().await;
    let token = fixture.token(None, Action::ALL, 60).await;
    for path in ["/api/v1/tenants?token=", "/api/v1/tenants?access_token="] {
        let (status, _) = fixture.call("get", &format!("{path}{token}"), None, "").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_request_is_told_what_would_be_right() {
    let fixture = Fixture::new().await;
    for (method, path, body, code, message) in [
        ("get", "readings?limit=0", "", 400, "`limit` is not from 1 to 10000"),
        ("get", "readings?limit=x", "", 400, "query parameters: limit: invalid digit found in string"),
        ("get", "readings?from=monday", "", 400, "`from` is no RFC 3339 time, as 2026-01-31T12:00:00Z"),
        ("get", "readings?colour=red", "", 400, "unknown field `colour`"),
        ("get", "readings?format=csv&limit=3", "", 400, "`limit` and `cursor` are for pages of `json`"),
        ("get", "readings?cursor=zzz", "", 400, "`cursor` is not a cursor of an earlier page"),
        ("get", "readings/windows?every=0", "", 400, "`every` is not from 1 to"),
        ("get", "readings/windows?every=60&percentiles=101", "", 400, "a percentile is from 0 to 100"),
        ("get", "readings/windows", "", 400, "missing field `every`"),
        ("get", "chains?stream=x", "", 400, "`stream` needs a `device`"),
        ("get", "chains?after=a/x/12", "", 400, "`after` is not from an earlier page"),
        ("get", "devices?limit=1001", "", 400, "`limit` is not from 1 to 1000"),
        ("get", "nothing", "", 404, "page not found"),
        ("post", "claims", "{", 400, "JSON body: EOF"),
        ("post", "claims", r#"{"name":"a/b"}"#, 400, "`name`"),
        ("post", "claims", r#"{"name":"hall.1","role":"gateway"}"#, 400, "names of `a-z 0-9 -`"),
        ("post", "claims", r#"{"name":"Hall","role":"gateway"}"#, 400, "names of `a-z 0-9 -`"),
        ("post", "claims", r#"{"name":"a","lifetime_seconds":0}"#, 400, "`lifetime_seconds` is not from 1"),
        ("put", "key/recipient", r#"{"recipient":"AAAA"}"#, 400, "`recipient` is not base64 of 32 bytes"),
        ("put", "key/recipient", "{}", 400, "missing field `recipient`"),
    ] {
        let (status, answer) = fixture.admin(method, &format!("/api/v1/tenants/acme/{path}"), body).await;
        let said = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(status.as_u16(), code, "{path}: {answer}");
        assert!(said.contains(message), "{path}: {said}");
    }
    let big = format!(r#"{{"name":"{}"}}"#, "x".repeat(300_000));
    assert_eq!(fixture.admin("post", "/api/v1/tenants/acme/claims", &big).await.0, 413);
}

/// Set `THINGWARD_REFRESH_GOLDEN=1` to write the copy anew.
#[test]
fn the_golden_copy_of_the_document_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if std::env::var_os("THINGWARD_REFRESH_GOLDEN").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == document(), "docs/openapi.json is old; run again with THINGWARD_REFRESH_GOLDEN=1");
}
