//! Grants: who may issue and revoke them, and every way to get around that.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use thingward_audit::actors::{ActorFault, Actors, Word};
use thingward_audit::entry::Entry;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, VerifyingKey, sha256, system_rng};
use thingward_grant::{Audience, Grant, SignedRevocation, TrustedKey, public};
use thingward_model::clock::now;
use thingward_model::{DeviceName, NameRef, Principal, Role, TenantName};
use thingward_mqtt::codec::ReasonCode;
use thingward_policy::Action;
use thingward_store::registry::{GrantAudience, NewPrincipal, PrincipalState};

use super::browser::code_of;
use super::line::Line;
use super::{Fixture, key_of, p256};
use crate::audit::Deed;
use crate::pipeline::Via;

pub(super) const GRANTS: &str = "/api/v1/tenants/acme/grants";
/// What a report is answered that was taken: it is nobody's to listen to.
pub(super) const TAKEN: ReasonCode = ReasonCode::NoMatchingSubscribers;

pub(super) fn ed25519() -> SoftwareKey {
    SoftwareKey::generate(SignatureAlgorithm::Ed25519, &mut system_rng())
}

pub(super) fn acme() -> TenantName {
    "acme".parse().unwrap()
}

pub(super) fn holder(key: &SoftwareKey) -> String {
    URL_SAFE_NO_PAD.encode(key_of(key).to_ed25519().unwrap())
}

/// Parking for up to two hours, and leaving, for the next hour, ten times.
pub(super) fn body(holder_key: &SoftwareKey) -> Json {
    json!({
        "audience": "device/meter-1", "holder": holder(holder_key), "uses": 10, "reason": "order 17",
        "expires": now().plus_micros(3_600_000_000).to_string(),
        "permissions": [{"action": "park", "bounds": {"minutes": {"min": 1, "max": 120}}}, {"action": "leave"}],
    })
}

/// A meter that opens `park` for 1 to 240 minutes and `leave`, and not the rate.
pub(super) struct Meter<'a> {
    pub(super) fixture: &'a Fixture,
    pub(super) name: DeviceName,
    pub(super) key: SoftwareKey,
}

pub(super) const DESCRIPTION: &str = r#"{"@context": ["https://www.w3.org/2022/wot/td/v1.1", {"tw": "urn:thingward:td:"}],
    "title": "Meter", "securityDefinitions": {"n": {"scheme": "nosec"}}, "security": "n", "actions": {
    "park": {"tw:grants": true, "forms": [{"href": "x"}], "input": {"type": "object", "required": ["minutes"],
        "properties": {"minutes": {"type": "integer", "minimum": 1, "maximum": 240}}}},
    "leave": {"tw:grants": true, "forms": [{"href": "x"}]},
    "set-rate": {"input": {"type": "number"}, "forms": [{"href": "x"}]}}}"#;

impl Fixture {
    pub(super) async fn meter(&self, name: &str) -> Meter<'_> {
        self.meter_with(name, DESCRIPTION).await
    }

    pub(super) async fn meter_with(&self, name: &str, description: &str) -> Meter<'_> {
        let (name, key) = (name.parse().unwrap(), p256());
        let shared = &self.app.shared;
        shared.directory.enrolled(acme(), name, Role::Device, &key_of(&key));
        let principal = Principal { tenant: acme(), role: Role::Device, name };
        let new = NewPrincipal { principal, state: PrincipalState::Enrolled, hardware: None, keeper: None };
        // One that was released is known already.
        drop(shared.store.registry().add_principal(&new, now()).await);
        self.keep_description(name, description);
        // In this log a request to enrol is the key itself.
        let who = format!("device/{name}");
        let id = base16ct::lower::encode_string(&key.public_key().id());
        let deed = Deed::new(who.clone(), "device.enrol", who).with("key", id);
        let deed = Deed { evidence: Some(key.public_key().to_spki()), ..deed };
        shared.record(acme(), deed).await.unwrap();
        Meter { fixture: self, name, key }
    }

    pub(super) fn keep_description(&self, device: DeviceName, text: &str) {
        let thing = thingward_model::description::ThingDescription::parse(text.as_bytes()).unwrap();
        let shared = &self.app.shared;
        shared.directory.access.described(&acme(), &device, &thing, Via::Device);
        let key = crate::description::key(&acme(), &device);
        let kept = crate::description::encode(Via::Device, text.as_bytes());
        let sealed = shared.opener.lock().unwrap().seal(&key, &kept).unwrap();
        let mut batch = thingward_store::hot::Batch::new();
        batch.put(thingward_store::hot::Space::Descriptions, key, sealed);
        shared.store.commit(batch).unwrap();
    }

    /// A grant that the operator issues.
    pub(super) async fn granted(&self, body: &Json) -> Issued {
        let (status, issued) = self.admin("post", GRANTS, &body.to_string()).await;
        assert_eq!(status, StatusCode::CREATED, "{issued}");
        let bytes = URL_SAFE_NO_PAD.decode(issued["grant"].as_str().unwrap()).unwrap();
        Issued { id: issued["id"].as_str().unwrap().to_owned(), bytes, view: issued }
    }

    pub(super) async fn grant(&self, id: &str) -> Json {
        self.admin("get", &format!("{GRANTS}/{id}"), "").await.1
    }

    pub(super) async fn revoke(&self, id: &str) {
        assert_eq!(self.admin("delete", &format!("{GRANTS}/{id}"), "").await.0, StatusCode::NO_CONTENT);
    }

    pub(super) async fn actions(&self) -> Vec<String> {
        self.entries().await.into_iter().map(|entry| entry.action).collect()
    }

    /// On whose word the last entry stands, or why not.
    pub(super) fn last_word(&self, entries: &[Entry]) -> Result<Word, ActorFault> {
        let origin = self.app.shared.auditor.origin(&acme());
        let mut actors = Actors::new(&origin, |request| VerifyingKey::from_spki(request).ok());
        entries.iter().map(|entry| actors.entry(entry)).last().unwrap()
    }
}

