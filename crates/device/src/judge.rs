//! Whether a message is a command that a device may begin: form, signature, id, what it knows already, audience and time, in
//! this order. What comes after that, only the thing knows. Pure, and the one place where it is decided: on chips and hosts.

use thingward_crypto::{Digest, VerifyingKey};
use thingward_grant::Time;
use thingward_model::Timestamp;
use thingward_seal::FormatError;
use thingward_seal::command::{self, Audience, CommandId, Refusal, SignedCommand, VerifiedCommand, digest};

use crate::verdict::Verdict;

/// A message of whoever may command a device. Only [`Authentic::of`] makes one.
#[derive(Clone, Copy)]
pub struct Authentic<'m>(&'m [u8]);

/// What such a message says.
pub struct Authenticated<'m>(SignedCommand<'m>);

/// What a device holds commands against.
#[derive(Clone, Copy)]
pub struct Judge<'d> {
    /// Who it is.
    pub audience: Audience<'d>,
    /// What it knows of the time.
    pub time: Time,
    /// The latest issue of any command that came timely: it is at least that late.
    pub mark: Timestamp,
}

/// What a command is to a device.
pub enum Judged<'c, 'm> {
    /// It may begin when the thing takes it.
    Good(Good<'c, 'm>),
    /// Its id had its word before, or waits for it.
    Known,
    /// It is refused.
    Refused {
        /// Why.
        reason: Refusal,
        /// How long that has to be remembered; `None` when it comes out the same each time.
        until: Option<Timestamp>,
    },
    /// It has to come again: the time is not known well enough to tell, or a fault came between.
    Unsure,
}

/// A command of the service, for this device, in its time, and new. Only [`Judge::judge`] makes one.
pub struct Good<'c, 'm>(&'c VerifiedCommand<'m>);

impl<'c, 'm> Good<'c, 'm> {
    /// The command, with what belongs to it.
    #[must_use]
    pub const fn verified(self) -> &'c VerifiedCommand<'m> {
        self.0
    }
}

impl<'m> Authentic<'m> {
    /// Whether a message is a command that the holder of `key` signed. By itself: a chip has no room for what a command says
    /// while it verifies.
    ///
    /// # Errors
    ///
    /// A refusal of the message.
    #[inline(never)]
    pub fn of(message: &'m [u8], key: Option<&VerifyingKey>) -> Result<Self, Refusal> {
        let verified = match key {
            Some(key) => command::verify(message, key),
            None => command::is_command(message),
        };
        let is_authentic = Verdict::of(|| verified.is_ok() && key.is_some());
        match verified {
            Err(FormatError::UnknownVersion) => Err(Refusal::UnknownVersion),
            Err(FormatError::Crypto) => Err(Refusal::WrongSigner),
            Err(_) => Err(Refusal::Malformed),
            Ok(()) if key.is_none() => Err(Refusal::NoCommandKey),
            Ok(()) if !is_authentic.is_good() => Err(Refusal::WrongSigner),
            Ok(()) => Ok(Self(message)),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// None, but for a fault.
    #[inline(never)]
    pub fn read(self) -> Result<Authenticated<'m>, Refusal> {
        SignedCommand::decode(self.0).map(Authenticated).map_err(|_| Refusal::Malformed)
    }
}

impl Authenticated<'_> {
    /// What names the command.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(self.0.claimed_unverified().canonical)
    }
}

impl Judge<'_> {
    /// Judges what came under `id`; `is_new` is whether that is the id of nothing that the device knows.
    ///
    /// # Errors
    ///
    /// A refusal of the message: the command has another id.
    #[inline(never)]
    pub fn judge<'c, 'm>(
        &self,
        id: &CommandId,
        Authenticated(signed): &'c Authenticated<'m>,
        is_new: Verdict,
    ) -> Result<Judged<'c, 'm>, Refusal> {
        let verified = signed.claimed_unverified();
        let command = &verified.command;
        if command.id != *id {
            return Err(Refusal::Malformed);
        }
        if !is_new.is_good() {
            return Ok(Judged::Known);
        }
        let Time::Between { earliest, latest } = self.time else { return Ok(Judged::Unsure) };
        let at = |now| command.check(&self.audience, now, self.mark);
        let is_timely = Verdict::of(|| at(earliest).is_ok() && at(latest).is_ok());
        Ok(match at(earliest) {
            Err(reason) if at(latest) == Err(reason) => {
                // What is over by the mark stays so without being remembered.
                let is_binding = reason != Refusal::WrongAudience && command.expires > self.mark;
                let until = is_binding.then_some(command.expires);
                Judged::Refused { reason, until }
            }
            Ok(()) if is_timely.is_good() => Judged::Good(Good(verified)),
            _ => Judged::Unsure,
        })
    }
}

