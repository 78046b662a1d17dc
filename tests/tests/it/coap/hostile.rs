//! Those who are nobody, at the ports of a gateway and of the service.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thingward_agent::coap::session::Session;
use thingward_agent::uplink::Route;
use thingward_coap::edhoc::{DhKey, Identifier, Initiator, Method, Suite};
use thingward_coap::endpoint::Packet;
use thingward_coap::message::{Code, Message, OptionNumber, Token, Type, Writer};
use thingward_coap::wire::path;
use thingward_tests::{endpoint, rows};

use super::{ACME, Street, all_signed, device_at, record};

/// A socket at another address of this machine.
fn socket(host: u8) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 1, host], 0))).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// A POST to EDHOC's place.
fn edhoc(id: u16, payload: &[u8], echo: Option<&[u8]>) -> Vec<u8> {
    let mut datagram = vec![0; 600 + payload.len()];
    let token = Token::new(&id.to_be_bytes()).unwrap();
    let mut writer = Writer::new(&mut datagram, Type::Confirmable, Code::POST, id, token).unwrap();
    for segment in path::EDHOC {
        writer.option(OptionNumber::URI_PATH, segment.as_bytes()).unwrap();
    }
    if let Some(echo) = echo {
        writer.option(OptionNumber::ECHO, echo).unwrap();
    }
    let len = writer.finish(payload).unwrap();
    datagram.truncate(len);
    datagram
}

fn message_1() -> Vec<u8> {
    let begun = Initiator::start(
        (Method::StaticStatic, Suite::Two),
        DhKey::new(&[9; 32]).unwrap(),
        Identifier::new(&[1]).unwrap(),
        &[],
    );
    [&[0xf5], begun.message_1()].concat()
}