pub(super) struct Issued {
    pub(super) id: String,
    pub(super) bytes: Vec<u8>,
    pub(super) view: Json,
}

impl Meter<'_> {
    pub(super) async fn connect(&self) -> Line {
        let principal = Principal { tenant: acme(), role: Role::Device, name: self.name };
        Line::open(self.fixture.app.shared.core.clone(), principal).await
    }

    /// What the service answers to a use.
    pub(super) async fn says(&self, nonce: [u8; 16], report: &[u8]) -> ReasonCode {
        let topic = format!("devices/me/uses/{}", base16ct::lower::encode_string(&nonce));
        self.connect().await.publish(&topic, report).await
    }
}

/// Epoch and ids of a revocation, by the service for the meter.
fn taken_back(fixture: &Fixture, bytes: &[u8]) -> (u32, Vec<String>) {
    taken_back_of(fixture, bytes, &Audience::Device(NameRef::new("meter-1").unwrap()))
}

/// The same for this audience.
pub(super) fn taken_back_of(fixture: &Fixture, bytes: &[u8], audience: &Audience<'_>) -> (u32, Vec<String>) {
    let key = key_of(&fixture.app.shared.grant_key);
    let signed = SignedRevocation::decode(bytes).unwrap();
    let revocation = signed.verify(&TrustedKey::Public(&key), acme().borrowed()).unwrap();
    assert_eq!(revocation.audience, *audience);
    (revocation.epoch, revocation.ids.iter().map(|id| base16ct::lower::encode_string(id)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_says_what_was_asked_for_and_verifies_with_the_key_of_the_membership() {
    let fixture = Fixture::new().await;
    let _meter = fixture.meter("meter-1").await;
    let anna = ed25519();
    let asked = body(&anna);
    let issued = fixture.granted(&asked).await;
    let grant = Grant::decode(&issued.bytes).unwrap();
    let key = key_of(&fixture.app.shared.grant_key);
    assert_eq!(public::verify(&grant, &key).unwrap(), key_of(&anna));
    for name in ["audience", "permissions", "holder", "uses", "reason"] {
        assert_eq!(issued.view[name], asked[name], "{name}");
    }
    let shown = fixture.grant(&issued.id).await;
    assert_eq!((&shown["state"], &shown["used"]), (&json!("active"), &json!(0)), "{shown}");
    assert_eq!(shown["issued_by"], "operator");
    let listed = fixture.admin("get", &format!("{GRANTS}?device=meter-1&state=active"), "").await.1;
    assert_eq!(listed["items"], json!([shown]));
    for none in ["device=meter-2", "state=revoked", "state=used-up"] {
        assert_eq!(
            fixture.admin("get", &format!("{GRANTS}?{none}"), "").await.1["items"],
            json!([]),
            "{none}"
        );
    }
    assert_eq!(fixture.admin("get", &format!("{GRANTS}?state=new"), "").await.0, StatusCode::BAD_REQUEST);
    let mut later = asked.clone();
    later["not_before"] = now().plus_micros(60_000_000).to_string().into();
    assert_eq!(fixture.granted(&later).await.view["state"], "not-yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_grants_come_newest_first_and_have_each_once() {
    let fixture = Fixture::new().await;
    let _meter = fixture.meter("meter-1").await;
    let anna = ed25519();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, fixture.granted(&body(&anna)).await.id);
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = fixture.admin("get", &format!("{GRANTS}?limit=2&state=active{after}"), "").await.1;
        seen.extend(page["items"].as_array().unwrap().iter().map(|g| g["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_grant_is_told() {
    let fixture = Fixture::new().await;
    let _meter = fixture.meter("meter-1").await;
    let anna = ed25519();
    let past = "2026-01-01T00:00:00Z";
    for (change, code, message) in [
        (json!({"permissions": [{"action": "set-rate"}]}), 409, "`set-rate` is not open to grants"),
        (json!({"permissions": [{"action": "fly"}]}), 409, "`fly` is not open to grants"),
        (
            json!({"permissions": [{"action": "leave", "bounds": {"bay": 1}}]}),
            409,
            "`leave`: bay is not open",
        ),
        (
            json!({"permissions": [{"action": "park", "bounds": {"minutes": {"max": 241}}}]}),
            409,
            "`park`: minutes goes beyond what is open to grants, which is 1..240",
        ),
        (json!({"permissions": [{"action": "park", "bounds": {"minutes": 0}}]}), 409, "goes beyond"),
        (json!({"permissions": []}), 400, "`permissions` has none"),
        (
            json!({"permissions": [{"action": "park", "bounds": {"minutes": []}}]}),
            400,
            "the bound of `minutes`",
        ),
        (json!({"audience": "group/meters"}), 400, "`audience`"),
        (json!({"audience": "device/other"}), 404, "device not found"),
        (json!({"holder": "AAAA"}), 400, "`holder` is no Ed25519 public key"),
        (json!({"uses": 0}), 400, "`uses` is at least 1"),
        (json!({"uses": null, "expires": null}), 400, "a grant ends"),
        (json!({"expires": past}), 400, "`expires` is not after its start"),
        (json!({"not_before": "2099-01-01T00:00:00Z"}), 400, "`expires` is not after its start"),
        (json!({"reason": "x".repeat(41)}), 400, "`reason` has more than 40 bytes"),
    ] {
        let mut wrong = body(&anna);
        for (name, value) in change.as_object().unwrap() {
            wrong[name] = value.clone();
        }
        let (status, said) = fixture.admin("post", GRANTS, &wrong.to_string()).await;
        assert_eq!(status.as_u16(), code, "{change}: {said}");
        let said = said["error"]["message"].as_str().unwrap();
        assert!(said.contains(message), "{change}: {said}");
    }
    fixture.app.shared.directory.enrolled(acme(), "mute".parse().unwrap(), Role::Device, &key_of(&p256()));
    let mut mute = body(&anna);
    mute["audience"] = "device/mute".into();
    let (status, said) = fixture.admin("post", GRANTS, &mute.to_string()).await;
    assert_eq!(status, StatusCode::CONFLICT, "{said}");
    assert!(!fixture.actions().await.contains(&"grant.issue".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_and_policies_say_who_may_issue_which_operation_and_revoke() {
    let fixture = Fixture::new().await;
    let _meter = fixture.meter("meter-1").await;
    let (anna, _) = fixture.administrator().await;
    let holder = ed25519();
    let people = [("otto", "operator", true), ("vera", "viewer", false), ("aude", "auditor", false)];
    for (name, role, may) in people {
        anna.call("PUT", &format!("tenants/acme/users/{name}"), json!({"roles": [role]})).await;
        let (_, invite) =
            anna.call("POST", &format!("tenants/acme/users/{name}/link"), json!({"kind": "invite"})).await;
        let mut browser = fixture.browser();
        browser.redeem(&code_of(&invite), None).await;
        let (status, issued) = browser.call("POST", "tenants/acme/grants", body(&holder)).await;
        assert_eq!(status.as_u16(), if may { 201 } else { 403 }, "{name}: {issued}");
        let of_anna = anna.call("POST", "tenants/acme/grants", body(&holder)).await.1;
        let path = format!("tenants/acme/grants/{}", of_anna["id"].as_str().unwrap());
        assert_eq!(browser.call("GET", &path, Json::Null).await.0, StatusCode::OK, "{name} reads");
        let status = browser.call("DELETE", &path, Json::Null).await.0;
        assert_eq!(status.as_u16(), if may { 204 } else { 403 }, "{name}");
    }
    let forbid =
        r#"forbid (principal, action == Action::"grants:issue", resource == Operation::"meter-1/leave");"#;
    assert_eq!(fixture.apply(0, forbid).await.0, StatusCode::OK);
    let (status, said) = anna.call("POST", "tenants/acme/grants", body(&holder)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "one of two operations is forbidden: {said}");
    assert_eq!(said["error"]["message"], "a policy forbids it");
    let mut park = body(&holder);
    park["permissions"] = json!([{"action": "park"}]);
    assert_eq!(anna.call("POST", "tenants/acme/grants", park).await.0, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_token_finds_no_grant_and_one_without_the_scope_revokes_none() {
    let fixture = Fixture::new().await;
    let meter = fixture.meter("meter-1").await;
    let issued = fixture.granted(&body(&ed25519())).await;
    let path = format!("{GRANTS}/{}", issued.id);
    let foreign = fixture.token(Some("other"), Action::ALL, 60).await;
    for method in ["get", "delete"] {
        assert_eq!(fixture.call(method, &path, Some(&foreign), "").await.0, StatusCode::NOT_FOUND);
        let own = path.replace("acme", "other");
        assert_eq!(fixture.call(method, &own, Some(&foreign), "").await.0, StatusCode::NOT_FOUND);
    }
    let other = fixture.token(Some("acme"), &[Action::IssueGrants, Action::ReadDevices], 60).await;
    assert_eq!(fixture.call("delete", &path, Some(&other), "").await.0, StatusCode::FORBIDDEN);
    assert_eq!(fixture.grant(&issued.id).await["state"], "active");
    drop(meter);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_is_told_to_its_device_and_is_in_the_log_once() {
    let fixture = Fixture::new().await;
    let meter = fixture.meter("meter-1").await;
    let [first, second] =
        [fixture.granted(&body(&ed25519())).await, fixture.granted(&body(&ed25519())).await];
    let mut line = meter.connect().await;
    line.subscribe("devices/me/grants/#").await;
    fixture.revoke(&first.id).await;
    let (topic, payload) = line.message().await;
    assert_eq!(topic, "devices/me/grants/revocation");
    assert_eq!(taken_back(&fixture, &payload), (0, vec![first.id.clone()]));
    fixture.revoke(&first.id).await;
    let shown = fixture.grant(&first.id).await;
    assert_eq!((&shown["state"], &shown["ended_by"]), (&json!("revoked"), &json!("revocation")), "{shown}");
    assert_eq!(fixture.actions().await.iter().filter(|action| *action == "grant.revoke").count(), 1);
    // Whoever comes later gets the newest, and so does a carrier.
    fixture.revoke(&second.id).await;
    let mut both = vec![first.id, second.id];
    both.sort();
    let mut later = meter.connect().await;
    later.subscribe("devices/me/grants/#").await;
    assert_eq!(taken_back(&fixture, &later.message().await.1), (0, both.clone()));
    let carried = fixture.app.shared.revocation(acme(), GrantAudience::Device(meter.name)).await.unwrap();
    assert_eq!(taken_back(&fixture, &carried), (0, both));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_beyond_what_the_device_remembers_ends_its_other_grants_and_says_so() {
    let fixture = Fixture::new().await;
    let meter = fixture.meter("meter-1").await;
    let anna = ed25519();
    let other = fixture.granted(&body(&anna)).await;
    let mut ids = Vec::new();
    for _ in 0..33 {
        ids.push(fixture.granted(&body(&anna)).await.id);
    }
    let (last, first) = ids.split_last().unwrap();
    for id in first {
        fixture.revoke(id).await;
    }
    let carried = async || {
        let bytes = fixture.app.shared.revocation(acme(), GrantAudience::Device(meter.name)).await.unwrap();
        taken_back(&fixture, &bytes)
    };
    let mut named = first.to_vec();
    named.sort();
    assert_eq!(carried().await, (0, named));
    assert_eq!(fixture.grant(&other.id).await["state"], "active");
    fixture.revoke(last).await;
    assert_eq!(carried().await, (1, Vec::new()));
    let ended = fixture.grant(&other.id).await;
    assert_eq!((&ended["state"], &ended["ended_by"]), (&json!("revoked"), &json!("epoch")), "{ended}");
    let entry = fixture.entries().await.pop().unwrap();
    let detail = |name: &str| entry.details.get(name).map(String::as_str);
    assert_eq!((detail("epoch"), detail("others")), (Some("1"), Some("1")));
    let again = fixture.granted(&body(&anna)).await;
    assert_eq!((&again.view["epoch"], &again.view["state"]), (&json!(1), &json!("active")));
    assert_eq!(Grant::decode(&again.bytes).unwrap().origin_unverified().epoch, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_released_takes_its_grants_with_it_and_its_name_does_not_bring_them_back() {
    let fixture = Fixture::new().await;
    let _meter = fixture.meter("meter-1").await;
    let issued = fixture.granted(&body(&ed25519())).await;
    let release = "/api/v1/tenants/acme/devices/meter-1/release";
    assert_eq!(fixture.admin("post", release, "").await.0, StatusCode::NO_CONTENT);
    let shown = fixture.grant(&issued.id).await;
    assert_eq!((&shown["state"], &shown["ended_by"]), (&json!("revoked"), &json!("release")), "{shown}");
    let next = fixture.meter("meter-1").await;
    let mut line = next.connect().await;
    line.subscribe("devices/me/grants/#").await;
    assert_eq!(taken_back(&fixture, &line.message().await.1), (1, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_told_is_told_after_a_restart() {
    let fixture = Fixture::new().await;
    let meter = fixture.meter("meter-1").await;
    let issued = fixture.granted(&body(&ed25519())).await;
    let key = meter.key;
    // As after a kill behind the registry.
    let registry = fixture.app.shared.store.registry();
    let mut id = [0; 8];
    base16ct::lower::decode(issued.id.as_bytes(), &mut id).unwrap();
    registry.revoke_grant(&acme(), &GrantAudience::Device(meter.name), &id, 0, now()).await.unwrap();
    let name = meter.name;
    let fixture = fixture.restarted().await;
    fixture.app.shared.directory.enrolled(acme(), name, Role::Device, &key_of(&key));
    let meter = Meter { fixture: &fixture, name, key };
    let mut line = meter.connect().await;
    line.subscribe("devices/me/grants/#").await;
    assert_eq!(taken_back(&fixture, &line.message().await.1), (0, vec![issued.id]));
    assert_eq!(fixture.app.shared.store.registry().grants_untold().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn issuing_and_revoking_is_signed_by_who_does_it() {
    let fixture = Fixture::new().await;
    let _meter = fixture.meter("meter-1").await;
    let token = fixture.made_token(&[Action::IssueGrants, Action::RevokeGrants]).await;
    let asked = body(&ed25519()).to_string();
    let (status, issued) = fixture.call("post", GRANTS, Some(&token), &asked).await;
    assert_eq!(status, StatusCode::CREATED, "{issued}");
    let path = format!("{GRANTS}/{}", issued["id"].as_str().unwrap());
    assert_eq!(fixture.call("delete", &path, Some(&token), "").await.0, StatusCode::NO_CONTENT);
    let entries = fixture.entries().await;
    assert!(fixture.last_word(&entries).is_ok());
    let [issue, revoke] = ["grant.issue", "grant.revoke"]
        .map(|action| entries.iter().find(|entry| entry.action == action).unwrap());
    let bytes = URL_SAFE_NO_PAD.decode(issued["grant"].as_str().unwrap()).unwrap();
    assert_eq!(issue.details["sha256"], base16ct::lower::encode_string(&sha256(&[&bytes])));
    assert_eq!(
        (issue.details["actions"].as_str(), issue.target.as_str()),
        ("park leave", revoke.target.as_str())
    );
    for entry in [issue, revoke] {
        assert!(entry.actor.starts_with("token/") && entry.evidence.is_some(), "{entry:?}");
    }
    // Policies are tried on it, operation by operation.
    let text = r#"forbid (principal, action == Action::"grants:issue", resource == Operation::"meter-1/leave");
        forbid (principal, action == Action::"grants:revoke", resource);"#;
    let draft =
        json!({"files": [{"name": "own.cedar", "text": text}], "since": "2026-01-01T00:00:00Z"}).to_string();
    let trial = fixture.admin("post", "/api/v1/tenants/acme/policy/try", &draft).await.1;
    let differences = trial["differences"].as_array().unwrap().iter();
    let mut differences: Vec<_> = differences
        .map(|d| format!("{} {}", d["action"].as_str().unwrap(), d["on"].as_str().unwrap()))
        .collect();
    differences.sort();
    assert_eq!(differences, ["grants:issue meter-1/leave", "grants:revoke meter-1"], "{trial}");
}
