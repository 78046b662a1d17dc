//! A parking meter, and grants that were narrowed once: from `docs/wire/vectors/grants.json`.

use thingward_grant::{
    Device, FormatError, Nonce, Presentation, Refusal, Scope, SharedKey, Standing, Time, TrustedIssuer,
    TrustedKey,
};
use thingward_model::NameRef;

use crate::chain::NOW;
use crate::standard::unhex;

/// What the holder of the symmetric grant shows.
pub const SYMMETRIC: [u8; 274] = *include_bytes!(concat!(env!("OUT_DIR"), "/symmetric"));
/// What the holder of the public grant shows.
#[cfg(feature = "signatures")]
pub static PUBLIC: [u8; 525] = *include_bytes!(concat!(env!("OUT_DIR"), "/public"));

/// How far apart the bytes are that are changed, one at a time: each costs a chip for 8 bits seconds.
#[cfg(feature = "signatures")]
pub const CHANGED: usize = 25;

/// What the meter made for it.
pub const NONCE: Nonce = [0x5a; 16];
/// What the meter makes after that.
pub const NEXT_NONCE: Nonce = [0xa5; 16];
/// `[["reserve", {"minutes": {0: 1, 1: 240}}], ["light", {"": ["a", "b"]}], ["release", {}]]`
static OPENED: [u8; 49] = unhex(
    b"83826772657365727665a1676d696e75746573a200010118f082656c69676874a1608261616162826772656c65617365a0",
);
/// `[["reserve", {}], ["release", {}]]`
static RIGHT: [u8; 21] = unhex(b"82826772657365727665a0826772656c65617365a0");

/// The key that issuer and meter share.
#[must_use]
pub fn shared_key() -> SharedKey {
    SharedKey::new(include_bytes!(concat!(env!("OUT_DIR"), "/shared_key")))
}

/// The key of the issuer of public grants.
///
/// # Errors
///
/// [`thingward_crypto::CryptoError`] never for this sample.
#[cfg(feature = "signatures")]
pub fn issuer_key() -> Result<thingward_crypto::VerifyingKey, thingward_crypto::CryptoError> {
    thingward_crypto::VerifyingKey::from_spki(include_bytes!(concat!(env!("OUT_DIR"), "/issuer_spki")))
}

/// What the meter says to a presentation, in one byte: 0 for yes, or why not.
#[inline(never)]
pub fn verdict(shown: &[u8], nonce: &Nonce, issuer: TrustedKey<'_>, standing: &Standing) -> u8 {
    match decide(shown, nonce, issuer, standing) {
        Ok(()) => 0,
        Err(refusal) => 1 + refusal as u8,
    }
}

fn decide(shown: &[u8], nonce: &Nonce, key: TrustedKey<'_>, standing: &Standing) -> Result<(), Refusal> {
    let decoded = Presentation::decode(shown);
    let presentation = decoded.as_ref().map_err(|error| *error)?;
    let device = Device {
        tenant: NameRef::new("stadtwerke").map_err(malformed)?,
        name: NameRef::new("meter-12").map_err(malformed)?,
        opened: Scope::from_bytes(&OPENED)?,
        issuers: &[TrustedIssuer { key, right: Scope::from_bytes(&RIGHT)?, standing, classes: &[] }],
        time: Time::clock(NOW, 0),
    };
    device.decide(presentation, nonce, 0).map(drop)
}

fn malformed<E>(_: E) -> Refusal {
    FormatError::Malformed.into()
}
