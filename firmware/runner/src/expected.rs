//! What the chips have to come to, computed on this machine.

use ed25519_dalek::{Signer as _, SigningKey};
use thingward_samples::{COUNT, message, seed};

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

pub(crate) fn signatures(_: &str) -> Expected {
    let mut expected = Expected::new();
    for number in 0..COUNT {
        let key = SigningKey::from_bytes(&seed(number));
        expected.push(("public".to_owned(), hex(key.verifying_key().as_bytes())));
        expected.push(("signature".to_owned(), hex(&key.sign(&message(number)).to_bytes())));
    }
    expected
}

/// The first of four is good.
pub(crate) fn verdicts(_: &str) -> Expected {
    (0..COUNT).map(|_| ("verdicts".to_owned(), hex(&[1, 0, 0, 0]))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
