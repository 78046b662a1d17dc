//! Datagrams of CoAP that two ends send each other, and the exchange of keys before.

use std::time::Duration;

use thingward_coap::edhoc::{Credential, DhKey, OwnKey, error_message};
use thingward_coap::endpoint::Packet;
use thingward_coap::message::{Code, OptionNumber};
use thingward_coap::wire::{Down, What};
use thingward_fuzz::decoders::coap::{PEER, end, hear, initiator, listening, responder, somebody};

use super::put;

pub(super) fn write() {
    let datagrams = conversation();
    for (number, datagram) in datagrams.iter().enumerate().take(6) {
        put("coap_message", &format!("datagram-{number}"), datagram);
    }
    put("coap_endpoint", "conversation", &framed(&datagrams));
    write_edhoc();
    put("coap_message", "edhoc-error", &error_message("no credential of ours"));
    for (name, what) in [
        ("command", What::Command { id: [7; 16], command: vec![1; 30] }),
        ("revocation", What::Revocation(vec![2; 30])),
        ("evidence", What::Evidence),
        ("membership", What::Membership(b"2027".to_vec())),
    ] {
        put("coap_message", name, &Down { number: 70_000, what }.write().unwrap());
    }
}

/// Each message behind its length.
pub(super) fn framed(messages: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let one = |message: &[u8]| [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat();
    messages.iter().flat_map(|message| one(message.as_ref())).collect()
}

/// What the decoder's endpoint hears of a peer that asks and answers, in the open and under keys, in blocks and observing.
fn conversation() -> Vec<Vec<u8>> {
    let (mut peer, context) = end(b"c", b"s", 1);
    let (mut here, mut now, mut heard) = (listening(), Duration::ZERO, Vec::new());
    for context in [None, Some(context)] {
        let told = Packet::to(Code::POST, &["readings"]).with_payload(&[1; 2500]);
        let observed = Packet::to(Code::GET, &["down"]).with_uint(OptionNumber::OBSERVE, 0);
        for asked in [told, observed] {
            peer.request(now, PEER, context, asked).unwrap();
        }
    }
    loop {
        while let Some((_, datagram)) = here.poll_transmit() {
            hear(&mut peer, &datagram, now);
        }
        let Some((_, datagram)) = peer.poll_transmit() else { return heard };
        hear(&mut here, &datagram, now);
        heard.push(datagram);
        now += Duration::from_secs(1);
        here.handle_timeout(now);
    }
}

fn write_edhoc() {
    let begun = initiator();
    let message_1 = begun.message_1().to_vec();
    let message_2 = responder(&message_1).unwrap().message_2().to_vec();
    let (key, own) = somebody(6);
    let named = begun.read(&message_2).unwrap();
    let (message_3, _) = named.finish(&somebody(5).1, OwnKey::Static(&key), &own).unwrap();
    let length = [u8::try_from(message_1.len()).unwrap()];
    put("coap_edhoc", "message-1-and-3", &[&length, &message_1[..], &message_3[..]].concat());
    put("coap_edhoc", "message-2", &message_2);
    let claims = Credential::claims_set("acme/bulb-1", &DhKey::new(&[1; 32]).unwrap()).unwrap();
    put("coap_edhoc", "claims-set", &claims.bytes);
}
