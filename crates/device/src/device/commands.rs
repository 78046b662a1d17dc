//! Commands: what the service tells the device to do, and what the device answers.

use thingward_crypto::{Digest, sha256};
use thingward_model::{ActionName, Timestamp};
use thingward_seal::command::{Audience, Data, Outcome, Refusal, Reply};

use super::{Answer, Device, Refused, state_of, verifying_key};
use crate::book::{Begun, Running};
use crate::judge::{Authentic, Judge, Judged};
use crate::keys::KeyStore;
use crate::link::Failure;
use crate::spool::{ANSWER_BYTES_MAX, EntryKind, FAILURE_BYTES_MAX, PushError};
use crate::store::{Flash, FlashError};
use crate::thing::{Call, Thing};
use crate::verdict::Verdict;

type Id = [u8; 16];

impl<K: KeyStore, F: Flash, T: Thing> Device<K, F, T> {
    /// A command came. It is set down as begun before it is begun, and its reply is durable before this returns.
    pub(super) fn command(&mut self, room: &mut [u8], len: usize) -> Answer {
        let body = room.get(..len).unwrap_or_default();
        let (&id, message) = body.split_first_chunk::<16>().ok_or(Failure::Malformed)?;
        // Before anything is remembered: whoever asks again has an answer then.
        self.make_ready_for(EntryKind::Reply, ANSWER_BYTES_MAX)?;
        let (digest, outcome) = match self.judge(&id, message)? {
            Next::Nothing => return Ok(0),
            Next::Refuse(digest, reason) => {
                let digest = digest.unwrap_or_else(|| sha256(&[message]));
                self.conclude(EntryKind::Reply, id, digest, refused(reason), room)?;
                return Ok(0);
            }
            Next::Begin { digest, action, input } => {
                self.begin(id, digest, Begun::Command)?;
                (digest, self.thing.perform(&Call::of_command(action.as_str(), input)))
            }
        };
        self.conclude(EntryKind::Reply, id, digest, outcome_of::<T>(&outcome), room)?;
        Ok(0)
    }

    /// Sets down, with what is remembered of it, that something is begun and has no answer yet.
    #[inline(never)]
    pub(super) fn begin(&mut self, id: Id, digest: Digest, what: Begun) -> Result<(), FlashError> {
        self.book.running = Some(Running { id, digest, what });
        self.keep()
    }

    /// Something is begun when nothing else waits for its answer, and there is room for what it leaves.
    #[inline(never)]
    pub(super) fn make_ready_for(&mut self, kind: EntryKind, len: usize) -> Result<(), PushError> {
        if self.book.running.is_some() { Err(PushError::Full) } else { self.make_room(kind, len) }
    }

    #[inline(never)]
    fn make_room(&mut self, kind: EntryKind, len: usize) -> Result<(), PushError> {
        let state = state_of(&self.chain);
        self.spool.make_room(&mut self.store, kind, len, &state)
    }

