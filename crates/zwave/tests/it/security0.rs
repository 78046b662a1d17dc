//! Security 0 against the shared vectors, and of a host.

use std::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use thingward_zwave::command_class::security;
use thingward_zwave::controller::{KnownNode, Outcome, RequestError};
use thingward_zwave::security0::{
    COMMAND_MAX0, EncapsulationError, NetworkKeys0, OwnNonces, Part, open, seal,
};
use thingward_zwave::serial::node_info::Listening;
use thingward_zwave::{Command, NodeId, SecurityClass};

use crate::home::{Home, keys, thing, thing_node};
use crate::thing::HOST;
use crate::vectors::{array, bytes, cases, key, number};
use thingward_zwave::emulated::Fault;

#[test]
fn keys_are_those_of_the_vectors() {
    for case in cases("s0_keys.json") {
        let keys = NetworkKeys0::derive(key(&case, "network_key"));
        assert_eq!(keys.authentication.expose(), &array(&case, "auth_key"));
        assert_eq!(keys.encryption.expose(), &array(&case, "encryption_key"));
    }
}

#[test]
fn frames_are_those_of_the_vectors_and_broken_ones_are_refused() {
    for case in cases("s0_frames.json") {
        let keys = NetworkKeys0::derive(key(&case, "network_key"));
        let nodes = ["sender_node", "receiver_node"].map(|field| NodeId::new(number(&case, field)).unwrap());
        let (ours, theirs) = (bytes(&case, "iv")[..8].try_into().unwrap(), array(&case, "receiver_nonce"));
        let command = bytes(&case, "inner_cc");
        let frame = seal(&keys, nodes.into(), (&ours, &theirs), &Part::Whole(command.clone())).unwrap();
        assert_eq!(frame, bytes(&case, "frame"), "{}", case["id"]);
        let read = |frame: &[u8]| open(&keys, nodes.into(), frame, |id| (id == theirs[0]).then_some(theirs));
        assert_eq!(read(&frame), Ok(Part::Whole(command)));
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bad).is_err(), "bit {bit}");
        }
        for len in 0..frame.len() {
            assert!(read(&frame[..len]).is_err(), "cut to {len}");
        }
        let swapped = open(&keys, (nodes[1], nodes[0]), &frame, |_| Some(theirs));
        assert_eq!(swapped, Err(EncapsulationError::Forged));
    }
}

#[test]
fn a_nonce_is_good_once_for_one_node_and_for_ten_seconds() {
    let mut nonces = OwnNonces::default();
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let [one, other] = [1, 2].map(|number| NodeId::new(number).unwrap());
    let seconds = Duration::from_secs;
    let nonce = nonces.tell(one, seconds(5), &mut rng);
    assert_eq!(nonces.take(other, nonce[0], seconds(6)), None);
    assert_eq!(nonces.take(one, nonce[0], seconds(6)), Some(nonce));
    assert_eq!(nonces.take(one, nonce[0], seconds(6)), None);
    let nonce = nonces.tell(one, seconds(5), &mut rng);
    assert_eq!(nonces.take(one, nonce[0], seconds(15)), None);
}

#[test]
fn a_flood_of_requests_for_nonces_is_bounded() {
    let mut nonces = OwnNonces::default();
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let node = NodeId::new(9).unwrap();
    let first = nonces.tell(node, Duration::ZERO, &mut rng);
    for _ in 0..1000 {
        nonces.tell(node, Duration::ZERO, &mut rng);
    }
    assert_eq!(nonces.take(node, first[0], Duration::ZERO).filter(|found| *found == first), None);
}

/// A home with a node that holds the key of Security 0, and that key.
fn old_home() -> (Home, NetworkKeys0) {
    let (class, supported) = (SecurityClass::S0, vec![0x25]);
    let known = KnownNode { node: thing_node(), class, listening: Listening::Always, supported };
    let mut home = Home::new(thing(Fault::None), vec![known]);
    home.members.push(thing_node());
    home.settle();
    (home, NetworkKeys0::derive(keys().s0))
}

#[test]
fn a_long_command_goes_in_two_frames_each_under_a_nonce_of_its_own() {
    let (mut home, keys) = old_home();
    let command = Command::Raw { class: 0x91, payload: vec![7; COMMAND_MAX0 - 1] };
    let asked = home.host.set(thing_node(), &command, home.now).unwrap();
    home.settle();
    let mut got = Vec::new();
    for nonce in [[1; 8], [2; 8]] {
        let report = Command::from(security::Security0::NonceReport { nonce });
        home.radio(vec![report.to_bytes()]);
        home.settle();
        let frame = home.sent.last().unwrap();
        got.push(open(&keys, (HOST, thing_node()), frame, |id| (id == nonce[0]).then_some(nonce)).unwrap());
    }
    // The nonce was asked for once; the first frame asks for the second.
    assert_eq!(home.sent.len(), 3, "{:?}", home.sent);
    let [Part::First(one, first), Part::Second(other, second)] = &got[..] else { panic!("{got:?}") };
    assert_eq!((one, [first.as_slice(), second].concat()), (other, command.to_bytes()));
    assert_eq!(home.outcome(asked), Some(&Outcome::Delivered));
    let longer = Command::Raw { class: 0x91, payload: vec![7; COMMAND_MAX0] };
    assert_eq!(home.host.set(thing_node(), &longer, home.now), Err(RequestError::TooLong));
}

#[test]
fn a_long_command_whose_second_nonce_does_not_come_begins_anew() {
    let (mut home, keys) = old_home();
    let command = Command::Raw { class: 0x91, payload: vec![1; 40] };
    let asked = home.host.set(thing_node(), &command, home.now).unwrap();
    home.settle();
    let report = |nonce| vec![Command::from(security::Security0::NonceReport { nonce }).to_bytes()];
    home.radio(report([1; 8]));
    home.settle();
    home.wait(Duration::from_secs(6));
    home.radio(report([2; 8]));
    home.settle();
    let frame = home.sent.last().unwrap();
    let part = open(&keys, (HOST, thing_node()), frame, |_| Some([2; 8])).unwrap();
    assert!(matches!(part, Part::First(..)), "{part:?}");
    home.wait(Duration::from_secs(60));
    assert_eq!(home.outcome(asked), Some(&Outcome::NoNonce));
}
