//! What gateways decide by while they are by themselves, and what they tell of it afterwards.

use axum::http::StatusCode;
use serde_json::json;
use thingward_audit::account::{self, Place};
use thingward_audit::actors::{Actors, Word};
use thingward_audit::entry::Entry;
use thingward_crypto::{Signer, SoftwareKey};
use thingward_model::{Link, Role};
use thingward_mqtt::codec::ReasonCode;
use thingward_pki::SigningRequest;
use thingward_policy::Standing;

use super::TRUST_DOMAIN;
use super::enrolment::Shown;
use super::kept::House;
use super::p256;

const TOPIC: &str = "devices/me/accounts";
const POLICY: &str = "/.well-known/thingward/policy";

fn deed(actor: &str, number: u64) -> Entry {
    let details = [("number", number.to_string()), ("for", "application/home".to_owned())];
    Entry {
        time: 1,
        action: "gateway.command".to_owned(),
        actor: actor.to_owned(),
        target: "operation/lamp/turn-on".to_owned(),
        details: details.map(|(name, value)| (name.to_owned(), value)).into(),
        evidence: None,
    }
}

fn signed(place: &Place, key: &SoftwareKey) -> Vec<u8> {
    account::sign(&format!("{TRUST_DOMAIN}/tenant/acme"), place, &deed("gateway/hall", place.number), key)
        .unwrap()
}

