//! Both roles against another implementation over UDP, without OSCORE, with it, and with EDHOC: tests/peers/aiocoap_peer.py.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail this way"
)]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use p256::elliptic_curve::sec1::ToSec1Point;
use thingward_coap::edhoc::{
    Credential, CredentialId, DhKey, Identifier, Initiator, Message1, Method, OwnKey, PublicKey, Responder,
    Session, Suite, Suites,
};
use thingward_coap::endpoint::{
    ContextHandle, Endpoint, Event, ExchangeId, Limits, ObservationId, Packet, RespondError,
};
use thingward_coap::message::{Code, OptionNumber};
use thingward_coap::oscore::{Aead, Context, Hkdf, MasterSecret, Parameters};

/// What the peer's resource has.
fn body() -> Vec<u8> {
    (0..5000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

/// Longer than any exchange here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The other implementation as a process, which ends with this.
struct Peer {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Peer {
    /// `None`, said aloud, where no interpreter is named.
    fn start(role: &[&str]) -> Option<Self> {
        let Ok(python) = std::env::var("THINGWARD_PYTHON") else {
            println!("SKIPPED: THINGWARD_PYTHON is not set");
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/aiocoap_peer.py");
        let mut child = Command::new(python).arg(script).args(role).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, lines })
    }

    /// A server, and where it is.
    fn server() -> Option<(Self, SocketAddr)> {
        let mut peer = Self::start(&["server"])?;
        let line = peer.line();
        let port: u16 = line.strip_prefix("ready ").unwrap().parse().unwrap();
        Some((peer, SocketAddr::from(([127, 0, 0, 1], port))))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The endpoint at a socket.
struct Shell {
    socket: UdpSocket,
    endpoint: Endpoint<SocketAddr>,
    start: Instant,
}

impl Shell {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Self { socket, endpoint: Endpoint::new(Limits::default(), [3; 32]), start: Instant::now() }
    }

    fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    fn secured(&mut self, (sender, recipient): (&str, &str)) -> ContextHandle {
        let secret = MasterSecret::new(&(1..=16).collect::<Vec<u8>>()).unwrap();
        let salt = [0x9e, 0x7c, 0xa9, 0x22, 0x23, 0x78, 0x63, 0x40];
        self.with_context(&secret, &salt, sender.as_bytes(), recipient.as_bytes())
    }

    fn with_context(
        &mut self,
        secret: &MasterSecret,
        salt: &[u8],
        sender: &[u8],
        recipient: &[u8],
    ) -> ContextHandle {
        let mut context = Context::new(&Parameters {
            secret,
            salt,
            sender_id: sender.try_into().unwrap(),
            recipient_id: recipient.try_into().unwrap(),
            id_context: None,
            aead: Aead::default(),
            hkdf: Hkdf::default(),
        })
        .unwrap();
        context.set_aside(1000);
        self.endpoint.add_context(context)
    }

    /// The context that comes of a session, with the Sender and Recipient ID of this end.
    fn agreed(
        &mut self,
        session: &Session,
        (sender, recipient): (&Identifier, &Identifier),
    ) -> ContextHandle {
        let (secret, salt) = session.oscore().unwrap();
        self.with_context(&secret, &salt, sender.as_bytes(), recipient.as_bytes())
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Sends what waits, takes a datagram if one comes, and returns the next event.
    fn step(&mut self) -> Option<Event<SocketAddr>> {
        while let Some((peer, datagram)) = self.endpoint.poll_transmit() {
            self.socket.send_to(&datagram, peer).unwrap();
        }
        if let Some(event) = self.endpoint.poll_event() {
            return Some(event);
        }
        let mut buffer = [0; 2048];
        if let Ok((len, peer)) = self.socket.recv_from(&mut buffer) {
            self.endpoint.receive(self.now(), peer, &buffer[..len]).unwrap();
        }
        if self.endpoint.poll_timeout().is_some_and(|due| due <= self.now()) {
            self.endpoint.handle_timeout(self.now());
        }
        None
    }

    #[track_caller]
    fn event(&mut self) -> Event<SocketAddr> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(event) = self.step() {
                return event;
            }
        }
        panic!("nothing came");
    }

    #[track_caller]
    fn ask(
        &mut self,
        peer: SocketAddr,
        context: Option<ContextHandle>,
        packet: Packet,
    ) -> (ExchangeId, Packet) {
        let now = self.now();
        let asked = self.endpoint.request(now, peer, context, packet).unwrap();
        match self.event() {
            Event::Response { exchange, response, .. } if exchange == asked => (exchange, response),
            other => panic!("{other:?}"),
        }
    }
}

fn number(packet: &Packet) -> u32 {
    std::str::from_utf8(&packet.payload).unwrap().parse().unwrap()
}

#[test]
fn as_a_client_it_is_answered_by_another_implementation() {
    let mut shell = Shell::new();
    let Some((_peer, address)) = Peer::server() else { return };
    let secured = shell.secured(("c", "s"));
    for context in [None, Some(secured)] {
        let (_, state) = shell.ask(address, context, Packet::to(Code::GET, &["state"]));
        assert_eq!((state.code, &state.payload[..]), (Code::CONTENT, &b"21"[..]));
        let (_, got) = shell.ask(address, context, Packet::to(Code::GET, &["body"]));
        assert_eq!(got.payload, body());
        let put = Packet::to(Code::PUT, &["body"]).with_payload(&body());
        let (_, put) = shell.ask(address, context, put);
        assert_eq!(put.code, Code::CHANGED);
        assert!(put.payload.iter().rev().eq(&body()));
        let (_, missing) = shell.ask(address, context, Packet::to(Code::GET, &["nowhere"]));
        assert_eq!(missing.code, Code::NOT_FOUND);

        let observe = Packet::to(Code::GET, &["counter"]).with_uint(OptionNumber::OBSERVE, 0);
        let (observation, first) = shell.ask(address, context, observe);
        let mut counts = vec![number(&first)];
        while counts.len() < 4 {
            match shell.event() {
                Event::Notification { exchange, response } => {
                    assert_eq!(exchange, observation);
                    counts.push(number(&response));
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(counts.is_sorted_by(|a, b| a < b), "{counts:?}");
        shell.endpoint.forget(observation);
    }
}

/// Somebody with a static key, and a CWT Claims Set that says so.
fn somebody(kid: u8, secret: u8) -> (DhKey, Credential) {
    let point = p256::SecretKey::from_slice(&[secret; 32]).unwrap().public_key().to_sec1_point(false);
    let (x, y) = point.as_bytes()[1..].split_at(32);
    let mut bytes = vec![0xa2, 2, 0x61, b'x', 8, 0xa1, 1, 0xa5, 1, 2, 2, 0x41, kid, 0x20, 1, 0x21, 0x58, 32];
    bytes.extend_from_slice(x);
    bytes.extend_from_slice(&[0x22, 0x58, 32]);
    bytes.extend_from_slice(y);
    let key = DhKey::new(&[secret; 32]).unwrap();
    let credential = Credential {
        id: CredentialId::Kid(Identifier::new(&[kid]).unwrap()),
        key: PublicKey::p256(key.public()),
        bytes,
    };
    (key, credential)
}

#[test]
fn as_an_initiator_it_agrees_with_another_implementation() {
    let mut shell = Shell::new();
    let Some((_peer, address)) = Peer::server() else { return };
    let (_, theirs) = somebody(0x32, 5);
    let (key, own) = somebody(0x2b, 6);
    let mut post = |payload: &[u8]| {
        let packet = Packet::to(Code::POST, &[".well-known", "edhoc"]).with_payload(payload);
        let (_, response) = shell.ask(address, None, packet);
        assert_eq!(response.code, Code::CHANGED);
        response.payload
    };
    // RFC 9528 appendix A.2: the CBOR value true stands in front of message 1, and C_R in front of message 3.
    let begun = Initiator::start(
        (Method::StaticStatic, Suite::Two),
        DhKey::new(&[9; 32]).unwrap(),
        Identifier::new(&[0x0e]).unwrap(),
        &[],
    );
    let message_2 = post(&[&[0xf5], begun.message_1()].concat());
    let answer = begun.read(&message_2).unwrap();
    assert_eq!(answer.id(), &theirs.id);
    let (message_3, session) = answer.finish(&theirs, OwnKey::Static(&key), &own).unwrap();
    let message_4 = post(&[session.responder().to_cbor(), message_3].concat());
    session.check_message_4(&message_4).unwrap();

    let context = shell.agreed(&session, (session.responder(), session.initiator()));
    let (_, state) = shell.ask(address, Some(context), Packet::to(Code::GET, &["state"]));
    assert_eq!((state.code, &state.payload[..]), (Code::CONTENT, &b"21"[..]));
}

/// The resources that the peer's client asks for.
struct Site {
    observers: Vec<ObservationId>,
    count: u32,
    changed: Duration,
    secured: u32,
    /// The EDHOC session that waits for message 3.
    responder: Option<Responder>,
    /// C_R, another one for each session, for it says which context a request is for.
    c_r: u8,
}

impl Site {
    fn state(&self) -> Packet {
        Packet::new(Code::CONTENT).with_payload(self.count.to_string().as_bytes())
    }

    fn event(&mut self, shell: &mut Shell, event: Event<SocketAddr>) {
        let now = shell.now();
        match event {
            Event::Request { id, context, request, observe, .. } => {
                self.secured += u32::from(context.is_some());
                let path: Vec<_> = request.values(OptionNumber::URI_PATH).collect();
                let content = |payload: &[u8]| Packet::new(Code::CONTENT).with_payload(payload);
                let response = match (request.code, &path[..]) {
                    (Code::GET, [b"counter"]) if observe => {
                        self.observers.push(shell.endpoint.observe(now, id, self.state()).unwrap());
                        return;
                    }
                    (Code::GET, [b"counter"]) => self.state(),
                    (Code::GET, [b"state"]) => content(b"21"),
                    (Code::GET, [b"body"]) => content(&body()),
                    (Code::PUT, [b"body"]) => {
                        let reversed: Vec<_> = request.payload.iter().rev().copied().collect();
                        Packet::new(Code::CHANGED).with_payload(&reversed)
                    }
                    (Code::POST, [b".well-known", b"edhoc"]) => {
                        Packet::new(Code::CHANGED).with_payload(&self.edhoc(shell, &request.payload))
                    }
                    _ => Packet::new(Code::NOT_FOUND),
                };
                shell.endpoint.respond(now, id, response).unwrap();
            }
            Event::ObserverLeft { observation } => self.observers.retain(|other| *other != observation),
            other => panic!("{other:?}"),
        }
    }

    /// Message 2 for message 1, which the CBOR value true stands in front of; message 4 for message 3 behind C_R.
    fn edhoc(&mut self, shell: &mut Shell, payload: &[u8]) -> Vec<u8> {
        let (key, own) = somebody(0x32, 5);
        let (_, peer) = somebody(0x2b, 6);
        if payload[0] == 0xf5 {
            self.c_r += 1;
            let (ephemeral, c_r) = (DhKey::new(&[8; 32]).unwrap(), Identifier::new(&[self.c_r]).unwrap());
            let message_1 = Message1::read(&payload[1..], |_| Suites::P256).unwrap();
            let responder =
                Responder::answer(&message_1, ephemeral, c_r, OwnKey::Static(&key), &own).unwrap();
            let message_2 = responder.message_2().to_vec();
            self.responder = Some(responder);
            return message_2;
        }
        assert_eq!(payload[0], self.c_r);
        let session = self.responder.take().unwrap().read(&payload[1..]).unwrap().finish(&peer).unwrap();
        shell.agreed(&session, (session.initiator(), session.responder()));
        session.message_4().unwrap()
    }

    /// A newer state, five times a second.
    fn change(&mut self, shell: &mut Shell) {
        let now = shell.now();
        if now >= self.changed + Duration::from_millis(200) {
            self.changed = now;
            self.count += 1;
            for observer in &self.observers {
                // Who left is told of by an event that may still wait.
                let told = shell.endpoint.notify(now, *observer, self.state());
                assert!(matches!(told, Ok(()) | Err(RespondError::Unknown)), "{told:?}");
            }
        }
    }
}

#[test]
fn as_a_server_it_answers_another_implementation() {
    let mut shell = Shell::new();
    shell.secured(("s", "c"));
    let Some(mut peer) = Peer::start(&["client", &shell.port().to_string()]) else { return };
    let mut site =
        Site { observers: vec![], count: 0, changed: Duration::ZERO, secured: 0, responder: None, c_r: 0x1f };
    while peer.child.try_wait().unwrap().is_none() {
        if let Some(event) = shell.step() {
            site.event(&mut shell, event);
        }
        site.change(&mut shell);
    }
    assert_eq!(peer.line(), "ok");
    assert!(site.secured >= 8, "{}", site.secured);
}
