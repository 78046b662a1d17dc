//! Bytes that are not what they should be: each is refused, and none brings anything down.

use proptest::collection::vec;
use proptest::prelude::*;
use thingward_crypto::Signer;
use thingward_grant::{
    Beacon, Grant, IssuerKey, PRESENTATION_BYTES_MAX, Revocation, Scope, SignedBeacon, SignedRevocation,
    Terms, TrustedKey, public,
};

use crate::common::*;

const PEOPLE: [&str; 4] = ["ben", "cem", "dana", "emil"];

/// A kind of message, one that is good, and whether bytes are taken for one by who knows the right keys.
struct Kind {
    name: &'static str,
    good: Vec<u8>,
    is_taken: fn(&[u8]) -> bool,
}

fn is_permitted(bytes: &[u8]) -> bool {
    Meter::default().decide(bytes).is_ok()
}

fn is_verified_grant(bytes: &[u8]) -> bool {
    let issuer = key("issuer").public_key();
    Grant::decode(bytes)
        .is_ok_and(|grant| grant.key_id() == issuer.id() && public::verify(&grant, issuer).is_ok())
}

fn is_beacon(bytes: &[u8]) -> bool {
    let tenant = named("stadtwerke");
    let shared = shared_key();
    let keys = [TrustedKey::Public(key("issuer").public_key()), TrustedKey::Symmetric(&shared)];
    SignedBeacon::decode(bytes).is_ok_and(|b| keys.iter().any(|key| b.verify(key, tenant).is_ok()))
}

fn is_revocation(bytes: &[u8]) -> bool {
    let tenant = named("stadtwerke");
    let shared = shared_key();
    let keys = [TrustedKey::Public(key("issuer").public_key()), TrustedKey::Symmetric(&shared)];
    SignedRevocation::decode(bytes).is_ok_and(|r| keys.iter().any(|key| r.verify(key, tenant).is_ok()))
}

fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for held in Held::both() {
        let narrowed = held.narrow(&narrower(), "ben").unwrap();
        kinds.push(Kind {
            name: "presentation",
            good: held.present("meter-12", &NONCE, &reserve(5)),
            is_taken: is_permitted,
        });
        kinds.push(Kind {
            name: "presentation",
            good: narrowed.present("meter-12", &NONCE, &reserve(5)),
            is_taken: is_permitted,
        });
    }
    // One without narrowings: cut behind a block, a narrowed one is the grant that it was before.
    let [public, _] = Held::both();
    kinds.push(Kind { name: "grant", good: public.bytes, is_taken: is_verified_grant });
    let shared = shared_key();
    for signer in [IssuerKey::Public(key("issuer")), IssuerKey::Symmetric(&shared)] {
        let issuer = named("stadtwerke");
        let mut out = [0; 999];
        let len = Beacon { issuer, time: NOW, answers: Some(NONCE) }.sign(signer, &mut out).unwrap();
        kinds.push(Kind { name: "beacon", good: out[..len].to_vec(), is_taken: is_beacon });
        let ids = [[1; 8], ID];
        let revocation = Revocation { issuer, audience: terms().audience.unwrap(), epoch: 7, ids: &ids };
        let len = revocation.sign(signer, &mut out).unwrap();
        kinds.push(Kind { name: "revocation", good: out[..len].to_vec(), is_taken: is_revocation });
    }
    kinds
}

#[test]
fn no_byte_of_anything_can_be_changed_unnoticed() {
    for Kind { name, good, is_taken } in kinds() {
        assert!(is_taken(&good), "{name}");
        for at in 0..good.len() {
            let mut bent = good.clone();
            // Another bit in each byte: all bits of all bytes take minutes without optimisation.
            bent[at] ^= 1 << (at % 8);
            assert!(!is_taken(&bent), "{name}: byte {at}");
        }
    }
}

#[test]
fn nothing_is_taken_that_was_cut_extended_or_has_a_byte_twice_or_not_at_all() {
    for Kind { name, good, is_taken } in kinds() {
        for at in 0..good.len() {
            assert!(!is_taken(&good[..at]), "{name}: cut to {at}");
            assert!(!is_taken(&good[at + 1..]), "{name}: without the first {at}");
            let mut other = good.clone();
            other.insert(at, good[at]);
            assert!(!is_taken(&other), "{name}: byte {at} twice");
            let mut other = good.clone();
            other.remove(at);
            assert!(!is_taken(&other), "{name}: without byte {at}");
        }
        for more in [vec![0], vec![0xf6], vec![0x80], good.clone()] {
            assert!(!is_taken(&[good.as_slice(), &more].concat()), "{name} with {} bytes more", more.len());
            assert!(
                !is_taken(&[more.as_slice(), &good].concat()),
                "{} bytes more in front of {name}",
                more.len()
            );
        }
    }
}

