//! Commands: what the service tells the device to do, and what the device answers.

use thingward_crypto::{Digest, sha256};
use thingward_model::ActionName;
use thingward_seal::FormatError;
use thingward_seal::command::{
    self, Audience, Command, Data, Outcome, REPLY_BYTES_MAX, Refusal, Reply, SignedCommand, VerifiedCommand,
    digest,
};

use super::{Answer, Device, Refused, StartError, verifying_key};
use crate::book::Running;
use crate::keys::KeyStore;
use crate::link::Failure;
use crate::spool::EntryKind;
use crate::store::Flash;
use crate::thing::{Call, Thing};
use crate::verdict::Verdict;

type Id = [u8; 16];

impl<K: KeyStore, F: Flash, T: Thing> Device<K, F, T> {
    /// A command came. It is set down as begun before it is begun, and its reply is durable before this returns.
    pub(super) fn command(&mut self, room: &mut [u8], len: usize) -> Answer {
        let body = room.get(..len).unwrap_or_default();
        let (&id, message) = body.split_first_chunk::<16>().ok_or(Failure::Malformed)?;
        let (digest, outcome) = match self.judge(&id, message)? {
            Judged::Known => return Ok(0),
            Judged::Refused(digest, reason) => {
                self.reply(EntryKind::Reply, id, digest, Outcome::Refused { reason, text: "" }, room)?;
                return Ok(0);
            }
            Judged::Good { digest, action, input } => {
                self.book.running = Some(Running { id, digest, is_use: false });
                self.keep()?;
                (digest, self.perform(&Call::of_command(action.as_str(), input)))
            }
        };
        self.conclude(EntryKind::Reply, id, digest, outcome, room)?;
        Ok(0)
    }

    #[inline(never)]
    fn judge<'m>(&mut self, id: &Id, message: &'m [u8]) -> Result<Judged<'m>, Refused> {
        if let Err(reason) = self.authenticate(message)? {
            return Ok(Judged::Refused(sha256(&[message]), reason));
        }
        self.judge_command(id, message)
    }

    /// Whether it is a command of whose this device takes.
    #[inline(never)]
    fn authenticate(&self, message: &[u8]) -> Result<Result<(), Refusal>, Refused> {
        let join = self.member.as_ref().ok_or(Failure::NotJoined)?;
        let key = verifying_key(&join.command_key);
        let verified = match &key {
            Some(key) => command::verify(message, key),
            None => SignedCommand::decode(message).map(drop),
        };
        let verdict = Verdict::of(|| verified.is_ok() && key.is_some());
        Ok(match verified {
            Err(FormatError::UnknownVersion) => Err(Refusal::UnknownVersion),
            Err(FormatError::Crypto) => Err(Refusal::WrongSigner),
            Err(_) => Err(Refusal::Malformed),
            Ok(()) if key.is_none() => Err(Refusal::NoCommandKey),
            Ok(()) if !verdict.is_good() => Err(Refusal::WrongSigner),
            Ok(()) => Ok(()),
        })
    }

    /// Of a message that was authenticated.
    #[inline(never)]
    fn judge_command<'m>(&mut self, id: &Id, message: &'m [u8]) -> Result<Judged<'m>, Refused> {
        let signed = SignedCommand::decode(message).map_err(|_| Failure::Malformed)?;
        let VerifiedCommand { command, canonical, .. } = signed.claimed_unverified();
        let join = self.member.as_ref().ok_or(Failure::NotJoined)?;
        if command.id != *id {
            return Ok(Judged::Refused(sha256(&[message]), Refusal::Malformed));
        }
        if self.book.knows(id) {
            return Ok(Judged::Known);
        }
        let audience = Audience { tenant: join.tenant, device: join.device };
        // Without a time nothing can be said of a command, and the gateway brings one.
        let now = self.clock.now().ok_or(Failure::NoTime)?;
        let mark = self.book.mark;
        let checked = Verdict::of(|| command.check(&audience, now, mark).is_ok());
        let digest = digest(canonical);
        match command.check(&audience, now, mark) {
            Err(Refusal::WrongAudience) => return Ok(Judged::Refused(digest, Refusal::WrongAudience)),
            Err(reason) => return self.refuse(command, digest, reason),
            Ok(()) if !checked.is_good() => return Err(Failure::Busy.into()),
            Ok(()) => {}
        }
        let call = Call::of_command(command.action.as_str(), command.input);
        if let Err(reason) = self.thing.check(&call) {
            return self.refuse(command, digest, reason);
        }
        if !self.book.remember(*id, command.expires) {
            return Err(Failure::Busy.into());
        }
        self.book.mark = self.book.mark.max(command.issued);
        Ok(Judged::Good { digest, action: command.action, input: command.input })
    }

    /// The device's one word on a command of the service.
    fn refuse<'m>(
        &mut self,
        command: &Command<'m>,
        digest: Digest,
        reason: Refusal,
    ) -> Result<Judged<'m>, Refused> {
        if !self.book.remember(command.id, command.expires) {
            return Err(Failure::Busy.into());
        }
        self.keep()?;
        Ok(Judged::Refused(digest, reason))
    }

    /// Does what was begun.
    pub(super) fn perform(&mut self, call: &Call<'_>) -> Outcome<'static> {
        match self.thing.perform(call) {
            Ok(()) => Outcome::Done(Data::NOTHING),
            Err(text) => Outcome::Failed { text },
        }
    }

    /// Makes the answer to what was begun durable; its length in `out`.
    pub(super) fn conclude(
        &mut self,
        kind: EntryKind,
        id: Id,
        digest: Digest,
        outcome: Outcome<'_>,
        out: &mut [u8],
    ) -> Answer {
        let len = self.reply(kind, id, digest, outcome, out)?;
        self.book.running = None;
        self.keep()?;
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
        let state = self.chain_state();
        let message = out.get(..len).unwrap_or_default();
        self.spool.push(&mut self.store, kind, &id, &state, &[message])?;
        Ok(len)
    }

    /// What was begun when power went is answered as interrupted, and not done again.
    #[inline(never)]
    pub(super) fn end_interrupted(&mut self) -> Result<(), StartError> {
        let Some(Running { id, digest, is_use }) = self.book.running else { return Ok(()) };
        let kind = if is_use { EntryKind::Use } else { EntryKind::Reply };
        if !self.is_answered(&id)? {
            let mut out = [0; REPLY_BYTES_MAX];
            self.reply(kind, id, digest, Outcome::Interrupted, &mut out).map_err(|_| StartError::Memory)?;
        }
        self.book.running = None;
        Ok(self.keep()?)
    }
}

/// What a message is to the device.
enum Judged<'m> {
    /// It is remembered, which is to be kept, and may begin.
    Good {
        digest: Digest,
        action: ActionName,
        input: Data<'m>,
    },
    Refused(Digest, Refusal),
    /// It has had its word.
    Known,
}
