//! A service in this process: EST over HTTPS and MQTT with a verifying gate.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming as Body;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use thingward_agent::claim::Fingerprint;
use thingward_agent::http::Endpoint;
use thingward_crypto::{RecipientSecretKey, SignatureAlgorithm, Signer, SoftwareKey, system_rng};
use thingward_model::clock::now;
use thingward_model::{Principal, Role, StreamName, Timestamp};
use thingward_mqtt::broker::{Broker, Delivered, Effect, Gate, Incoming, Limits, Message, Routed, Scope};
use thingward_mqtt::codec::{Connect, MessageProperties, QoS, ReasonCode};
use thingward_mqtt::topic::{TopicFilter, TopicName};
use thingward_pki::tls::{ALPN_HTTP, ALPN_MQTT, Credentials, member_server_config, open_server_config};
use thingward_pki::{CertificateAuthority, LeafIdentity, Lifetimes, Profile, est};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::ledger::Ledger;

pub(crate) const TRUST_DOMAIN: &str = "thingward.test";

/// How the service misbehaves.
#[derive(Default)]
pub(crate) struct Faults {
    /// Certificates are for a key of the service's own.
    pub(crate) other_key: AtomicBool,
    /// The membership names somebody else.
    pub(crate) other_name: AtomicBool,
    /// The membership has no command key.
    pub(crate) no_command_key: AtomicBool,
    /// Every n-th message is stored and its connection cut before the acknowledgement; 0 for never.
    pub(crate) cut_every: AtomicU64,
    /// New connections are closed at once.
    pub(crate) is_down: AtomicBool,
    /// Messages are refused with this code; 0 for none.
    pub(crate) refuse: AtomicU64,
    /// Messages of this stream are refused because a queue is full.
    pub(crate) full: Mutex<Option<StreamName>>,
}

pub(crate) struct Installation {
    pub(crate) https: Endpoint,
    pub(crate) mqtt: Endpoint,
    pub(crate) root: Vec<u8>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) renewals: Arc<AtomicU64>,
    /// Signs commands; members hear of its public half.
    pub(crate) command_key: Arc<SoftwareKey>,
    /// Issues grants; members hear of its public half.
    pub(crate) grant_key: SoftwareKey,
    pub(crate) inbox: Inbox,
    broker: Shared,
    claims: Arc<Mutex<BTreeMap<String, Principal>>>,
}

/// What members published besides telemetry: whose it is, the topic, the payload, and whether it shall stay.
type Inbox = Arc<Mutex<Vec<(Principal, String, Bytes, bool)>>>;

struct Office {
    ca: CertificateAuthority,
    claims: Arc<Mutex<BTreeMap<String, Principal>>>,
    faults: Arc<Faults>,
    renewals: Arc<AtomicU64>,
    recipient: String,
    command_key: String,
    grant_key: String,
    mqtt_port: u16,
}

pub(crate) fn key() -> SoftwareKey {
    SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng())
}

pub(crate) fn member(name: &str) -> Principal {
    Principal { tenant: "acme".parse().unwrap(), role: Role::Device, name: name.parse().unwrap() }
}

impl Installation {
    pub(crate) async fn start() -> Self {
        Self::with_lifetime(Duration::from_secs(86_400)).await
    }

