//! Commands between the one who wants them and the device's word on them.
//!
//! ```text
//! waiting ─► done / refused / failed / interrupted     the device's word
//!       └──► expired / cancelled                       nobody took it in time, or the right to it went
//! ```
//!
//! A command that waits is decided again before each time it is sent, and sent until the device has answered: what the
//! device does at most once. No I/O: what changed is drained, sealed and made durable with the log entries about it.

mod late;
mod record;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;

use bytes::Bytes;
use thingward_crypto::{CryptoError, SoftwareKey, VerifyingKey, sha256};
use thingward_model::{ActionName, DeviceName, TenantName, Timestamp};
use thingward_mqtt::broker::Message;
use thingward_mqtt::codec::{MessageProperties, QoS};
use thingward_policy::{Action, Resource, Subject};
use thingward_seal::FormatError;
use thingward_seal::command::{
    COMMAND_BYTES_MAX, CommandId, Outcome, SignedCommand, SignedReply, digest, sign,
};

use thingward_store::hot::{Batch, Space};
use thingward_store::{Store, StoreError};

use crate::access::Access;
use crate::audit::Deed;
use crate::sealer::Sealer;
use crate::sign_in::Assertion;
use crate::topics;

pub(crate) use late::Late;
pub(crate) use record::{
    CommandRecord, ENDED_PREFIX, State, WAITING_PREFIX, hex, index, keys_of, parse_id, who,
};

/// Most commands of one device that wait. A device itself lets 32 wait.
pub(crate) const WAITING_MAX: usize = 64;
/// Commands that are looked at together when old ones are removed.
const PAGE: usize = 1000;
/// How long until a command is sent again the first time, and at most, in microseconds.
const AGAIN_MICROS: (i64, i64) = (5_000_000, 60_000_000);

/// A command to send. Its log entry is written first.
pub(crate) struct NewCommand {
    /// What is kept of it; `message` and `log` are filled in here.
    pub(crate) record: CommandRecord,
    /// Its exact bytes.
    pub(crate) canonical: Vec<u8>,
    /// The user's passkey over exactly this, where the action is sensitive.
    pub(crate) approval: Option<Assertion>,
    /// What the log gets.
    pub(crate) deed: Deed,
}

/// That somebody sends this command, as the log has it.
pub(crate) fn sent(record: &CommandRecord, canonical: &[u8]) -> Deed {
    let sha256 = base16ct::lower::encode_string(&digest(canonical));
    Deed::new(record.actor.clone(), "command.send", target(&record.device, &record.action))
        .with("id", hex(&record.id))
        .with("sha256", sha256)
        .with("expires", record.expires.to_string())
}

/// That `actor` takes this command back, as the log has it.
pub(crate) fn taken_back(record: &CommandRecord, actor: String) -> Deed {
    ended(record, &State::Cancelled { reason: "taken back".to_owned() }, actor)
}

/// That it came to this by `actor`, as the log has it.
fn ended(record: &CommandRecord, state: &State, actor: String) -> Deed {
    let deed = Deed::new(actor, state.deed(), target(&record.device, &record.action));
    let deed = deed.with("id", hex(&record.id));
    match state {
        State::Cancelled { reason } | State::Refused { reason, .. } => deed.with("reason", reason.as_str()),
        _ => deed,
    }
}

/// Whose, for whom, and which.
type Key = (TenantName, DeviceName, CommandId);

struct Waiting {
    record: CommandRecord,
    subject: Subject,
    on: Resource,
    send_at: Timestamp,
    pause: i64,
}

/// Why a reply changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadReply {
    /// It is about no command that waits: it came before, or it is nobody's.
    NotWaiting,
    /// It is no reply, not by the device, or about another command.
    Wrong(&'static str),
}

/// What a group changed.
pub(crate) struct Changes {
    /// Commands as they are now.
    pub(crate) records: Vec<CommandRecord>,
    /// Entries to remove once those are there.
    pub(crate) over: Vec<Vec<u8>>,
    /// What the logs have to be told.
    pub(crate) deeds: Vec<(TenantName, Deed)>,
}

impl Changes {
    /// Into a group.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when a command is too long for the cipher.
    pub(crate) fn write(self, sealer: &mut Sealer, batch: &mut Batch) -> Result<(), CryptoError> {
        for record in self.records {
            if let Some(former) = record.former_key() {
                batch.delete(Space::Commands, former);
            }
            let (index, place) = record.index();
            batch.put(Space::Commands, index, place);
            if record.state.is_without_word() {
                batch.put(Space::Commands, record.late_key(), []);
            }
            let key = record.key();
            batch.put(Space::Commands, key.clone(), sealer.seal(&key, &record.encode())?);
        }
        self.over.into_iter().for_each(|key| batch.delete(Space::Commands, key));
        Ok(())
    }
}

