//! Security 0 against the shared vectors.

use std::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use thingward_zwave::NodeId;
use thingward_zwave::security0::{EncapsulationError, NetworkKeys0, OwnNonces, Part, open, seal};

use crate::vectors::{array, bytes, cases, key, number};

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
        let frame = seal(&keys, nodes.into(), (&ours, &theirs), &command).unwrap();
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
