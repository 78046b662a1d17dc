//! The time, for devices without a clock.

use axum::http::StatusCode;
use http_body_util::BodyExt;
use thingward_grant::{Beacon, Nonce, Question, SignedBeacon, Time, TrustedKey};
use thingward_model::clock::now;
use thingward_model::{Principal, Role};
use thingward_mqtt::codec::ReasonCode;
use tower::ServiceExt;

use super::grants::acme;
use super::line::Line;
use super::{Fixture, Peer, admin_router, key_of, p256, rand, request};

const BEACON: &str = "/api/v1/tenants/acme/beacon";

/// What a beacon says, on the word of the installation's key for grants.
#[track_caller]
fn said<'a>(fixture: &Fixture, bytes: &'a [u8]) -> Beacon<'a> {
    let key = key_of(&fixture.app.shared.grant_key);
    SignedBeacon::decode(bytes).unwrap().verify(&TrustedKey::Public(&key), acme().borrowed()).unwrap()
}

async fn member(fixture: &Fixture, role: Role, name: &str) -> Line {
    let principal = Principal { tenant: acme(), role, name: name.parse().unwrap() };
    fixture.app.shared.directory.enrolled(acme(), principal.name, role, &key_of(&p256()));
    Line::open(fixture.app.shared.core.clone(), principal).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_or_gateway_that_asks_is_told_the_time_and_nobody_else_hears_of_it() {
    let fixture = Fixture::new().await;
    let mut other = member(&fixture, Role::Device, "meter-2").await;
    other.subscribe("devices/me/time/+").await;
    for (role, name) in [(Role::Device, "meter-1"), (Role::Gateway, "hall")] {
        let mut line = member(&fixture, role, name).await;
        line.subscribe("devices/me/time/+").await;
        let nonce: Nonce = rand();
        let topic = format!("devices/me/time/{}", base16ct::lower::encode_string(&nonce));
        let before = now();
        let (answered, beacon) = line.ask(&topic).await;
        assert_eq!(answered, topic);
        let beacon = said(&fixture, &beacon);
        // As a device without a clock takes it.
        let question = Question { nonce, micros_ago: 1_000_000 };
        let Time::Between { earliest, latest } = Time::Unknown.told(&beacon, Some(&question)) else {
            panic!("it answers nothing: {beacon:?}")
        };
        assert!(earliest <= now() && before <= latest, "{earliest} {before} {latest}");
    }
    assert!(other.is_silent());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_question_for_the_time_is_refused() {
    let fixture = Fixture::new().await;
    let mut line = member(&fixture, Role::Device, "meter-1").await;
    for topic in
        ["devices/me/time/1", "devices/me/time/", "devices/meter-2/time/0123456789abcdef0123456789abcdef"]
    {
        assert_eq!(line.publish(topic, b"").await, ReasonCode::NotAuthorized, "{topic}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_look_at_devices_can_carry_the_time_to_them() {
    let fixture = Fixture::new().await;
    let nonce: Nonce = rand();
    let asked = format!("{BEACON}?nonce={}", base16ct::lower::encode_string(&nonce));
    for (path, answers) in [(BEACON, None), (asked.as_str(), Some(nonce))] {
        let request = request(Peer::Admin, "get", path, None, "");
        let response = admin_router(&fixture.app).oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/cose");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let beacon = said(&fixture, &bytes);
        assert_eq!(beacon.answers, answers);
        assert!(now().micros_since(beacon.time) < 60_000_000, "{beacon:?}");
    }
    for wrong in ["nonce=", "nonce=01", "nonce=0123456789ABCDEF0123456789ABCDEF", "time=1"] {
        let (status, _) = fixture.admin("get", &format!("{BEACON}?{wrong}"), "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}
