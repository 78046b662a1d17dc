//! Things of radios, whose keys their gateway keeps.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value as Json, json};
use thingward_crypto::{AeadAlgorithm, RecipientPublicKey, SoftwareKey, system_rng};
use thingward_model::clock::now;
use thingward_model::{Confidentiality, Link, Principal, Reading, Role, Value};
use thingward_mqtt::codec::ReasonCode;
use thingward_pki::LeafIdentity;
use thingward_seal::envelope::ENVELOPE_BYTES_MAX;
use thingward_seal::{ChainWriter, Envelope, NewChain, Subject};
use thingward_store::registry::Admission;
use thingward_store::segment::RollPolicy;

use super::enrolment::{Listener, Shown, chain_of, csr};
use super::grants::acme;
use super::line::Line;
use super::{Fixture, TRUST_DOMAIN, key_of, p256};

/// A service, and two gateways of `acme`.
pub(super) struct House {
    pub(super) service: Listener,
    pub(super) hall: Keeper,
    pub(super) attic: Keeper,
}

/// A gateway with its certificate.
pub(super) struct Keeper {
    name: &'static str,
    chain: Vec<Vec<u8>>,
    key: SoftwareKey,
}

impl House {
    pub(super) async fn new() -> Self {
        let service = Listener::start().await;
        let (hall, attic) = (Keeper::new(&service, "hall").await, Keeper::new(&service, "attic").await);
        Self { service, hall, attic }
    }

    pub(super) async fn admit(&self, gateway: &str, body: &Json) -> (StatusCode, Json) {
        self.service.fixture.admin("post", &admission(gateway), &body.to_string()).await
    }

    async fn close(&self, gateway: &str) -> StatusCode {
        self.service.fixture.admin("delete", &admission(gateway), "").await.0
    }

    pub(super) async fn enrols(&self, by: &Keeper, thing: &str, key: &SoftwareKey) -> (StatusCode, Bytes) {
        self.asks(by, "POST", &format!("{thing}/simpleenroll"), csr(key)).await
    }

    async fn asks(&self, by: &Keeper, method: &str, of: &str, body: String) -> (StatusCode, Bytes) {
        let shown = Some(Shown { chain: by.chain.clone(), key: &by.key });
        let path = format!("/.well-known/thingward/children/{of}");
        self.service.send(method, &path, None, shown, body).await
    }

    /// What the service answers a gateway.
    pub(super) async fn gets(&self, by: &Keeper, path: &str) -> (StatusCode, Bytes) {
        let shown = Some(Shown { chain: by.chain.clone(), key: &by.key });
        self.service.send("GET", path, None, shown, String::new()).await
    }

