//! Commands on the device: from the message to the signed reply, each executed at most once.
//!
//! ```text
//! message ─► judged ─► waits ─► started (durable) ─► executed ─► answered (durable) ─► delivered
//!               └──────────── refused ───────────────────► answered (durable) ─►
//! ```
//!
//! What the holder of a grant asks for goes the same way from *waits* on.
//!
//! A command that was started and has no answer when the device starts is answered as interrupted. An id that comes
//! again gets the answer that it had.

pub mod journal;
mod judge;
#[cfg(test)]
mod tests;
mod uses;

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;
use thingward_crypto::Digest;
use thingward_crypto::sealed::SealingKey;
use thingward_device::Verdict;
use thingward_model::description::ThingDescription;
use thingward_model::{ActionName, Timestamp};
use thingward_seal::FormatError;
use thingward_seal::command::{CommandId, Data, Outcome, REPLY_BYTES_MAX, Refusal, Reply, json};

use crate::disk::Disk;
use crate::grants::{Counted, Grants};
use crate::membership::Membership;
use crate::stream::SharedSigner;
use journal::{Entry, Journal, JournalError, Step};
use judge::{Judgement, Refused, judge};
pub use uses::{UseError, UseState};

/// Most commands that wait for the one in execution. What comes beyond them is not answered, and sent again.
pub const WAITING_MAX: usize = 32;
/// Most refusals of messages that were no commands of ours, until they are sent.
const STRANGERS_MAX: usize = 16;
/// How long the answer about a passkey that the membership does not have stands, in microseconds: a minute.
const ASKED_MICROS: i64 = 60_000_000;

/// A command that is to be executed.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Names it.
    pub id: CommandId,
    /// What shall be done.
    pub action: ActionName,
    /// With what; null for nothing.
    pub input: Value,
    /// When it counts no more.
    pub expires: Timestamp,
    /// Who wants it.
    pub actor: String,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// It is done, and gave this; null for nothing.
    Done(Value),
    /// It was not done, for this reason.
    Failed(String),
    /// Nobody knows.
    Interrupted,
}

/// A reply on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingReply {
    /// To which command.
    pub id: CommandId,
    /// The signed reply.
    pub bytes: Vec<u8>,
    /// The presentation of a grant that asked for it; empty for what the service sent.
    pub presentation: Vec<u8>,
    /// Whether the journal has it.
    is_kept: bool,
}

/// What waits and runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommandsStatus {
    /// Commands that nobody has taken yet.
    pub waiting: usize,
    /// Commands in execution.
    pub started: usize,
    /// Replies that are not delivered.
    pub replies: usize,
}

struct Waiting {
    order: Order,
    command: Digest,
    origin: Origin,
}

/// Who wants something done.
enum Origin {
    /// The service, which issued the command then.
    Service { issued: Timestamp },
    /// The holder of a grant.
    Grant { grant: Counted, presentation: Vec<u8> },
}

/// See the module.
pub struct Commands<D> {
    journal: Journal<D>,
    signer: SharedSigner,
    membership: Membership,
    description: Arc<ThingDescription>,
    /// `None` when the device takes no grants.
    grants: Option<Grants<D>>,
    waiting: VecDeque<Waiting>,
    /// Ends that could not be made durable yet. Their replies are not sent before they are.
    unsaved: Vec<(CommandId, Vec<u8>)>,
    outgoing: VecDeque<OutgoingReply>,
    /// When the membership was last asked for because of a passkey.
    asked: Option<Timestamp>,
    /// The command that waits for it.
    undecided: Option<(CommandId, Vec<u8>)>,
}

impl<D: Disk> Commands<D> {
    /// Opens the journal and answers what an earlier process did not finish.
    ///
    /// # Errors
    ///
    /// [`JournalError`]; the device then takes no commands.
    pub fn open(
        disk: D,
        key: SealingKey,
        signer: SharedSigner,
        membership: Membership,
        description: Arc<ThingDescription>,
        grants: Option<Grants<D>>,
        now: Timestamp,
    ) -> Result<Self, JournalError> {
        let journal = Journal::open(disk, key)?;
        let mut commands = Self {
            journal,
            signer,
            membership,
            description,
            grants,
            waiting: VecDeque::new(),
            unsaved: Vec::new(),
            outgoing: VecDeque::new(),
            asked: None,
            undecided: None,
        };
        let kept: Vec<_> = commands.journal.entries().map(|(id, e)| (*id, e.clone())).collect();
        for (id, entry) in kept {
            match entry.step {
                Step::Started => commands.finish(&id, Ending::Interrupted, now),
                Step::Answered(bytes) => commands.send(id, bytes, entry.presentation),
                Step::Delivered(_) => {}
            }
        }
        commands.heed_membership();
        Ok(commands)
    }

    /// What the service said at the last renewal.
    pub fn set_membership(&mut self, membership: Membership) {
        self.membership = membership;
        self.heed_membership();
    }

