//! What is remembered of a sign-in while the person is at the provider.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::CryptoRng;
use thingward_crypto::sha256;
use thingward_model::Timestamp;
use zeroize::Zeroizing;

use crate::error::OidcError;
use crate::settings::ProviderName;

/// How long somebody may take at the provider.
pub const LIFETIME_SECONDS: i64 = 600;
/// The layout below, in case it changes while somebody is away.
const VERSION: u8 = 1;
const RANDOM_BYTES: usize = 32;

/// State, nonce and PKCE verifier of one sign-in, until when, and with which provider. The caller seals these bytes into a
/// short-lived cookie: whoever can read or choose them can finish somebody else's sign-in.
///
/// Version, end in seconds (8 bytes, big endian), state, nonce, verifier (32 each), name of the provider.
pub struct Pending(Zeroizing<Vec<u8>>);

impl Pending {
    /// The bytes to seal.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The parts of a [`Pending`].
pub(crate) struct Parts {
    expires: i64,
    state: Zeroizing<[u8; RANDOM_BYTES]>,
    nonce: Zeroizing<[u8; RANDOM_BYTES]>,
    verifier: Zeroizing<[u8; RANDOM_BYTES]>,
}

impl Parts {
    pub(crate) fn new(now: Timestamp, rng: &mut impl CryptoRng) -> Self {
        let mut random = || {
            let mut bytes = Zeroizing::new([0; RANDOM_BYTES]);
            rng.fill_bytes(&mut *bytes);
            bytes
        };
        let (state, nonce, verifier) = (random(), random(), random());
        Self { expires: now.as_seconds().saturating_add(LIFETIME_SECONDS), state, nonce, verifier }
    }

    pub(crate) fn seal(&self, provider: ProviderName) -> Pending {
        let expires = self.expires.to_be_bytes();
        let parts: [&[u8]; 6] =
            [&[VERSION], &expires, &*self.state, &*self.nonce, &*self.verifier, provider.as_str().as_bytes()];
        // One allocation: what a growing vector leaves behind would not be wiped.
        let mut bytes = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        Pending(bytes)
    }

    /// What was remembered, if it is of this provider and not over.
    pub(crate) fn open(bytes: &[u8], provider: ProviderName, now: Timestamp) -> Result<Self, OidcError> {
        let (parts, name) = Self::split(bytes).ok_or(OidcError::Foreign("nothing of it is remembered"))?;
        if name != provider.as_str().as_bytes() {
            return Err(OidcError::Foreign("it began with another provider"));
        }
        if now.as_seconds() >= parts.expires {
            return Err(OidcError::Expired);
        }
        Ok(parts)
    }

    fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&version, rest) = bytes.split_first()?;
        let (expires, rest) = rest.split_first_chunk()?;
        let (state, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (verifier, name) = rest.split_first_chunk()?;
        let parts = Self {
            expires: i64::from_be_bytes(*expires),
            state: Zeroizing::new(*state),
            nonce: Zeroizing::new(*nonce),
            verifier: Zeroizing::new(*verifier),
        };
        (version == VERSION).then_some((parts, name))
    }

    pub(crate) fn state(&self) -> Zeroizing<String> {
        text(&self.state)
    }

    pub(crate) fn nonce(&self) -> Zeroizing<String> {
        text(&self.nonce)
    }

    pub(crate) fn verifier(&self) -> Zeroizing<String> {
        text(&self.verifier)
    }

    /// RFC 7636 §4.2, method S256.
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha256(&[self.verifier().as_bytes()]))
    }
}

fn text(bytes: &[u8; RANDOM_BYTES]) -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use thingward_crypto::system_rng;

    use super::*;

    fn name(text: &str) -> ProviderName {
        ProviderName::new(text).unwrap()
    }

    #[test]
    fn what_is_remembered_comes_back_until_it_is_over_and_with_its_provider_only() {
        let now = Timestamp::from_seconds(1_000);
        let parts = Parts::new(now, &mut system_rng());
        let pending = parts.seal(name("corp"));
        let open = |provider: &str, seconds: i64| {
            let now = Timestamp::from_seconds(seconds);
            Parts::open(pending.as_bytes(), name(provider), now).map(|back| {
                assert_eq!(back.state(), parts.state());
                assert_eq!(back.nonce(), parts.nonce());
                assert_eq!(back.challenge(), parts.challenge());
            })
        };
        assert_eq!(open("corp", 1_000), Ok(()));
        assert_eq!(open("corp", 1_599), Ok(()));
        assert_eq!(open("corp", 1_600), Err(OidcError::Expired));
        assert_eq!(open("other", 1_000), Err(OidcError::Foreign("it began with another provider")));
        for cut in 0..pending.as_bytes().len() {
            assert!(Parts::open(&pending.as_bytes()[..cut], name("corp"), now).is_err(), "{cut}");
        }
    }

    #[test]
    fn the_challenge_is_that_of_the_standards_example() {
        // RFC 7636, appendix B.
        let verifier = URL_SAFE_NO_PAD.decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        let parts = Parts {
            verifier: Zeroizing::new(verifier.try_into().unwrap()),
            ..Parts::new(Timestamp::EPOCH, &mut system_rng())
        };
        assert_eq!(parts.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