#[test]
fn one_kind_of_message_is_not_taken_for_another() {
    let kinds = kinds();
    for one in &kinds {
        for other in kinds.iter().filter(|other| other.name != one.name) {
            assert!(!(one.is_taken)(&other.good), "a {} for a {}", other.name, one.name);
        }
    }
}

#[test]
fn blocks_that_change_places_or_come_twice_are_refused() {
    for held in Held::both() {
        let one = held.narrow(&narrower(), "ben").unwrap();
        let two = one.narrow(&Terms { uses: Some(1), ..Terms::default() }, "cem").unwrap();
        let shown = two.present("meter-12", &NONCE, &reserve(5));
        let bounds = [0, held.bytes.len(), one.bytes.len(), two.bytes.len(), shown.len()];
        let parts: Vec<&[u8]> = bounds.windows(2).map(|b| &shown[b[0]..b[1]]).collect();
        assert!(is_permitted(&parts.concat()));
        for order in [
            &[0, 2, 1, 3][..],
            &[1, 0, 2, 3],
            &[0, 1, 3, 2],
            &[0, 0, 1, 2, 3],
            &[0, 1, 1, 2, 3],
            &[0, 1, 2, 2, 3],
            &[0, 1, 2, 3, 3],
            &[0, 1, 3],
            &[0, 2, 3],
            &[0, 3],
            &[1, 2, 3],
            &[3],
            &[],
        ] {
            let other: Vec<&[u8]> = order.iter().map(|at| parts[*at]).collect();
            assert!(!is_permitted(&other.concat()), "{order:?}");
        }
    }
}

#[test]
fn a_scope_has_one_encoding() {
    let unhex = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let good = [
        "80",
        "81826161a0",
        "81826161a1616201",
        "81826161a16162a10018ff",
        "81826161a16162a20020011864",
        "81826161a16162820103",
        "81826161a2616201626161f5",
        "81826161a1603b7fffffffffffffff",
    ];
    for hex in good {
        assert!(Scope::from_bytes(&unhex(hex)).is_ok(), "{hex}");
    }
    let bad = [
        "",
        "a0",
        "8000",
        "9fff",
        "9800",
        "81816161",
        "81836161a0a0",
        "81824161a0",
        "8182617ea0",
        "81826161bfff",
        "81826161b800",
        "8182780161a0",
        "81826161a161621801",
        "81826161a1616219000f",
        "81826161a161621b8000000000000000",
        "81826161a161623b8000000000000000",
        "81826161a161623800",
        "81826161a16162f6",
        "81826161a16162f814",
        "81826161a16162f93c00",
        "81826161a161624161",
        "81826161a161626241",
        "81826161a1616261ff",
        "81826161a1616280",
        "81826161a161628101",
        "81826161a16162828001",
        "81826161a16162a0",
        "81826161a16162a10201",
        "81826161a16162a200010000",
        "81826161a16162a20105000a",
        "81826161a16162a20005010a00",
        "81826161a16162a2000a0105",
        "81826161a16162a100f5",
        "81826161a16162c101",
        "81826161a2626161f5616201",
        "81826161a2616201616202",
        "81826161a1016201",
    ];
    for hex in bad {
        assert!(Scope::from_bytes(&unhex(hex)).is_err(), "{hex}");
    }
}

fn decode_everything(bytes: &[u8]) {
    let _ = Meter::default().decide(bytes);
    if let Ok(grant) = Grant::decode(bytes) {
        assert_eq!(grant.as_bytes(), bytes);
        let _ = public::verify(&grant, key("issuer").public_key());
    }
    let _ = is_beacon(bytes) || is_revocation(bytes);
    if let Ok(scope) = Scope::from_bytes(bytes) {
        assert_eq!(scope.as_bytes(), bytes);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_bring_nothing_down(bytes in vec(any::<u8>(), 0..PRESENTATION_BYTES_MAX)) {
        decode_everything(&bytes);
    }

    #[test]
    fn bent_messages_bring_nothing_down(
        is_public in any::<bool>(),
        narrowings in 0..4_usize,
        bends in vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let mut held = Held::both().into_iter().nth(usize::from(!is_public)).unwrap();
        for next in &PEOPLE[..narrowings] {
            held = held.narrow(&narrower(), next).unwrap();
        }
        let good = held.present("meter-12", &NONCE, &reserve(5));
        let mut bent = good.clone();
        for (at, with, how) in bends {
            if bent.len() < 2 {
                break;
            }
            let at = at.index(bent.len());
            match how {
                0 => bent[at] = with,
                1 => bent.insert(at, with),
                2 => drop(bent.remove(at)),
                _ => bent.truncate(at.max(1)),
            }
        }
        decode_everything(&bent);
        prop_assert!(bent == good || Meter::default().decide(&bent).is_err());
    }
}
