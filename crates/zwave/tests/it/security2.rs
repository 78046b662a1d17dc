//! Security 2 against the shared vectors, and two nodes against each other.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use proptest::prelude::*;
use thingward_zwave::security2::{
    Addresses, CtrDrbg, Destination, KeyPair, KeySlot, Mpan, NetworkKeys, Opened, Sealed, Security2, Span,
    TemporaryKeys, Unopened, cmac,
};
use thingward_zwave::{HomeId, Key, NodeId, S2Class};

use crate::vectors::{array, bytes, cases, key, number};

pub(crate) fn node(number: u16) -> NodeId {
    NodeId::new(number).unwrap()
}

#[test]
fn cmac_is_that_of_the_vectors() {
    for case in cases("s2_cmac.json") {
        assert_eq!(
            cmac(&key(&case, "key"), &[&bytes(&case, "message")]),
            array(&case, "tag"),
            "{}",
            case["id"]
        );
    }
}

#[test]
fn network_keys_expand_as_in_the_vectors() {
    for case in cases("s2_ckdf_network.json") {
        let keys = NetworkKeys::expand(key(&case, "network_key"));
        assert_eq!(keys.ccm.expose(), &array(&case, "ccm_key"));
        assert_eq!(keys.personalization, array(&case, "personalization_string"));
        assert_eq!(keys.mpan.expose(), &array(&case, "mpan_key"));
    }
}

#[test]
fn temporary_keys_are_those_of_the_vectors_from_both_ends() {
    for case in cases("s2_ckdf_temp.json") {
        let [a, b] = ["private_a", "private_b"].map(|field| KeyPair::from_private(array(&case, field)));
        let [public_a, public_b] = ["public_a", "public_b"].map(|field| array(&case, field));
        assert_eq!((a.public(), b.public()), (public_a, public_b));
        for shared in [a.shared(&public_b).unwrap(), b.shared(&public_a).unwrap()] {
            assert_eq!(shared.extract(&public_a, &public_b).expose(), &array(&case, "prk"));
            let keys = TemporaryKeys::derive(&shared, &public_a, &public_b);
            assert_eq!(keys.ccm.expose(), &array(&case, "temp_ccm_key"));
            assert_eq!(keys.personalization, array(&case, "temp_personalization_string"));
        }
    }
}

#[test]
fn a_public_key_of_small_order_has_nothing_in_common() {
    assert!(KeyPair::from_private([7; 32]).shared(&[0; 32]).is_none());
}

#[test]
fn singlecast_nonces_are_those_of_the_vectors() {
    for case in cases("s2_span.json") {
        let keys = NetworkKeys::expand(key(&case, "network_key"));
        let mut span =
            Span::new(&array(&case, "sender_ei"), &array(&case, "receiver_ei"), &keys.personalization);
        for nonce in case["nonces"].as_array().unwrap() {
            assert_eq!(span.next_nonce().to_vec(), crate::vectors::unhex(nonce.as_str().unwrap()));
        }
    }
}

#[test]
fn multicast_nonces_are_those_of_the_vectors() {
    for case in cases("s2_mpan.json") {
        let keys = NetworkKeys::expand(key(&case, "network_key"));
        let mut mpan = Mpan::new(array(&case, "initial_inner_state"));
        for nonce in case["ivs"].as_array().unwrap() {
            assert_eq!(mpan.next_nonce(&keys.mpan).to_vec(), crate::vectors::unhex(nonce.as_str().unwrap()));
        }
    }
}

#[test]
fn random_bits_are_those_of_the_validation_programme() {
    for case in cases("ctr_drbg_aes128_no_df.json") {
        let mut personalization = [0; 32];
        let given = bytes(&case, "PersonalizationString");
        personalization[..given.len()].copy_from_slice(&given);
        let mut drbg = CtrDrbg::new(&array(&case, "EntropyInput"), &personalization);
        drbg.reseed(&array(&case, "EntropyInputReseed"));
        let mut out = vec![0; bytes(&case, "ReturnedBits").len()];
        drbg.generate(&mut out);
        drbg.generate(&mut out);
        assert_eq!(out, bytes(&case, "ReturnedBits"), "{}", case["id"]);
    }
}

