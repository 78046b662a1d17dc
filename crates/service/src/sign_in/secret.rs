//! Random texts that open something, once or for a while.

use rand_core::Rng;
use thingward_crypto::system_rng;
use zeroize::Zeroizing;

use crate::enrolment::base32;

/// Random bytes of each.
const SECRET_BYTES: usize = 32;

/// The code of a one-time link.
pub(crate) fn link_code() -> Zeroizing<String> {
    random("twl_")
}

/// What a browser keeps of a session.
pub(crate) fn session_secret() -> Zeroizing<String> {
    random("tws_")
}

/// The prefix lets scanners for leaked secrets find it.
fn random(prefix: &str) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    system_rng().fill_bytes(bytes.as_mut());
    let text = Zeroizing::new(base32(bytes.as_slice()).to_ascii_lowercase());
    Zeroizing::new(format!("{prefix}{}", text.as_str()))
}