/// Commands of all tenants that wait for their device's word.
pub(crate) struct Commands {
    signer: SoftwareKey,
    waiting: BTreeMap<Key, Waiting>,
    late: Late,
    /// The gateway that carried something of a device last.
    behind: HashMap<(TenantName, DeviceName), (DeviceName, Timestamp)>,
    /// Before then [`Self::due`] has nothing to do.
    next: Option<Timestamp>,
    changed: Vec<CommandRecord>,
    deeds: Vec<(TenantName, Deed)>,
}

impl Commands {
    /// With those that waited when the service stopped.
    pub(crate) fn new(signer: SoftwareKey, waiting: Vec<CommandRecord>, late: Late) -> Self {
        let (held, behind, changed, deeds) = Default::default();
        let mut commands = Self { signer, waiting: held, late, behind, next: None, changed, deeds };
        for record in waiting {
            commands.wait(record);
        }
        commands
    }

    /// A command of somebody whom policies cannot see is nobody's, and is not sent.
    fn wait(&mut self, record: CommandRecord) {
        let Some(subject) = record.subject() else { return };
        let (key, send_at) = (record.name(), record.issued);
        let on = Resource::Operation(record.device, record.action, record.number());
        self.next = Some(self.next.map_or(send_at, |next| next.min(send_at)));
        self.waiting.insert(key, Waiting { record, subject, on, send_at, pause: AGAIN_MICROS.0 });
    }

    /// Whether a command of this name waits for the device.
    pub(crate) fn is_waiting(&self, tenant: &TenantName, device: &DeviceName, id: CommandId) -> bool {
        self.waiting.contains_key(&(*tenant, *device, id))
    }

    /// Whether the device may have another one.
    pub(crate) fn has_room(&self, tenant: &TenantName, device: &DeviceName) -> bool {
        self.waiting.range(of_device(tenant, device)).count() < WAITING_MAX
    }

    /// Takes a command whose entry in the log is `log`. It is sent with the next [`Self::due`].
    ///
    /// # Errors
    ///
    /// [`FormatError`] when it cannot be signed.
    pub(crate) fn add(&mut self, new: NewCommand, log: u64) -> Result<(), FormatError> {
        let mut out = [0; COMMAND_BYTES_MAX];
        let approval = new.approval.as_ref().map(Assertion::approval);
        let len = sign(&self.signer, &new.canonical, Some(log), approval.as_ref(), &mut out)?;
        let message = out.get(..len).unwrap_or_default().to_vec();
        let record = CommandRecord { message, log, ..new.record };
        self.changed.push(record.clone());
        self.wait(record);
        Ok(())
    }

