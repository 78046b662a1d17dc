//! Keys on P-256 to agree on secrets with.

use rand_core::Rng;
use thingward_coap::edhoc::DhKey;
use thingward_crypto::system_rng;
use zeroize::Zeroizing;

/// A new key, and the bytes that bring it back.
#[must_use]
pub fn fresh() -> (DhKey, Zeroizing<[u8; 32]>) {
    let mut bytes = Zeroizing::new([0; 32]);
    loop {
        system_rng().fill_bytes(bytes.as_mut_slice());
        // Few bytes are no key.
        if let Ok(key) = DhKey::new(&bytes) {
            return (key, bytes);
        }
    }
}
