//! A session with a gateway or the service: one UDP socket, EDHOC, and the OSCORE context that comes of it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand_core::Rng;
use thingward_coap::edhoc::{
    Credential, CredentialId, DhKey, EdhocError, End, Identifier, Initiator, Method, OwnKey, Suite,
    error_text,
};
use thingward_coap::endpoint::{
    ContextHandle, Endpoint as CoapEndpoint, Event, ExchangeId, Failure, Limits, Packet, RequestError,
};
use thingward_coap::message::Code;
use thingward_coap::wire::{BODY_BYTES_MAX, JOIN_LABEL, path};
use thingward_crypto::{SignatureAlgorithm, system_rng};
use thingward_model::TenantName;
use thingward_model::clock::now;
use thingward_pki::identity::Server;
use thingward_pki::proof::{self, ProofError, answerer_of};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout};
use zeroize::Zeroizing;

use crate::home::Identity;
use crate::http::Endpoint;
use crate::membership::Membership;

/// Longest wait for an answer: EXCHANGE_LIFETIME of RFC 7252 §4.8.2 is longer, a person's patience shorter.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest datagram that comes, in bytes.
const DATAGRAM_BYTES_MAX: usize = 2048;
/// The identifier of this end: there is one session on a socket, so it need not tell any apart.
const C_I: [u8; 1] = [0];

