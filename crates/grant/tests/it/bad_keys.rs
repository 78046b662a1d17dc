//! Keys and signatures that are none: of small order, above the order of the group, of another kind.

use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};
use thingward_grant::{
    Beacon, FormatError, GRANT_BYTES_MAX, HolderKey, IssuerKey, Presentation, Refusal, SignedBeacon,
    TrustedKey, public,
};

use crate::common::*;

/// The order of the group, little endian: RFC 8032 §5.1.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn a_signature_with_an_s_above_the_order_of_the_group_is_refused() {
    let held = Held::public(&origin(), &terms(), "anna").narrow(&narrower(), "ben").unwrap();
    let shown = held.present("meter-12", &NONCE, &reserve(5));
    let first = Held::public(&origin(), &terms(), "anna").bytes.len();
    for (end, want) in
        [(first, Refusal::Forged), (held.bytes.len(), Refusal::Forged), (shown.len(), Refusal::NotHolder)]
    {
        let mut bent = shown.clone();
        let mut carry = 0;
        for (byte, of_order) in bent[end - 32..end].iter_mut().zip(L) {
            let sum = u16::from(*byte) + u16::from(of_order) + carry;
            *byte = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
        assert_eq!(carry, 0, "S + L has 32 bytes");
        assert_eq!(Meter::default().decide(&bent), Err(want));
    }
}

#[test]
fn a_holder_key_of_small_order_holds_nothing() {
    // The eight points of small order, and two more encodings of them: with any of these as key, R = identity and
    // S = 0 satisfy the equation of RFC 8032 §5.1.7 for one message in eight or for all.
    let mut identity = [0; 32];
    identity[0] = 1;
    let hex = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for text in hex {
        let point: [u8; 32] =
            std::array::from_fn(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap());
        let mut out = [0; GRANT_BYTES_MAX];
        let holder = HolderKey::from_bytes(point);
        let len = public::issue(key("issuer"), &origin(), &terms(), holder, &mut out).unwrap();
        let proof = Held::both()[0].present("meter-12", &NONCE, &reserve(5));
        let mut proof = proof[Held::both()[0].bytes.len()..].to_vec();
        let at = proof.len() - 64;
        for r in [identity, point] {
            proof[at..at + 32].copy_from_slice(&r);
            proof[at + 32..].fill(0);
            // The nonce is the device's; it is varied so that every residue of the challenge comes up.
            for n in 0..24_u8 {
                let nonce = [n; 16];
                let within = proof.windows(16).position(|w| w.iter().all(|b| *b == w[0])).unwrap();
                proof[within..within + 16].copy_from_slice(&nonce);
                let shown = [&out[..len], &proof].concat();
                let presentation = Presentation::decode(&shown).unwrap();
                let decided = Meter::default().with(|d| d.decide(&presentation, &nonce, 0).map(drop));
                assert!(
                    matches!(decided, Err(Refusal::NotHolder | Refusal::Forged)),
                    "{text} {n}: {decided:?}"
                );
            }
        }
    }
}

#[test]
fn keys_of_another_kind_sign_nothing() {
    let p256 = SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[3; 32]).unwrap();
    let beacon = Beacon { issuer: named("stadtwerke"), time: NOW, answers: None };
    assert_eq!(beacon.sign(IssuerKey::Public(&p256), &mut [0; 300]), Err(FormatError::Crypto));
    let mut out = [0; 300];
    let len = beacon.sign(IssuerKey::Public(key("issuer")), &mut out).unwrap();
    let signed = SignedBeacon::decode(&out[..len]).unwrap();
    let tenant = named("stadtwerke");
    let wrong = signed.verify(&TrustedKey::Public(p256.public_key()), tenant);
    assert_eq!(wrong, Err(Refusal::UnknownIssuer));
}