    #[inline(never)]
    fn judge<'m>(&mut self, id: &Id, message: &'m [u8]) -> Result<Next<'m>, Refused> {
        match self.authenticate(message)? {
            Ok(authentic) => self.judge_authentic(id, authentic),
            Err(reason) => Ok(Next::Refuse(None, reason)),
        }
    }

    #[inline(never)]
    fn authenticate<'m>(&self, message: &'m [u8]) -> Result<Result<Authentic<'m>, Refusal>, Failure> {
        let join = self.member.as_ref().ok_or(Failure::NotJoined)?;
        Ok(Authentic::of(message, verifying_key(&join.command_key).as_ref()))
    }

    /// A command is remembered, which is durable with what comes of it. A refusal that is remembered counts as begun until it is
    /// said: power may go in between.
    #[inline(never)]
    fn judge_authentic<'m>(&mut self, id: &Id, authentic: Authentic<'m>) -> Result<Next<'m>, Refused> {
        let read = authentic.read();
        let authenticated = read.as_ref().map_err(|_| Failure::Malformed)?;
        let join = self.member.as_ref().ok_or(Failure::NotJoined)?;
        let judge = Judge {
            audience: Audience { tenant: &join.tenant, device: &join.device },
            time: self.clock.time(),
            mark: self.book.mark,
        };
        let command = match judge.judge(id, authenticated, Verdict::of(|| !self.book.knows(id))) {
            Err(reason) => return Ok(Next::Refuse(None, reason)),
            // The gateway brings the time, and asks again.
            Ok(Judged::Unsure) => return Err(Failure::NoTime.into()),
            Ok(Judged::Known) => return Ok(Next::Nothing),
            Ok(Judged::Refused { reason, until }) => {
                let digest = authenticated.digest();
                if let Some(expires) = until {
                    self.remember(id, [expires, self.time()])?;
                    self.begin(*id, digest, Begun::Refusal(reason))?;
                }
                return Ok(Next::Refuse(Some(digest), reason));
            }
            Ok(Judged::Good(good)) => &good.verified().command,
        };
        self.remember(id, [command.expires, self.time().max(command.issued)])?;
        let (digest, action, input) = (authenticated.digest(), command.action, command.input);
        if let Err(reason) = self.thing.check(&Call::of_command(action.as_str(), input)) {
            self.begin(*id, digest, Begun::Refusal(reason))?;
            return Ok(Next::Refuse(Some(digest), reason));
        }
        Ok(Next::Begin { digest, action, input })
    }

    /// Two times are one argument: what does not fit the registers of an AVR is misread on a large one.
    fn remember(&mut self, id: &Id, times: [Timestamp; 2]) -> Result<(), Failure> {
        if self.book.remember(*id, times) { Ok(()) } else { Err(Failure::Busy) }
    }

    /// Makes an answer durable, and with it the end of what was begun; its length in `out`.
    pub(super) fn conclude(
        &mut self,
        kind: EntryKind,
        id: Id,
        digest: Digest,
        outcome: Outcome<'_>,
        out: &mut [u8],
    ) -> Answer {
        let len = self.reply(kind, id, digest, outcome, out)?;
        if self.book.running.take().is_some() {
            self.keep()?;
        }
        Ok(len)
    }

    /// Signs a reply into `out` and makes it durable; its length.
    #[inline(never)]
    fn reply(
        &mut self,
        kind: EntryKind,
        id: Id,
        command: Digest,
        outcome: Outcome<'_>,
        out: &mut [u8],
    ) -> Answer {
        let reply = Reply { id, command, time: self.time(), outcome };
        let len = reply.sign(&self.keys, out).map_err(|_| Failure::Busy)?;
        let state = state_of(&self.chain);
        let message = out.get(..len).unwrap_or_default();
        self.spool.push(&mut self.store, kind, &id, &state, &[message])?;
        Ok(len)
    }

    /// What was begun when power went is answered as interrupted, and not done again; a refusal is said. Without room for the
    /// answer it stays begun until a poll has made some.
    #[inline(never)]
    pub(super) fn end_interrupted(&mut self) -> Result<(), FlashError> {
        let Some(Running { id, digest, what }) = self.book.running else { return Ok(()) };
        let (kind, outcome) = match what {
            Begun::Command => (EntryKind::Reply, Outcome::Interrupted),
            Begun::Use => (EntryKind::Use, Outcome::Interrupted),
            Begun::Refusal(reason) => (EntryKind::Reply, refused(reason)),
        };
        if !self.is_answered(&id)? {
            if self.make_room(kind, ANSWER_BYTES_MAX).is_err() {
                return Ok(());
            }
            let mut out = [0; ANSWER_BYTES_MAX];
            self.reply(kind, id, digest, outcome, &mut out).map_err(|_| FlashError)?;
        }
        self.book.running = None;
        self.keep()
    }
}

const fn refused(reason: Refusal) -> Outcome<'static> {
    Outcome::Refused { reason, text: "" }
}

/// What was done, as it is told.
pub(super) fn outcome_of<T: Thing>(done: &Result<(), T::Failure>) -> Outcome<'_> {
    match done {
        Ok(()) => Outcome::Done(Data::NOTHING),
        Err(failure) => {
            let text = failure.as_ref();
            Outcome::Failed {
                text: text.get(..text.floor_char_boundary(FAILURE_BYTES_MAX)).unwrap_or_default(),
            }
        }
    }
}

/// What becomes of a message.
enum Next<'m> {
    /// It is remembered, and begins once that is durable.
    Begin { digest: Digest, action: ActionName, input: Data<'m> },
    /// The command of this digest, or the message as a whole.
    Refuse(Option<Digest>, Refusal),
    /// It has had its word.
    Nothing,
}