// Not under Miri, where a signature takes half a minute.
#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::vec::Vec;

    use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};
    use thingward_seal::command::{CLOCK_SKEW_MAX_MICROS, Command, Data};

    use super::*;

    const ISSUED: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const SECOND: i64 = 1_000_000;

    fn key(seed: u8) -> SoftwareKey {
        SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[seed; 32]).unwrap()
    }

    /// For the lamp, for a minute.
    fn message() -> Vec<u8> {
        let command = Command {
            tenant: "acme".parse().unwrap(),
            device: "lamp-1".parse().unwrap(),
            id: [1; 16],
            action: "switch".parse().unwrap(),
            input: Data::NOTHING,
            issued: ISSUED,
            expires: ISSUED.plus_micros(60 * SECOND),
            actor: "user/1",
        };
        let (mut canonical, mut out) = ([0; 1024], [0; 3200]);
        let len = command.encode(&mut canonical).unwrap();
        let len = command::sign(&key(1), &canonical[..len], None, None, &mut out).unwrap();
        out[..len].to_vec()
    }

    const fn between(earliest: i64, latest: i64) -> Time {
        Time::Between { earliest: ISSUED.plus_micros(earliest), latest: ISSUED.plus_micros(latest) }
    }

    /// What it is to a device: a word, and how long that is to be remembered, in seconds from its issue.
    #[track_caller]
    fn judged(device: &str, id: u8, is_new: bool, time: Time, mark: i64) -> (&'static str, Option<i64>) {
        let (message, key, tenant) = (message(), key(1), "acme".parse().unwrap());
        let command = Authentic::of(&message, Some(key.public_key())).unwrap().read().unwrap();
        let audience = Audience { tenant: &tenant, device: &device.parse().unwrap() };
        let judge = Judge { audience, time, mark: ISSUED.plus_micros(mark) };
        match judge.judge(&[id; 16], &command, Verdict::of(|| is_new)) {
            Ok(Judged::Good(good)) => {
                assert_eq!(good.verified().command.id, [id; 16]);
                ("good", None)
            }
            Ok(Judged::Known) => ("known", None),
            Ok(Judged::Unsure) => ("unsure", None),
            Ok(Judged::Refused { reason, until }) => {
                (reason.as_str(), until.map(|until| until.micros_since(ISSUED) / SECOND))
            }
            Err(reason) => (reason.as_str(), None),
        }
    }

    #[test]
    fn a_message_is_judged_in_the_order_of_the_document() {
        let now = between(0, 0);
        let mark = -3600 * SECOND;
        assert_eq!(judged("lamp-1", 1, true, now, mark), ("good", None));
        // A command with everything wrong, and one fault less each time.
        let late = between(60 * SECOND, 60 * SECOND);
        assert_eq!(judged("lamp-2", 2, false, late, mark), ("malformed", None));
        assert_eq!(judged("lamp-2", 1, false, late, mark), ("known", None));
        assert_eq!(judged("lamp-2", 1, true, late, mark), ("wrong-audience", None));
        assert_eq!(judged("lamp-1", 1, true, late, mark), ("expired", Some(60)));
    }

    #[test]
    fn what_is_over_by_the_mark_needs_no_remembering() {
        assert_eq!(judged("lamp-1", 1, true, between(0, 0), 60 * SECOND), ("expired", None));
        assert_eq!(judged("lamp-1", 1, true, between(0, 0), 60 * SECOND - 1), ("good", None));
    }

    #[test]
    fn nothing_is_said_of_a_command_that_depends_on_a_time_that_is_not_known() {
        let (skew, mark) = (CLOCK_SKEW_MAX_MICROS, -3600 * SECOND);
        for (time, word) in [
            (Time::Unknown, "unsure"),
            (Time::AtLeast(ISSUED), "unsure"),
            (between(0, 60 * SECOND - 1), "good"),
            (between(0, 60 * SECOND), "unsure"),
            (between(60 * SECOND, 3600 * SECOND), "expired"),
            (between(-skew, 0), "good"),
            (between(-skew - 1, 0), "unsure"),
            (between(-skew - 1, 60 * SECOND), "unsure"),
            (between(-skew - 2, -skew - 1), "not-yet-valid"),
        ] {
            assert_eq!(judged("lamp-1", 1, true, time, mark).0, word, "{time:?}");
        }
    }

    #[test]
    fn a_message_is_authentic_by_the_one_key_and_says_what_is_wrong_with_it() {
        let message = message();
        let of = |message: &[u8], key: Option<&SoftwareKey>| {
            Authentic::of(message, key.map(Signer::public_key)).map(drop)
        };
        assert_eq!(of(&message, Some(&key(1))), Ok(()));
        assert_eq!(of(&message, Some(&key(2))), Err(Refusal::WrongSigner));
        assert_eq!(of(&message, None), Err(Refusal::NoCommandKey));
        assert_eq!(of(&message[1..], None), Err(Refusal::Malformed));
        assert_eq!(of(&message[1..], Some(&key(1))), Err(Refusal::Malformed));
    }
}