    pub(crate) async fn with_lifetime(leaf: Duration) -> Self {
        let lifetimes = Lifetimes { leaf, ..Lifetimes::default() };
        let ca =
            CertificateAuthority::create(TRUST_DOMAIN, lifetimes, &key(), Box::new(key()), now()).unwrap();
        let (root, issuing) = (ca.root_der().unwrap(), ca.issuing_der().unwrap());
        let credentials = || {
            let own = key();
            let profile = Profile::Service { names: vec!["localhost".to_owned()], addresses: Vec::new() };
            let issued = ca.issue(&profile, own.public_key(), now()).unwrap();
            Credentials::new(&[issued.der, issuing.clone()], &own).unwrap()
        };
        let anchors = [root.clone()];
        let https_config = open_server_config(&anchors, credentials(), ALPN_HTTP).unwrap();
        let crl = ca.crl(1, &[], now()).unwrap();
        let mqtt_config = member_server_config(&root, &crl, credentials(), ALPN_MQTT).unwrap();

        let secret = RecipientSecretKey::generate(&mut system_rng());
        let recipient = STANDARD.encode(secret.public_key().unwrap().as_bytes());
        let (faults, ledger): (Arc<Faults>, Arc<Mutex<Ledger>>) = Default::default();
        let (claims, renewals): (Arc<Mutex<BTreeMap<_, _>>>, Arc<AtomicU64>) = Default::default();
        let grant_key = SoftwareKey::generate(SignatureAlgorithm::Ed25519, &mut system_rng());
        let (command_key, inbox) = (Arc::new(key()), Arc::default());
        let gate = LedgerGate {
            ledger: Arc::clone(&ledger),
            inbox: Arc::clone(&inbox),
            faults: Arc::clone(&faults),
            secret,
            cut: false,
        };
        let broker: Shared = Arc::new(Mutex::new((Broker::new(gate, Limits::default()), Writers::new())));
        let mqtt = serve_mqtt(mqtt_config, Arc::clone(&broker), Arc::clone(&faults)).await;
        let office = Office {
            ca,
            claims: Arc::clone(&claims),
            faults: Arc::clone(&faults),
            renewals: Arc::clone(&renewals),
            recipient,
            command_key: STANDARD.encode(command_key.public_key().to_spki()),
            grant_key: STANDARD.encode(grant_key.public_key().to_spki()),
            mqtt_port: mqtt.port,
        };
        let https = serve_https(https_config, office).await;
        Self { https, mqtt, root, faults, ledger, renewals, command_key, grant_key, inbox, broker, claims }
    }

    /// A claim for a device of this name, as an operator would get it.
    pub(crate) fn claim(&self, name: &str) -> String {
        let code: String = format!("{name:A<26}").to_uppercase().replace(['-', '0', '1', '8', '9'], "B");
        self.claims.lock().unwrap().insert(code.clone(), member(name));
        format!("{code}.{}", Fingerprint::of(&self.root))
    }

    pub(crate) fn numbers(&self, stream: &str) -> Vec<f64> {
        self.ledger.lock().unwrap().numbers(stream)
    }

    /// Publishes to a member, as the service does: for those who listen.
    pub(crate) fn send(&self, member: &str, topic: &str, payload: Vec<u8>) {
        let mut core = self.broker.lock().unwrap();
        let message = Message {
            topic: TopicName::try_from(format!("t/{member}/{topic}").as_str()).unwrap(),
            payload: payload.into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: MessageProperties::default(),
            author: Bytes::new(),
        };
        core.0.publish(now(), message).unwrap();
        release(&mut core);
    }

    /// Fails when a finding was made or a record has no signature.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let ledger = self.ledger.lock().unwrap();
        assert!(ledger.said.is_empty(), "{:?}", ledger.said);
        assert!(ledger.is_signed());
    }
}

async fn serve_https(config: Arc<ServerConfig>, office: Office) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let (acceptor, office) = (TlsAcceptor::from(config), Arc::new(office));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, office) = (acceptor.clone(), Arc::clone(&office));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(tcp).await else { return };
                let leaf = stream
                    .get_ref()
                    .1
                    .peer_certificates()
                    .and_then(|c| LeafIdentity::from_verified(&c[0], TRUST_DOMAIN).ok());
                let service = hyper::service::service_fn(move |request: Request<Body>| {
                    let (office, leaf) = (Arc::clone(&office), leaf.clone());
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        let (status, body) = office.answer(&parts, &body, leaf.as_ref());
                        let response = Response::builder().status(status).body(Full::new(Bytes::from(body)));
                        Ok::<_, hyper::Error>(response.unwrap())
                    }
                });
                let _ended = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    endpoint
}

