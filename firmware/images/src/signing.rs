//! Keys and signatures, for the images that make them.

use thingward_chip::{black_box, measure, result};
use thingward_ed25519::SigningKey;
use thingward_samples::{COUNT, message, seed};

pub(crate) fn run() {
    for number in 0..COUNT {
        let (seed, message) = (black_box(seed(number)), black_box(message(number)));
        let key = measure("key", || SigningKey::from_seed(&seed));
        let signature = measure("sign", || key.sign(&message));
        result("public", &key.public_key().0);
        result("signature", &signature);
    }
}