#[test]
fn frames_are_those_of_the_vectors_and_open_again() {
    for case in cases("s2_frames.json") {
        let keys = NetworkKeys::expand(key(&case, "network_key"));
        let mut span =
            Span::new(&array(&case, "sender_ei"), &array(&case, "receiver_ei"), &keys.personalization);
        for _ in 0..number(&case, "nonces_consumed_before") {
            span.next_nonce();
        }
        let nonce = span.next_nonce();
        assert_eq!(nonce, array(&case, "nonce"));
        let addresses = Addresses {
            home: HomeId(u32::from_be_bytes(array(&case, "home_id"))),
            from: node(number(&case, "sender_node")),
            to: Destination::Node(node(number(&case, "receiver_node"))),
        };
        let command = bytes(&case, "inner_cc");
        let sequence = number(&case, "sequence_number");
        let frame = addresses.seal((&keys.ccm, &nonce), sequence, (&[], &[]), &command).unwrap();
        assert_eq!(frame, bytes(&case, "frame"), "{}", case["id"]);
        assert_eq!(Sealed::parse(&frame).unwrap().open(addresses, &keys.ccm, &nonce), Some(command));
    }
}

/// Two nodes with the same keys.
pub(crate) struct Pair {
    pub(crate) here: Security2,
    pub(crate) there: Security2,
    pub(crate) rng: ChaCha20Rng,
}

pub(crate) const HERE: u16 = 1;
pub(crate) const THERE: u16 = 2;
pub(crate) const SLOT: KeySlot = KeySlot::Class(S2Class::Authenticated);

impl Pair {
    pub(crate) fn new() -> Self {
        let [here, there] = [HERE, THERE].map(|own| {
            let mut node = Security2::new(HomeId(0xcafe_f00d), node(own));
            node.insert_key(S2Class::Authenticated, Key::new([1; 16]));
            node.insert_key(S2Class::Unauthenticated, Key::new([2; 16]));
            node
        });
        Self { here, there, rng: ChaCha20Rng::from_seed([3; 32]) }
    }

    /// There tells here its half of a nonce.
    pub(crate) fn agree(&mut self) {
        let report = self.there.nonce_report(node(HERE), &mut self.rng);
        self.here.heard_nonce(node(THERE), report[4..].try_into().unwrap(), &mut self.rng);
    }

    pub(crate) fn seal(&mut self, command: &[u8]) -> Vec<u8> {
        self.here.seal(node(THERE), SLOT, command, &mut self.rng).unwrap()
    }

    pub(crate) fn open(&mut self, frame: &[u8]) -> Result<Vec<u8>, Unopened> {
        self.there.open(node(HERE), frame).map(|opened| opened.command)
    }
}

#[test]
fn both_ends_draw_nonces_in_step_in_both_directions() {
    let mut pair = Pair::new();
    pair.agree();
    for round in 0..20 {
        let frame = pair.seal(&[0x20, 0x01, round]);
        let opened = pair.there.open(node(HERE), &frame).unwrap();
        assert_eq!(opened, Opened { slot: SLOT, command: vec![0x20, 0x01, round], out_of_step: None });
        let back = pair.there.seal(node(HERE), SLOT, &[0x20, 0x03, round], &mut pair.rng).unwrap();
        assert_eq!(pair.here.open(node(THERE), &back).unwrap().command, [0x20, 0x03, round]);
    }
}