impl Office {
    fn answer(
        &self,
        parts: &hyper::http::request::Parts,
        body: &[u8],
        leaf: Option<&LeafIdentity>,
    ) -> (u16, String) {
        let refused = |text: &str| (401, text.to_owned());
        match parts.uri.path() {
            "/.well-known/est/cacerts" => {
                let all = [self.ca.issuing_der().unwrap(), self.ca.root_der().unwrap()];
                (200, est::encode_certificates(&all).unwrap())
            }
            "/.well-known/est/simpleenroll" => {
                let basic = parts.headers.get("authorization").and_then(|v| v.to_str().ok());
                let text = basic.and_then(|b| STANDARD.decode(b.strip_prefix("Basic ")?).ok());
                let text = text.and_then(|t| String::from_utf8(t).ok()).unwrap_or_default();
                let code = text.split_once(':').map(|(_, code)| code.to_owned()).unwrap_or_default();
                match self.claims.lock().unwrap().remove(&code) {
                    Some(principal) => self.issue(principal, body),
                    None => refused("The code is not known or was used."),
                }
            }
            "/.well-known/est/simplereenroll" => match leaf {
                Some(leaf) => {
                    self.renewals.fetch_add(1, Ordering::SeqCst);
                    self.issue(leaf.principal, body)
                }
                None => refused("A certificate is needed."),
            },
            "/.well-known/thingward/membership" => match leaf {
                Some(leaf) => (200, self.membership(leaf)),
                None => refused("A certificate is needed."),
            },
            _ => (404, "There is no such thing.".to_owned()),
        }
    }

    fn issue(&self, principal: Principal, body: &[u8]) -> (u16, String) {
        let Ok(request) = est::decode_request(body) else { return (400, "No request.".to_owned()) };
        let own = key();
        let other_key = self.faults.other_key.load(Ordering::SeqCst);
        let key = if other_key { own.public_key() } else { &request.key };
        let issued = self.ca.issue(&Profile::Leaf { principal, serial_number: None }, key, now()).unwrap();
        (200, est::encode_certificates(&[issued.der, self.ca.issuing_der().unwrap()]).unwrap())
    }

    fn membership(&self, leaf: &LeafIdentity) -> String {
        let name = if self.faults.other_name.load(Ordering::SeqCst) {
            "somebody".to_owned()
        } else {
            leaf.principal.name.to_string()
        };
        let has_key = !self.faults.no_command_key.load(Ordering::SeqCst);
        serde_json::json!({
            "tenant": leaf.principal.tenant.as_str(), "role": "device", "name": name,
            "trust_domain": TRUST_DOMAIN, "mqtt_port": self.mqtt_port,
            "recipients": {"service": self.recipient, "customer": null},
            "command_key": has_key.then_some(&self.command_key),
            "grant_key": self.grant_key,
            "time": now().to_string(),
        })
        .to_string()
    }
}

struct LedgerGate {
    ledger: Arc<Mutex<Ledger>>,
    inbox: Inbox,
    faults: Arc<Faults>,
    secret: RecipientSecretKey,
    /// The connection has to be cut before the acknowledgement.
    cut: bool,
}

impl Gate for LedgerGate {
    type Identity = Arc<LeafIdentity>;

    fn scope(&self, who: &Arc<LeafIdentity>) -> Scope {
        Bytes::from(who.principal.to_string())
    }

    fn share(&self, _: &TopicName) -> Scope {
        Scope::new()
    }

    fn encode_identity(&self, _: &Arc<LeafIdentity>) -> Bytes {
        Bytes::new()
    }

    fn decode_identity(&self, _: &[u8]) -> Option<Arc<LeafIdentity>> {
        None
    }

    fn connect(&mut self, _: Timestamp, _: &Arc<LeafIdentity>, _: &Connect) -> Result<(), ReasonCode> {
        Ok(())
    }

