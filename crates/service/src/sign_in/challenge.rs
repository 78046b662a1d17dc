//! Challenges that nobody has to remember: each is sealed by this process and says what it is for and until when. So
//! whoever asks for many takes no room from others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{CryptoError, Digest, sha256, system_rng};
use thingward_model::Timestamp;

/// How long an authenticator may take, in seconds.
pub(crate) const CHALLENGE_SECONDS: u32 = 300;

/// What a challenge is for. One for another purpose does not do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// To sign in.
    SignIn,
    /// The passkey of a link with this code.
    Link(&'a str),
    /// One more passkey of the user with this id.
    Passkey(&'a str),
    /// The way to the provider of this name and back.
    Provider(&'a str),
    /// A change by this actor.
    Order(&'a str),
    /// Evidence of this member.
    Evidence(&'a str),
}

impl Purpose<'_> {
    fn label(self) -> Vec<u8> {
        match self {
            Self::SignIn => b"sign-in".to_vec(),
            Self::Link(code) => [b"link ", sha256(&[code.as_bytes()]).as_slice()].concat(),
            Self::Passkey(user) => [b"passkey ", user.as_bytes()].concat(),
            Self::Provider(name) => [b"provider ", name.as_bytes()].concat(),
            Self::Order(actor) => [b"order ", actor.as_bytes()].concat(),
            Self::Evidence(member) => [b"evidence ", member.as_bytes()].concat(),
        }
    }
}

/// Makes and takes challenges. Those of an earlier process are nobody's.
pub(crate) struct Challenges {
    key: SealingKey,
    /// Those that were answered, until their time is over. Only what holds gets in, so it cannot be filled by others.
    spent: Mutex<HashMap<Digest, Timestamp>>,
}

impl Challenges {
    /// With a key of this process.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] never, in practice.
    pub(crate) fn new() -> Result<Self, CryptoError> {
        Ok(Self { key: SealingKey::generate(&mut system_rng())?, spent: Mutex::default() })
    }

    /// A challenge that carries `note`, for its maker to read when it comes back.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] never for a note of reasonable length.
    pub(crate) fn make(
        &self,
        purpose: Purpose<'_>,
        note: &[u8],
        now: Timestamp,
    ) -> Result<Vec<u8>, CryptoError> {
        let until = now.plus_micros(i64::from(CHALLENGE_SECONDS) * 1_000_000);
        let plain = [until.as_micros().to_be_bytes().as_slice(), note].concat();
        self.key.seal(&purpose.label(), &plain)
    }

    /// The note of a challenge that is for this, in its time, and was not answered yet.
    pub(crate) fn note(&self, purpose: Purpose<'_>, challenge: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        let plain = self.key.open(&purpose.label(), challenge).ok()?;
        let (until, note) = plain.split_first_chunk::<8>()?;
        let is_spent = || {
            let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
            spent.contains_key(&sha256(&[challenge]))
        };
        if now >= Timestamp::from_micros(i64::from_be_bytes(*until)) || is_spent() {
            return None;
        }
        Some(note.to_vec())
    }

    /// The challenge was answered: of two answers, only the first finds it unspent.
    pub(crate) fn spend(&self, challenge: &[u8], now: Timestamp) -> bool {
        let until = now.plus_micros(i64::from(CHALLENGE_SECONDS) * 1_000_000);
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.retain(|_, until| now < *until);
        spent.insert(sha256(&[challenge]), until).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn a_challenge_is_for_one_purpose_for_five_minutes_and_once() {
        let challenges = Challenges::new().unwrap();
        let challenge = challenges.make(Purpose::Link("code"), b"anna", NOW).unwrap();
        let at = |seconds: i64| NOW.plus_micros(seconds * 1_000_000);
        let note = |purpose, now| challenges.note(purpose, &challenge, now);
        assert_eq!(note(Purpose::Link("code"), at(299)).as_deref(), Some(b"anna".as_slice()));
        assert_eq!(note(Purpose::Link("code"), at(300)), None);
        assert_eq!(note(Purpose::Link("other"), NOW), None);
        assert_eq!(note(Purpose::Passkey("code"), NOW), None);
        assert_eq!(note(Purpose::SignIn, NOW), None);
        assert_eq!(Challenges::new().unwrap().note(Purpose::Link("code"), &challenge, NOW), None);
        assert!(challenges.spend(&challenge, NOW));
        assert!(!challenges.spend(&challenge, NOW));
        assert_eq!(note(Purpose::Link("code"), NOW), None);
    }

    #[test]
    fn what_was_answered_is_forgotten_when_its_time_is_over() {
        let challenges = Challenges::new().unwrap();
        for n in 0..100 {
            let now = NOW.plus_micros(n * 10_000_000);
            let challenge = challenges.make(Purpose::SignIn, b"", now).unwrap();
            assert!(challenges.spend(&challenge, now));
        }
        assert!(challenges.spent.lock().unwrap().len() <= 31);
    }
}