#[test]
fn a_message_that_comes_twice_is_refused_by_its_number_and_later_by_its_nonce() {
    let mut pair = Pair::new();
    pair.agree();
    let first = pair.seal(&[0x25, 0x01, 0xff]);
    pair.open(&first).unwrap();
    assert_eq!(pair.open(&first), Err(Unopened::Repeated(first[2])));
    let second = pair.seal(&[0x25, 0x01, 0x00]);
    pair.open(&second).unwrap();
    assert_eq!(pair.open(&first), Err(Unopened::OutOfStep));
    let third = pair.seal(&[0x25, 0x01, 0x01]);
    pair.open(&third).unwrap();
}

#[test]
fn a_message_with_an_old_half_of_a_nonce_is_refused() {
    let mut pair = Pair::new();
    pair.agree();
    let first = pair.seal(&[0x25, 0x01, 0xff]);
    pair.open(&first).unwrap();
    pair.agree();
    let next = pair.seal(&[0x25, 0x01, 0x00]);
    assert_eq!(pair.open(&first), Err(Unopened::Repeated(first[2])));
    pair.there.forget(node(HERE));
    assert_eq!(pair.open(&first), Err(Unopened::NoNonce));
    pair.agree();
    assert_eq!(pair.open(&first), Err(Unopened::OutOfStep));
    assert_eq!(pair.open(&next), Err(Unopened::OutOfStep));
}

#[test]
fn a_nonce_that_was_told_and_not_used_is_told_again() {
    let mut pair = Pair::new();
    let told: Vec<_> =
        (0..3).map(|_| pair.there.nonce_report(node(HERE), &mut pair.rng)[4..].to_vec()).collect();
    assert!(told.iter().all(|half| *half == told[0]));
    pair.agree();
    let frame = pair.seal(&[0x20, 0x02]);
    pair.open(&frame).unwrap();
    assert_ne!(pair.there.nonce_report(node(HERE), &mut pair.rng)[4..], told[0]);
}

#[test]
fn up_to_four_lost_messages_are_made_up_for_and_a_fifth_needs_a_new_nonce() {
    let mut pair = Pair::new();
    pair.agree();
    let opening = pair.seal(&[0]);
    pair.open(&opening).unwrap();
    for lost in [4, 5] {
        for _ in 0..lost {
            pair.seal(&[0x20, 0x02]);
        }
        let frame = pair.seal(&[0x20, 0x02]);
        assert_eq!(pair.open(&frame).is_ok(), lost == 4);
    }
    pair.agree();
    let frame = pair.seal(&[0x20, 0x02]);
    pair.open(&frame).unwrap();
}

#[test]
fn another_network_key_opens_nothing() {
    let mut pair = Pair::new();
    pair.there.insert_key(S2Class::Authenticated, Key::new([9; 16]));
    pair.agree();
    let frame = pair.seal(&[0x20, 0x02]);
    assert_eq!(pair.open(&frame), Err(Unopened::OutOfStep));
}

#[test]
fn what_was_agreed_under_one_class_does_not_serve_another() {
    let mut pair = Pair::new();
    pair.agree();
    pair.seal(&[0x20, 0x02]);
    let other = KeySlot::Class(S2Class::Unauthenticated);
    assert!(pair.here.seal(node(THERE), other, &[0x20, 0x02], &mut pair.rng).is_err());
}

#[test]
fn a_flipped_bit_or_a_missing_byte_anywhere_is_refused_and_changes_nothing() {
    let mut pair = Pair::new();
    pair.agree();
    for _ in 0..2 {
        let frame = pair.seal(&[0x31, 0x05, 0x01, 0x22]);
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(pair.open(&bad).is_err(), "bit {bit}");
        }
        for len in 0..frame.len() {
            assert!(pair.open(&frame[..len]).is_err(), "cut to {len}");
        }
        assert!(pair.open(&[frame.as_slice(), &[0]].concat()).is_err());
        pair.open(&frame).unwrap();
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut pair = Pair::new();
        pair.agree();
        let frame = [&[0x9f, 0x03], bytes.as_slice()].concat();
        prop_assert!(pair.open(&frame).is_err());
        let _ = pair.there.open_multicast(node(HERE), &frame);
    }
}
