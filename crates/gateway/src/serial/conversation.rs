//! A gateway and the chip at the other end of a line, from hello to the end of the line.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use rand_core::Rng;
use thingward_crypto::{VerifyingKey, system_rng};
use thingward_device::link::{
    FRAME_OVERHEAD_BYTES, Failure, Hello, JOIN_BYTES_MAX, Join, Kind, Outgoing, Pending, hello_message,
};
use thingward_grant::Nonce;
use thingward_model::{DeviceName, StreamName};
use thingward_seal::{Item, Items};
use tokio::sync::{Notify, mpsc, oneshot};
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
    /// Its certificate is looked at, it is told what was taken back, and proves itself when that is due.
    pub(super) keep: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { poll: Duration::from_secs(1), look: Duration::from_secs(60), keep: Duration::from_secs(3600) }
    }
}

/// What others have for the chip. Commands wait while it is away.
pub(crate) struct Errands {
    pub(super) commands: mpsc::Receiver<ChildCommand>,
    pub(super) visits: mpsc::Receiver<Visit>,
    /// The service asks what it proves of itself.
    pub(super) evidence: Arc<Notify>,
    /// The chip has something, or there is something new to say of it.
    pub(super) ring: Arc<Notify>,
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

/// The chip, as it is spoken with.
struct Partner<S> {
    name: DeviceName,
    line: Line<S>,
    frame_bytes_max: usize,
}

impl<S: Stream> Partner<S> {
    /// Asks for something that the chip may refuse.
    async fn ask(&mut self, kind: Kind, body: &[u8]) -> Result<Told, AskError> {
        if body.len() + FRAME_OVERHEAD_BYTES > self.frame_bytes_max {
            tracing::warn!(chip = %self.name, ?kind, "the chip has no room for so large a frame");
            return Ok(Err((Failure::Malformed, 0)));
        }
        match self.line.ask(kind, body).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(AskError::Failed(failure, _, word)) => {
                tracing::info!(chip = %self.name, ?kind, ?failure, word, "the chip refuses");
                Ok(Err((failure, word)))
            }
            Err(error) => Err(error),
        }
    }

    /// Serves visitors until the service has answered: who is here does not wait for who is far.
    async fn meanwhile<T>(
        &mut self,
        visits: &mut mpsc::Receiver<Visit>,
        answer: impl Future<Output = T>,
    ) -> Result<T, End> {
        tokio::pin!(answer);
        loop {
            tokio::select! {
                answer = &mut answer => return Ok(answer),
                visit = visits.recv() => self.visit(visit.ok_or(End::Stopping)?).await?,
            }
        }
    }

    async fn visit(&mut self, visit: Visit) -> Result<(), AskError> {
        // A chip has few nonces: one for somebody who has gone would take another's place.
        if visit.kind == Kind::Nonce && visit.answer.is_closed() {
            return Ok(());
        }
        let answer = self.ask(visit.kind, &visit.body).await?;
        // Who has gone does not hear it; what was done is in the report of the use.
        let _ = visit.answer.send(answer);
        Ok(())
    }
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
    /// Another one took its place.
    #[error("another chip is enrolled in its place")]
    Replaced,
    /// Its last words have no place in the queue now.
    #[error("the chip has destroyed its keys, and its last words find no room yet")]
    NoRoom,
    /// Somebody opened its casing.
    #[error("the chip has destroyed its keys: its casing was opened, or somebody attached a debugger")]
    Destroyed,
    /// The gateway stops.
    #[error("the gateway stops")]
    Stopping,
}

/// See the module.
pub(super) struct Conversation<'o, S, O> {
    partner: Partner<S>,
    office: &'o mut O,
    timing: Timing,
    /// Up to which message all are durable, as long as the chip has not heard of it.
    safe: u32,
    look_at: Instant,
    keep_at: Instant,
    /// Whether the service has its evidence since this conversation began, it was renewed, or the service asked.
    is_attested: bool,
}

impl<'o, S: Stream, O: Office> Conversation<'o, S, O> {
    pub(super) fn new(stream: S, office: &'o mut O, timing: Timing) -> Self {
        let now = Instant::now();
        let partner = Partner { name: office.name(), line: Line::new(stream), frame_bytes_max: 0 };
        Self { partner, office, timing, safe: 0, look_at: now, keep_at: now, is_attested: false }
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
        self.look_after(&mut errands.visits).await?;
        if let Some(record) = self.office.record() {
            met(record);
        }
        loop {
            if self.collect().await? {
                // Others have their turn first.
                errands.ring.notify_one();
            }
            tokio::select! {
                command = errands.commands.recv() => {
                    self.command(command.ok_or(End::Stopping)?, &mut errands.visits).await?;
                }
                visit = errands.visits.recv() => self.partner.visit(visit.ok_or(End::Stopping)?).await?,
                () = errands.evidence.notified() => {
                    self.is_attested = false;
                    self.keep_at = Instant::now();
                }
                () = errands.ring.notified() => self.describe().await?,
                () = tokio::time::sleep(self.timing.poll) => {}
            }
            self.look_after(&mut errands.visits).await?;
        }
    }

