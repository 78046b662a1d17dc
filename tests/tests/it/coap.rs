use std::net::SocketAddr;
use std::time::Duration;

use thingward_agent::agent::AgentHandle;
use thingward_agent::claim::Claim;
use thingward_agent::coap::member;
use thingward_agent::enrol::{Credential, enrol};
use thingward_agent::home::Home;
use thingward_agent::http::Endpoint;
use thingward_agent::uplink::Route;
use thingward_crypto::SignatureAlgorithm;
use thingward_gateway::Gateway;
use thingward_model::{Assurance, Link, Principal, Role};
use thingward_service::service::Service;
use thingward_store::registry::RevocationReason;
use thingward_store::{Row, Value};
use thingward_tests::{ACME, Town, endpoint, eventually, number, rows};

mod certificate;
mod direct;
mod hostile;

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn device_named(name: &str) -> Principal {
    Principal { tenant: ACME.parse().unwrap(), role: Role::Device, name: name.parse().unwrap() }
}

/// A town with a gateway for CoAP.
struct Street {
    town: Town,
    service: Service,
    gateway: Gateway,
    home: Home,
}

impl Street {
    async fn new() -> Self {
        let mut town = Town::new();
        let service = town.service().await;
        let home = town.enrol(&service, ACME, Role::Gateway, "hall").await;
        let gateway = town.gateway_with_coap(home.clone(), None, Some(ANYWHERE)).await;
        Self { town, service, gateway, home }
    }

    fn coap(&self) -> SocketAddr {
        self.gateway.coap().unwrap()
    }

    /// A device that was never anywhere but at this gateway.
    async fn enrol(&self, name: &str) -> Home {
        self.enrol_at(name, self.coap()).await
    }

    async fn enrol_at(&self, name: &str, at: SocketAddr) -> Home {
        let claim = self.town.claim(&self.service, device_named(name)).await;
        let home = Home::open(&self.town.home(name)).unwrap();
        let enrolled = member::enrol(&home, &endpoint(at), &claim, SignatureAlgorithm::EcdsaP256).await;
        assert_eq!(enrolled.unwrap().membership.principal(), device_named(name));
        home
    }

    fn device(&self, home: &Home) -> AgentHandle {
        device_at(&self.town, home, self.coap())
    }

    /// Where CoAP is spoken: by the gateway, by the service.
    fn both(&self) -> [SocketAddr; 2] {
        [self.coap(), self.service.coap().unwrap()]
    }

    async fn stop(self) {
        self.gateway.stop().await;
        self.service.stop().await;
    }
}

fn device_at(town: &Town, home: &Home, at: SocketAddr) -> AgentHandle {
    town.device_over(home, Some(Route::Coap(endpoint(at))))
}

async fn record(device: &AgentHandle, value: f64) {
    device.record("spindle".parse().unwrap(), vec![number(value)]).await.unwrap();
}