    fn publish(
        &mut self,
        _: Timestamp,
        who: &Arc<LeafIdentity>,
        incoming: &Incoming<'_>,
    ) -> Result<Routed, ReasonCode> {
        // What comes behind the cut on the same connection is lost, as in a crash.
        if self.cut {
            return Ok(Routed::Nowhere);
        }
        let refuse = u8::try_from(self.faults.refuse.load(Ordering::SeqCst)).unwrap();
        if refuse != 0 {
            return Err(ReasonCode::from_code(refuse).unwrap());
        }
        let topic = incoming.message.topic.as_str();
        if self.faults.full.lock().unwrap().is_some_and(|stream| topic.ends_with(stream.as_str())) {
            return Err(ReasonCode::QuotaExceeded);
        }
        let mut ledger = self.ledger.lock().unwrap();
        let message = incoming.message;
        if !topic.starts_with("devices/me/telemetry/") {
            let entry = (who.principal, topic.to_owned(), message.payload.clone(), message.retain);
            self.inbox.lock().unwrap().push(entry);
        } else if !ledger.take(who, topic, &incoming.message.payload, &self.secret) {
            return Err(ReasonCode::PayloadFormatInvalid);
        }
        ledger.messages += 1;
        let every = self.faults.cut_every.load(Ordering::SeqCst);
        self.cut = every != 0 && ledger.messages.is_multiple_of(every);
        Ok(Routed::Nowhere)
    }

    fn subscribe(
        &mut self,
        who: &Arc<LeafIdentity>,
        filter: &TopicFilter,
    ) -> Result<TopicFilter, ReasonCode> {
        let rest = filter.as_str().strip_prefix("devices/me/").unwrap();
        Ok(TopicFilter::try_from(format!("t/{}/{rest}", who.principal.name).as_str()).unwrap())
    }

    fn deliver(&mut self, who: &Arc<LeafIdentity>, message: &Message) -> Option<Delivered> {
        let rest = message.topic.as_str().strip_prefix(&format!("t/{}/", who.principal.name))?;
        let topic = TopicName::try_from(format!("devices/me/{rest}").as_str()).ok()?;
        Some(Delivered { topic, payload: message.payload.clone() })
    }
}

type Writers = BTreeMap<u64, mpsc::UnboundedSender<Bytes>>;
type Shared = Arc<Mutex<(Broker<LedgerGate>, Writers)>>;

fn release((broker, writers): &mut (Broker<LedgerGate>, Writers)) {
    for effect in broker.drain().effects {
        match effect {
            Effect::Send { conn, bytes } => drop(writers.get(&conn).map(|w| w.send(bytes))),
            Effect::Close { conn } => drop(writers.remove(&conn)),
        }
    }
}

async fn serve_mqtt(config: Arc<ServerConfig>, core: Shared, faults: Arc<Faults>) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let acceptor = TlsAcceptor::from(config);
    tokio::spawn(async move {
        for conn in 1.. {
            let Ok((tcp, _)) = listener.accept().await else { return };
            if faults.is_down.load(Ordering::SeqCst) {
                continue;
            }
            let (acceptor, core, faults) = (acceptor.clone(), Arc::clone(&core), Arc::clone(&faults));
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(tcp).await else { return };
                let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
                let leaf = Arc::new(LeafIdentity::from_verified(&leaf, TRUST_DOMAIN).unwrap());
                let (sender, mut output) = mpsc::unbounded_channel();
                {
                    let mut core = core.lock().unwrap();
                    core.0.accept(now(), conn, leaf);
                    core.1.insert(conn, sender);
                }
                let mut input = BytesMut::new();
                let mut piece = [0; 512];
                loop {
                    tokio::select! {
                        // In small pieces, so that a cut loses the acknowledgements of few messages.
                        read = stream.read(&mut piece) => {
                            let mut core = core.lock().unwrap();
                            let read = read.unwrap_or(0);
                            let is_open = read > 0;
                            input.extend_from_slice(&piece[..read]);
                            if is_open {
                                core.0.receive_bytes(now(), conn, &mut input);
                            } else {
                                core.0.closed(now(), conn);
                            }
                            let cut = std::mem::take(&mut core.0.gate_mut().cut);
                            if cut || faults.is_down.load(Ordering::SeqCst) {
                                core.0.closed(now(), conn);
                                core.0.drain();
                                core.1.remove(&conn);
                                return;
                            }
                            release(&mut core);
                            if !is_open {
                                return;
                            }
                        }
                        bytes = output.recv() => match bytes {
                            Some(bytes) => if stream.write_all(&bytes).await.is_err() { return },
                            None => return,
                        }
                    }
                }
            });
        }
    });
    endpoint
}
