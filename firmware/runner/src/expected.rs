//! What the chips have to come to, computed on this machine.

use ascon_aead::AsconAead128;
use ascon_aead::aead::{AeadInOut, KeyInit};
use curve25519_dalek::montgomery::MontgomeryPoint;
use ed25519_dalek::{Signer as _, SigningKey};
use thingward_crypto::{MacKey, sha256};
use thingward_grant::{Refusal, Standing, TrustedKey};
use thingward_samples::{
    COUNT, HEADER, READING_ROOM, RECORD_ROOM, chain, coordinate, grants, message, seed, standard,
};

/// Names and values, in the order in which the image prints them.
pub(crate) type Expected = Vec<(String, String)>;

pub(crate) fn arithmetic(image: &str) -> Expected {
    let mut expected = Expected::new();
    let parts = thingward_arithmetic::PARTS.iter();
    for (_, test) in parts.filter(|(part, _)| image.strip_prefix("arithmetic-") == Some(part)) {
        test(&mut |name, digest| expected.push((name.to_owned(), hex(&digest))));
    }
    expected
}

pub(crate) fn known_signatures(_: &str) -> Expected {
    standard::SIGNATURES.iter().flat_map(|answer| named(["public", "signature"], answer)).collect()
}

pub(crate) fn known_sealed(_: &str) -> Expected {
    named(["sealed", "tag"], &standard::SEALED).to_vec()
}

pub(crate) fn known_hashes(_: &str) -> Expected {
    let of = |name: &'static str| move |value: &str| (name.to_owned(), value.to_owned());
    standard::HASHES.into_iter().map(of("hash")).chain(standard::TAGS.into_iter().map(of("tag"))).collect()
}

fn named(names: [&str; 2], [one, two]: &[&str; 2]) -> [(String, String); 2] {
    let [first, second] = names.map(str::to_owned);
    [(first, (*one).to_owned()), (second, (*two).to_owned())]
}

pub(crate) fn signatures(_: &str) -> Expected {
    let mut expected = Expected::new();
    for number in 0..COUNT {
        let key = SigningKey::from_bytes(&seed(number));
        expected.push(("public".to_owned(), hex(key.verifying_key().as_bytes())));
        expected.push(("signature".to_owned(), hex(&key.sign(&message(number)).to_bytes())));
    }
    expected
}

pub(crate) fn known_agreements(_: &str) -> Expected {
    let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut expected: Expected = standard::MULTIPLES.map(|value| of("multiple", value)).into();
    expected.extend([of("public", standard::PUBLIC[1]), of("agreed", standard::AGREED)]);
    expected.extend(standard::SMALL_ORDER.map(|_| of("small-order", &hex(&[0; 32]))));
    expected
}

pub(crate) fn agreements(_: &str) -> Expected {
    let mut expected = Expected::new();
    for number in 0..COUNT {
        let public = MontgomeryPoint::mul_base_clamped(seed(number));
        let agreed = MontgomeryPoint(coordinate(number)).mul_clamped(seed(number));
        expected.push(("public".to_owned(), hex(public.as_bytes())));
        expected.push(("agreed".to_owned(), hex(agreed.as_bytes())));
    }
    expected
}

/// Ascon's kernel stands aside on this machine, and what is in its place was tested against the designers' answers.
pub(crate) fn sealed(_: &str) -> Expected {
    let mut expected = Expected::new();
    for number in 0..COUNT {
        let (secret, mut text) = (seed(number), message(number));
        let (key, nonce) = secret.split_at(16);
        let (Ok(key), Ok(nonce)) = (key.try_into(), nonce.try_into()) else { continue };
        let cipher = AsconAead128::new(key);
        let tag =
            cipher.encrypt_inout_detached(nonce, &HEADER, text.as_mut_slice().into()).unwrap_or_default();
        expected.push(("sealed".to_owned(), hex(&text)));
        expected.push(("tag".to_owned(), hex(&tag)));
        expected.push(("opened".to_owned(), hex(&[1])));
    }
    expected
}