    /// A message came to the topic of the command `id`. Says whether there is a new order.
    pub fn receive(&mut self, id: CommandId, message: &[u8], now: Timestamp) -> bool {
        let is_waiting = |w: &Waiting| w.order.id == id;
        let is_new = Verdict::of(|| self.journal.get(&id).is_none() && !self.waiting.iter().any(is_waiting));
        let times = (now, self.journal.mark());
        match judge(&id, message, &self.membership, &self.description, is_new, times) {
            Judgement::Good { order, command, issued } if self.waiting.len() < WAITING_MAX => {
                self.waiting.push_back(Waiting { order, command, origin: Origin::Service { issued } });
                return true;
            }
            Judgement::Good { .. } | Judgement::Unsure => {
                tracing::warn!(id = %hex(&id), "a command cannot be taken now; it has to come again");
            }
            Judgement::Known(command) => self.again(id, command, now),
            Judgement::UnknownPasskey(_) if self.may_ask(now) => {
                (self.asked, self.undecided) = (Some(now), Some((id, message.to_vec())));
            }
            // The answer is on its way, and may have the passkey.
            Judgement::UnknownPasskey(_) if self.waits_for_membership() => {
                tracing::info!(id = %hex(&id), "a command came before the membership; it has to come again");
            }
            Judgement::UnknownPasskey(refused) | Judgement::Refused(refused) => self.refuse(id, refused, now),
        }
        false
    }

    fn may_ask(&self, now: Timestamp) -> bool {
        let since = self.asked.map(|at| now.micros_since(at));
        since.is_none_or(|since| !(0..ASKED_MICROS).contains(&since))
    }

    /// Whether a command waits for a newer membership: it was approved with a passkey that this one does not have.
    pub const fn waits_for_membership(&self) -> bool {
        self.undecided.is_some()
    }

    /// The service was asked for its membership, and what it has is set: the command that waited for it is judged
    /// again, and what a disk that failed did not take is tried again. Says whether there is a new order.
    pub fn membership_is_fresh(&mut self, now: Timestamp) -> bool {
        self.heed_membership();
        self.undecided.take().is_some_and(|(id, message)| self.receive(id, &message, now))
    }

    /// The service was asked for its membership, and did not say: the command that waited for it has to come again, and
    /// then it is asked again.
    pub fn membership_is_not_had(&mut self) {
        self.heed_membership();
        if self.undecided.take().is_some() {
            self.asked = None;
        }
    }

    /// An id that is known came again. Nothing is said while it waits.
    fn again(&mut self, id: CommandId, command: Digest, now: Timestamp) {
        let Some(entry) = self.journal.get(&id).cloned() else { return };
        if entry.command != command {
            let text = "the id was another command's".to_owned();
            return self.refuse(id, Refused::once(command, Refusal::IdReused, text), now);
        }
        let is_outgoing = self.outgoing.iter().any(|o| o.is_kept && o.id == id);
        match entry.step {
            Step::Answered(bytes) | Step::Delivered(bytes) if !is_outgoing => {
                self.send(id, bytes, entry.presentation);
            }
            _ => {}
        }
    }

    fn send(&mut self, id: CommandId, bytes: Vec<u8>, presentation: Vec<u8>) {
        self.outgoing.push_back(OutgoingReply { id, bytes, presentation, is_kept: true });
    }

    /// Refuses a command, or a message; without the work of it when many answers wait that are not remembered.
    fn refuse(&mut self, id: CommandId, refused: Refused, now: Timestamp) {
        let Refused { digest: command, reason, text, until, timely } = refused;
        let unkept = self.outgoing.iter().filter(|o| !o.is_kept).count();
        if until.is_none() && unkept >= STRANGERS_MAX {
            return;
        }
        let outcome = Outcome::Refused { reason, text: &text };
        let Some(bytes) = self.sign(&Reply { id, command, time: now, outcome }) else { return };
        let presentation = Vec::new();
        let Some(expires) = until else {
            return self.outgoing.push_back(OutgoingReply { id, bytes, presentation, is_kept: false });
        };
        tracing::info!(id = %hex(&id), %reason, "command refused");
        let step = Step::Answered(bytes.clone());
        match self.journal.add(id, Entry { command, expires, timely, presentation, step }) {
            Ok(()) => self.send(id, bytes, Vec::new()),
            Err(error) => tracing::error!(%error, id = %hex(&id), "a command is not answered"),
        }
    }

    /// The next command to execute, which is started from here on and has to be finished.
    pub fn next_order(&mut self, now: Timestamp) -> Option<Order> {
        while let Some(Waiting { order, command, origin }) = self.waiting.pop_front() {
            let begun = match origin {
                Origin::Service { issued } => self.begin(&order, command, issued, now),
                Origin::Grant { grant, presentation } => {
                    self.begin_use(&order, command, &grant, presentation, now)
                }
            };
            if begun {
                return Some(order);
            }
        }
        None
    }

