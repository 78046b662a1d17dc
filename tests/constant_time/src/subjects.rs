//! What must not branch on a secret nor index by one, and two controls that do.

use std::hint::black_box;

use firmware_ascon::State;
use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{AeadAlgorithm, AeadKey, MacKey, SignatureAlgorithm, Signer, SoftwareKey};
use thingward_grant::symmetric::{self, HolderSecret};
use thingward_grant::{
    Audience, Bound, Device, GRANT_BYTES_MAX, Grant, OPERATION_BYTES_MAX, Operation, Origin,
    PRESENTATION_BYTES_MAX, Permission, Presentation, SCOPE_BYTES_MAX, Scope, SharedKey, Standing, Terms,
    Time, TrustedIssuer, TrustedKey, Value,
};
use thingward_model::name::Kind;
use thingward_model::{NameRef, Timestamp};

use crate::memcheck::{hide, hide_within, reveal};

/// Each subject by its name.
pub(crate) const ALL: [(&str, fn()); 12] = [
    ("leaky-compare", leaky_compare),
    ("leaky-lookup", leaky_lookup),
    ("mac-tag", mac_tag),
    ("mac-verify", mac_verify),
    ("ed25519-sign", || sign(SignatureAlgorithm::Ed25519)),
    ("p256-sign", || sign(SignatureAlgorithm::EcdsaP256)),
    ("chip-ed25519-sign", chip_ed25519_sign),
    ("chip-x25519", chip_x25519),
    ("chip-ascon", chip_ascon),
    ("aead", aead),
    ("sealed-file", sealed_file),
    ("symmetric-grant", symmetric_grant),
];

const SECRET: [u8; 32] = *b"kept from branches and addresses";
const MESSAGE: &[u8] = b"bay 12 is free";

/// A secret that memcheck follows.
fn secret() -> [u8; 32] {
    let mut secret = SECRET;
    hide(&mut secret);
    secret
}

/// A control, which has to be found: it leaves at the first byte that differs.
fn leaky_compare() {
    let equal = secret().iter().zip(&[0; 32]).all(|(a, b)| black_box(a) == b);
    black_box(equal);
}

/// A control, which has to be found: a table is read where a secret says.
fn leaky_lookup() {
    let table: [u8; 256] = black_box(std::array::from_fn(|k| k as u8 ^ 0x63));
    let [index, ..] = secret();
    black_box(table[usize::from(index)]);
}

fn mac_tag() {
    let tag = reveal(MacKey::new(&secret()).tag(&[MESSAGE]));
    assert_eq!(tag, MacKey::new(&SECRET).tag(&[MESSAGE]));
}

fn mac_verify() {
    let tag = MacKey::new(&SECRET).tag(&[MESSAGE]);
    let key = MacKey::new(&secret());
    assert!(reveal(key.verify(&[MESSAGE], &tag)).is_ok());
    assert!(reveal(key.verify(&[MESSAGE], &[0; 32])).is_err());
}

fn sign(algorithm: SignatureAlgorithm) {
    let key = SoftwareKey::from_seed(algorithm, &secret()).expect("a key");
    let signature = reveal(key.sign(MESSAGE).expect("a signature"));
    let same = SoftwareKey::from_seed(algorithm, &SECRET).expect("a key");
    assert!(same.public_key().verify(MESSAGE, &signature).is_ok());
}

fn chip_ed25519_sign() {
    let signature = reveal(thingward_ed25519::SigningKey::from_seed(&secret()).sign(MESSAGE));
    let same = thingward_ed25519::SigningKey::from_seed(&SECRET);
    assert!(same.public_key().verify(MESSAGE, &signature).is_ok());
}

fn chip_x25519() {
    let public = reveal(thingward_ed25519::x25519::multiple_of_base(&secret()));
    black_box(thingward_ed25519::x25519::multiple(&secret(), &public));
}