/// The code and payload of the answer to a datagram.
fn answer(socket: &UdpSocket, to: SocketAddr, datagram: &[u8]) -> (Code, Vec<u8>) {
    socket.send_to(datagram, to).unwrap();
    let mut room = [0; 2048];
    let (len, _) = socket.recv_from(&mut room).unwrap();
    let message = Message::decode(&room[..len]).unwrap();
    (message.code, message.payload.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_nobody_gets_nothing_but_enrolment() {
    let street = Street::new().await;
    for at in street.both() {
        check_that_nobody_gets_nothing(at).await;
    }
    street.stop().await;
}

async fn check_that_nobody_gets_nothing(at: SocketAddr) {
    let raw = DhKey::new(&[3; 32]).unwrap();
    let mut session = Session::agree(&endpoint(at), &raw).await.unwrap();
    let mut code = async |method, segments: &[&str]| {
        session.ask(Packet::to(method, segments).with_payload(b"[]")).await.unwrap().code
    };
    assert_eq!(code(Code::GET, path::AUTHORITIES).await, Code::CONTENT);
    assert_eq!(code(Code::GET, path::ANSWERER).await, Code::CONTENT);
    for (method, segments) in [
        (Code::POST, &["t", "spindle"][..]),
        (Code::PUT, path::DESCRIPTION),
        (Code::GET, path::MEMBERSHIP),
        (Code::GET, path::DOWN),
        (Code::DELETE, &["c", "0"]),
        (Code::POST, path::BEACON),
        (Code::POST, path::RENEW),
        (Code::GET, path::ATTESTATION),
        (Code::GET, &["nowhere"]),
    ] {
        assert_eq!(code(method, segments).await, Code::FORBIDDEN, "{segments:?}");
    }
    for _ in 0..3 {
        assert_eq!(code(Code::POST, path::JOIN).await, Code::FORBIDDEN);
    }
    assert_eq!(code(Code::POST, path::JOIN).await, Code::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_the_place_of_edhoc_is_refused_and_another_suite_is_told_which_one() {
    let street = Street::new().await;
    for at in street.both() {
        tokio::task::spawn_blocking(move || check_garbage(at)).await.unwrap();
    }
    street.stop().await;
}

fn check_garbage(at: SocketAddr) {
    let socket = socket(1);
    let good = message_1();
    let with = |suite: &[u8]| [&[0xf5, 3], suite, &good[3..]].concat();
    let refused = answer(&socket, at, &edhoc(1, &with(&[0]), None));
    assert_eq!(refused, (Code::BAD_REQUEST, vec![2, 0x82, 2, 3]));
    let method = [&[0xf5, 4], &good[2..]].concat();
    assert_eq!(answer(&socket, at, &edhoc(2, &method, None)).0, Code::BAD_REQUEST);
    for at_byte in 0..10_u16 {
        let cut = &good[..good.len() - 1 - usize::from(at_byte)];
        assert_eq!(answer(&socket, at, &edhoc(10 + at_byte, cut, None)).0, Code::BAD_REQUEST);
    }
    let nobody_waits = answer(&socket, at, &edhoc(3, &[0x43, 1, 2, 3, 0x50], None));
    assert_eq!(nobody_waits.0, Code::BAD_REQUEST);
    // Without keys nothing else is there.
    let mut datagram = [0; 64];
    let mut writer = Writer::new(&mut datagram, Type::Confirmable, Code::GET, 4, Token::default()).unwrap();
    writer.option(OptionNumber::URI_PATH, b"m").unwrap();
    let len = writer.finish(&[]).unwrap();
    assert_eq!(answer(&socket, at, &datagram[..len]).0, Code::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_handshakes_that_nobody_ends_leave_others_served() {
    for which in 0..2 {
        let street = Street::new().await;
        let at = street.both()[which];
        check_a_hundred_handshakes(&street, at).await;
        street.stop().await;
    }
}

async fn check_a_hundred_handshakes(street: &Street, at: SocketAddr) {
    let home = street.enrol_at("mill-1", at).await;
    let device = device_at(&street.town, &home, at);
    record(&device, 0.0).await;
    all_signed(&street.service, 1).await;
    let asked_back = tokio::task::spawn_blocking(move || {
        let good = message_1();
        let all = (0..100_u8).map(|host| answer(&socket(host), at, &edhoc(host.into(), &good, None)).0);
        all.filter(|code| *code == Code::UNAUTHORIZED).count()
    });
    let asked_back = asked_back.await.unwrap();
    assert!(asked_back > 60, "{asked_back} were asked whether they hear");
    // One that is there, and one that comes now.
    record(&device, 1.0).await;
    all_signed(&street.service, 2).await;
    device.stop().await.unwrap();
    let raw = DhKey::new(&[3; 32]).unwrap();
    let mut session = Session::agree(&endpoint(at), &raw).await.unwrap();
    let authorities = session.ask(Packet::to(Code::GET, path::AUTHORITIES)).await.unwrap();
    assert_eq!(authorities.code, Code::CONTENT);
}

/// Carries datagrams between one device and the gateway, and remembers what the device said.
struct Wire {
    at: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Wire {
    fn start(to: SocketAddr) -> Self {
        let (near, far) = (socket(1), socket(2));
        far.connect(to).unwrap();
        for socket in [&near, &far] {
            socket.set_read_timeout(None).unwrap();
        }
        let (at, heard) = (near.local_addr().unwrap(), Arc::<Mutex<Vec<Vec<u8>>>>::default());
        let (device, all) = (Arc::<Mutex<Option<SocketAddr>>>::default(), Arc::clone(&heard));
        let (back, back_far, who) =
            (near.try_clone().unwrap(), far.try_clone().unwrap(), Arc::clone(&device));
        std::thread::spawn(move || {
            let mut room = [0; 2048];
            while let Ok((len, from)) = near.recv_from(&mut room) {
                *device.lock().unwrap() = Some(from);
                all.lock().unwrap().push(room[..len].to_vec());
                let _ = far.send(&room[..len]);
            }
        });
        std::thread::spawn(move || {
            let mut room = [0; 2048];
            while let Ok(len) = back_far.recv(&mut room) {
                let Some(device) = *who.lock().unwrap() else { continue };
                let _ = back.send_to(&room[..len], device);
            }
        });
        Self { at, heard }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_said_does_nothing_when_somebody_says_it_again() {
    for which in 0..2 {
        let street = Street::new().await;
        let at = street.both()[which];
        check_replays(&street, at).await;
        street.stop().await;
    }
}

async fn check_replays(street: &Street, at: SocketAddr) {
    let home = street.enrol_at("mill-1", at).await;
    let wire = Wire::start(at);
    let device = street.town.device_over(&home, Some(Route::Coap(endpoint(wire.at))));
    for i in 0..3 {
        record(&device, f64::from(i)).await;
    }
    all_signed(&street.service, 3).await;
    let said = wire.heard.lock().unwrap().clone();
    let is_protected = |datagram: &Vec<u8>| {
        Message::decode(datagram).is_ok_and(|m| m.options.get(OptionNumber::OSCORE).is_some())
    };
    let protected: Vec<_> = said.into_iter().filter(is_protected).collect();
    assert!(protected.len() > 3);
    let answers = tokio::task::spawn_blocking(move || {
        let other = socket(3);
        protected.iter().map(|datagram| answer(&other, at, datagram).0).collect::<Vec<_>>()
    });
    let answers = answers.await.unwrap();
    assert!(answers.iter().all(|code| *code == Code::UNAUTHORIZED), "{answers:?}");
    record(&device, 3.0).await;
    all_signed(&street.service, 4).await;
    device.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_implementation_is_enrolled_and_posts_its_readings() {
    let Ok(python) = std::env::var("THINGWARD_PYTHON") else {
        println!("SKIPPED: THINGWARD_PYTHON is not set");
        return;
    };
    let street = Street::new().await;
    // With message 3 in a request of its own, and with the first one that is protected.
    for (at, name, flow) in
        [(0, "mill-2", "apart"), (1, "mill-3", "apart"), (0, "mill-4", "combined"), (1, "mill-5", "combined")]
    {
        let at = street.both()[at];
        let claim = street.town.claim(&street.service, super::device_named(name)).await;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/aiocoap_device.py");
        let mut peer = tokio::process::Command::new(&python);
        peer.arg(script).arg(at.port().to_string()).arg(claim.code.as_str()).arg(flow);
        let out = peer.output().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout), "ok\n", "{}", String::from_utf8_lossy(&out.stderr));
    }
    thingward_tests::eventually("twenty readings", || rows(&street.service, ACME).len() == 20).await;
    street.stop().await;
}