    fn begin(&mut self, order: &Order, command: Digest, issued: Timestamp, now: Timestamp) -> bool {
        let (id, expires, mark) = (order.id, order.expires, self.journal.mark());
        if expires <= now.max(mark) {
            let until = (expires > mark).then_some(expires);
            let (reason, text) = (Refusal::Expired, "it waited too long".to_owned());
            self.refuse(id, Refused { digest: command, reason, text, until, timely: issued }, now);
            return false;
        }
        let entry = Entry { command, expires, timely: issued, presentation: Vec::new(), step: Step::Started };
        let added = self.journal.add(id, entry);
        // It comes again.
        let complain = |error: &_| tracing::error!(%error, id = %hex(&id), "a command is not begun");
        added.inspect_err(complain).is_ok()
    }

    /// A started command came to its end.
    pub fn finish(&mut self, id: &CommandId, ending: Ending, now: Timestamp) {
        if matches!(ending, Ending::Failed(_)) && self.unanswered(id).is_some() {
            self.use_failed(id);
        }
        self.answer(id, &ending, now);
    }

    /// The digest of what was started and has no answer yet.
    fn unanswered(&self, id: &CommandId) -> Option<Digest> {
        let entry = self.journal.get(id).filter(|entry| entry.step == Step::Started)?;
        (!self.unsaved.iter().any(|(unsaved, _)| unsaved == id)).then_some(entry.command)
    }

    fn answer(&mut self, id: &CommandId, ending: &Ending, now: Timestamp) {
        let Some(command) = self.unanswered(id) else { return };
        let encoded;
        let outcome = match ending {
            Ending::Done(output) => {
                encoded = json::encode(output);
                Outcome::Done(output_of(id, &encoded))
            }
            Ending::Failed(text) => Outcome::Failed { text },
            Ending::Interrupted => Outcome::Interrupted,
        };
        tracing::info!(id = %hex(id), outcome = outcome.as_str(), "command answered");
        if let Some(bytes) = self.sign(&Reply { id: *id, command, time: now, outcome }) {
            self.unsaved.push((*id, bytes));
        }
        self.save();
    }

    /// Writes down answers that a failing disk did not take when they were made; they leave only behind that.
    pub fn save(&mut self) {
        for (id, bytes) in std::mem::take(&mut self.unsaved) {
            match self.journal.advance(&id, Step::Answered(bytes.clone())) {
                Ok(()) => self.send(id, bytes, self.presentation(&id)),
                Err(error) => {
                    tracing::error!(%error, id = %hex(&id), "an answer is not durable yet");
                    self.unsaved.push((id, bytes));
                }
            }
        }
    }

    fn presentation(&self, id: &CommandId) -> Vec<u8> {
        self.journal.get(id).map(|entry| entry.presentation.clone()).unwrap_or_default()
    }

    /// The next reply to send.
    pub fn next_reply(&mut self) -> Option<OutgoingReply> {
        self.outgoing.pop_front()
    }

    /// The other end has a reply, or will never take it.
    pub fn reply_ended(&mut self, reply: OutgoingReply) {
        if !reply.is_kept {
            return;
        }
        if let Err(error) = self.journal.advance(&reply.id, Step::Delivered(reply.bytes)) {
            // Then it is sent once more after the next start.
            tracing::warn!(%error, id = %hex(&reply.id), "cannot note that a reply was delivered");
        }
    }

    /// What waits and runs.
    #[must_use]
    pub fn status(&self) -> CommandsStatus {
        let count = |is: fn(&Step) -> bool| self.journal.entries().filter(|(_, e)| is(&e.step)).count();
        CommandsStatus {
            waiting: self.waiting.len(),
            started: count(|step| matches!(step, Step::Started)),
            replies: count(|step| matches!(step, Step::Answered(_))),
        }
    }

    fn sign(&self, reply: &Reply<'_>) -> Option<Vec<u8>> {
        let mut out = [0; REPLY_BYTES_MAX];
        match reply.sign(&self.signer.as_ref(), &mut out) {
            Ok(len) => out.get(..len).map(<[u8]>::to_vec),
            Err(error) => {
                tracing::error!(%error, id = %hex(&reply.id), "a reply cannot be signed");
                None
            }
        }
    }
}

/// An output that cannot be told is left out: the action is done all the same.
fn output_of<'a>(id: &CommandId, encoded: &'a Result<Vec<u8>, FormatError>) -> Data<'a> {
    let data = encoded.as_ref().map_err(|e| *e).and_then(|bytes| Data::from_bytes(bytes));
    data.unwrap_or_else(|error| {
        tracing::warn!(%error, id = %hex(id), "the output is left out");
        Data::NOTHING
    })
}

/// The id of the command whose topic this is.
#[must_use]
pub fn id_of_topic(topic: &str) -> Option<CommandId> {
    journal::parse_id(topic.strip_prefix("devices/me/commands/")?)
}

/// An id as topics have it.
#[must_use]
pub fn hex(id: &CommandId) -> String {
    base16ct::lower::encode_string(id)
}
