//! From the queue to the service: each message in an envelope that the gateway signs, and questions for the time. And from
//! the service down: commands for children, as they are, and the time.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use thingward_agent::segments::Place;
use thingward_agent::stream::SharedSigner;
use thingward_agent::uplink::{Outgoing, Received, Source};
use thingward_crypto::Signer;
use thingward_device::link::Kind;
use thingward_ingress::coap::{Presence, Present};
use thingward_model::{DeviceName, Link};
use thingward_mqtt::codec::ReasonCode;
use thingward_mqtt::topic::{TopicFilter, TopicName};
use thingward_radio::wire::Secret;
use thingward_seal::Envelope;
use thingward_seal::envelope::ENVELOPE_BYTES_MAX;
use tokio::sync::oneshot;

use crate::accounts::Accounts;
use crate::core::{ChildCommand, CoreHandle, SharedQueue, Tell};
use crate::queue::Queued;
use crate::radio::{Admitting, FindingKind, PoliciesStatus, Radios, RadiosStatus, ThingStatus};
use crate::serial::Visit;
use crate::standing::Rules;
use crate::switchboard::Switchboard;
use crate::time::{self, Questions};

/// The queue as the uplink sees it.
pub(crate) struct Forwarder {
    pub(crate) queue: SharedQueue,
    pub(crate) key: SharedSigner,
    pub(crate) topic: TopicName,
    pub(crate) core: CoreHandle,
    pub(crate) questions: Questions,
    pub(crate) switchboard: Switchboard,
    pub(crate) radios: Radios,
    /// Who is there with CoAP, where that is spoken.
    pub(crate) coap: Option<Presence>,
    pub(crate) told: Told,
    pub(crate) accounts: Accounts,
    pub(crate) rules: Rules,
}

/// Most things of a status that the service takes.
const CHILDREN_MAX: usize = 1000;
/// Largest status that the service takes, in bytes.
const STATUS_BYTES_MAX: usize = 64 * 1024;

/// A thing with CoAP, as one of a radio.
fn with_coap(present: &Present, waiting: usize) -> ThingStatus {
    ThingStatus {
        name: present.who.name.to_string(),
        radio: "coap".to_owned(),
        address: present.address.to_string(),
        link: Link::Oscore.to_string(),
        title: String::new(),
        last_seen: Some(present.heard.to_string()),
        waiting,
    }
}

/// How the gateway is, with as many of its things as there is room for.
fn status_document(mut status: RadiosStatus) -> Option<Vec<u8>> {
    status.children.truncate(CHILDREN_MAX);
    loop {
        let document = serde_json::to_vec(&status).ok()?;
        if document.len() <= STATUS_BYTES_MAX {
            return Some(document);
        }
        // One in eight at a time: what it takes to fit is not known before.
        let left = status.children.len();
        if left == 0 {
            return None;
        }
        status.children.truncate(left - left.div_ceil(8));
    }
}

/// The child in a topic about this of it.
fn child_in(topic: &str, what: &str) -> Option<DeviceName> {
    topic.strip_prefix("devices/me/children/")?.strip_suffix(what)?.parse().ok()
}

/// What is on its way.
pub(crate) enum Key {
    Message(DeviceName, Place),
    Question,
    Finding,
    Status,
    Account(Place),
}

/// What waits for one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    Child(DeviceName),
    Questions,
    Findings,
    Status,
    Accounts,
}

/// Where it goes what the gateway did by itself.
const ACCOUNTS: &str = "devices/me/accounts";
/// Where the service says that policies are others, or what else it knows of the gateway.
const MEMBERSHIP: &str = "devices/me/membership";
/// Where it goes what was found.
const FINDINGS: &str = "devices/me/findings";
/// Where it goes how the gateway is.
const STATUS: &str = "devices/me/status";
/// How often, at most.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// How often it is said anew when the same policies were signed last: an hour.
const ISSUED_EVERY_MICROS: u64 = 3_600_000_000;
/// Where the service says whether things may join.
const ADMISSION: &str = "devices/me/admission";
/// Where the service says that networks get another key.
const ROLL: &str = "devices/me/roll";

/// What the service was told last of how the gateway is.
#[derive(Default)]
pub(crate) struct Told {
    at: Option<Instant>,
    status: Bytes,
    policies: Option<PoliciesStatus>,
}

impl Told {
    /// What is said of the policies: the service signs the same ones again each minute, and that alone is news once an hour.
    fn policies(&mut self, now: Option<PoliciesStatus>) -> Option<PoliciesStatus> {
        let is_news = match (&self.policies, &now) {
            (Some(told), Some(now)) => {
                told.version != now.version
                    || now.issued.micros_since(told.issued).unsigned_abs() >= ISSUED_EVERY_MICROS
            }
            (told, now) => told.is_some() != now.is_some(),
        };
        if is_news {
            self.policies = now;
        }
        self.policies.clone()
    }
}