    async fn look_after(&mut self, visits: &mut mpsc::Receiver<Visit>) -> Result<(), End> {
        if self.partner.line.take_was_late() || Instant::now() >= self.look_at {
            self.greet().await?;
            self.describe().await?;
            let is_told = self.office.is_kept() || self.bring_time(visits).await?;
            let pause = if is_told { self.timing.look } else { AGAIN.min(self.timing.look) };
            self.look_at = Instant::now() + pause;
        }
        if Instant::now() >= self.keep_at {
            self.renew(visits).await?;
            let is_told = self.office.is_kept() || self.bring_revocation(visits).await?;
            self.is_attested = self.is_attested || self.office.is_kept() || self.attest(visits).await?;
            let is_done = is_told && self.is_attested;
            self.keep_at = Instant::now() + if is_done { self.timing.keep } else { self.timing.look };
        }
        Ok(())
    }

    /// Says what the chip can do, once; without room for it, at the next look.
    async fn describe(&mut self) -> Result<(), End> {
        let Some(description) = self.office.description() else { return Ok(()) };
        match self.office.deliver("devices/me/state/description".to_owned(), description.clone()).await {
            Ok(()) => self.office.is_described(&description),
            Err(NotTaken::Revoked) => return Err(End::Revoked),
            Err(NotTaken::Stopping) => return Err(End::Stopping),
            Err(NotTaken::Full | NotTaken::Wrong(_)) => {}
        }
        Ok(())
    }

    /// Who is there? That has to be proved. One that nobody knows is enrolled; one that has forgotten what it is a member of
    /// is told.
    async fn greet(&mut self) -> Result<(), End> {
        let mut nonce = [0; 32];
        system_rng().fill_bytes(&mut nonce);
        let answer = match self.partner.line.ask(Kind::Hello, &nonce).await {
            Err(AskError::Failed(Failure::Destroyed, ..)) => {
                self.last_words().await?;
                return Err(End::Destroyed);
            }
            answer => answer?,
        };
        let hello = Hello::read(&answer).ok_or(End::Unknown)?;
        let key = VerifyingKey::from_ed25519(&hello.public_key).map_err(|_| End::Unproved)?;
        key.verify(&hello_message(&nonce), &hello.signature).map_err(|_| End::Unproved)?;
        self.partner.frame_bytes_max = usize::from(hello.frame_bytes_max);
        if let Some(record) = self.office.record().filter(|record| record.leaf.key == key) {
            let join = record.join;
            return if hello.is_joined { Ok(()) } else { self.join(&join).await };
        }
        let request = self.partner.line.ask(Kind::Request, &[]).await?;
        let record = match self.office.enrol(&key, &request).await {
            Err(refused) => {
                // Whether it is another one, or the same with other firmware, is for the service to see.
                self.show_evidence().await?;
                return Err(refused.into());
            }
            Ok(record) => record,
        };
        // What the gateway knows as its chip has to know it too.
        self.join(&record.join).await?;
        let is_first = self.office.record().is_none();
        self.office.keep(record).await?;
        // Nothing that was said before is about this one.
        if is_first { Ok(()) } else { Err(End::Replaced) }
    }