fn chip_ascon() {
    let mut words = [1, 2, 3, 4, 5_u64].map(u64::to_le_bytes);
    hide(words.as_flattened_mut());
    let [a, b, c, d, e] = words.map(u64::from_le_bytes);
    let mut state = State::new(a, b, c, d, e);
    state.permute_12();
    state.permute_8();
    black_box(&state);
}

/// Key and text are secret; what is sent is not.
fn aead() {
    for algorithm in AeadAlgorithm::ALL {
        let key = AeadKey::new(algorithm, &secret()[..algorithm.key_bytes()]).expect("a key");
        let nonce = &[7; 16][..algorithm.nonce_bytes()];
        let mut text = secret();
        let tag = reveal(key.seal(nonce, MESSAGE, &mut text).expect("room"));
        let mut text = reveal(text);
        reveal(key.open(nonce, MESSAGE, &mut text, &tag)).expect("what was sealed");
        assert_eq!(reveal(text), SECRET);
    }
}

fn sealed_file() {
    let key = SealingKey::from_bytes(&secret()).expect("a key");
    black_box(key.derive(b"buffer").expect("a key"));
    let sealed = key.seal(b"identity", &secret()).expect("room");
    assert!(reveal(key.open(b"identity", &sealed).is_ok()));
}

/// Issued, narrowed, shown and decided with secrets throughout; grants and presentations are sent.
fn symmetric_grant() {
    let (mut scope, mut operation) = ([0; SCOPE_BYTES_MAX], [0; OPERATION_BYTES_MAX]);
    let scope =
        Scope::write(&[Permission { action: named("open"), bounds: DOORS }], &mut scope).expect("a scope");
    let operation = Operation::write(named("open"), &[("door", Value::Integer(3))], &mut operation)
        .expect("an operation");
    let mut shared = SharedKey::new(&SECRET);
    hide_within(&mut shared, &SECRET);

    let terms = Terms {
        audience: Some(Audience::Device(named("meter-12"))),
        uses: Some(2),
        scope: Some(scope),
        ..Terms::default()
    };
    let origin = Origin { issuer: named("stadtwerke"), id: [1; 8], epoch: 7, reference: None };
    let (mut issued, mut narrowed) = ([0; GRANT_BYTES_MAX], [0; GRANT_BYTES_MAX]);
    let (len, holder) = symmetric::issue(&shared, &origin, &terms, &mut issued).expect("a grant");
    let grant = Grant::decode(&issued[..len]).expect("a grant");
    let fewer = Terms { uses: Some(1), ..Terms::default() };
    let (len, holder) = symmetric::narrow(&holder, &grant, &fewer, &mut narrowed).expect("a narrowing");
    let grant = Grant::decode(&narrowed[..len]).expect("a grant");

    let standing = &Standing::restored(7, &[]).expect("nothing revoked");
    let key = TrustedKey::Symmetric(&shared);
    let device = Device {
        tenant: named("stadtwerke"),
        name: named("meter-12"),
        opened: scope,
        issuers: &[TrustedIssuer { key, right: scope, standing, classes: &[] }],
        time: Time::clock(Timestamp::from_seconds(1_800_000_000), 0),
    };
    for (secret, is_holder) in [(holder, true), (HolderSecret::from_bytes(&secret()), false)] {
        let mut shown = [0; PRESENTATION_BYTES_MAX];
        let len = symmetric::present(&secret, &grant, device.name, &NONCE, &operation, &mut shown);
        let shown = reveal(shown);
        let presentation = Presentation::decode(&shown[..len.expect("room")]).expect("a presentation");
        assert_eq!(device.decide(&presentation, &NONCE, 0).is_ok(), is_holder);
    }
}

const NONCE: [u8; 16] = [0x5a; 16];
const DOORS: &[(&str, Bound<'_>)] = &[("door", Bound::Range { at_least: Some(1), at_most: Some(4) })];

fn named<K: Kind>(text: &str) -> NameRef<'_, K> {
    NameRef::new(text).expect("a name")
}