/// As the service says it.
#[derive(Deserialize)]
struct AdmissionOrder {
    seconds: u16,
    radio: Option<String>,
    printed: Option<String>,
}

/// As the service says it.
#[derive(Deserialize)]
struct RollOrder {
    radio: Option<String>,
}

impl AdmissionOrder {
    fn read(payload: &[u8]) -> Option<Admitting> {
        let Self { seconds, radio, printed } = serde_json::from_slice(payload).ok()?;
        Some(Admitting { seconds, radio, printed: printed.map(|code| Secret::new(code.into_bytes())) })
    }
}

/// A message in the envelope that the gateway signs; `None` when it does not fit one.
pub(crate) fn envelope(queued: &Queued, key: &dyn Signer) -> Option<Bytes> {
    let envelope = Envelope {
        child: queued.child,
        topic: &queued.topic,
        received: queued.received,
        link: queued.link,
        message: &queued.message,
    };
    let mut out = vec![0; queued.message.len() + ENVELOPE_BYTES_MAX];
    let len = envelope.sign(&key, &mut out).ok()?;
    out.truncate(len);
    Some(out.into())
}

impl Forwarder {
    /// The next question for the time.
    fn question(&self) -> Option<Outgoing<Key>> {
        let topic = format!("{}{}", time::TOPIC, base16ct::lower::encode_string(&self.questions.next()?));
        let topic = TopicName::try_from(topic.as_str()).ok()?;
        Some(Outgoing { key: Key::Question, topic, payload: Bytes::new(), retain: false })
    }

    /// The next finding.
    fn finding(&self) -> Option<Outgoing<Key>> {
        let finding = self.radios.board.next_finding()?;
        let payload = serde_json::to_vec(&finding).ok()?.into();
        let topic = TopicName::try_from(FINDINGS).ok()?;
        Some(Outgoing { key: Key::Finding, topic, payload, retain: false })
    }

    /// The next account of what the gateway did by itself.
    fn account(&self) -> Option<Outgoing<Key>> {
        let (place, account) = self.accounts.next()?;
        let topic = TopicName::try_from(ACCOUNTS).ok()?;
        Some(Outgoing { key: Key::Account(place), topic, payload: account.into(), retain: false })
    }

    /// How the gateway is, when that is another than was told.
    fn status(&mut self) -> Option<Outgoing<Key>> {
        let policies = self.told.policies(self.rules.status());
        let says_nothing = self.radios.is_empty() && self.coap.is_none() && policies.is_none();
        if says_nothing || self.told.at.is_some_and(|at| at.elapsed() < STATUS_EVERY) {
            return None;
        }
        self.told.at = Some(Instant::now());
        let backlog = self.queue.lock().unwrap_or_else(PoisonError::into_inner).backlog();
        let mut status = RadiosStatus { policies, ..self.radios.board.all(&backlog) };
        status.children.extend(self.coap.iter().flat_map(Presence::all).map(|present| {
            let waiting = backlog.get(&present.who.name).map_or(0, |(messages, _)| *messages);
            with_coap(&present, waiting)
        }));
        let status = Bytes::from(status_document(status)?);
        if status == self.told.status {
            return None;
        }
        self.told.status = status.clone();
        let topic = TopicName::try_from(STATUS).ok()?;
        Some(Outgoing { key: Key::Status, topic, payload: status, retain: false })
    }

    /// Brings a child what was taken back of its grants. One that is away is told when it is there, or asks by itself.
    fn take_back(&self, child: DeviceName, revocation: Bytes) {
        let Some(chip) = self.switchboard.find(&child) else {
            return self.core.tell(child, Tell::Revocation(revocation));
        };
        let (answer, _) = oneshot::channel();
        let visit = Visit { kind: Kind::Revocation, body: revocation.to_vec(), answer };
        if chip.visitors.try_send(visit).is_err() {
            tracing::info!(%child, "a chip is told later what was taken back");
        }
    }

    /// Asks a child for evidence. One that is away proves itself when it is there.
    fn ask_evidence(&self, child: DeviceName) {
        match self.switchboard.find(&child) {
            Some(chip) => chip.evidence.notify_one(),
            None => self.core.tell(child, Tell::Evidence),
        }
    }