/// Waits until the device hears that it is no member any more.
async fn is_refused(device: &AgentHandle) {
    for _ in 0..200 {
        let uplink = device.status().await.unwrap().uplink;
        if uplink.last_error.is_some_and(|error| error.contains("4.03") || error.contains("is revoked")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody refuses it");
}

fn values(rows: &[Row]) -> Vec<f64> {
    let mut all: Vec<_> = rows.iter().map(|r| (r.seq, r.value.clone())).collect();
    all.sort_by_key(|(seq, _)| *seq);
    let number = |v| match v {
        Value::Number(n) => n,
        other => panic!("a number was sent, not {other:?}"),
    };
    all.into_iter().map(|(_, v)| number(v)).collect()
}

async fn all_signed(service: &Service, count: u32) {
    eventually("all readings signed", || {
        let all = rows(service, ACME);
        all.len() >= count as usize && all.iter().all(|row| row.assurance == Assurance::DeviceSigned)
    })
    .await;
    let all = rows(service, ACME);
    assert!(all.iter().all(|row| row.route.link() == Some(Link::Oscore)), "{:?}", all.first());
    assert_eq!(values(&all), (0..count).map(f64::from).collect::<Vec<_>>());
    let findings = service.shared().core.findings(ACME.parse().unwrap()).await;
    assert!(findings.is_empty(), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_reaches_only_its_gateway_is_enrolled_and_what_it_measures_is_its_own_word() {
    let street = Street::new().await;
    let home = street.enrol("mill-1").await;
    let device = street.device(&home);
    for i in 0..40 {
        record(&device, f64::from(i)).await;
    }
    all_signed(&street.service, 40).await;
    let status = device.status().await.unwrap();
    assert!(status.uplink.online && status.uplink_to.to_string().starts_with("coap://"), "{status:?}");
    device.stop().await.unwrap();
    street.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_restarts_loses_nothing_and_changes_no_order() {
    let mut street = Street::new().await;
    let home = street.enrol("mill-1").await;
    let device = street.device(&home);
    let mut sent = 0;
    for _ in 0..3 {
        for _ in 0..20 {
            record(&device, f64::from(sent)).await;
            sent += 1;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let at = street.coap();
        street.gateway.stop().await;
        record(&device, f64::from(sent)).await;
        sent += 1;
        street.gateway = street.town.gateway_with_coap(street.home.clone(), None, Some(at)).await;
    }
    all_signed(&street.service, sent).await;
    device.stop().await.unwrap();
    street.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_from_elsewhere_shows_its_certificate_and_one_that_is_revoked_is_let_in_no_more() {
    let mut street = Street::new().await;
    let home = street.town.enrol(&street.service, ACME, Role::Device, "mill-1").await;
    let device = street.device(&home);
    for i in 0..5 {
        record(&device, f64::from(i)).await;
    }
    all_signed(&street.service, 5).await;
    let Principal { tenant, name, .. } = device_named("mill-1");
    let reason = RevocationReason::KeyCompromise;
    street.service.shared().revoke_member(tenant, name, reason, false).await.unwrap();
    // With the CRL of its start the gateway knows.
    let at = street.coap();
    street.gateway.stop().await;
    street.gateway = street.town.gateway_with_coap(street.home.clone(), None, Some(at)).await;
    record(&device, 5.0).await;
    is_refused(&device).await;
    assert_eq!(rows(&street.service, ACME).len(), 5);
    device.stop().await.unwrap();
    street.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_shown_to_no_gateway_of_another_installation_and_a_wrong_one_enrols_nobody() {
    let street = Street::new().await;
    let elsewhere = Street::new().await;
    let at = endpoint(street.coap());
    let foreign = elsewhere.town.claim(&elsewhere.service, device_named("mill-1")).await;
    let home = Home::open(&street.town.home("mill-1")).unwrap();
    let enrol = async |claim| member::enrol(&home, &at, claim, SignatureAlgorithm::EcdsaP256).await;
    let error = enrol(&foreign).await.err().unwrap().to_string();
    assert!(error.contains("has no root certificate with fingerprint"), "{error}");
    let mut wrong = street.town.claim(&street.service, device_named("mill-1")).await;
    let right = wrong.clone();
    wrong.code = "A".repeat(26).into();
    let error = enrol(&wrong).await.err().unwrap().to_string();
    assert!(error.contains("4.03"), "{error}");
    assert!(!home.is_enrolled());
    enrol(&right).await.unwrap();
    elsewhere.stop().await;
    street.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_not_for_a_device_of_the_tenant_is_refused_and_works_where_it_belongs() {
    let street = Street::new().await;
    let https = Endpoint { host: "localhost".to_owned(), port: street.service.https().port() };
    let gateway = |name: &str| Principal { role: Role::Gateway, ..device_named(name) };
    let other = Principal { tenant: "other".parse().unwrap(), ..device_named("mill-9") };
    let [near, direct] = street.both();
    for (principal, at) in [(gateway("hall-2"), near), (gateway("hall-3"), direct), (other, near)] {
        let claim = street.town.claim(&street.service, principal).await;
        let home = Home::open(&street.town.home(principal.name.as_str())).unwrap();
        let shown = member::enrol(&home, &endpoint(at), &claim, SignatureAlgorithm::EcdsaP256).await;
        assert!(shown.err().unwrap().to_string().contains("4.03"));
        let credential = Credential::Claim(claim);
        enrol(&home, &https, &credential, SignatureAlgorithm::EcdsaP256).await.unwrap();
    }
    street.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_asks_for_no_place_that_was_wrong_three_times_and_the_service_still_takes_claims() {
    let street = Street::new().await;
    let home = Home::open(&street.town.home("mill-1")).unwrap();
    let right = street.town.claim(&street.service, device_named("mill-1")).await;
    let wrong = Claim { code: "A".repeat(26).into(), ..right.clone() };
    let enrol = async |at, claim| member::enrol(&home, &at, claim, SignatureAlgorithm::EcdsaP256).await;
    for (claim, code) in
        [(&wrong, "4.03"), (&wrong, "4.03"), (&wrong, "4.03"), (&wrong, "4.29"), (&right, "4.29")]
    {
        let error = enrol(endpoint(street.coap()), claim).await.err().unwrap().to_string();
        assert!(error.contains(code), "{error}");
    }
    enrol(endpoint(street.service.coap().unwrap()), &right).await.unwrap();
    street.stop().await;
}
