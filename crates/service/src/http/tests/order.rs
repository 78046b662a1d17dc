//! Changes under the key of whoever makes them, and every way to get around that.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::body::Frame;
use serde_json::{Value as Json, json};
use thingward_audit::actors::{ActorFault, Actors, Word};
use thingward_audit::entry::{Entry, SignedEntry};
use thingward_audit::order::Order;
use thingward_crypto::{Signer, SoftwareKey};
use thingward_pki::SigningRequest;
use thingward_policy::Action;

use super::{Fixture, ORDER, call, key_of, p256, remote, request, sign};

const ACME: &str = "/api/v1/tenants/acme";

pub(super) fn request_key(der: &[u8]) -> Option<thingward_crypto::VerifyingKey> {
    SigningRequest::from_der(der).ok().map(|request| request.key)
}

impl Fixture {
    /// The entries of `acme`'s log.
    pub(super) async fn entries(&self) -> Vec<Entry> {
        let (_, page) = self.admin("get", &format!("{ACME}/log/entries?limit=1000"), "").await;
        let entry = |item: &Json| {
            let bytes = STANDARD.decode(item["entry"].as_str().unwrap()).unwrap();
            SignedEntry::decode(&bytes).unwrap().claimed_unverified().clone()
        };
        page["items"].as_array().unwrap().iter().map(entry).collect()
    }

    fn actors(&self) -> Actors {
        Actors::new(&self.app.shared.auditor.origin(&"acme".parse().unwrap()), request_key)
    }

    /// On whose word each entry stands.
    pub(super) async fn words(&self) -> Result<BTreeMap<String, Word>, (String, ActorFault)> {
        let mut actors = self.actors();
        let mut word = |entry: Entry| match actors.entry(&entry) {
            Ok(word) => Ok((format!("{} {}", entry.action, entry.target), word)),
            Err(fault) => Err((entry.action, fault)),
        };
        self.entries().await.into_iter().map(&mut word).collect()
    }
}

/// With an order, however it came about.
async fn send(
    fixture: &Fixture,
    token: &str,
    (method, path, body): (&str, &str, &str),
    order: &str,
) -> (StatusCode, Json) {
    let mut request = request(remote(), method, path, Some(token), body);
    request.headers_mut().insert(ORDER, order.parse().unwrap());
    super::answer_of(fixture.tls(), request).await
}