    async fn join(&mut self, join: &Join) -> Result<(), End> {
        let mut room = [0; JOIN_BYTES_MAX];
        let len = join.write(&mut room).ok_or(End::Unknown)?;
        match self.partner.line.ask(Kind::Join, room.get(..len).unwrap_or_default()).await {
            Ok(_) => Ok(()),
            Err(AskError::Failed(Failure::Joined, ..)) => Err(End::Elsewhere),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the chip knows the time now.
    async fn bring_time(&mut self, visits: &mut mpsc::Receiver<Visit>) -> Result<bool, End> {
        let asked = self.partner.line.ask(Kind::Question, &[]).await?;
        let nonce: Nonce = asked.as_slice().try_into().map_err(|_| End::Unknown)?;
        let beacon = self.partner.meanwhile(visits, self.office.time(nonce)).await?;
        let Some(beacon) = beacon else { return Ok(false) };
        Ok(self.partner.ask(Kind::Beacon, &beacon).await?.is_ok())
    }

    /// Whether the service said what was taken back. A chip without a key for grants refuses it.
    async fn bring_revocation(&mut self, visits: &mut mpsc::Receiver<Visit>) -> Result<bool, End> {
        let revocation = self.partner.meanwhile(visits, self.office.revocation()).await?;
        let Some(revocation) = revocation else { return Ok(false) };
        let _ = self.partner.ask(Kind::Revocation, &revocation).await?;
        Ok(true)
    }

    /// Whether there is nothing left to prove: the service has the chip's evidence, or the chip has none.
    async fn attest(&mut self, visits: &mut mpsc::Receiver<Visit>) -> Result<bool, End> {
        let nonce = self.partner.meanwhile(visits, self.office.evidence_nonce()).await?;
        let Some(nonce) = nonce else { return Ok(false) };
        match self.partner.ask(Kind::Evidence, &nonce).await? {
            Ok(token) => self.partner.meanwhile(visits, self.office.attest(token)).await,
            Err((failure, _)) => Ok(failure == Failure::Malformed),
        }
    }

    /// As [`Self::attest`], of a chip that nobody here is to meet yet.
    async fn show_evidence(&mut self) -> Result<(), End> {
        if let Some(nonce) = self.office.evidence_nonce().await
            && let Ok(token) = self.partner.ask(Kind::Evidence, &nonce).await?
        {
            self.office.attest(token).await;
        }
        Ok(())
    }

    async fn renew(&mut self, visits: &mut mpsc::Receiver<Visit>) -> Result<(), End> {
        if self.office.is_renewal_due() {
            let request = self.partner.line.ask(Kind::Request, &[]).await?;
            self.partner.meanwhile(visits, self.office.renew(&request)).await?;
            self.is_attested = false;
        }
        Ok(())
    }

    /// Takes what waits; whether there may be more. The chip hears that a message is safe once it is durable here.
    async fn collect(&mut self) -> Result<bool, End> {
        for _ in 0..MESSAGES_AT_ONCE {
            let answer = self.partner.ask(Kind::Poll, &self.safe.to_be_bytes()).await?;
            let Ok(answer) = answer else { return Ok(false) };
            // From here on nothing is said to be safe that was not asked for since: the chip may be another one.
            self.safe = 0;
            if answer.is_empty() {
                return Ok(false);
            }
            let message = Outgoing::read(&answer).ok_or(End::Unknown)?;
            match self.hand_in(&message).await {
                Ok(()) => self.safe = message.number,
                Err(NotTaken::Full) => return Ok(false),
                Err(NotTaken::Wrong(reason)) => {
                    tracing::warn!(chip = %self.office.name(), reason, "a message that cannot be one is let go");
                    self.safe = message.number;
                }
                Err(NotTaken::Revoked) => return Err(End::Revoked),
                Err(NotTaken::Stopping) => return Err(End::Stopping),
            }
        }
        Ok(true)
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

    /// What the chip still says: it was signed before its keys were destroyed. What is not is nobody's.
    async fn last_words(&mut self) -> Result<(), End> {
        let Some(key) = self.office.record().map(|record| record.leaf.key.clone()) else { return Ok(()) };
        let answer = self.partner.line.ask(Kind::Poll, &0_u32.to_be_bytes()).await;
        let answer = match answer {
            Err(AskError::Failed(..)) => return Ok(()),
            answer => answer?,
        };
        if answer.is_empty() {
            return Ok(());
        }
        let message = Outgoing::read(&answer).ok_or(End::Unknown)?;
        if !is_signed(&message, &key) {
            return Err(End::Unproved);
        }
        match self.hand_in(&message).await {
            Ok(()) => {
                let _ = self.partner.ask(Kind::Poll, &message.number.to_be_bytes()).await?;
                Ok(())
            }
            Err(NotTaken::Wrong(_)) => Ok(()),
            Err(NotTaken::Full) => Err(End::NoRoom),
            Err(NotTaken::Revoked) => Err(End::Revoked),
            Err(NotTaken::Stopping) => Err(End::Stopping),
        }
    }

    /// The service sends again what was not answered.
    async fn command(
        &mut self,
        command: ChildCommand,
        visits: &mut mpsc::Receiver<Visit>,
    ) -> Result<(), End> {
        let mut id = [0; 16];
        if command.is_over() || base16ct::lower::decode(&command.id, &mut id).map(<[u8]>::len) != Ok(id.len())
        {
            return Ok(());
        }
        let body = [&id, command.payload.as_ref()].concat();
        match self.partner.ask(Kind::Command, &body).await? {
            Err((Failure::NoTime, _)) if self.bring_time(visits).await? => {}
            Err((Failure::Busy, _)) => {
                self.collect().await?;
            }
            _ => return Ok(()),
        }
        let _ = self.partner.ask(Kind::Command, &body).await?;
        Ok(())
    }
}

/// Whether a message is telemetry that this key signed to its end.
fn is_signed(message: &Outgoing<'_>, key: &VerifyingKey) -> bool {
    let mut is_signed = false;
    for item in Items::new(message.payload) {
        is_signed = match item {
            Ok(Item::Statement(statement)) if statement.verify(key).is_ok() => true,
            Ok(Item::Record(_)) => false,
            _ => return false,
        };
    }
    is_signed && matches!(message.pending, Pending::Telemetry)
}

#[cfg(test)]
mod tests;