    /// The next message of a child. One that cannot be read back is a finding, and does not hold up other children.
    fn message(&self, held: &BTreeSet<DeviceName>) -> Option<Outgoing<Key>> {
        loop {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).next_message(held);
            let (place, queued) = match next {
                Ok(next) => next?,
                Err(error) => {
                    tracing::error!(%error, "a thing waits for its message");
                    self.radios.board.own_finding(FindingKind::QueueDamaged, error.to_string());
                    continue;
                }
            };
            match envelope(&queued, &*self.key) {
                Some(payload) => {
                    let key = Key::Message(queued.child, place);
                    return Some(Outgoing { key, topic: self.topic.clone(), payload, retain: false });
                }
                None => {
                    tracing::error!(child = %queued.child, "a message does not fit an envelope and was dropped");
                    self.done(&queued.child, place);
                }
            }
        }
    }

    fn done(&self, child: &DeviceName, place: Place) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).done(child, place);
    }
}

impl Source for Forwarder {
    type Key = Key;
    type Lane = Lane;

    fn lane(key: &Key) -> Self::Lane {
        match key {
            Key::Message(child, _) => Lane::Child(*child),
            Key::Question => Lane::Questions,
            Key::Finding => Lane::Findings,
            Key::Status => Lane::Status,
            Key::Account(_) => Lane::Accounts,
        }
    }

    fn next(&mut self, held: &BTreeSet<Self::Lane>) -> Option<Outgoing<Key>> {
        if !held.contains(&Lane::Questions)
            && let Some(question) = self.question()
        {
            return Some(question);
        }
        if !held.contains(&Lane::Findings)
            && let Some(finding) = self.finding()
        {
            return Some(finding);
        }
        if !held.contains(&Lane::Accounts)
            && let Some(account) = self.account()
        {
            return Some(account);
        }
        if !held.contains(&Lane::Status)
            && let Some(status) = self.status()
        {
            return Some(status);
        }
        let child = |lane: &Lane| if let Lane::Child(child) = lane { Some(*child) } else { None };
        let message = self.message(&held.iter().filter_map(child).collect());
        // Looking for it may have found something else.
        message.or_else(|| if held.contains(&Lane::Findings) { None } else { self.finding() })
    }

    fn subscriptions(&self) -> Vec<TopicFilter> {
        let filters = [
            "devices/me/children/+/commands/+",
            "devices/me/children/+/grants/revocation",
            "devices/me/children/+/attestation",
            "devices/me/time/+",
            ADMISSION,
            ROLL,
            MEMBERSHIP,
        ];
        filters.into_iter().filter_map(|filter| TopicFilter::try_from(filter).ok()).collect()
    }

    fn received(&mut self, message: Received) {
        let topic = message.topic.as_str();
        if topic.starts_with(time::TOPIC) {
            return self.questions.answered(topic, message.payload);
        }
        if topic == MEMBERSHIP {
            return self.rules.look();
        }
        if topic == ADMISSION {
            match AdmissionOrder::read(&message.payload) {
                Some(admitting) => self.radios.admit(&admitting),
                None => tracing::warn!("an admission that makes no sense is let go"),
            }
            return;
        }
        if topic == ROLL {
            match serde_json::from_slice(&message.payload) {
                Ok(RollOrder { radio }) => self.radios.roll(radio.as_deref()),
                Err(error) => tracing::warn!(%error, "an order for another key makes no sense"),
            }
            return;
        }
        if let Some(child) = child_in(topic, "/grants/revocation") {
            return self.take_back(child, message.payload);
        }
        if let Some(child) = child_in(topic, "/attestation") {
            return self.ask_evidence(child);
        }
        match ChildCommand::read(topic, message.payload, message.expires_in) {
            Some(command) => self.core.command(command),
            None => tracing::debug!(topic = %message.topic, "a message that is no command is let go"),
        }
    }

    fn delivered(&mut self, key: Key) {
        match key {
            Key::Message(child, place) => self.done(&child, place),
            Key::Account(place) => self.accounts.done(place),
            Key::Question | Key::Finding | Key::Status => {}
        }
    }

    fn refused(&mut self, key: Key, reason: ReasonCode) -> bool {
        match key {
            Key::Message(child, place) => {
                tracing::warn!(%child, ?reason, "the service refused a message for good");
                self.done(&child, place);
            }
            Key::Question => tracing::warn!(?reason, "the service does not say what time it is"),
            Key::Finding => tracing::warn!(?reason, "the service takes no finding"),
            Key::Account(place) => {
                tracing::error!(?reason, "the service does not take an account of what the gateway did");
                self.accounts.done(place);
            }
            Key::Status => tracing::debug!(?reason, "the service does not want to know how the gateway is"),
        }
        true
    }
}

#[cfg(test)]
mod tests;
