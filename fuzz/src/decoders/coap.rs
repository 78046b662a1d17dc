//! Datagrams of CoAP: one by one, a whole endpoint that hears them, and the exchange of keys before.

use std::time::Duration;

use thingward_coap::edhoc::{
    Combined, Credential, CredentialId, Curve, DhKey, Identifier, Initiator, Message1, Method, OwnKey,
    PublicKey, Responder, Suite, Suites, error_text,
};
use thingward_coap::endpoint::{ContextHandle, Endpoint, Event, Limits, Packet};
use thingward_coap::message::{Code, Message, OptionNumber, Writer};
use thingward_coap::oscore::{Aead, Context, Header, Hkdf, MasterSecret, Parameters};
use thingward_coap::wire::Down;

/// A datagram by itself. What was read is the same bytes when it is written.
pub fn message(data: &[u8]) {
    let _ = (Combined::split(data), error_text(data), Down::read(data), Header::decode(data));
    let Ok(message) = Message::decode(data) else {
        let _ = Message::rejection(data);
        return;
    };
    let mut out = vec![0; data.len() + 1];
    let writer = Writer::new(&mut out, message.kind, message.code, message.id, message.token);
    let mut writer = writer.expect("what was read can be written");
    for option in message.options {
        writer.option(option.number, option.value).expect("what was read can be written");
    }
    let len = writer.finish(message.payload).expect("what was read can be written");
    assert_eq!(&out[..len], data);
}

/// The peer that an endpoint hears.
pub const PEER: u8 = 1;

/// An end of a connection with a security context; of two with other names each hears the other.
pub fn end(own: &[u8], other: &[u8], seed: u8) -> (Endpoint<u8>, ContextHandle) {
    let mut endpoint = Endpoint::new(Limits::default(), [seed; 32]);
    let parameters = Parameters {
        secret: &MasterSecret::new(&[7; 16]).expect("a secret"),
        salt: b"salt",
        sender_id: own.try_into().expect("an identifier"),
        recipient_id: other.try_into().expect("an identifier"),
        id_context: None,
        aead: Aead::default(),
        hkdf: Hkdf::default(),
    };
    let mut context = Context::new(&parameters).expect("a context");
    context.set_aside(1000);
    let handle = endpoint.add_context(context);
    (endpoint, handle)
}

/// The endpoint that hears, which waits for an answer in the open and for one under keys.
pub fn listening() -> Endpoint<u8> {
    let (mut endpoint, context) = end(b"s", b"c", 2);
    for context in [None, Some(context)] {
        let asked = Packet::to(Code::GET, &["time"]).with_uint(OptionNumber::OBSERVE, 0);
        endpoint.request(Duration::ZERO, PEER, context, asked).expect("a first request");
    }
    endpoint
}

/// Hears one datagram and answers what it asks, with a body of several blocks.
pub fn hear(endpoint: &mut Endpoint<u8>, datagram: &[u8], now: Duration) {
    let _ = endpoint.receive(now, PEER, datagram);
    while let Some(event) = endpoint.poll_event() {
        let Event::Request { id, request, observe, .. } = event else { continue };
        let state = Packet::new(Code::CONTENT).with_payload(&[7; 1500]);
        let observed = observe.then(|| endpoint.observe(now, id, state.clone()));
        match observed {
            Some(Ok(observation)) => drop(endpoint.notify(now, observation, state)),
            _ => drop(endpoint.respond(now, id, state.with_payload(&request.payload))),
        }
    }
}

/// Client and server that hear datagrams, each behind its length, a second apart.
pub fn endpoint(data: &[u8]) {
    let (mut endpoint, mut now, mut rest) = (listening(), Duration::ZERO, data);
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        let (datagram, behind) = behind.split_at(length);
        rest = behind;
        hear(&mut endpoint, datagram, now);
        while endpoint.poll_transmit().is_some() {}
        now += Duration::from_secs(1);
        endpoint.handle_timeout(now);
    }
}

/// Somebody with a static key on Curve25519, which is the cheaper one to agree on.
pub fn somebody(number: u8) -> (DhKey, Credential) {
    let key = DhKey::x25519(&[number; 32]);
    let id = CredentialId::Kid(Identifier::new(&[number]).expect("a short one"));
    let key_of = PublicKey::Static { curve: Curve::X25519, public: key.public() };
    (key, Credential { id, key: key_of, bytes: vec![0x41, number] })
}

/// Who begins, the same in every run.
pub fn initiator() -> Initiator {
    let id = Identifier::new(&[0x37]).expect("a short one");
    Initiator::start((Method::StaticStatic, Suite::Zero), DhKey::x25519(&[3; 32]), id, &[])
}

/// Who answers this message, the same in every run.
pub fn responder(message_1: &[u8]) -> Option<Responder> {
    let message_1 = Message1::read(message_1, |_| Suites::CURVE25519).ok()?;
    let (key, own) = somebody(5);
    let id = Identifier::new(&[0x27]).expect("a short one");
    Responder::answer(&message_1, DhKey::x25519(&[4; 32]), id, OwnKey::Static(&key), &own).ok()
}

/// Message 1 behind its length and then message 3, message 2, and credentials that come by value.
pub fn edhoc(data: &[u8]) {
    let _ = Credential::from_claims_set(data);
    let (key, own) = somebody(6);
    if let Ok(responding) = initiator().read(data) {
        let _ = responding.finish(&somebody(5).1, OwnKey::Static(&key), &own);
    }
    let Some((length, rest)) = data.split_first() else { return };
    let Some((message_1, message_3)) = rest.split_at_checked(usize::from(*length)) else { return };
    if let Some(Ok(initiating)) = responder(message_1).map(|responder| responder.read(message_3)) {
        let _ = initiating.finish(&own);
    }
}
