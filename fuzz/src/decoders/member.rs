//! What comes to a device or gateway from its own side: chips on lines, programs on sockets, files and answers.

#[cfg(feature = "programs")]
use thingward_agent::http::Endpoint;
#[cfg(feature = "programs")]
use thingward_agent::input;
#[cfg(feature = "programs")]
use thingward_agent::membership::Membership;
use thingward_audit::account::Place;
use thingward_audit::order::{Order, SignedOrder};
use thingward_device::link::{Decoder, Hello, Join, Outgoing, encode};

#[cfg(feature = "programs")]
use super::NOW;

/// The line between a gateway and a chip, and what frames on it say. A frame that was found is found again.
pub fn chip_link(data: &[u8]) {
    let mut decoder = Decoder::new([0; 1204]);
    for byte in data {
        let Some(frame) = decoder.take(*byte) else { continue };
        let _ = (Hello::read(frame.body), Join::read(frame.body));
        let _ = Outgoing::read(frame.body).map(|message| message.stream().map(str::len));
        let (mut again, mut is_found) = (Decoder::new([0; 1204]), false);
        encode(&frame, |byte| is_found |= again.take(byte) == Some(frame));
        assert!(is_found, "what was written is read");
    }
}

/// Lines of programs beside a device, and what a service or gateway says of a membership. One that was read is read again.
#[cfg(feature = "programs")]
pub fn input(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        let _ = input::parse(line, NOW);
    }
    let near = Endpoint { host: "gateway.test".to_owned(), port: 5684 };
    let _ = Membership::from_json(data);
    for membership in
        [Membership::from_answer(data, &near), Membership::from_coap(data, &near)].into_iter().flatten()
    {
        let again = Membership::from_json(membership.to_json().as_bytes());
        assert_eq!(again.expect("what was written is read"), membership);
    }
}

/// Orders to a log as somebody is to sign them, those that somebody signed, and where accounts stand.
pub fn order(data: &[u8]) {
    let _ = Place::from_bytes(data);
    if let Ok(order) = Order::decode(data) {
        assert_eq!(order.message(), data);
    }
    if let Ok(signed) = SignedOrder::decode(data) {
        let _ = (signed.key_id(), signed.time(), signed.nonce());
    }
}