/// The first three accounts of the gateway in the hall.
fn story(house: &House) -> [Vec<u8>; 3] {
    let mut place = Place::FIRST;
    [(); 3].map(|()| {
        let account = signed(&place, house.hall.key());
        place = place.next(&account);
        account
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_gets_policies_for_itself_about_its_own_things_and_is_told_when_they_change() {
    let house = House::new().await;
    house.admit("hall", &json!({"seconds": 600})).await;
    house.admit("attic", &json!({"seconds": 600})).await;
    assert_eq!(house.enrols(&house.hall, "lamp", &p256()).await.0, StatusCode::OK);
    assert_eq!(house.enrols(&house.attic, "fan", &p256()).await.0, StatusCode::OK);
    let issuer = house.service.fixture.app.shared.grant_key.public_key().clone();
    let standing = async || {
        let (status, body) = house.gets(&house.hall, POLICY).await;
        assert_eq!(status, StatusCode::OK, "{body:?}");
        Standing::verify(&body, &issuer).unwrap()
    };
    let first = standing().await;
    assert_eq!((first.gateway.as_str(), first.version, first.files.len()), ("hall", 0, 0));
    let names: Vec<&str> = first.world.members.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["hall", "lamp"]);

    let mut line = house.line(Role::Gateway, "hall").await;
    line.subscribe("devices/me/membership").await;
    let text = r#"permit (principal == Application::"home", action == Action::"commands:send", resource);"#;
    assert_eq!(house.service.fixture.apply(0, text).await.0, StatusCode::OK);
    assert_eq!(line.message().await.0, "devices/me/membership");
    let second = standing().await;
    assert_eq!((second.version, second.files[0].text.contains(text)), (1, true));
    assert!(second.issued > first.issued);

    // What a thing of it can do is another now.
    let description =
        br#"{"@context": "https://www.w3.org/2022/wot/td/v1.1", "title": "Lamp", "security": "auto_sc",
        "securityDefinitions": {"auto_sc": {"scheme": "auto"}},
        "actions": {"turn-on": {"forms": [{"href": "x"}]}}}"#;
    let link = Link::ZwaveS2Access;
    let said = house.hall.envelope("lamp", "devices/me/state/description", link, description);
    assert!(
        (house.line(Role::Gateway, "hall").await.publish("devices/me/forward", &said).await as u8) < 0x80
    );
    let third = standing().await;
    let lamp = &third.world.members[&"lamp".parse().unwrap()];
    assert!(!lamp.operations[&"turn-on".parse().unwrap()].is_sensitive);

    let meter = p256();
    let (_, chain) = house.service.enrol(&house.service.claim("meter").await, &meter).await;
    let shown = Shown { chain: super::enrolment::chain_of(&chain), key: &meter };
    let (status, _) = house.service.send("GET", POLICY, None, Some(shown), String::new()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "a device");
    let (status, _) = house.service.send("GET", POLICY, None, None, String::new()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_did_by_itself_is_in_the_log_once_in_order_and_on_its_word() {
    let house = House::new().await;
    let [first, second, third] = story(&house);
    let mut line = house.line(Role::Gateway, "hall").await;
    let mut tell = async |account: &[u8]| line.publish(TOPIC, account).await;
    for account in [&first, &second, &first, &second, &third] {
        assert!((tell(account).await as u8) < 0x80);
    }
    for (wrong, why) in [
        (signed(&Place::FIRST, &p256()), "a key of nobody"),
        (
            account::sign("other/tenant/acme", &Place::FIRST, &deed("gateway/hall", 1), house.hall.key())
                .unwrap(),
            "another log",
        ),
        (
            account::sign(
                &format!("{TRUST_DOMAIN}/tenant/acme"),
                &Place::FIRST,
                &deed("gateway/attic", 1),
                house.hall.key(),
            )
            .unwrap(),
            "of another gateway",
        ),
        (b"nothing".to_vec(), "no account"),
    ] {
        assert_eq!(tell(&wrong).await, ReasonCode::PayloadFormatInvalid, "{why}");
    }
    assert_eq!(house.found("hall").await, ["wrong-account"]);
    let fixture = &house.service.fixture;
    let told = |entries: &[Entry]| {
        let own = entries.iter().filter(|entry| entry.action == "gateway.command");
        own.map(|entry| entry.details["number"].clone()).collect::<Vec<_>>()
    };
    let entries = fixture.entries().await;
    assert_eq!(told(&entries), ["1", "2", "3"]);
    let request_key = |request: &[u8]| Some(SigningRequest::from_der(request).ok()?.key);
    let mut actors = Actors::new(&format!("{TRUST_DOMAIN}/tenant/acme"), request_key);
    let words: Vec<Word> = entries.iter().map(|entry| actors.entry(entry).unwrap()).collect();
    assert_eq!(words.last(), Some(&Word::Gateway));

    // A device tells nothing, and neither does a gateway through an envelope.
    let mut attic = house.line(Role::Gateway, "attic").await;
    assert_eq!(attic.publish(TOPIC, &third).await, ReasonCode::PayloadFormatInvalid);
    house.service.enrol(&house.service.claim("meter").await, &p256()).await;
    let mut meter = house.line(Role::Device, "meter").await;
    assert_eq!(meter.publish(TOPIC, &third).await, ReasonCode::NotAuthorized);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_accounts_and_a_second_story_are_findings_and_a_gateway_with_a_new_disk_begins_anew() {
    let house = House::new().await;
    let [first, _, third] = story(&house);
    let second_place = Place::FIRST.next(&first);
    let mut line = house.line(Role::Gateway, "hall").await;
    assert!((line.publish(TOPIC, &first).await as u8) < 0x80);
    assert_eq!(house.found("hall").await, Vec::<String>::new());
    assert!((line.publish(TOPIC, &third).await as u8) < 0x80, "it is not lost, and it shows");
    assert_eq!(house.found("hall").await, ["account-gap"]);

    let fixture = house.service.fixture.restarted().await;
    let mut again = fixture.line(Role::Gateway, "hall").await;
    assert!((again.publish(TOPIC, &third).await as u8) < 0x80);
    let count = async || fixture.entries().await.iter().filter(|e| e.action == "gateway.command").count();
    assert_eq!(count().await, 2, "it was in the log before the restart");
    let anew = account::sign(
        &format!("{TRUST_DOMAIN}/tenant/acme"),
        &Place::FIRST,
        &Entry { time: 2, ..deed("gateway/hall", 1) },
        house.hall.key(),
    );
    assert!((again.publish(TOPIC, &anew.unwrap()).await as u8) < 0x80);
    assert_eq!(count().await, 3);
    let all = fixture.admin("get", "/api/v1/tenants/acme/findings", "").await.1;
    let restarts = |finding: &&serde_json::Value| finding["kind"] == "account-restart";
    assert_eq!(all["items"].as_array().unwrap().iter().filter(restarts).count(), 1, "{all}");

    // Two machines with one home tell two stories, and both are in the log.
    let told = |place: &Place, time| {
        let deed = Entry { time, ..deed("gateway/hall", place.number) };
        account::sign(&format!("{TRUST_DOMAIN}/tenant/acme"), place, &deed, house.hall.key()).unwrap()
    };
    let found = async || {
        let all = fixture.admin("get", "/api/v1/tenants/acme/findings", "").await.1;
        let gaps = all["items"].as_array().unwrap().iter().filter(|finding| finding["kind"] == "account-gap");
        gaps.filter_map(|finding| finding["count"].as_u64()).sum::<u64>()
    };
    let before = found().await;
    assert!((again.publish(TOPIC, &told(&second_place, 7)).await as u8) < 0x80);
    assert!((again.publish(TOPIC, &told(&second_place, 8)).await as u8) < 0x80);
    assert_eq!(count().await, 5);
    assert!(found().await > before);
    // Also of one that may do nothing any more.
    assert_eq!(
        fixture.apply(0, r#"forbid (principal == Gateway::"hall", action, resource);"#).await.0,
        StatusCode::OK
    );
    assert!((again.publish(TOPIC, &told(&second_place, 9)).await as u8) < 0x80);
    assert_eq!(count().await, 6);
}