/// Why who answers is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoapError {
    /// The network says no.
    #[error("cannot reach {to}: {source}")]
    Io {
        /// Where that is.
        to: String,
        /// What the system says.
        source: io::Error,
    },
    /// No answer in time, or none that fits.
    #[error("{0}")]
    Failed(#[from] Failure),
    /// It was silent for too long.
    #[error("nobody answers")]
    Silent,
    /// EDHOC did not come to its end.
    #[error("EDHOC: {0}")]
    Edhoc(#[from] EdhocError),
    /// It refuses.
    #[error("the other end answers {code}: {text}")]
    Refused {
        /// Its answer.
        code: Code,
        /// What it says for people.
        text: String,
    },
    /// A request cannot be written.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It does not prove who it is.
    #[error("the other end does not prove who it is: {0}")]
    Proof(#[from] ProofError),
    /// It is somebody else.
    #[error("{0} is nobody for this device to speak to")]
    Other(String),
}

/// A socket towards one gateway or the service, with its endpoint.
pub struct Line {
    socket: UdpSocket,
    endpoint: CoapEndpoint<SocketAddr>,
    peer: SocketAddr,
    start: Instant,
    to: String,
}

impl Line {
    /// Opens a socket. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`CoapError::Io`].
    pub async fn open(to: &Endpoint) -> Result<Self, CoapError> {
        let failed = |source| CoapError::Io { to: to.to_string(), source };
        let mut found = tokio::net::lookup_host((to.host.as_str(), to.port)).await.map_err(failed)?;
        let nobody = || failed(io::Error::from(io::ErrorKind::NotFound));
        let peer = found.next().ok_or_else(nobody)?;
        let any: SocketAddr = if peer.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
        let socket = UdpSocket::bind(any).await.map_err(failed)?;
        socket.connect(peer).await.map_err(failed)?;
        let mut seed = [0; 32];
        system_rng().fill_bytes(&mut seed);
        let limits = Limits { body_bytes_max: BODY_BYTES_MAX, ..Limits::default() };
        let endpoint = CoapEndpoint::new(limits, seed);
        Ok(Self { socket, endpoint, peer, start: Instant::now(), to: to.to_string() })
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Asks, and does not wait.
    ///
    /// # Errors
    ///
    /// [`CoapError::Request`].
    pub fn send(&mut self, context: Option<ContextHandle>, packet: Packet) -> Result<ExchangeId, CoapError> {
        Ok(self.endpoint.request(self.now(), self.peer, context, packet)?)
    }

    /// Wants no more answers to this.
    pub fn forget(&mut self, exchange: ExchangeId) {
        self.endpoint.forget(exchange);
    }

    /// The next thing that happens. Cancel safe: what is lost on its way out goes again.
    ///
    /// # Errors
    ///
    /// [`CoapError::Io`], also when the other machine says that nobody is there.
    pub async fn next(&mut self) -> Result<Event<SocketAddr>, CoapError> {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        loop {
            while let Some((_, datagram)) = self.endpoint.poll_transmit() {
                self.socket.send(&datagram).await.map_err(|source| self.failed(source))?;
            }
            if let Some(event) = self.endpoint.poll_event() {
                return Ok(event);
            }
            let due = self.endpoint.poll_timeout().map(|due| self.start + due);
            tokio::select! {
                came = self.socket.recv(&mut buffer) => {
                    let len = came.map_err(|source| self.failed(source))?;
                    let datagram = buffer.get(..len).unwrap_or_default();
                    let now = self.now();
                    if let Err(error) = self.endpoint.receive(now, self.peer, datagram) {
                        tracing::debug!(%error, "a datagram is let go");
                    }
                }
                () = until(due) => self.endpoint.handle_timeout(self.now()),
            }
        }
    }

    fn failed(&self, source: io::Error) -> CoapError {
        CoapError::Io { to: self.to.clone(), source }
    }

    /// Asks, and waits for the answer, whatever it is. What else happens meanwhile is let go.
    async fn ask(&mut self, context: Option<ContextHandle>, packet: Packet) -> Result<Packet, CoapError> {
        let asked = self.send(context, packet)?;
        self.answer(asked).await
    }

    async fn answer(&mut self, asked: ExchangeId) -> Result<Packet, CoapError> {
        let answer = async {
            loop {
                match self.next().await? {
                    Event::Response { exchange, response, .. } if exchange == asked => return Ok(response),
                    Event::Failed { exchange, failure } if exchange == asked => return Err(failure.into()),
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, answer).await.map_err(|_| CoapError::Silent)?
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// An answer that is a success, else why not.
///
/// # Errors
///
/// [`CoapError::Refused`].
pub fn success(response: Packet) -> Result<Packet, CoapError> {
    if response.code.is_success() {
        return Ok(response);
    }
    let text = String::from_utf8_lossy(response.payload.get(..256).unwrap_or(&response.payload));
    // A terminal shows it.
    let text = text.chars().filter(|c| !c.is_control()).collect();
    Err(CoapError::Refused { code: response.code, text })
}

/// Keys with somebody of whom nothing is known yet but a raw key.
pub struct Session {
    /// The socket.
    pub line: Line,
    /// The context that everything goes under.
    pub context: ContextHandle,
    /// What goes with the first request: RFC 9668.
    message_3: Option<Vec<u8>>,
    /// What only the ends of this session know: [`JOIN_LABEL`].
    export: Zeroizing<[u8; 32]>,
    /// The other end's credential, as it came.
    answerer: Credential,
}

impl Session {
    /// Runs EDHOC as the initiator with this raw key. Its last message goes with the first request, and the first answer under
    /// the new keys shows that the other end has them.
    ///
    /// # Errors
    ///
    /// [`CoapError`].
    pub async fn agree(to: &Endpoint, raw: &DhKey) -> Result<Self, CoapError> {
        let mut line = Line::open(to).await?;
        // The name says nothing: what a thing is called is for the other end alone.
        let own = Credential::claims_set("", raw)?;
        let begun = begin(Method::StaticStatic, Suite::Two)?;
        let message_2 = line.edhoc(message_1(&begun)).await?;
        let named = begun.read(&message_2)?;
        let CredentialId::Value(claims) = named.id() else { return Err(EdhocError::NotAuthentic.into()) };
        let answerer = Credential::from_claims_set(claims)?;
        let (message_3, session) = named.finish(&answerer, OwnKey::Static(raw), &own)?;
        let context = line.endpoint.add_context(session.context(End::Initiator)?);
        let (export, message_3) = (Zeroizing::new(session.export(JOIN_LABEL)?), Some(message_3));
        Ok(Self { line, context, message_3, export, answerer })
    }

    /// Runs EDHOC as the initiator with the certificate of this identity, and looks at that of the other end: afterwards it is the
    /// service of this installation or one of its gateways of the tenant, and knows whose session it is. `None` when it does
    /// not take this key, or not now; a raw key is for such an end.
    ///
    /// # Errors
    ///
    /// [`CoapError`], with what it says when it does not let this device in.
    pub async fn certified(to: &Endpoint, identity: &Identity) -> Result<Option<Self>, CoapError> {
        let mut line = Line::open(to).await?;
        let begun = begin(Method::SignSign, suite_of(identity.key.public_key().algorithm()))?;
        let message_2 = match line.edhoc(message_1(&begun)).await {
            // It does not take the method, or has too much to sign now: a raw key is nothing that it signs for.
            Err(CoapError::Refused { code: Code::BAD_REQUEST | Code::SERVICE_UNAVAILABLE, .. }) => {
                return Ok(None);
            }
            answered => answered?,
        };
        let named = begun.read(&message_2)?;
        let CredentialId::Chain(chain) = named.id() else { return Err(EdhocError::NotAuthentic.into()) };
        let Membership { tenant, trust_domain, .. } = &identity.membership;
        let anchor = (identity.root.as_slice(), trust_domain.as_str());
        let (who, key) = answerer_of(chain.certificates(), anchor, now()).map_err(ProofError::from)?;
        if !who.is_of(*tenant) {
            return Err(CoapError::Other(who.to_string()));
        }
        let answerer = Credential::chain(chain.certificates(), key)?;
        let own = Credential::chain(&identity.chain, identity.key.public_key().clone())?;
        let (peer, key) = (answerer.clone(), Arc::clone(&identity.key));
        // A key in a chip takes its time.
        let signed = move || named.finish(&peer, OwnKey::Signature(key.as_ref()), &own);
        let (message_3, session) =
            tokio::task::spawn_blocking(signed).await.map_err(|_| EdhocError::Signer)??;
        let last = [session.responder().to_cbor(), message_3].concat();
        let message_4 = match line.edhoc(last).await {
            // A chain that is too large for it.
            Err(CoapError::Refused { code: Code::REQUEST_ENTITY_TOO_LARGE, .. }) => return Ok(None),
            answered => answered?,
        };
        session.check_message_4(&message_4)?;
        let context = line.endpoint.add_context(session.context(End::Initiator)?);
        let export = Zeroizing::new(session.export(JOIN_LABEL)?);
        Ok(Some(Self { line, context, message_3: None, export, answerer }))
    }

    /// What a device signs to show that this session is its own.
    #[must_use]
    pub fn export(&self) -> &[u8; 32] {
        &self.export
    }

    /// Has the other end prove that it is the service of this installation or one of its gateways: of this tenant, where that
    /// is known.
    ///
    /// # Errors
    ///
    /// [`CoapError::Proof`] or [`CoapError::Other`]; nothing may be said to it then.
    pub async fn prove(
        &mut self,
        root: &[u8],
        trust_domain: &str,
        tenant: Option<TenantName>,
    ) -> Result<Server, CoapError> {
        let said = success(self.ask(Packet::to(Code::GET, path::ANSWERER)).await?)?;
        let anchor = (root, trust_domain);
        let who = proof::verify_answerer(&said.payload, &self.answerer.bytes, anchor, now())?;
        if tenant.is_none_or(|tenant| who.is_of(tenant)) {
            Ok(who)
        } else {
            Err(CoapError::Other(who.to_string()))
        }
    }

    /// Asks under OSCORE, and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`CoapError`], none for an answer that refuses.
    pub async fn ask(&mut self, packet: Packet) -> Result<Packet, CoapError> {
        let Some(message_3) = self.message_3.take() else {
            return self.line.ask(Some(self.context), packet).await;
        };
        let (now, peer) = (self.line.now(), self.line.peer);
        let asked = self.line.endpoint.request_behind(now, peer, self.context, packet, message_3)?;
        self.line.answer(asked).await
    }
}

impl Line {
    /// One message of EDHOC and the answer to it. Who is asked for much has this end show that it is where it
    /// says, which the endpoint does by itself: RFC 9175 §2.4.
    async fn edhoc(&mut self, payload: Vec<u8>) -> Result<Vec<u8>, CoapError> {
        let packet = Packet::to(Code::POST, path::EDHOC).with_payload(&payload);
        let mut answer = self.ask(None, packet).await?;
        if let Some(text) = error_text(&answer.payload).filter(|_| !answer.code.is_success()) {
            answer = Packet::new(answer.code).with_payload(text.as_bytes());
        }
        Ok(success(answer)?.payload)
    }
}

fn begin(method: Method, suite: Suite) -> Result<Initiator, EdhocError> {
    let ephemeral = DhKey::ephemeral(suite.curve(), |bytes| system_rng().fill_bytes(bytes));
    Ok(Initiator::start((method, suite), ephemeral, Identifier::new(&C_I)?, &[]))
}

/// RFC 9528 appendix A.2: the CBOR value true stands in front of message 1.
fn message_1(begun: &Initiator) -> Vec<u8> {
    [&[0xf5], begun.message_1()].concat()
}

/// The suite whose signatures a key makes.
const fn suite_of(algorithm: SignatureAlgorithm) -> Suite {
    match algorithm {
        SignatureAlgorithm::Ed25519 => Suite::Zero,
        SignatureAlgorithm::EcdsaP256 => Suite::Two,
    }
}
