//! Commands: what the service tells the device to do, and what the device answers.

use thingward_crypto::{Digest, sha256};
use thingward_seal::FormatError;
use thingward_seal::command::{
    Audience, Data, Outcome, REPLY_BYTES_MAX, Refusal, Reply, SignedCommand, VerifiedCommand, digest,
};

use super::{Answer, Device, Member, Refused, StartError};
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
    pub(super) fn command(&mut self, body: &[u8], out: &mut [u8]) -> Answer {
        let (id, message) = body.split_first_chunk::<16>().ok_or(Failure::Malformed)?;
        match self.judge(id, message)? {
            Judged::Known => Ok(0),
            Judged::Refused(digest, reason) => {
                let outcome = Outcome::Refused { reason, text: "" };
                self.reply(EntryKind::Reply, *id, digest, outcome, out)?;
                Ok(0)
            }
            Judged::Good(digest, command) => {
                let mut book = self.book.clone();
                if !book.remember(*id, command.command.expires) {
                    return Err(Failure::Busy.into());
                }
                book.mark = book.mark.max(command.command.issued);
                book.running = Some(Running { id: *id, digest, is_use: false });
                self.keep(book)?;
                let call = Call::of_command(command.command.action.as_str(), command.command.input);
                self.perform(EntryKind::Reply, *id, digest, &call, out)?;
                Ok(0)
            }
        }
    }

    #[inline(never)]
    fn judge<'m>(&mut self, id: &Id, message: &'m [u8]) -> Result<Judged<'m>, Refused> {
        let Member { join, command_key, .. } = self.member.as_ref().ok_or(Failure::NotJoined)?;
        let stranger = |reason| Ok(Judged::Refused(sha256(&[message]), reason));
        let signed = match SignedCommand::decode(message) {
            Ok(signed) => signed,
            Err(FormatError::UnknownVersion) => return stranger(Refusal::UnknownVersion),
            Err(_) => return stranger(Refusal::Malformed),
        };
        let Some(key) = command_key else { return stranger(Refusal::NoCommandKey) };
        let verified = signed.verify(key);
        if !Verdict::of(|| verified.is_ok()).is_good() {
            return stranger(Refusal::WrongSigner);
        }
        let Ok(verified) = verified else { return stranger(Refusal::WrongSigner) };
        let command = &verified.command;
        if command.id != *id {
            return stranger(Refusal::Malformed);
        }
        if self.book.knows(id) {
            return Ok(Judged::Known);
        }
        let audience = Audience { tenant: join.tenant, device: join.device };
        // Without a time nothing can be said of a command, and the gateway brings one.
        let now = self.clock.now().ok_or(Failure::NoTime)?;
        let mark = self.book.mark;
        let checked = Verdict::of(|| command.check(&audience, now, mark).is_ok());
        let digest = digest(verified.canonical);
        match command.check(&audience, now, mark) {
            Err(Refusal::WrongAudience) => return Ok(Judged::Refused(digest, Refusal::WrongAudience)),
            Err(reason) => return self.refuse(&verified, digest, reason),
            Ok(()) if !checked.is_good() => return Err(Failure::Busy.into()),
            Ok(()) => {}
        }
        let call = Call::of_command(command.action.as_str(), command.input);
        if let Err(reason) = self.thing.check(&call) {
            return self.refuse(&verified, digest, reason);
        }
        if self.book.has_room() { Ok(Judged::Good(digest, verified)) } else { Err(Failure::Busy.into()) }
    }

    /// The device's one word on a command of the service.
    fn refuse<'m>(
        &mut self,
        verified: &VerifiedCommand<'m>,
        digest: Digest,
        reason: Refusal,
    ) -> Result<Judged<'m>, Refused> {
        let mut book = self.book.clone();
        if !book.remember(verified.command.id, verified.command.expires) {
            return Err(Failure::Busy.into());
        }
        self.keep(book)?;
        Ok(Judged::Refused(digest, reason))
    }

    /// Does what was begun, and makes the answer durable; its length in `out`.
    pub(super) fn perform(
        &mut self,
        kind: EntryKind,
        id: Id,
        digest: Digest,
        call: &Call<'_>,
        out: &mut [u8],
    ) -> Answer {
        let outcome = match self.thing.perform(call) {
            Ok(()) => Outcome::Done(Data::NOTHING),
            Err(text) => Outcome::Failed { text },
        };
        let len = self.reply(kind, id, digest, outcome, out)?;
        let mut book = self.book.clone();
        book.running = None;
        self.keep(book)?;
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
        let mut book = self.book.clone();
        book.running = None;
        Ok(self.keep(book)?)
    }
}

/// What a message is to the device.
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one step; there is no heap to box it on"
)]
enum Judged<'m> {
    Good(Digest, VerifiedCommand<'m>),
    Refused(Digest, Refusal),
    /// It has had its word.
    Known,
}
