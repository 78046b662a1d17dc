//! Devices with CoAP at the service itself, without a gateway.

use std::time::Duration;

use thingward_agent::claim::Claim;
use thingward_agent::coap::member;
use thingward_agent::coap::session::Session;
use thingward_agent::home::Home;
use thingward_coap::edhoc::DhKey;
use thingward_coap::endpoint::Packet;
use thingward_coap::message::{Code, OptionNumber};
use thingward_coap::wire::{format, path, with_format};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};
use thingward_model::{Link, Principal, Role};
use thingward_pki::SigningRequest;
use thingward_pki::proof::{self, Purpose};
use thingward_service::service::Service;
use thingward_store::Route;
use thingward_store::registry::RevocationReason;
use thingward_tests::{ACME, Town, endpoint, rows};

use super::{all_signed, device_at, device_named, is_refused, record};

async fn enrol(town: &Town, service: &Service, name: &str) -> Home {
    let claim = town.claim(service, device_named(name)).await;
    let home = Home::open(&town.home(name)).unwrap();
    let at = endpoint(service.coap().unwrap());
    member::enrol(&home, &at, &claim, SignatureAlgorithm::EcdsaP256).await.unwrap();
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_enrolled_and_heard_without_a_gateway_and_its_readings_say_so() {
    let mut town = Town::new();
    let service = town.service().await;
    let home = enrol(&town, &service, "mill-1").await;
    let membership = home.identity().unwrap().membership;
    assert_eq!(membership.service, endpoint(service.https()));
    let device = device_at(&town, &home, service.coap().unwrap());
    for i in 0..40 {
        record(&device, f64::from(i)).await;
    }
    all_signed(&service, 40).await;
    assert!(rows(&service, ACME).iter().all(|row| row.route == Route::Direct(Link::Oscore)));
    device.stop().await.unwrap();
    let before = home.identity().unwrap().leaf.serial;
    let renewed = member::renew_at(&home, &endpoint(service.coap().unwrap())).await.unwrap();
    assert_ne!(renewed.leaf.serial, before);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_restarts_loses_nothing_doubles_nothing_and_changes_no_order() {
    let mut town = Town::new();
    let mut service = town.service().await;
    let home = enrol(&town, &service, "mill-1").await;
    let device = device_at(&town, &home, service.coap().unwrap());
    let mut sent = 0;
    for _ in 0..3 {
        for _ in 0..20 {
            record(&device, f64::from(sent)).await;
            sent += 1;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        service.stop().await;
        record(&device, f64::from(sent)).await;
        sent += 1;
        service = town.service().await;
    }
    all_signed(&service, sent).await;
    device.stop().await.unwrap();
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_from_elsewhere_goes_on_with_its_certificate_until_that_is_taken_back() {
    let mut town = Town::new();
    let service = town.service().await;
    let home = town.enrol(&service, ACME, Role::Device, "mill-1").await;
    let device = device_at(&town, &home, service.coap().unwrap());
    for i in 0..5 {
        record(&device, f64::from(i)).await;
    }
    all_signed(&service, 5).await;
    let Principal { tenant, name, .. } = device_named("mill-1");
    service.shared().revoke_member(tenant, name, RevocationReason::KeyCompromise, false).await.unwrap();
    record(&device, 5.0).await;
    is_refused(&device).await;
    assert_eq!(rows(&service, ACME).len(), 5);
    device.stop().await.unwrap();
    service.stop().await;
}

/// Somebody with a raw key, and a request for a certificate.
struct Liar {
    session: Session,
    key: SoftwareKey,
}

impl Liar {
    async fn new(service: &Service, seed: u8) -> Self {
        let raw = DhKey::new(&[seed; 32]).unwrap();
        let session = Session::agree(&endpoint(service.coap().unwrap()), &raw).await.unwrap();
        let key = SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[seed; 32]).unwrap();
        Self { session, key }
    }

    async fn ask(&mut self, packet: Packet) -> Code {
        self.session.ask(packet).await.unwrap().code
    }

    async fn request(&mut self, segments: &[&str], claim: Option<&Claim>) -> Code {
        let name = "device".parse().unwrap();
        let request = SigningRequest::create(&name, &self.key as &dyn Signer).unwrap();
        let packet = with_format(Packet::to(Code::POST, segments), format::REQUEST).with_payload(&request);
        let packet = match claim {
            Some(claim) => {
                packet.with(OptionNumber::URI_QUERY, format!("code={}", claim.code.as_str()).as_bytes())
            }
            None => packet,
        };
        self.ask(packet).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_becomes_another_member_with_its_raw_key_is_answered_and_goes_on() {
    let mut town = Town::new();
    let service = town.service().await;
    let mut thing = Liar::new(&service, 1).await;
    for (seed, name) in [(1, "mill-1"), (2, "mill-2")] {
        let claim = town.claim(&service, device_named(name)).await;
        thing.key = SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[seed; 32]).unwrap();
        assert_eq!(thing.request(path::ENROL, Some(&claim)).await, Code::CHANGED, "{name}");
        assert_eq!(thing.ask(Packet::to(Code::GET, path::DOWN)).await, Code::CONTENT, "{name}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_are_counted_and_a_gateways_claim_is_for_https() {
    let mut town = Town::new();
    let service = town.service().await;
    let gateway = Principal { role: Role::Gateway, ..device_named("hall") };
    let claim = town.claim(&service, gateway).await;
    let mut first = Liar::new(&service, 1).await;
    assert_eq!(first.request(path::ENROL, Some(&claim)).await, Code::FORBIDDEN);
    let right = town.claim(&service, device_named("mill-1")).await;
    let wrong = Claim { code: "A".repeat(26).into(), ..right.clone() };
    let mut codes = Vec::new();
    for seed in 2..5 {
        let mut liar = Liar::new(&service, seed).await;
        for _ in 0..3 {
            codes.push(liar.request(path::ENROL, Some(&wrong)).await);
        }
    }
    assert_eq!(codes[..5], [Code::FORBIDDEN; 5]);
    assert!(codes[5..].iter().all(|code| *code == Code::TOO_MANY_REQUESTS), "{codes:?}");
    // Nor is the right one looked at for a while, from there.
    let mut late = Liar::new(&service, 9).await;
    assert_eq!(late.request(path::ENROL, Some(&right)).await, Code::TOO_MANY_REQUESTS);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_good_in_its_own_session_only_and_a_raw_key_renews_no_other_key() {
    let mut town = Town::new();
    let service = town.service().await;
    let home = town.enrol(&service, ACME, Role::Device, "mill-1").await;
    let identity = home.identity().unwrap();
    let join = |export: &[u8; 32]| {
        let proof = proof::sign(identity.key.as_ref(), &identity.chain, Purpose::Join, export).unwrap();
        Packet::to(Code::POST, path::JOIN).with_payload(&proof)
    };
    let mut one = Liar::new(&service, 1).await;
    let mut other = Liar::new(&service, 2).await;
    assert_eq!(other.ask(join(one.session.export())).await, Code::FORBIDDEN);
    assert_eq!(one.ask(join(one.session.export())).await, Code::CHANGED);
    assert_eq!(one.request(path::RENEW, None).await, Code::BAD_REQUEST, "not the key of its certificate");
    // Whoever shows the certificate next has its place, and the one before has none.
    assert_eq!(other.ask(join(other.session.export())).await, Code::CHANGED);
    let answer = one.session.ask(Packet::to(Code::GET, path::DOWN)).await;
    assert!(!answer.is_ok_and(|answer| answer.code.is_success()));
    assert_eq!(other.ask(Packet::to(Code::GET, path::DOWN)).await, Code::CONTENT);
    // A gateway of the tenant is no device.
    let hall = town.enrol(&service, ACME, Role::Gateway, "hall").await.identity().unwrap();
    let mut gateway = Liar::new(&service, 3).await;
    let proof = proof::sign(hall.key.as_ref(), &hall.chain, Purpose::Join, gateway.session.export()).unwrap();
    let said = Packet::to(Code::POST, path::JOIN).with_payload(&proof);
    assert_eq!(gateway.ask(said).await, Code::FORBIDDEN);
    service.stop().await;
}