    /// Kinds of findings about a member.
    pub(super) async fn found(&self, about: &str) -> Vec<String> {
        let found = self.service.fixture.admin("get", "/api/v1/tenants/acme/findings", "").await.1;
        let of = found["items"].as_array().unwrap().iter().filter(|finding| finding["device"] == about);
        of.map(|finding| finding["kind"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) async fn line(&self, role: Role, name: &str) -> Line {
        self.service.fixture.line(role, name).await
    }
}

impl Fixture {
    pub(super) async fn line(&self, role: Role, name: &str) -> Line {
        let principal = Principal { tenant: acme(), role, name: name.parse().unwrap() };
        Line::open(self.app.shared.core.clone(), principal).await
    }
}

impl Keeper {
    async fn new(service: &Listener, name: &'static str) -> Self {
        let (body, key) = (json!({"name": name, "role": "gateway"}).to_string(), p256());
        let made = service.fixture.admin("post", "/api/v1/tenants/acme/claims", &body).await.1;
        let code = made["claim"].as_str().unwrap().split_once('.').unwrap().0.to_owned();
        Self { name, chain: chain_of(&service.enrol(&code, &key).await.1), key }
    }

    pub(super) const fn key(&self) -> &SoftwareKey {
        &self.key
    }

    /// What it says that a thing sent.
    pub(super) fn envelope(&self, thing: &str, topic: &str, link: Link, message: &[u8]) -> Vec<u8> {
        let child = thing.parse().unwrap();
        let envelope = Envelope { child, topic, received: now(), link, message };
        let mut out = vec![0; message.len() + ENVELOPE_BYTES_MAX];
        let len = envelope.sign(&self.key, &mut out).unwrap();
        out.truncate(len);
        out
    }
}

fn admission(gateway: &str) -> String {
    format!("/api/v1/tenants/acme/gateways/{gateway}/admission")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_enrols_things_while_somebody_lets_it_under_names_that_were_never_anyones() {
    let house = House::new().await;
    let (fixture, lamp) = (&house.service.fixture, p256());
    assert_eq!(house.enrols(&house.hall, "lamp", &lamp).await.0, StatusCode::FORBIDDEN);
    let (status, open) = house.admit("hall", &json!({"seconds": 600, "radio": "zigbee"})).await;
    assert_eq!((status, &open["radio"]), (StatusCode::OK, &json!("zigbee")), "{open}");
    assert_eq!(fixture.admin("get", &admission("hall"), "").await, (StatusCode::OK, open));
    let (status, body) = house.enrols(&house.hall, "lamp", &lamp).await;
    assert_eq!(status, StatusCode::OK, "{body:?}");
    let leaf = LeafIdentity::from_verified(&chain_of(&body)[0], TRUST_DOMAIN).unwrap();
    let name = "lamp".parse().unwrap();
    assert_eq!(leaf.principal, Principal { tenant: acme(), role: Role::Device, name });
    assert_eq!(leaf.key, key_of(&lamp));
    let shown = fixture.admin("get", "/api/v1/tenants/acme/devices/lamp", "").await.1;
    assert_eq!((&shown["keeper"], &shown["state"]), (&json!("hall"), &json!("enrolled")));
    let gateway = fixture.admin("get", "/api/v1/tenants/acme/gateways/hall", "").await.1;
    assert_eq!((&gateway["things"][0]["name"], gateway["connected"].is_null()), (&json!("lamp"), true));
    assert_eq!(gateway["admission"]["radio"], "zigbee");

    // Its answer was lost; another thing of that name is not it.
    assert_eq!(house.enrols(&house.hall, "lamp", &lamp).await.0, StatusCode::OK);
    assert_eq!(house.enrols(&house.hall, "lamp", &p256()).await.0, StatusCode::FORBIDDEN);
    // Not the names of others: members, those who are claimed, those who were.
    house.service.enrol(&house.service.claim("meter").await, &p256()).await;
    house.service.claim("expected").await;
    house.service.enrol(&house.service.claim("gone").await, &p256()).await;
    fixture.admin("post", "/api/v1/tenants/acme/devices/gone/release", "").await;
    for name in ["meter", "expected", "gone", "hall", "attic", "..", "a%20b"] {
        assert_eq!(house.enrols(&house.hall, name, &p256()).await.0, StatusCode::FORBIDDEN, "{name}");
    }

    assert_eq!(house.close("hall").await, StatusCode::NO_CONTENT);
    assert_eq!(house.close("hall").await, StatusCode::NOT_FOUND);
    assert_eq!(house.enrols(&house.hall, "bulb", &p256()).await.0, StatusCode::FORBIDDEN);
    assert_eq!(
        house.enrols(&house.hall, "lamp", &lamp).await.0,
        StatusCode::OK,
        "a renewal needs no admission"
    );
    let entries = fixture.entries().await;
    let said = |action: &str| entries.iter().filter(|e| e.action == action).collect::<Vec<_>>();
    let enrolled = said("device.enrol").into_iter().find(|e| e.target == "device/lamp").unwrap();
    assert_eq!(enrolled.details["keeper"], "hall");
    let [admitted] = said("gateway.admit")[..] else { panic!("{entries:?}") };
    let details = [("radio", "zigbee"), ("seconds", "600")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!((&*admitted.target, admitted.details.clone()), ("gateway/hall", details.into()));
    assert_eq!(said("gateway.close").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_ends_by_itself_and_is_for_one_gateway_of_the_tenant() {
    let house = House::new().await;
    house.admit("hall", &json!({"seconds": 600})).await;
    assert_eq!(house.enrols(&house.attic, "lamp", &p256()).await.0, StatusCode::FORBIDDEN);
    let directory = &house.service.fixture.app.shared.directory;
    let (gateway, until) = ("hall".parse().unwrap(), now().plus_micros(-1));
    directory.admit(Admission { tenant: acme(), gateway, radio: None, until });
    assert_eq!(house.enrols(&house.hall, "lamp", &p256()).await.0, StatusCode::FORBIDDEN);
    for (gateway, body, want) in [
        ("hall", json!({"seconds": 0}), StatusCode::BAD_REQUEST),
        ("hall", json!({"seconds": 3601}), StatusCode::BAD_REQUEST),
        ("hall", json!({"seconds": 60, "radio": "a b"}), StatusCode::BAD_REQUEST),
        ("hall", json!({"seconds": 60, "printed": ""}), StatusCode::BAD_REQUEST),
        ("hall", json!({"seconds": 60, "printed": "ä"}), StatusCode::BAD_REQUEST),
        ("hall", json!({"seconds": 60, "printed": "x".repeat(257)}), StatusCode::BAD_REQUEST),
        ("hall", json!({"seconds": 60, "printed": "12345"}), StatusCode::BAD_REQUEST),
        ("hall", json!({"seconds": 60, "radio": "zwave", "printed": "12345"}), StatusCode::CONFLICT),
        ("nobody", json!({"seconds": 60}), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(house.admit(gateway, &body).await.0, want, "{gateway} {body}");
    }
    house.service.enrol(&house.service.claim("meter").await, &p256()).await;
    assert_eq!(house.admit("meter", &json!({"seconds": 60})).await.0, StatusCode::NOT_FOUND, "no gateway");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_thing_is_spoken_for_by_its_keeper_alone() {
    let house = House::new().await;
    let lamp = p256();
    house.admit("hall", &json!({"seconds": 600})).await;
    house.admit("attic", &json!({"seconds": 600})).await;
    let chain = chain_of(&house.enrols(&house.hall, "lamp", &lamp).await.1);
    let renewal = "lamp/simplereenroll";
    for (gateway, want) in [(&house.hall, StatusCode::OK), (&house.attic, StatusCode::FORBIDDEN)] {
        let name = gateway.name;
        assert_eq!(house.asks(gateway, "GET", "lamp/membership", String::new()).await.0, want, "{name}");
        assert_eq!(house.asks(gateway, "POST", renewal, csr(&lamp)).await.0, want, "{name}");
        assert_eq!(house.enrols(gateway, "lamp", &lamp).await.0, want, "{name}");
    }
    let with_other_key = house.asks(&house.hall, "POST", renewal, csr(&p256())).await.0;
    assert_eq!(with_other_key, StatusCode::FORBIDDEN);

    // Its key, taken out of the gateway, opens nothing.
    for (method, path) in [
        ("GET", "/.well-known/thingward/membership"),
        ("POST", "/.well-known/est/simplereenroll"),
        ("GET", "/.well-known/thingward/attestation"),
        ("POST", "/.well-known/thingward/children/lamp/simpleenroll"),
    ] {
        let shown = Some(Shown { chain: chain.clone(), key: &lamp });
        let (status, _) = house.service.send(method, path, None, shown, csr(&lamp)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
    house.line(Role::Device, "lamp").await;
    assert_eq!(house.found("lamp").await, ["kept-key-elsewhere"]);
    let nothing = house.asks(&house.hall, "POST", "lamp/attestation", String::new()).await.0;
    assert!(nothing.is_client_error(), "there is nothing to prove: {nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_things_that_a_gateway_enrols_under_one_name_at_once_one_gets_it() {
    let house = House::new().await;
    house.admit("hall", &json!({"seconds": 600})).await;
    let (first, second) = (p256(), p256());
    let both =
        tokio::join!(house.enrols(&house.hall, "lamp", &first), house.enrols(&house.hall, "lamp", &second),);
    let mut answers = [both.0.0, both.1.0];
    answers.sort();
    assert_eq!(answers, [StatusCode::OK, StatusCode::FORBIDDEN]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thing_that_was_taken_back_does_not_come_back_by_its_gateway() {
    let house = House::new().await;
    let lamp = p256();
    house.admit("hall", &json!({"seconds": 600})).await;
    for end in ["revoke", "release"] {
        assert_eq!(house.enrols(&house.hall, end, &lamp).await.0, StatusCode::OK);
        let path = format!("/api/v1/tenants/acme/devices/{end}/{end}");
        assert_eq!(house.service.fixture.admin("post", &path, "{}").await.0, StatusCode::NO_CONTENT);
        for key in [&lamp, &p256()] {
            assert_eq!(house.enrols(&house.hall, end, key).await.0, StatusCode::FORBIDDEN, "{end}");
        }
    }
    let gateway = house.service.fixture.admin("get", "/api/v1/tenants/acme/gateways/hall", "").await.1;
    let [revoked] = &gateway["things"].as_array().unwrap()[..] else { panic!("{gateway}") };
    assert_eq!((&revoked["name"], &revoked["member"]), (&json!("revoke"), &json!(false)));
    // Somebody else's from here on, with a key of its own.
    let own = p256();
    let (status, body) = house.service.enrol(&house.service.claim("release").await, &own).await;
    assert_eq!(status, StatusCode::OK);
    let shown = Some(Shown { chain: chain_of(&body), key: &own });
    let path = "/.well-known/thingward/membership";
    assert_eq!(house.service.send("GET", path, None, shown, String::new()).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_neither_who_is_kept_nor_what_is_open_and_a_revocation_closes() {
    let house = House::new().await;
    house.admit("hall", &json!({"seconds": 600})).await;
    house.admit("attic", &json!({"seconds": 600})).await;
    assert_eq!(house.enrols(&house.hall, "lamp", &p256()).await.0, StatusCode::OK);
    let path = "/api/v1/tenants/acme/devices/attic/revoke";
    assert_eq!(house.service.fixture.admin("post", path, "{}").await.0, StatusCode::NO_CONTENT);
    let fixture = house.service.fixture.restarted().await;
    let (directory, acme) = (&fixture.app.shared.directory, acme());
    let [hall, attic, lamp] = ["hall", "attic", "lamp"].map(|name| name.parse().unwrap());
    assert_eq!(directory.keeper(&acme, &lamp), Some(hall));
    assert!(directory.admission(&acme, &hall, now()).is_some());
    assert!(directory.admission(&acme, &attic, now()).is_none());
    let shown = fixture.admin("get", "/api/v1/tenants/acme/devices/lamp", "").await.1;
    assert_eq!(shown["gateway"], "hall", "it is behind its keeper before it said anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_is_told_what_it_may_enrol_and_nobody_else_sees_or_keeps_a_printed_code() {
    const CODE: &str = "34028-16403-58729";
    let house = House::new().await;
    let app = p256();
    let body = json!({"name": "app", "role": "application"}).to_string();
    let made = house.service.fixture.admin("post", "/api/v1/tenants/acme/claims", &body).await.1;
    let code = made["claim"].as_str().unwrap().split_once('.').unwrap().0.to_owned();
    assert_eq!(house.service.enrol(&code, &app).await.0, StatusCode::OK);
    let mut watching = house.line(Role::Application, "app").await;
    watching.subscribe("#").await;

    let mut hall = house.line(Role::Gateway, "hall").await;
    hall.subscribe("devices/me/admission").await;
    let told = async |line: &mut Line| -> Json {
        let (topic, payload) = line.message().await;
        assert_eq!(topic, "devices/me/admission");
        serde_json::from_slice(&payload).unwrap()
    };
    assert_eq!(told(&mut hall).await, json!({"seconds": 0}));
    let wanted = json!({"seconds": 600, "radio": "zwave", "printed": CODE});
    let (status, answer) = house.admit("hall", &wanted).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(told(&mut hall).await, wanted);

    // It was away, and comes back.
    let mut hall = house.line(Role::Gateway, "hall").await;
    hall.subscribe("devices/me/admission").await;
    let again = told(&mut hall).await;
    let left = again["seconds"].as_u64().unwrap();
    assert!((590..=600).contains(&left), "{again}");
    assert_eq!((&again["radio"], again.get("printed")), (&json!("zwave"), None));
    assert_eq!(house.close("hall").await, StatusCode::NO_CONTENT);
    assert_eq!(told(&mut hall).await, json!({"seconds": 0}));
    assert!(watching.is_silent());
    assert!(!answer.to_string().contains(CODE));
    let entries = house.service.fixture.entries().await;
    assert!(!format!("{entries:?}").contains(CODE));
    let (folder, _) = house.service.fixture.stopped().await;
    for entry in walk(folder.path()) {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(!bytes.windows(CODE.len()).any(|part| part == CODE.as_bytes()), "{}", entry.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_there_is_told_to_change_its_networks_keys_and_the_log_has_who_asked() {
    let house = House::new().await;
    let fixture = &house.service.fixture;
    let path = "/api/v1/tenants/acme/gateways/hall/roll";
    assert_eq!(fixture.admin("post", path, "{}").await.0, StatusCode::CONFLICT);
    let mut hall = house.line(Role::Gateway, "hall").await;
    hall.subscribe("devices/me/roll").await;
    for radio in [json!(null), json!("zigbee")] {
        let body = json!({"radio": radio}).to_string();
        assert_eq!(fixture.admin("post", path, &body).await.0, StatusCode::NO_CONTENT);
        let (topic, payload) = hall.message().await;
        assert_eq!(topic, "devices/me/roll");
        assert_eq!(serde_json::from_slice::<Json>(&payload).unwrap(), json!({"radio": radio}));
    }
    for wrong in [json!({"radio": "no name"}), json!({"all": true})] {
        assert!(fixture.admin("post", path, &wrong.to_string()).await.0.is_client_error());
    }
    let entries = fixture.entries().await;
    let asked: Vec<_> = entries.iter().filter(|entry| entry.action == "gateway.roll").collect();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|entry| entry.target == "gateway/hall"));
    assert_eq!(asked[1].details["radio"], "zigbee");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_but_a_radios_is_believed_for_a_kept_thing_and_none_of_them_for_others() {
    let house = House::new().await;
    house.admit("hall", &json!({"seconds": 600})).await;
    assert_eq!(house.enrols(&house.hall, "lamp", &p256()).await.0, StatusCode::OK);
    house.service.enrol(&house.service.claim("meter").await, &p256()).await;
    let (mut hall, mut attic) =
        (house.line(Role::Gateway, "hall").await, house.line(Role::Gateway, "attic").await);
    let topic = "devices/me/telemetry/light";
    for link in Link::ALL {
        for (thing, is_kept) in [("lamp", true), ("meter", false)] {
            let sent = house.hall.envelope(thing, topic, link, b"21.5");
            let told = hall.publish("devices/me/forward", &sent).await;
            let is_believed = told == ReasonCode::Success || told == ReasonCode::NoMatchingSubscribers;
            assert_eq!(is_believed, is_kept != link.is_thing_itself(), "{thing} over {link}: {told:?}");
        }
    }
    assert_eq!(house.found("hall").await, ["wrong-link"]);
    let sent = house.attic.envelope("lamp", topic, Link::ZigbeeLinkKey, b"21.5");
    assert_eq!(attic.publish("devices/me/forward", &sent).await, ReasonCode::NotAuthorized);
    assert_eq!(house.found("attic").await, ["wrong-keeper"]);
    assert!(house.found("lamp").await.is_empty());
}

/// A reading of a thing behind `hall`, and what is shown of it.
async fn shown(house: &House) -> Json {
    let page = house.service.fixture.admin("get", "/api/v1/tenants/acme/readings", "").await.1;
    page["readings"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_has_the_path_that_it_took() {
    let house = House::new().await;
    house.admit("hall", &json!({"seconds": 600})).await;
    assert_eq!(house.enrols(&house.hall, "lamp", &p256()).await.0, StatusCode::OK);
    let mut hall = house.line(Role::Gateway, "hall").await;
    let sent = house.hall.envelope("lamp", "devices/me/telemetry/light", Link::ZwaveS2Access, b"21.5");
    hall.publish("devices/me/forward", &sent).await;
    hall.publish("devices/me/telemetry/load", b"0.1").await;
    let readings = shown(&house).await;
    let of =
        |device: &str| readings.as_array().unwrap().iter().find(|r| r["device"] == device).unwrap().clone();
    let lamp = of("lamp");
    let path = ["link", "gateway", "assurance"].map(|part| lamp[part].as_str().unwrap_or_default());
    assert_eq!(path, ["zwave-s2-access", "hall", "gateway-sealed"]);
    assert!(lamp["gateway_received"].as_str() <= lamp["received"].as_str(), "{lamp}");
    let own = of("hall");
    assert_eq!(
        (&own["link"], &own["gateway"], &own["gateway_received"]),
        (&Json::Null, &Json::Null, &Json::Null)
    );
    assert_eq!(own["assurance"], "transport");
}

/// Messages of a chain of `light`: its opening, a record, and the checkpoint that covers it.
async fn chain(house: &House, thing: &str, key: &SoftwareKey) -> Vec<u8> {
    let path = format!("{thing}/membership");
    let told = house.asks(&house.hall, "GET", &path, String::new()).await.1;
    let told: Json = serde_json::from_slice(&told).unwrap();
    let recipient = STANDARD.decode(told["recipients"]["service"].as_str().unwrap()).unwrap();
    let recipient = RecipientPublicKey::from_bytes(recipient.as_slice().try_into().unwrap());
    let (device, stream) = (thing.parse().unwrap(), "light".parse().unwrap());
    let new = NewChain {
        subject: Subject { tenant: acme(), device, stream },
        confidentiality: Confidentiality::Service,
        recipient: &recipient,
        cipher: AeadAlgorithm::Aes256Gcm,
        previous: None,
    };
    let mut out = [0; 2048];
    let (mut writer, len) = ChainWriter::open(&new, now(), key, &mut system_rng(), &mut out).unwrap();
    let mut items = out[..len].to_vec();
    let reading = Reading { field: None, unit: "lx", time: now(), value: Value::Number(3.0) };
    let made = writer.append(&[reading], &mut out).unwrap();
    items.extend_from_slice(&out[..made.len]);
    let len = writer.checkpoint(now(), key, &mut out).unwrap().unwrap();
    items.extend_from_slice(&out[..len]);
    items
}

#[tokio::test(flavor = "multi_thread")]
async fn no_checkpoint_makes_a_reading_of_a_kept_thing_more_than_its_gateways_word() {
    let house = House::new().await;
    house.admit("hall", &json!({"seconds": 600})).await;
    let (lamp, meter) = (p256(), p256());
    assert_eq!(house.enrols(&house.hall, "lamp", &lamp).await.0, StatusCode::OK);
    house.service.enrol(&house.service.claim("meter").await, &meter).await;
    let mut hall = house.line(Role::Gateway, "hall").await;
    for (thing, key, link) in [("lamp", &lamp, Link::ZigbeeInstallCode), ("meter", &meter, Link::Serial)] {
        let items = chain(&house, thing, key).await;
        let sent = house.hall.envelope(thing, "devices/me/telemetry/light", link, &items);
        let told = hall.publish("devices/me/forward", &sent).await;
        assert!(
            told == ReasonCode::Success || told == ReasonCode::NoMatchingSubscribers,
            "{thing}: {told:?}"
        );
    }
    let assurances = async || -> Vec<(String, String)> {
        let readings = shown(&house).await;
        let text = |r: &Json, part: &str| r[part].as_str().unwrap().to_owned();
        readings.as_array().unwrap().iter().map(|r| (text(r, "device"), text(r, "assurance"))).collect()
    };
    let want = [("lamp", "gateway-sealed"), ("meter", "device-signed")];
    let want = want.map(|(device, assurance)| (device.to_owned(), assurance.to_owned()));
    let mut hot = assurances().await;
    hot.sort();
    assert_eq!(hot, want);
    let policy = RollPolicy { unsigned_before: now().plus_micros(1_000_000), rows_min: 1, rows_max: 100 };
    house.service.fixture.app.shared.store.roll(&acme(), &policy, now()).unwrap().unwrap();
    let mut history = assurances().await;
    history.sort();
    assert_eq!(history, want, "also in history");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_says_how_it_is_and_what_it_found_and_nobody_else_says_it_for_it() {
    let house = House::new().await;
    house.admit("hall", &json!({"seconds": 600})).await;
    assert_eq!(house.enrols(&house.hall, "lamp", &p256()).await.0, StatusCode::OK);
    house.service.enrol(&house.service.claim("meter").await, &p256()).await;
    let mut hall = house.line(Role::Gateway, "hall").await;
    let status = json!({
        "radios": [{"name": "zigbee", "kind": "zigbee", "state": "up", "received": 3}],
        "children": [{"name": "lamp", "radio": "zigbee", "address": "00124b0001020304"}],
    });
    let told = hall.publish("devices/me/status", status.to_string().as_bytes()).await;
    assert!(told == ReasonCode::Success || told == ReasonCode::NoMatchingSubscribers, "{told:?}");
    let again = hall.publish("devices/me/status", b"{}").await;
    assert_eq!(again, ReasonCode::QuotaExceeded, "no faster than once a second");
    let path = "/api/v1/tenants/acme/gateways/hall";
    let seen = house.service.fixture.admin("get", path, "").await.1;
    assert_eq!(
        (&seen["status"]["radios"][0]["state"], &seen["status"]["radios"][0]["received"]),
        (&json!("up"), &json!(3))
    );
    assert_eq!(seen["status"]["children"][0]["address"], "00124b0001020304");
    assert!(seen["connected"].is_string() && seen["status_received"].is_string(), "{seen}");

    let found = |kind: &str, thing: &str| {
        json!({"kind": kind, "radio": "zigbee", "thing": thing, "detail": "x"}).to_string().into_bytes()
    };
    for (kind, thing) in [("replay", "lamp"), ("flood", "meter"), ("insecure-join", "00124b0001020305")] {
        hall.publish("devices/me/findings", &found(kind, thing)).await;
    }
    assert_eq!(
        hall.publish("devices/me/findings", &found("odd", "lamp")).await,
        ReasonCode::PayloadFormatInvalid
    );
    assert_eq!(house.found("lamp").await, ["radio-replay"]);
    assert_eq!(house.found("hall").await, ["bad-status", "flood", "insecure-join"]);
    assert!(house.found("meter").await.is_empty(), "it says nothing about what it does not keep");

    let mut meter = house.line(Role::Device, "meter").await;
    for topic in ["devices/me/status", "devices/me/findings"] {
        assert_eq!(meter.publish(topic, b"{}").await, ReasonCode::NotAuthorized, "{topic}");
        let sent = house.hall.envelope("meter", topic, Link::Serial, b"{}");
        assert_eq!(hall.publish("devices/me/forward", &sent).await, ReasonCode::NotAuthorized, "{topic}");
    }
    // It is there after a restart, and gone with the gateway.
    let fixture = house.service.fixture.restarted().await;
    let seen = fixture.admin("get", path, "").await.1;
    assert_eq!(seen["status"]["radios"][0]["name"], "zigbee");
    fixture.admin("post", "/api/v1/tenants/acme/devices/hall/release", "{}").await;
    assert_eq!(fixture.admin("get", path, "").await.1["status"], Json::Null);
}
