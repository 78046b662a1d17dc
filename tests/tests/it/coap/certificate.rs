//! Devices that prove themselves with their certificate in EDHOC, at a gateway and at the service.

use thingward_agent::coap::session::{CoapError, Session};
use thingward_coap::endpoint::Packet;
use thingward_coap::message::Code;
use thingward_coap::wire::path;

use super::*;

/// A session of whoever this home is, by its certificate.
async fn certified(home: &Home, at: SocketAddr) -> Result<Option<Session>, CoapError> {
    Session::certified(&endpoint(at), &home.identity().unwrap()).await
}

/// What somebody is told who is not let in.
async fn told(home: &Home, at: SocketAddr) -> String {
    match certified(home, at).await {
        Err(CoapError::Refused { code: Code::BAD_REQUEST, text }) => text,
        Ok(_) => panic!("let in"),
        Err(error) => panic!("{error}"),
    }
}

async fn code(session: &mut Session, code: Code, segments: &[&str]) -> Code {
    session.ask(Packet::to(code, segments)).await.unwrap().code
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_shows_who_is_there_in_the_handshake_and_what_it_says_is_the_members() {
    let street = Street::new().await;
    let home = street.town.enrol(&street.service, ACME, Role::Device, "mill-1").await;
    for at in street.both() {
        let mut session = certified(&home, at).await.unwrap().unwrap();
        assert_eq!(code(&mut session, Code::GET, path::DOWN).await, Code::CONTENT);
        assert_eq!(code(&mut session, Code::GET, path::MEMBERSHIP).await, Code::CONTENT);
        // Who it is is known, so that it need not and cannot become somebody.
        assert_eq!(code(&mut session, Code::POST, path::JOIN).await, Code::FORBIDDEN);
    }
    let device = street.device(&home);
    for i in 0..5 {
        record(&device, f64::from(i)).await;
    }
    all_signed(&street.service, 5).await;
    device.stop().await.unwrap();
    street.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_has_one_context_whatever_it_was_made_with() {
    let street = Street::new().await;
    let home = street.town.enrol(&street.service, ACME, Role::Device, "mill-1").await;
    for at in street.both() {
        let mut first = certified(&home, at).await.unwrap().unwrap();
        let mut second = certified(&home, at).await.unwrap().unwrap();
        assert_eq!(code(&mut second, Code::GET, path::DOWN).await, Code::CONTENT);
        assert!(first.ask(Packet::to(Code::GET, path::DOWN)).await.is_err());
    }
    street.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_in_a_session_that_it_was_shown_in() {
    let street = Street::new().await;
    let home = street.town.enrol(&street.service, ACME, Role::Device, "mill-1").await;
    for at in street.both() {
        let before = home.identity().unwrap().leaf.serial;
        let renewed = member::renew_at(&home, &endpoint(at)).await.unwrap();
        assert_ne!(renewed.leaf.serial, before);
        assert!(certified(&home, at).await.unwrap().is_some());
    }
    street.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_algorithm_than_the_other_ends_goes_by_the_raw_key() {
    let street = Street::new().await;
    let claim = street.town.claim(&street.service, device_named("mill-1")).await;
    let home = Home::open(&street.town.home("mill-1")).unwrap();
    let at = endpoint(street.service.https());
    enrol(&home, &at, &Credential::Claim(claim), SignatureAlgorithm::Ed25519).await.unwrap();
    for at in street.both() {
        assert!(certified(&home, at).await.unwrap().is_none());
    }
    let device = street.device(&home);
    record(&device, 0.0).await;
    all_signed(&street.service, 1).await;
    device.stop().await.unwrap();
    street.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_device_is_of_another_tenant_or_was_revoked_is_told_so() {
    let mut street = Street::new().await;
    let (service, town) = (&street.service, &street.town);
    let other = town.enrol(service, "other", Role::Device, "mill-1").await;
    let application = town.enrol(service, ACME, Role::Application, "board").await;
    let home = town.enrol(service, ACME, Role::Device, "mill-2").await;
    let [gateway, service] = street.both();
    for at in [gateway, service] {
        assert_eq!(told(&application, at).await, "the certificate is not a device's");
        assert!(certified(&home, at).await.unwrap().is_some());
    }
    // To a gateway of another tenant our device says nothing; one that does so all the same is refused there.
    assert!(matches!(certified(&other, gateway).await, Err(CoapError::Other(_))));
    let mut lying = other.identity().unwrap();
    lying.membership.tenant = ACME.parse().unwrap();
    let refused = Session::certified(&endpoint(gateway), &lying).await.err().unwrap().to_string();
    assert!(refused.ends_with("the certificate is of another tenant"), "{refused}");
    assert!(certified(&other, service).await.unwrap().is_some());
    let Principal { tenant, name, .. } = device_named("mill-2");
    let reason = RevocationReason::KeyCompromise;
    street.service.shared().revoke_member(tenant, name, reason, false).await.unwrap();
    assert_eq!(told(&home, service).await, "the certificate is revoked");
    // With the CRL of its start the gateway knows.
    street.gateway.stop().await;
    street.gateway = street.town.gateway_with_coap(street.home.clone(), None, Some(gateway)).await;
    assert_eq!(told(&home, gateway).await, "the certificate is revoked");
    street.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_ends_the_context_of_a_member_that_showed_its_certificate() {
    let street = Street::new().await;
    let home = street.town.enrol(&street.service, ACME, Role::Device, "mill-1").await;
    let mut session = certified(&home, street.service.coap().unwrap()).await.unwrap().unwrap();
    assert_eq!(code(&mut session, Code::GET, path::DOWN).await, Code::CONTENT);
    let Principal { tenant, name, .. } = device_named("mill-1");
    let reason = RevocationReason::KeyCompromise;
    street.service.shared().revoke_member(tenant, name, reason, false).await.unwrap();
    let refused = session.ask(Packet::to(Code::GET, path::DOWN)).await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.code == Code::FORBIDDEN));
    street.stop().await;
}
