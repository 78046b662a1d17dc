//! A gateway and the chip at the other end of a line, from hello to the end of the line.

use std::convert::Infallible;
use std::time::Duration;

use rand_core::Rng;
use thingward_crypto::{VerifyingKey, system_rng};
use thingward_device::link::{
    FRAME_OVERHEAD_BYTES, Failure, Hello, JOIN_BYTES_MAX, Join, Kind, Outgoing, Pending, hello_message,
};
use thingward_grant::Nonce;
use thingward_model::StreamName;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::line::{AskError, Line, Stream};
use super::office::{NotTaken, Office, OfficeError};
use super::record::Record;
use crate::core::ChildCommand;

/// Most messages that are taken before others have their turn.
const MESSAGES_AT_ONCE: usize = 64;
/// How long until what the service did not give is asked for again.
const AGAIN: Duration = Duration::from_secs(10);

/// How often what is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// The chip is asked for messages.
    pub(super) poll: Duration,
    /// It is asked who it is, and told the time: one that lost power unnoticed has no time.
    pub(super) look: Duration,
    /// Its certificate is looked at, and it is told what was taken back.
    pub(super) keep: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { poll: Duration::from_secs(1), look: Duration::from_secs(60), keep: Duration::from_secs(3600) }
    }
}

/// What others have for the chip. Commands wait while it is away.
pub(super) struct Errands {
    pub(super) commands: mpsc::Receiver<ChildCommand>,
    pub(super) visits: mpsc::Receiver<Visit>,
    /// The way for visitors.
    pub(super) visitors: mpsc::Sender<Visit>,
}

/// What a chip says to a question, or why it does not do it, with the word of the grants' list behind.
pub(crate) type Told = Result<Vec<u8>, (Failure, u8)>;

/// Somebody asks the chip something, who does not wait for long: a visitor, or the service.
pub(crate) struct Visit {
    /// Only [`Kind::Nonce`], [`Kind::Use`] and [`Kind::Revocation`] are for visitors.
    pub(crate) kind: Kind,
    pub(crate) body: Vec<u8>,
    pub(crate) answer: oneshot::Sender<Told>,
}

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The line, or the chip on it, does not work.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// What is there speaks in another way.
    #[error("what is on the line is no chip that this gateway knows how to speak with")]
    Unknown,
    /// What is there has not the key that it says.
    #[error("what is on the line does not prove its key")]
    Unproved,
    /// It is a member already, and another one.
    #[error("the chip is a member elsewhere, or under another name, for good")]
    Elsewhere,
    /// It is not enrolled.
    #[error("the chip is not enrolled: {0}")]
    NotEnrolled(#[from] OfficeError),
    /// Its certificate is revoked.
    #[error("the chip's membership is revoked")]
    Revoked,
    /// Somebody opened its casing.
    #[error("the chip has destroyed its keys: its casing was opened, or somebody attached a debugger")]
    Destroyed,
    /// The gateway stops.
    #[error("the gateway stops")]
    Stopping,
}

/// See the module.
pub(super) struct Conversation<'o, S, O> {
    line: Line<S>,
    office: &'o mut O,
    timing: Timing,
    frame_bytes_max: usize,
    /// Up to which message all are durable, as long as the chip has not heard of it.
    safe: u32,
    look_at: Instant,
    keep_at: Instant,
}

impl<'o, S: Stream, O: Office> Conversation<'o, S, O> {
    pub(super) fn new(stream: S, office: &'o mut O, timing: Timing) -> Self {
        let now = Instant::now();
        let (line, frame_bytes_max) = (Line::new(stream), 0);
        Self { line, office, timing, frame_bytes_max, safe: 0, look_at: now, keep_at: now }
    }