    /// What is to be sent now. Commands whose time is over, or that are not permitted any more, end here.
    pub(crate) fn due(&mut self, now: Timestamp, access: &Access) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut over = Vec::new();
        if self.next.is_none_or(|next| now < next) {
            return messages;
        }
        for (key, waiting) in &mut self.waiting {
            if now >= waiting.record.expires {
                over.push((*key, State::Expired));
            } else if now >= waiting.send_at {
                match permitted(access, waiting) {
                    Ok(()) => messages.extend(messages_of(now, &waiting.record, &self.behind)),
                    Err(reason) => over.push((*key, State::Cancelled { reason: reason.to_owned() })),
                }
                waiting.send_at = now.plus_micros(waiting.pause);
                waiting.pause = (waiting.pause * 2).min(AGAIN_MICROS.1);
            }
        }
        for (key, state) in over {
            self.end(&key, state);
        }
        self.late.end(now);
        self.next = self.waiting.values().map(|w| w.send_at.min(w.record.expires)).min();
        messages
    }

    /// When [`Self::due`] has something to do next.
    pub(crate) const fn next_deadline(&self) -> Option<Timestamp> {
        self.next
    }

    /// Whether a command may be handed to its device now; a message on the topic of one that does not wait any more may
    /// not.
    pub(crate) fn may_deliver(
        &self,
        tenant: &TenantName,
        device: &DeviceName,
        id: CommandId,
        now: Timestamp,
        access: &Access,
    ) -> bool {
        let waiting = self.waiting.get(&(*tenant, *device, id));
        waiting.is_some_and(|w| now < w.record.expires && permitted(access, w).is_ok())
    }

    /// The device listens: what waits for it is sent now.
    pub(crate) fn listens(&mut self, tenant: &TenantName, device: &DeviceName, now: Timestamp) {
        for (_, waiting) in self.waiting.range_mut(of_device(tenant, device)) {
            (waiting.send_at, waiting.pause) = (now, AGAIN_MICROS.0);
            self.next = Some(now);
        }
    }

    /// The gateway listens: what waits for devices behind it is sent now.
    pub(crate) fn gateway_listens(&mut self, tenant: &TenantName, gateway: &DeviceName, now: Timestamp) {
        let behind = self.behind.iter().filter(|((of, _), (known, _))| of == tenant && known == gateway);
        let devices: Vec<DeviceName> = behind.map(|((_, device), _)| *device).collect();
        devices.iter().for_each(|device| self.listens(tenant, device, now));
    }

    /// The gateway that carried something of the device last.
    pub(crate) fn gateway_of(&self, tenant: &TenantName, device: &DeviceName) -> Option<DeviceName> {
        self.behind.get(&(*tenant, *device)).map(|(gateway, _)| *gateway)
    }

    /// Devices of the tenant, and the gateways that carried something of them last.
    pub(crate) fn behind(&self, of: TenantName) -> impl Iterator<Item = (DeviceName, DeviceName)> {
        let own = self.behind.iter().filter(move |((tenant, _), _)| *tenant == of);
        own.map(|((_, device), (gateway, _))| (*device, *gateway))
    }

    /// A gateway carried something of a device.
    pub(crate) fn carried(
        &mut self,
        tenant: TenantName,
        device: DeviceName,
        gateway: DeviceName,
        now: Timestamp,
    ) {
        let known = self.behind.get(&(tenant, device));
        // Two gateways in reach take turns; that is no reason to send everything again each time.
        let is_news = known
            .is_none_or(|(known, since)| *known != gateway && now.micros_since(*since) >= AGAIN_MICROS.0);
        if is_news {
            self.behind.insert((tenant, device), (gateway, now));
            self.listens(&tenant, &device, now);
        }
    }

    /// Takes the device's word.
    ///
    /// # Errors
    ///
    /// [`BadReply`]; the command goes on waiting.
    pub(crate) fn reply(
        &mut self,
        tenant: &TenantName,
        device: &DeviceName,
        id: CommandId,
        bytes: &[u8],
        key: impl FnOnce(&thingward_crypto::KeyId) -> Option<VerifyingKey>,
    ) -> Result<(), BadReply> {
        let at = (*tenant, *device, id);
        let waiting = self.waiting.get(&at).map(|w| &w.record);
        let record = waiting.or_else(|| self.late.get(&at));
        let record = record.ok_or(BadReply::NotWaiting)?;
        let signed = SignedReply::decode(bytes).map_err(|_| BadReply::Wrong("malformed"))?;
        let key = key(&signed.key_id()).ok_or(BadReply::Wrong("wrong-signer"))?;
        let reply = signed.verify(&key).map_err(|_| BadReply::Wrong("wrong-signer"))?;
        let of_message = matches!(reply.outcome, Outcome::Refused { reason, .. } if reason.is_of_message());
        let named = if of_message { Some(sha256(&[&record.message])) } else { digest_of(record) };
        if reply.id != id || named != Some(reply.command) {
            return Err(BadReply::Wrong("about another command"));
        }
        let record = CommandRecord { reply: bytes.to_vec(), ..record.clone() };
        self.waiting.remove(&at);
        self.late.remove(&at);
        let state = State::of(&reply);
        let deed = ended(&record, &state, format!("device/{device}"));
        let hash = base16ct::lower::encode_string(&sha256(&[bytes]));
        let deed = deed.with("outcome", state.as_str()).with("reply", hash);
        self.set(record, state, Deed { evidence: Some(bytes.to_vec()), ..deed });
        Ok(())
    }

    /// Takes a command back that waits, as `deed` has it. Says whether there was one.
    pub(crate) fn cancel(
        &mut self,
        tenant: &TenantName,
        device: &DeviceName,
        id: CommandId,
        deed: Deed,
    ) -> bool {
        let Some(record) = self.no_longer(&(*tenant, *device, id)) else { return false };
        self.set(record, State::Cancelled { reason: "taken back".to_owned() }, deed);
        true
    }

    /// Takes back what waits for those who are nobody any more.
    pub(crate) fn cancel_all_of(&mut self, actors: &HashSet<String>) {
        self.cancel_where("who wanted it may nothing any more", |w| actors.contains(&w.record.actor));
    }

    /// Takes back what waits for a device that is none of the tenant's any more.
    pub(crate) fn cancel_all_for(&mut self, tenant: &TenantName, device: &DeviceName) {
        let is_for = |w: &Waiting| w.record.tenant == *tenant && w.record.device == *device;
        self.cancel_where("the device is no member any more", is_for);
        self.behind.remove(&(*tenant, *device));
    }

    fn cancel_where(&mut self, reason: &str, is_gone: impl Fn(&Waiting) -> bool) {
        let gone = self.waiting.iter().filter(|(_, waiting)| is_gone(waiting));
        let gone: Vec<Key> = gone.map(|(key, _)| *key).collect();
        for key in gone {
            self.end(&key, State::Cancelled { reason: reason.to_owned() });
        }
    }

    /// By us, without the device's word, which may be on its way.
    fn end(&mut self, key: &Key, state: State) {
        let Some(record) = self.no_longer(key) else { return };
        let deed = ended(&record, &state, "service".to_owned());
        self.set(record, state, deed);
    }

    /// What does not wait any more, but for the device's word.
    fn no_longer(&mut self, key: &Key) -> Option<CommandRecord> {
        let Waiting { record, .. } = self.waiting.remove(key)?;
        self.late.put(record.clone());
        Some(record)
    }

    fn set(&mut self, mut record: CommandRecord, state: State, deed: Deed) {
        self.deeds.push((record.tenant, deed));
        record.state = state;
        self.changed.push(record);
    }

    /// What is to be kept, what of it is to be removed then, and what the logs have to be told of it.
    pub(crate) fn drain(&mut self) -> Changes {
        let (records, deeds) = (std::mem::take(&mut self.changed), std::mem::take(&mut self.deeds));
        Changes { records, over: self.late.drain(), deeds }
    }
}