/// What is asked to be signed for a call.
async fn asked(fixture: &Fixture, token: &str, (method, path, body): (&str, &str, &str)) -> Json {
    let (status, answer) = call(fixture.tls(), remote(), method, path, Some(token), body).await;
    assert_eq!((status.as_u16(), &answer["error"]["code"]), (428, &json!("sign-it")), "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_people_and_programs_change_is_in_the_log_under_their_own_key() {
    let fixture = Fixture::new().await;
    fixture.describe("pump-1");
    let (anna, _) = fixture.administrator().await;
    let public = |key: &SoftwareKey| URL_SAFE_NO_PAD.encode(key.public_key().to_spki());
    let key = p256();
    let body = json!({"scopes": ["devices:manage", "commands:send"], "key": public(&key)});
    let (status, made) = anna.call("POST", "tenants/acme/tokens", body).await;
    assert_eq!(status, 201, "{made}");
    let token = made["token"].as_str().unwrap().to_owned();
    fixture.keys.lock().unwrap().insert(token.clone(), key);
    let all = [
        ("PUT", "users/vera", json!({"roles": ["viewer"]})),
        ("PUT", "users/vera", json!({"roles": ["operator"]})),
        ("POST", "users/vera/link", json!({"kind": "invite"})),
        ("PUT", "groups/north/user/vera", Json::Null),
        ("DELETE", "groups/north/user/vera", Json::Null),
        ("PUT", "policy", json!({"after": 0, "files": []})),
        ("POST", "claims", json!({"name": "meter-1"})),
        ("POST", "devices/meter-1/release", Json::Null),
        ("POST", "key/rotate", Json::Null),
        ("DELETE", "users/vera", Json::Null),
    ];
    for (method, path, body) in all {
        let (status, answer) = anna.call(method, &format!("tenants/acme/{path}"), body).await;
        assert!(status.is_success(), "{method} {path}: {answer}");
    }
    let commands = format!("{ACME}/devices/pump-1/commands");
    let (status, sent) = fixture.call("POST", &commands, Some(&token), r#"{"action":"pause"}"#).await;
    assert_eq!(status, 201, "{sent}");
    let one = format!("{commands}/{}", sent["id"].as_str().unwrap());
    assert_eq!(fixture.call("DELETE", &one, Some(&token), "").await.0, 204);
    let words = fixture.words().await.unwrap();
    let word =
        |of: &str| *words.iter().find(|(deed, _)| deed.starts_with(of)).unwrap_or_else(|| panic!("{of}")).1;
    for of in [
        "session.begin",
        "token.create",
        "user.roles",
        "user.remove",
        "link.create user/",
        "group.add",
        "group.remove",
        "policy.apply",
        "device.claim",
        "device.release",
        "key.rotate",
    ] {
        assert_eq!(word(of), Word::User, "{of}");
    }
    assert_eq!((word("command.send"), word("command.cancel")), (Word::Token, Word::Token));
    assert_eq!((word("link.create user"), word("passkey.add")), (Word::Service, Word::Service));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_counts_once_for_what_it_says_under_the_key_of_who_sends_it() {
    let fixture = Fixture::new().await;
    let token = fixture.token(Some("acme"), &[Action::ManageDevices, Action::ManageUsers], 60).await;
    let (viewer, administrator) = (r#"{"roles":["viewer"]}"#, r#"{"roles":["administrator"]}"#);
    let (path, own) = (format!("{ACME}/users/eve"), fixture.keys.lock().unwrap().remove(&token).unwrap());
    let wanted = ("PUT", path.as_str(), viewer);
    let question = asked(&fixture, &token, wanted).await;
    let good = sign(&own, &question).unwrap();
    let denied = fixture.app.shared.core.metrics().requests_denied.get();
    // Another key, a signature of something else, one that is bent.
    let (message, signature) = good.split_once('.').unwrap();
    let other = asked(&fixture, &token, wanted).await;
    let mut bent = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bent[40] ^= 1;
    for order in [
        sign(&p256(), &question).unwrap(),
        format!("{}.{signature}", other["order"].as_str().unwrap()),
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(bent)),
    ] {
        let (status, said) = send(&fixture, &token, wanted, &order).await;
        assert_eq!((status.as_u16(), &said["error"]["code"]), (403, &json!("bad-order")), "{said}");
    }
    // For something else it is no order: what is asked then is another.
    let (status, said) = send(&fixture, &token, ("PUT", &path, administrator), &good).await;
    assert_eq!(status, 428, "{said}");
    assert_ne!(said["order"], question["order"]);
    // An order that its sender wrote, with our nonce.
    let order = Order::decode(&URL_SAFE_NO_PAD.decode(message).unwrap()).unwrap();
    let mut mine = order.claimed_unverified().clone();
    mine.time -= 1;
    let origin = fixture.app.shared.auditor.origin(&"acme".parse().unwrap());
    let mine = Order::new(&origin, mine, &key_of(&own)).unwrap();
    let mine = sign(&own, &json!({"order": URL_SAFE_NO_PAD.encode(mine.message())})).unwrap();
    assert_eq!(send(&fixture, &token, wanted, &mine).await.0, 428);
    // Somebody else's, though they may do the same.
    let stranger = fixture.token(Some("acme"), &[Action::ManageUsers], 60).await;
    assert_eq!(send(&fixture, &stranger, wanted, &good).await.0, 403);
    // The right one, once.
    let (status, eve) = send(&fixture, &token, wanted, &good).await;
    assert_eq!((status, &eve["roles"]), (StatusCode::OK, &json!(["viewer"])), "{eve}");
    let (status, said) = send(&fixture, &token, wanted, &good).await;
    assert_eq!((status.as_u16(), &said["error"]["code"]), (403, &json!("bad-order")), "replayed: {said}");
    assert!(fixture.app.shared.core.metrics().requests_denied.get() >= denied + 5);
    assert_eq!(fixture.entries().await.iter().filter(|e| e.action.starts_with("user.")).count(), 1);
}

/// A body that comes when it is sent.
struct Late(tokio::sync::oneshot::Receiver<&'static str>);

impl hyper::body::Body for Late {
    type Data = hyper::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.0.is_terminated() {
            return Poll::Ready(None);
        }
        let text = std::task::ready!(Pin::new(&mut self.0).poll(cx)).unwrap();
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_begun_before_its_token_ended_changes_nothing_after_it() {
    let fixture = Fixture::new().await;
    let token = fixture.made_token(&[Action::ManageUsers]).await;
    let own = fixture.keys.lock().unwrap().remove(&token).unwrap();
    let path = format!("{ACME}/users/eve");
    let body = r#"{"roles":["administrator"]}"#;
    let order = sign(&own, &asked(&fixture, &token, ("PUT", &path, body)).await).unwrap();
    let (send_body, late) = tokio::sync::oneshot::channel();
    let mut request = request(remote(), "PUT", &path, Some(&token), "");
    request.headers_mut().insert(ORDER, order.parse().unwrap());
    *request.body_mut() = Body::new(Late(late));
    let router = fixture.tls();
    let answer = tokio::spawn(async move { super::answer_of(router, request).await });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let id = fixture.entries().await.last().unwrap().target.replace("token/", "");
    assert_eq!(fixture.admin("DELETE", &format!("{ACME}/tokens/{id}"), "").await.0, 204);
    send_body.send(body).unwrap();
    let (status, said) = answer.await.unwrap();
    assert_eq!((status.as_u16(), &said["error"]["code"]), (401, &json!("bad-token")), "{said}");
    assert_eq!(fixture.words().await.map(drop), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_no_order_is_refused() {
    let fixture = Fixture::new().await;
    let token = fixture.token(Some("acme"), &[Action::ManageUsers], 60).await;
    let path = format!("{ACME}/users/eve");
    let signature = URL_SAFE_NO_PAD.encode([1; 64]);
    let garbage = URL_SAFE_NO_PAD.encode([0x84, 0x6a]);
    for order in [
        String::new(),
        ".".to_owned(),
        "AAAA.AAAA".to_owned(),
        format!("{garbage}.{signature}"),
        format!("!.{signature}"),
        format!("{}.{signature}", "A".repeat(100_000)),
    ] {
        let answer = send(&fixture, &token, ("PUT", &path, r#"{"roles":[]}"#), &order).await;
        assert_eq!(answer.0, 400, "{order:.40}: {}", answer.1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_a_key_reads_and_changes_nothing() {
    let fixture = Fixture::new().await;
    let tokens = format!("{ACME}/tokens");
    let (status, said) = fixture.admin("POST", &tokens, r#"{"scopes":["users:manage"]}"#).await;
    assert_eq!(status, 400, "{said}");
    assert!(said["error"]["message"].as_str().unwrap().contains("key"), "{said}");
    assert_eq!(fixture.admin("POST", &tokens, r#"{"scopes":["users:manage"],"key":"AAAA"}"#).await.0, 400);
    assert_eq!(fixture.admin("POST", &tokens, r#"{"scopes":["log:read"]}"#).await.0, 201);
    let key = URL_SAFE_NO_PAD.encode(p256().public_key().to_spki());
    let body = json!({"scopes": ["users:manage"], "key": key}).to_string();
    assert_eq!(fixture.admin("POST", "/api/v1/tokens", &body).await.0, 400, "one that reaches all tenants");
    let all = fixture.token(None, Action::ALL, 60).await;
    let (status, said) =
        fixture.call("PUT", &format!("{ACME}/users/eve"), Some(&all), r#"{"roles":[]}"#).await;
    assert_eq!((status.as_u16(), &said["error"]["code"]), (403, &json!("not-permitted")), "{said}");
    assert_eq!(fixture.call("GET", &format!("{ACME}/users"), Some(&all), "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_puts_words_into_somebodys_mouth_is_found_out() {
    let fixture = Fixture::new().await;
    let (anna, _) = fixture.administrator().await;
    anna.call("PUT", "tenants/acme/users/eve", json!({"roles": ["viewer"]})).await;
    anna.call("PUT", "tenants/acme/users/eve", json!({"roles": ["operator"]})).await;
    let entries = fixture.entries().await;
    let at = |action: &str| entries.iter().position(|e| e.action == action).unwrap();
    let fault = |entries: &[Entry]| {
        let mut actors = fixture.actors();
        entries.iter().try_for_each(|e| actors.entry(e).map(drop)).unwrap_err()
    };
    let bent = |index: usize, bend: &dyn Fn(&mut Entry)| {
        let mut all = entries.clone();
        bend(&mut all[index]);
        fault(&all)
    };
    let (add, roles, begin) = (at("user.add"), at("user.roles"), at("session.begin"));
    let own = entries.iter().rposition(|e| e.action == "user.add").unwrap();
    assert!(add < own, "the first is anna herself");
    let other = ActorFault::Order(thingward_audit::entry::EntryError::OtherOrder);
    let swap = |e: &mut Entry| drop(e.details.insert("roles".to_owned(), "administrator".to_owned()));
    assert_eq!(bent(roles, &swap), other);
    assert_eq!(bent(roles, &|e| e.target.push('0')), other);
    assert_eq!(bent(roles, &|e| e.evidence = None), ActorFault::Unsigned);
    assert_eq!(bent(own, &|e| e.evidence = None), ActorFault::Unsigned);
    assert_eq!(bent(roles, &|e| e.actor = "user/0000000000000000".to_owned()), ActorFault::UnknownKey);
    // The same order a second time, at another time, and one whose session nobody began.
    let mut twice = entries.clone();
    twice.push(entries[roles].clone());
    assert_eq!(fault(&twice), ActorFault::Replayed);
    let mut none = entries.clone();
    none.remove(begin);
    assert_eq!(fault(&none), ActorFault::UnknownKey);
    assert_eq!(bent(roles, &|e| e.time += 3_600_000_000), ActorFault::OtherTime);
    assert_eq!(bent(roles, &|e| e.time -= 3_600_000_000), ActorFault::OtherTime);
    // A sign-in as the approval of a command, and one that brings in a key for somebody else.
    let challenge = approved_challenge(&entries[begin]);
    let command = Entry {
        action: "command.send".to_owned(),
        target: "operation/door/open".to_owned(),
        details: [("sha256".to_owned(), base16ct::lower::encode_string(&challenge))].into(),
        ..entries[begin].clone()
    };
    let mut and_a_command = entries.clone();
    and_a_command.push(command.clone());
    assert_eq!(fault(&and_a_command), ActorFault::Replayed);
    let mut in_its_place = entries[..begin].to_vec();
    in_its_place.push(command);
    assert_eq!(fault(&in_its_place), ActorFault::Evidence);
    let of_other = |e: &mut Entry| drop(e.details.insert("user".to_owned(), "0000000000000000".to_owned()));
    let mut all = entries.clone();
    of_other(&mut all[begin]);
    let mut actors = fixture.actors();
    assert!(
        all.iter().all(|e| actors.entry(e).is_ok()),
        "the detail counts for the service's own entries only"
    );
    // A session under a key of the service's own, and a passkey that came from nowhere.
    let key = thingward_audit::actors::key_detail(&key_of(&p256()));
    assert_eq!(bent(begin, &|e| drop(e.details.insert("key".to_owned(), key.clone()))), ActorFault::Evidence);
    let mut uninvited = entries.clone();
    uninvited.retain(|e| e.action != "link.create");
    assert_eq!(fault(&uninvited), ActorFault::Unsigned);
    uninvited.retain(|e| e.action != "user.add");
    assert_eq!(fault(&uninvited), ActorFault::NoLink);
    // A link is used up once somebody has come in through it, and one of a first administrator is for nobody else.
    let passkey = at("passkey.add");
    let mut again = entries.clone();
    again.push(entries[passkey].clone());
    assert_eq!(fault(&again), ActorFault::NoLink);
    assert_eq!(bent(passkey, &|e| e.actor = "user/0000000000000000".to_owned()), ActorFault::NoLink);
    // Somebody whom logs do not know, and somebody who does not do such things.
    assert_eq!(bent(roles, &|e| e.actor = "User/1".to_owned()), ActorFault::Actor);
    assert_eq!(bent(roles, &|e| e.actor = "device/meter-1".to_owned()), ActorFault::Actor);
}

fn approved_challenge(entry: &Entry) -> Vec<u8> {
    let evidence = entry.evidence.as_ref().unwrap();
    let mut d = minicbor::Decoder::new(evidence);
    d.array().unwrap();
    let parts: Vec<_> = (0..4).map(|_| d.bytes().unwrap().to_vec()).collect();
    thingward_seal::approval::claimed_challenge(&parts[2]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_vouched_for_by_the_service_alone_is_so_called() {
    let fixture = Fixture::new().await;
    let token = fixture.made_token(&[Action::ManageUsers]).await;
    let (status, _) =
        fixture.call("PUT", &format!("{ACME}/users/eve"), Some(&token), r#"{"roles":[]}"#).await;
    assert_eq!(status, 200);
    let words = fixture.words().await.unwrap();
    let added = words.iter().find(|(deed, _)| deed.starts_with("user.add")).unwrap().1;
    assert_eq!(*added, Word::Service, "the operator made the token, on the socket");
}