    /// Speaks with the chip until that has an end. `met` is called once it is known who it is.
    pub(super) async fn run(&mut self, errands: &mut Errands, met: impl FnOnce(&Record)) -> End {
        match self.converse(errands, met).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn converse(
        &mut self,
        errands: &mut Errands,
        met: impl FnOnce(&Record),
    ) -> Result<Infallible, End> {
        self.look_after().await?;
        if let Some(record) = self.office.record() {
            met(record);
        }
        if let Some(description) = self.office.description() {
            // When there is no room for it now, the next start of the line brings it.
            let _ = self.office.deliver("devices/me/state/description".to_owned(), description).await;
        }
        loop {
            self.collect().await?;
            tokio::select! {
                command = errands.commands.recv() => self.command(command.ok_or(End::Stopping)?).await?,
                visit = errands.visits.recv() => self.visit(visit.ok_or(End::Stopping)?).await?,
                () = tokio::time::sleep(self.timing.poll) => {}
            }
            self.look_after().await?;
        }
    }

    async fn look_after(&mut self) -> Result<(), End> {
        if self.line.take_was_late() || Instant::now() >= self.look_at {
            self.greet().await?;
            let pause = if self.bring_time().await? { self.timing.look } else { AGAIN.min(self.timing.look) };
            self.look_at = Instant::now() + pause;
        }
        if Instant::now() >= self.keep_at {
            self.renew().await?;
            let pause = if self.bring_revocation().await? { self.timing.keep } else { self.timing.look };
            self.keep_at = Instant::now() + pause;
        }
        Ok(())
    }

    /// Who is there? That has to be proved. One that nobody knows is enrolled; one that has forgotten what it is a member of
    /// is told.
    async fn greet(&mut self) -> Result<(), End> {
        let mut nonce = [0; 32];
        system_rng().fill_bytes(&mut nonce);
        let answer = match self.line.ask(Kind::Hello, &nonce).await {
            Err(AskError::Failed(Failure::Destroyed, ..)) => return Err(self.last_words().await),
            answer => answer?,
        };
        let hello = Hello::read(&answer).ok_or(End::Unknown)?;
        let key = VerifyingKey::from_ed25519(&hello.public_key).map_err(|_| End::Unproved)?;
        key.verify(&hello_message(&nonce), &hello.signature).map_err(|_| End::Unproved)?;
        self.frame_bytes_max = usize::from(hello.frame_bytes_max);
        if let Some(record) = self.office.record().filter(|record| record.leaf.key == key) {
            let join = record.join;
            return if hello.is_joined { Ok(()) } else { self.join(&join).await };
        }
        let request = self.line.ask(Kind::Request, &[]).await?;
        let record = self.office.enrol(&key, &request).await?;
        // What the gateway knows as its chip has to know it too.
        self.join(&record.join).await?;
        Ok(self.office.keep(record).await?)
    }

    async fn join(&mut self, join: &Join) -> Result<(), End> {
        let mut room = [0; JOIN_BYTES_MAX];
        let len = join.write(&mut room).ok_or(End::Unknown)?;
        match self.line.ask(Kind::Join, room.get(..len).unwrap_or_default()).await {
            Ok(_) => Ok(()),
            Err(AskError::Failed(Failure::Joined, ..)) => Err(End::Elsewhere),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the chip knows the time now.
    async fn bring_time(&mut self) -> Result<bool, End> {
        let asked = self.line.ask(Kind::Question, &[]).await?;
        let nonce: Nonce = asked.as_slice().try_into().map_err(|_| End::Unknown)?;
        let Some(beacon) = self.office.time(nonce).await else { return Ok(false) };
        Ok(self.done(Kind::Beacon, &beacon).await?.is_ok())
    }

    /// Whether the service said what was taken back. A chip without a key for grants refuses it.
    async fn bring_revocation(&mut self) -> Result<bool, End> {
        let Some(revocation) = self.office.revocation().await else { return Ok(false) };
        let _ = self.done(Kind::Revocation, &revocation).await?;
        Ok(true)
    }

    async fn renew(&mut self) -> Result<(), End> {
        if self.office.is_renewal_due() {
            let request = self.line.ask(Kind::Request, &[]).await?;
            self.office.renew(&request).await;
        }
        Ok(())
    }

    /// Asks for something that the chip may refuse.
    async fn done(&mut self, kind: Kind, body: &[u8]) -> Result<Told, AskError> {
        if body.len() + FRAME_OVERHEAD_BYTES > self.frame_bytes_max {
            tracing::warn!(chip = %self.office.name(), ?kind, "the chip has no room for so large a frame");
            return Ok(Err((Failure::Malformed, 0)));
        }
        match self.line.ask(kind, body).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(AskError::Failed(failure, _, word)) => {
                tracing::info!(chip = %self.office.name(), ?kind, ?failure, word, "the chip refuses");
                Ok(Err((failure, word)))
            }
            Err(error) => Err(error),
        }
    }

    /// Takes what waits. The chip hears that a message is safe once it is durable here.
    async fn collect(&mut self) -> Result<(), End> {
        for _ in 0..MESSAGES_AT_ONCE {
            let answer = self.done(Kind::Poll, &self.safe.to_be_bytes()).await?;
            let Ok(answer) = answer else { return Ok(()) };
            // From here on nothing is said to be safe that was not asked for since: the chip may be another one.
            self.safe = 0;
            if answer.is_empty() {
                return Ok(());
            }
            let message = Outgoing::read(&answer).ok_or(End::Unknown)?;
            match self.hand_in(&message).await {
                Ok(()) => self.safe = message.number,
                Err(NotTaken::Full) => return Ok(()),
                Err(NotTaken::Wrong(reason)) => {
                    tracing::warn!(chip = %self.office.name(), reason, "a message that cannot be one is let go");
                    self.safe = message.number;
                }
                Err(NotTaken::Revoked) => return Err(End::Revoked),
                Err(NotTaken::Stopping) => return Err(End::Stopping),
            }
        }
        Ok(())
    }

    async fn hand_in(&mut self, message: &Outgoing<'_>) -> Result<(), NotTaken> {
        let id = || base16ct::lower::encode_string(&message.id);
        let topic = match message.pending {
            Pending::Telemetry => {
                let stream = message.stream().and_then(|name| name.parse::<StreamName>().ok());
                let stream = stream.ok_or(NotTaken::Wrong("a stream without a name"))?;
                format!("devices/me/telemetry/{stream}")
            }
            Pending::Reply => format!("devices/me/replies/{}", id()),
            Pending::Use => format!("devices/me/uses/{}", id()),
        };
        self.office.deliver(topic, message.payload.to_vec()).await
    }

    /// What the chip still says: it was signed before its keys were destroyed.
    async fn last_words(&mut self) -> End {
        let is_known = self.office.record().is_some();
        match if is_known { self.collect().await } else { Ok(()) } {
            Err(end @ End::Stopping) => end,
            _ => End::Destroyed,
        }
    }

    /// The service sends again what was not answered.
    async fn command(&mut self, command: ChildCommand) -> Result<(), End> {
        let mut id = [0; 16];
        if base16ct::lower::decode(&command.id, &mut id).map(<[u8]>::len) != Ok(id.len()) {
            return Ok(());
        }
        let body = [&id, command.payload.as_ref()].concat();
        match self.done(Kind::Command, &body).await? {
            Err((Failure::NoTime, _)) if self.bring_time().await? => {}
            Err((Failure::Busy, _)) => self.collect().await?,
            _ => return Ok(()),
        }
        let _ = self.done(Kind::Command, &body).await?;
        Ok(())
    }

    async fn visit(&mut self, visit: Visit) -> Result<(), End> {
        let answer = self.done(visit.kind, &visit.body).await?;
        // Who has gone does not hear it; what was done is in the report of the use.
        let _ = visit.answer.send(answer);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
