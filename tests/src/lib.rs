//! A town in one process for tests: a service, gateways and devices with homes in a temporary folder.

pub mod chip;
pub mod proxy;
pub mod software_tpm;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thingward_agent::agent::{Agent, AgentHandle, AgentSettings};
use thingward_agent::claim::Claim;
use thingward_agent::enrol::{Credential, enrol};
use thingward_agent::home::Home;
use thingward_agent::http::Endpoint;
use thingward_agent::key_store::KeyStoreReference;
use thingward_agent::reading::{OwnedReading, OwnedValue};
use thingward_agent::uplink::Route;
use thingward_crypto::SignatureAlgorithm;
use thingward_crypto::sealed::write_private;
use thingward_gateway::{Gateway, GatewaySettings};
use thingward_ingress::ConnectionLimits;
use thingward_model::clock::now;
use thingward_model::{Principal, Role, TenantName, Timestamp};
use thingward_mqtt::broker;
use thingward_pki::Lifetimes;
use thingward_service::enrolment::{NewClaim, create_claim};
use thingward_service::service::Service;
use thingward_service::settings::{
    AuthorityKeys, ConsoleSettings, HistorySettings, LogSettings, ServiceSettings,
};
use thingward_store::Row;
use thingward_store::query::{Filter, Limits};

/// The tenant that most tests use.
pub const ACME: &str = "acme";

/// A folder with everything in it.
pub struct Town {
    folder: tempfile::TempDir,
    ports: (u16, u16, u16),
}

impl Default for Town {
    fn default() -> Self {
        Self::new()
    }
}

impl Town {
    /// Nothing but the folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), ports: (0, 0, 0) }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The home of a member.
    pub fn home(&self, name: &str) -> PathBuf {
        self.path().join("homes").join(name)
    }

    /// Starts the service; at a later start on the same ports as before. Makes the tenants `acme` and `other`.
    pub async fn service(&mut self) -> Service {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let settings = ServiceSettings {
            data_dir: self.path().join("service"),
            trust_domain: "thingward.test".to_owned(),
            mqtt: address(self.ports.0),
            https: address(self.ports.1),
            coap: Some(address(self.ports.2)),
            names: vec!["localhost".to_owned()],
            addresses: vec![[127, 0, 0, 1].into()],
            authority_keys: AuthorityKeys::Sealed,
            lifetimes: Lifetimes::default(),
            mqtt_limits: broker::Limits::default(),
            connections: ConnectionLimits::default(),
            history: HistorySettings::default(),
            log: LogSettings::default(),
            console: ConsoleSettings::at_home(),
            oidc: Vec::new(),
            payments: None,
        };
        let service = Service::start(settings).await.unwrap();
        let coap = service.coap().map_or(0, |at| at.port());
        self.ports = (service.mqtt().port(), service.https().port(), coap);
        for tenant in [ACME, "other"] {
            let key = self.path().join(format!("{tenant}.key"));
            if !key.exists() {
                write_private(&key, &[tenant.as_bytes()[0]; 32]).unwrap();
                let reference = format!("file:{}", key.display()).parse().unwrap();
                let keys = service.shared().store.keys();
                keys.create(tenant.parse().unwrap(), reference, now()).await.unwrap();
            }
        }
        service
    }

    /// Enrols a member of `tenant` with a claim, in a home of its own.
    pub async fn enrol(&self, service: &Service, tenant: &str, role: Role, name: &str) -> Home {
        let at = Endpoint { host: "localhost".to_owned(), port: service.https().port() };
        self.enrol_at(service, &at, tenant, role, name).await
    }

    /// As [`Self::enrol`], over another way to the service.
    pub async fn enrol_at(
        &self,
        service: &Service,
        at: &Endpoint,
        tenant: &str,
        role: Role,
        name: &str,
    ) -> Home {
        let principal = Principal { tenant: tenant.parse().unwrap(), role, name: name.parse().unwrap() };
        let home = Home::open(&self.home(name)).unwrap();
        self.enrol_home(service, at, principal, &home).await;
        home
    }

    /// As [`Self::enrol`] for a device of [`ACME`], with its keys in this place.
    pub async fn enrol_with_keys_in(&self, service: &Service, keys: &KeyStoreReference, name: &str) -> Home {
        let at = Endpoint { host: "localhost".to_owned(), port: service.https().port() };
        let (tenant, name_of) = (ACME.parse().unwrap(), name.parse().unwrap());
        let home = Home::open_in(&self.home(name), keys).unwrap();
        let principal = Principal { tenant, role: Role::Device, name: name_of };
        self.enrol_home(service, &at, principal, &home).await;
        home
    }

    async fn enrol_home(&self, service: &Service, at: &Endpoint, principal: Principal, home: &Home) {
        let claim = self.claim(service, principal).await;
        enrol(home, at, &Credential::Claim(claim), SignatureAlgorithm::EcdsaP256).await.unwrap();
    }

    /// A claim for this member.
    pub async fn claim(&self, service: &Service, principal: Principal) -> Claim {
        let new = NewClaim { principal, lifetime: Duration::from_secs(600) };
        let made = create_claim(service.shared(), &new, now()).await.unwrap();
        made.text.parse().unwrap()
    }

    /// Starts a device that connects to `to`, or to the service.
    pub fn device(&self, home: &Home, to: Option<SocketAddr>) -> AgentHandle {
        self.device_over(home, to.map(|to| Route::Mqtt(endpoint(to))))
    }

    /// As [`Self::device`], over the protocol of the route.
    pub fn device_over(&self, home: &Home, uplink: Option<Route>) -> AgentHandle {
        let checkpoint_every = Duration::from_millis(200);
        Agent::start(home, AgentSettings { uplink, checkpoint_every, ..AgentSettings::default() }).unwrap()
    }

    /// Starts a gateway; `to` stands in for the service's MQTT port.
    pub async fn gateway(&self, home: Home, to: Option<SocketAddr>) -> Gateway {
        self.gateway_with_coap(home, to, None).await
    }

    /// As [`Self::gateway`], and things speak CoAP there.
    pub async fn gateway_with_coap(
        &self,
        home: Home,
        to: Option<SocketAddr>,
        coap: Option<SocketAddr>,
    ) -> Gateway {
        let settings = GatewaySettings {
            listen: "127.0.0.1:0".parse().unwrap(),
            relay: Some("127.0.0.1:0".parse().unwrap()),
            coap,
            uplink: to.map(endpoint),
            queue: thingward_gateway::queue::QueueLimits::default(),
            connections: ConnectionLimits::default(),
            serial: Vec::new(),
            radios: Vec::new(),
            home_assistant: None,
        };
        Gateway::start(home, settings).await.unwrap()
    }
}

/// An address as an endpoint.
pub fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint { host: address.ip().to_string(), port: address.port() }
}

/// A reading of one number.
pub fn number(value: f64) -> OwnedReading {
    let time = Timestamp::from_micros(now().as_micros());
    OwnedReading { field: None, unit: "Cel".to_owned(), time, value: OwnedValue::Number(value) }
}

/// All rows of a tenant.
pub fn rows(service: &Service, tenant: &str) -> Vec<Row> {
    let tenant: TenantName = tenant.parse().unwrap();
    let store = Arc::clone(&service.shared().store);
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = store.readings(&tenant, &Filter::default(), after, 50_000, &Limits::default()).unwrap();
        all.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

/// Waits until `done` is true, for at most 20 seconds.
pub async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..400 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not happen in 20 seconds");
}