pub(crate) fn signatures_and_sealed(image: &str) -> Expected {
    [signatures(image), sealed(image)].concat()
}

pub(crate) fn macs(_: &str) -> Expected {
    let mut expected = Expected::new();
    for number in 0..COUNT {
        expected.push(("hash".to_owned(), hex(&sha256(&[&message(number)]))));
        expected.push(("tag".to_owned(), hex(&MacKey::new(&seed(number)).tag(&[&message(number)]))));
        expected.push(("verdicts".to_owned(), hex(&[1, 0])));
    }
    expected
}

pub(crate) fn readings(_: &str) -> Expected {
    let mut expected = Expected::new();
    for number in 0..COUNT {
        let mut out = [0; READING_ROOM];
        let Ok(mut chain) = chain::writer(number) else { continue };
        let Ok(appended) = chain.append(&[chain::READING], &mut out) else { continue };
        expected.push(("record".to_owned(), hex(&out[..appended.len])));
        expected.push(("head".to_owned(), hex(&chain.link().head)));
    }
    expected
}

pub(crate) fn chain(_: &str) -> Expected {
    let mut out = [0; RECORD_ROOM];
    let mut expected = Expected::new();
    let (Ok(mut chain), Ok(key)) = (chain::writer(3), chain::key()) else { return expected };
    if let Ok(appended) = chain.append(&[chain::READING], &mut out) {
        expected.push(("record".to_owned(), hex(&out[..appended.len])));
    }
    if let Ok(Some(len)) = chain.checkpoint(chain::NOW, &key, &mut out) {
        expected.push(("checkpoint".to_owned(), hex(&out[..len])));
    }
    expected
}

/// On this machine another implementation of HPKE makes the key.
pub(crate) fn started(_: &str) -> Expected {
    let mut expected = Expected::new();
    let Ok(key) = chain::key() else { return expected };
    for number in 0..COUNT {
        let mut out = [0; RECORD_ROOM];
        let Ok((mut chain, len)) = chain::start(seed(number), &key, &mut out) else { continue };
        expected.push(("started".to_owned(), hex(&out[..len])));
        let Ok(appended) = chain.append(&[chain::READING], &mut out) else { continue };
        expected.push(("record".to_owned(), hex(&out[..appended.len])));
    }
    expected
}

/// The first of four is good.
pub(crate) fn verdicts(_: &str) -> Expected {
    (0..COUNT).map(|_| ("verdicts".to_owned(), hex(&[1, 0, 0, 0]))).collect()
}

/// Yes to the grant, no to it once more, and the same no as here to whatever was changed in it.
pub(crate) fn symmetric_grant(_: &str) -> Expected {
    let key = grants::shared_key();
    granted(&grants::SYMMETRIC, 1, TrustedKey::Symmetric(&key))
}

/// As [`symmetric_grant`].
pub(crate) fn public_grant(_: &str) -> Expected {
    let Ok(key) = grants::issuer_key() else { return Expected::new() };
    granted(&grants::PUBLIC, grants::CHANGED, TrustedKey::Public(&key))
}

fn granted(shown: &[u8], changed: usize, key: TrustedKey<'_>) -> Expected {
    let standing = Standing::default();
    let replayed = hex(&[1 + Refusal::WrongNonce.code()]);
    let mut expected = vec![("verdict".to_owned(), hex(&[0])), ("replayed".to_owned(), replayed)];
    let mut shown = shown.to_vec();
    for at in (0..shown.len()).step_by(changed) {
        shown[at] ^= 1;
        let verdict = grants::verdict(&shown, &grants::NONCE, key, &standing);
        if verdict != 0 {
            expected.push(("changed".to_owned(), hex(&[verdict])));
        }
        shown[at] ^= 1;
    }
    expected
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