/// The keys of everything that waits for a device.
const fn of_device(tenant: &TenantName, device: &DeviceName) -> RangeInclusive<Key> {
    (*tenant, *device, [0; 16])..=(*tenant, *device, [u8::MAX; 16])
}

fn permitted(access: &Access, waiting: &Waiting) -> Result<(), &'static str> {
    let policies = access.of(&waiting.record.tenant).ok_or("the tenant has no policies that work")?;
    let decision = policies.decision(&waiting.subject, Action::SendCommands, &waiting.on);
    if decision.is_allowed() { Ok(()) } else { Err(decision.reason()) }
}

fn digest_of(record: &CommandRecord) -> Option<thingward_crypto::Digest> {
    let signed = SignedCommand::decode(&record.message).ok()?;
    Some(digest(signed.claimed_unverified().canonical))
}

/// To the device itself, and to the gateway that it was behind last.
fn messages_of(
    now: Timestamp,
    record: &CommandRecord,
    behind: &HashMap<(TenantName, DeviceName), (DeviceName, Timestamp)>,
) -> Vec<Message> {
    let (tenant, device, id) = (&record.tenant, &record.device, hex(&record.id));
    let own = topics::inner(tenant, device, &format!("commands/{id}"));
    let gateway = behind.get(&(*tenant, *device));
    let carried =
        gateway.and_then(|(gw, _)| topics::inner(tenant, gw, &format!("children/{device}/commands/{id}")));
    let left = record.expires.micros_since(now).min(AGAIN_MICROS.1) / 1_000_000;
    let properties = MessageProperties {
        message_expiry: Some(u32::try_from(left).unwrap_or_default().max(1)),
        ..MessageProperties::default()
    };
    let message = |topic| Message {
        topic,
        payload: Bytes::from(record.message.clone()),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: properties.clone(),
        author: Bytes::new(),
    };
    [own, carried].into_iter().flatten().map(message).collect()
}

/// Removes commands that have ended and were made before then.
///
/// # Errors
///
/// What the store says.
pub(crate) fn forget_ended(store: &Store, before: Timestamp) -> Result<(), StoreError> {
    let mut after = Vec::new();
    loop {
        let page = store.page(Space::Commands, ENDED_PREFIX, &after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after.clone_from(last);
        let mut batch = Batch::new();
        let old =
            page.into_iter().filter(|(key, _)| record::issued(key).is_some_and(|issued| issued < before));
        old.for_each(|(key, _)| {
            batch.delete(Space::Commands, record::index_of(&key));
            batch.delete(Space::Commands, key);
        });
        if !batch.is_empty() {
            store.commit(batch)?;
        }
    }
}

/// What of a device's name and its action the log has.
pub(crate) fn target(device: &DeviceName, action: &ActionName) -> String {
    format!("operation/{device}/{action}")
}

#[cfg(test)]
mod tests;
