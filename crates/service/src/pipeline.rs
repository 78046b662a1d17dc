//! From a message to rows: verify the chain, open, keep, seal for the tenant. No I/O but lookups of old records.
//!
//! Everything that one message changes goes into one batch; nothing is acknowledged before it is durable.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::HashMap;
use thingward_crypto::{KeyId, RecipientSecretKey, VerifyingKey};
use thingward_model::limits::RECORD_BYTES_MAX;
use thingward_model::{Assurance, Confidentiality, DeviceName, StreamName, TenantName, Timestamp, senml};
use thingward_policy::{Permit, PublishReadings};
use thingward_seal::verifier::verify_statement;
use thingward_seal::{
    ChainState, Earlier, FormatError, Item, Items, Record as ChainRecord, RecordKey, RecordVerdict,
    SignedStatement, Statement, StatementKind, StatementVerdict, Subject, Violation, item,
};
use thingward_store::hot::{Batch, Block, Space};
use thingward_store::{Reading, Record, Route, Store, StoreError, Value};

use crate::audit::Deed;
use crate::directory::Directory;
use crate::finding::{Findings, Place};
use crate::metrics::Metrics;
use crate::payload;
use crate::stream_state::{Chain, StreamKey, StreamState};

/// How a message reached the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Over the device's own connection.
    Device,
    /// In the signed envelope of a gateway.
    Gateway,
}

/// Why nothing of a message was kept.
#[derive(Debug)]
pub enum Refusal {
    /// The payload is no readings.
    Payload,
    /// Every item of it breaks a rule.
    Chain(Violation),
    /// The device has as many streams as it may.
    TooManyStreams,
    /// The tenant's key is away, or the store failed: later may be better.
    Store(StoreError),
}

/// A record that was kept, and whose it is.
pub type Accepted = (TenantName, Arc<Record>);

/// Most streams of one device. Our own devices stop at 64.
const STREAMS_MAX: usize = 256;

/// Verifies and keeps readings of all tenants.
pub struct Pipeline {
    store: Arc<Store>,
    directory: Arc<Directory>,
    metrics: Arc<Metrics>,
    streams: HashMap<StreamKey, StreamState>,
    recipients: HashMap<TenantName, Vec<(KeyId, RecipientSecretKey)>>,
    pub(crate) findings: Findings,
    /// What has to be in the log with the same group.
    pub(crate) deeds: Vec<(TenantName, Deed)>,
    changed: Vec<StreamKey>,
    /// Blocks that wait for the end of their group.
    full: Vec<Block>,
    batch: Batch,
    accepted: Vec<Accepted>,
    scratch: Box<[u8; RECORD_BYTES_MAX]>,
}

impl Pipeline {
    /// # Errors
    ///
    /// What the store says.
    pub fn new(
        store: Arc<Store>,
        directory: Arc<Directory>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let findings = Findings::load(&store)?;
        Ok(Self {
            store,
            directory,
            metrics,
            streams: HashMap::default(),
            recipients: HashMap::default(),
            deeds: Vec::new(),
            findings,
            changed: Vec::new(),
            full: Vec::new(),
            batch: Batch::new(),
            accepted: Vec::new(),
            scratch: Box::new([0; RECORD_BYTES_MAX]),
        })
    }

    /// Takes a message of one stream and gives the records that were kept of it. A gateway that carried it has its key in
    /// the directory, and may carry it.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when nothing was kept and nothing was known before; what it says was counted.
    pub fn take(
        &mut self,
        permit: &Permit<PublishReadings>,
        device: DeviceName,
        stream: StreamName,
        message: &[u8],
        route: Route,
        now: Timestamp,
    ) -> Result<Vec<Arc<Record>>, Refusal> {
        let at = StreamKey { tenant: *permit.tenant(), device, stream };
        // Without the tenant's key nothing can be kept, so nothing is looked at.
        self.store.keys().get(&at.tenant).map_err(Refusal::Store)?;
        self.load(&at)?;
        let taken = if item::is_chained(message) {
            self.take_items(&at, message, route, now)
        } else {
            self.take_plain(&at, message, route, now).map(|record| vec![record])
        };
        if taken.is_err() && self.streams.get(&at).is_some_and(StreamState::is_new) {
            // A name alone takes no memory.
            self.streams.remove(&at);
        }
        for record in taken.iter().flatten() {
            self.metrics.readings_accepted.inc_by(record.readings.len() as u64);
            self.accepted.push((at.tenant, Arc::clone(record)));
        }
        taken
    }

    /// Reads the saved state of a stream; makes a new one when the device has not too many.
    fn load(&mut self, at: &StreamKey) -> Result<(), Refusal> {
        if self.streams.contains_key(at) {
            return Ok(());
        }
        let corrupt = || Refusal::Store(StoreError::Corrupt { what: format!("state of {at:?}") });
        let state = match self.store.get(Space::Chains, &at.entry()).map_err(Refusal::Store)? {
            Some(bytes) => StreamState::decode(&bytes).ok_or_else(corrupt)?,
            None => match self.store.scan(Space::Chains, &at.entries_of_device(), STREAMS_MAX - 1) {
                Ok(_) => StreamState::default(),
                Err(StoreError::Limit { .. }) => return Err(Refusal::TooManyStreams),
                Err(e) => return Err(Refusal::Store(e)),
            },
        };
        self.streams.insert(*at, state);
        Ok(())
    }

    fn take_plain(
        &mut self,
        at: &StreamKey,
        message: &[u8],
        route: Route,
        now: Timestamp,
    ) -> Result<Arc<Record>, Refusal> {
        let readings = payload::parse(message, arrived(route, now)).map_err(|e| {
            self.metrics.payloads_refused.inc();
            tracing::debug!(tenant = %at.tenant, device = %at.device, stream = %at.stream, reason = %e, "payload refused");
            Refusal::Payload
        })?;
        let state = self.streams.entry(*at).or_default();
        let seq = state.plain_next;
        let assurance = match route {
            Route::Through(_) => Assurance::GatewaySealed,
            Route::Direct(_) => Assurance::Transport,
        };
        let record = Record {
            device: at.device,
            stream: at.stream,
            chain: [0; 8],
            seq,
            received: now,
            assurance,
            route,
            readings,
        };
        keep(&self.store, at, &mut state.block, &mut self.full, &record).map_err(Refusal::Store)?;
        state.plain_next = seq + 1;
        note_change(&mut self.changed, at, &mut state.is_changed);
        Ok(Arc::new(record))
    }

    fn take_items(
        &mut self,
        at: &StreamKey,
        message: &[u8],
        route: Route,
        now: Timestamp,
    ) -> Result<Vec<Arc<Record>>, Refusal> {
        let mut kept = Vec::new();
        let mut good = false;
        let mut first_violation = None;
        for item in Items::new(message) {
            let outcome = match item {
                Ok(Item::Record(record)) => self.take_record(at, &record, route, now),
                Ok(Item::Statement(signed)) => self.take_statement(at, &signed, now).map(|()| None),
                Err(FormatError::UnknownVersion) => Err(Bad::Violation(Violation::UnknownVersion)),
                Err(_) => Err(Bad::Violation(Violation::Malformed)),
            };
            match outcome {
                Ok(record) => {
                    good = true;
                    kept.extend(record);
                }
                Err(Bad::Violation(violation)) => {
                    self.note(at, violation.as_str(), String::new(), now);
                    first_violation = first_violation.or(Some(violation));
                }
                Err(Bad::Store(e)) => return Err(Refusal::Store(e)),
            }
        }
        match first_violation {
            Some(violation) if !good => Err(Refusal::Chain(violation)),
            _ => Ok(kept),
        }
    }

    fn take_record(
        &mut self,
        at: &StreamKey,
        record: &ChainRecord<'_>,
        route: Route,
        now: Timestamp,
    ) -> Result<Option<Arc<Record>>, Bad> {
        let at_hand = arrived(route, now);
        let Self { store, streams, scratch, recipients, full, changed, .. } = self;
        let unknown = || Bad::Violation(Violation::UnknownChain);
        let stream = streams.get_mut(at).ok_or_else(unknown)?;
        let chain = stream.chain.as_mut().ok_or_else(unknown)?;
        if chain.state.chain != record.chain {
            return Err(Bad::Violation(Violation::UnknownChain));
        }
        let readings = match chain.confidentiality {
            Confidentiality::Customer => Some(vec![Reading {
                field: None,
                time: at_hand,
                value: Value::Sealed(record.bytes.to_vec()),
                unit: None,
            }]),
            Confidentiality::Service => {
                let key = service_key(chain, at, store, recipients)?;
                open(record, key, scratch.as_mut_slice(), at_hand)
            }
        };
        let mut state = chain.state;
        let verdict = state.record(record, readings.is_some(), |record| {
            earlier(store, at, &chain.recent, record, readings.as_deref().unwrap_or_default())
        });
        let violation = match verdict {
            RecordVerdict::Linked => None,
            RecordVerdict::Unlinked(violation) => violation,
            RecordVerdict::Duplicate => {
                self.metrics.records_duplicate.inc();
                return Ok(None);
            }
            RecordVerdict::Refused(violation) => return Err(Bad::Violation(violation)),
        };
        let kept = Record {
            device: at.device,
            stream: at.stream,
            chain: record.chain,
            seq: record.seq,
            received: now,
            assurance: of_chained(route),
            route,
            readings: readings.unwrap_or_default(),
        };
        let is_empty = kept.readings.is_empty();
        if !is_empty {
            // Before the chain goes on: a tenant's key can go at any moment, and a record that was not kept must
            // not be known when it comes again.
            keep(store, at, &mut stream.block, full, &kept).map_err(Bad::Store)?;
        }
        chain.state = state;
        chain.remember(record.seq, record.tag());
        note_change(changed, at, &mut stream.is_changed);
        if let Some(violation) = violation {
            self.note(at, violation.as_str(), format!("at record {}", record.seq), now);
        }
        if is_empty {
            // It opened, so the device made it, but it holds no pack; the chain goes on.
            return Err(Bad::Violation(Violation::Malformed));
        }
        Ok(Some(Arc::new(kept)))
    }

    fn take_statement(
        &mut self,
        at: &StreamKey,
        signed: &SignedStatement<'_>,
        now: Timestamp,
    ) -> Result<(), Bad> {
        let key: Option<VerifyingKey> = self.directory.key(&at.tenant, &at.device, &signed.key_id());
        let statement = verify_statement(signed, &subject(at), key.as_ref()).map_err(Bad::Violation)?;
        if let StatementKind::Open { .. } = statement.kind {
            return self.take_open(at, signed, &statement, now);
        }
        let chain = self.streams.get_mut(at).and_then(|s| s.chain.as_mut());
        let chain = chain.ok_or(Bad::Violation(Violation::UnknownChain))?;
        match chain.state.statement(&statement) {
            StatementVerdict::Duplicate => return Ok(()),
            StatementVerdict::Refused(violation) => return Err(Bad::Violation(violation)),
            StatementVerdict::Signed => {
                let target = format!("stream/{}/{}", at.device, at.stream);
                let mut deed = Deed::new(format!("device/{}", at.device), "chain.checkpoint", target);
                deed.evidence = Some(signed.bytes.to_vec());
                self.deeds.push((at.tenant, deed));
            }
            StatementVerdict::GapDeclared { missing, reason } => {
                let detail = format!("{missing} records, {}", reason.as_str());
                self.note(at, "declared-gap", detail, now);
            }
            StatementVerdict::Reanchored(violation) => {
                self.note(at, violation.as_str(), String::new(), now);
            }
        }
        let Some(stream) = self.streams.get_mut(at) else { return Ok(()) };
        note_change(&mut self.changed, at, &mut stream.is_changed);
        let Some(chain) = &stream.chain else { return Ok(()) };
        let part = chain.signed_part();
        self.batch.set_signed(&at.tenant, &at.device, &at.stream, statement.chain, &part);
        self.batch.put(Space::Chains, at.statement(&statement.chain, part.through), signed.bytes);
        self.metrics.checkpoints_accepted.inc();
        Ok(())
    }

    fn take_open(
        &mut self,
        at: &StreamKey,
        signed: &SignedStatement<'_>,
        statement: &Statement,
        now: Timestamp,
    ) -> Result<(), Bad> {
        let StatementKind::Open { confidentiality, cipher, recipient, encapsulated, previous } =
            statement.kind
        else {
            return Ok(());
        };
        let entry = at.open(&statement.chain);
        let current = self.streams.get(at).and_then(|s| s.chain.as_ref());
        if current.is_some_and(|c| c.state.chain == statement.chain) {
            return Ok(());
        }
        if self.store.get(Space::Chains, &entry).map_err(Bad::Store)?.is_some() {
            return Err(Bad::Violation(Violation::Replay));
        }
        let succession = match current {
            Some(current) => current.state.succession(previous.as_ref()),
            None => previous.map(|_| Violation::Truncation),
        };
        let mut chain = Chain {
            state: ChainState::opened(statement.chain, signed.bytes),
            confidentiality,
            cipher,
            recipient,
            encapsulated,
            key: None,
            recent: VecDeque::new(),
        };
        if confidentiality == Confidentiality::Service {
            service_key(&mut chain, at, &self.store, &mut self.recipients)?;
        }
        if let Some(violation) = succession {
            self.note(at, violation.as_str(), "a new chain does not follow the old one".to_owned(), now);
        }
        let stream = self.streams.entry(*at).or_default();
        stream.chain = Some(chain);
        note_change(&mut self.changed, at, &mut stream.is_changed);
        self.batch.put(Space::Chains, entry, signed.bytes);
        Ok(())
    }

    /// Counts an envelope of a gateway that verified.
    pub(crate) fn count_envelope(&self) {
        self.metrics.envelopes_accepted.inc();
    }

    /// Counts something suspicious.
    pub fn note(&mut self, at: &StreamKey, kind: &str, detail: String, now: Timestamp) {
        tracing::info!(tenant = %at.tenant, device = %at.device, stream = %at.stream, kind, detail, "finding");
        let (tenant, device, stream) = (at.tenant, at.device, Some(at.stream));
        self.count(Place { tenant, device, stream, kind: kind.to_owned() }, detail, now);
    }

    /// Counts something suspicious about a device as a whole.
    pub fn note_device(
        &mut self,
        tenant: TenantName,
        device: DeviceName,
        kind: &str,
        detail: String,
        now: Timestamp,
    ) {
        tracing::info!(%tenant, %device, kind, detail, "finding");
        self.count(Place { tenant, device, stream: None, kind: kind.to_owned() }, detail, now);
    }

    fn count(&mut self, place: Place, detail: String, now: Timestamp) {
        self.metrics.violation(&place.kind);
        if !self.findings.note(place, detail, now, &mut self.batch) {
            self.metrics.findings_dropped.inc();
        }
    }

    /// Forgets every key of the tenant, and what was opened with them.
    pub fn forget_tenant_keys(&mut self, tenant: &TenantName) {
        self.recipients.remove(tenant);
        for (at, state) in &mut self.streams {
            if at.tenant == *tenant
                && let Some(chain) = &mut state.chain
            {
                chain.key = None;
            }
        }
    }

    /// What has to become durable, and the records that were accepted with it.
    ///
    /// # Errors
    ///
    /// What the store says when it seals; nothing of the group may be acknowledged then.
    pub fn drain(&mut self) -> Result<(Batch, Vec<Accepted>), StoreError> {
        for at in self.changed.drain(..) {
            if let Some(state) = self.streams.get_mut(&at) {
                state.is_changed = false;
                self.full.extend(state.block.take().map(|block| *block));
                self.batch.put(Space::Chains, at.entry(), state.encode());
            }
        }
        for block in self.full.drain(..) {
            self.batch.put_block(block.seal()?);
        }
        Ok((std::mem::take(&mut self.batch), std::mem::take(&mut self.accepted)))
    }
}

/// Puts a record into its stream's block of this group; one that has no more room waits for the end of the group.
fn keep(
    store: &Store,
    at: &StreamKey,
    block: &mut Option<Box<Block>>,
    full: &mut Vec<Block>,
    record: &Record,
) -> Result<(), StoreError> {
    if let Some(open) = block
        && open.add(record)?
    {
        return Ok(());
    }
    let next = Box::new(store.block(&at.tenant, record)?);
    full.extend(block.replace(next).map(|full| *full));
    Ok(())
}

/// Each stream is noted once in a group.
fn note_change(changed: &mut Vec<StreamKey>, at: &StreamKey, is_changed: &mut bool) {
    if !std::mem::replace(is_changed, true) {
        changed.push(*at);
    }
}

/// When a message came to us, or to the gateway that carried it: what is relative in it counts from there.
fn arrived(route: Route, now: Timestamp) -> Timestamp {
    route.hop().map_or(now, |hop| hop.received)
}

/// What stands behind a record of a chain on arrival. Where its gateway signs for the thing, a checkpoint is the gateway's word
/// too, and raises nothing.
fn of_chained(route: Route) -> Assurance {
    match route {
        Route::Through(hop) if !hop.link.is_thing_itself() => Assurance::GatewaySealed,
        Route::Through(_) | Route::Direct(_) => Assurance::Transport,
    }
}

enum Bad {
    Violation(Violation),
    Store(StoreError),
}

fn subject(at: &StreamKey) -> Subject {
    Subject { tenant: at.tenant, device: at.device, stream: at.stream }
}

/// The readings of a record; `None` when it does not open, empty when it opens and holds no pack.
fn open(
    record: &ChainRecord<'_>,
    key: &RecordKey,
    scratch: &mut [u8],
    now: Timestamp,
) -> Option<Vec<Reading>> {
    let len = record.open(key, scratch).ok()?;
    let mut readings = Vec::new();
    let pack = scratch.get(..len).unwrap_or_default();
    match senml::decode(pack, now, |r| readings.push(payload::owned(&r))) {
        Ok(()) => Some(readings),
        Err(_) => Some(Vec::new()),
    }
}

/// The records' key of a chain that is sealed for the service, derived on first use.
fn service_key<'a>(
    chain: &'a mut Chain,
    at: &StreamKey,
    store: &Store,
    recipients: &mut HashMap<TenantName, Vec<(KeyId, RecipientSecretKey)>>,
) -> Result<&'a RecordKey, Bad> {
    if chain.key.is_none() {
        let secret = recipient(&chain.recipient, &at.tenant, store, recipients)?;
        let (cipher, id) = (chain.cipher, chain.state.chain);
        let key = RecordKey::derive(secret, &chain.encapsulated, cipher, &subject(at), &id);
        chain.key = Some(key.map_err(|_| Bad::Violation(Violation::Forged))?);
    }
    chain.key.as_ref().ok_or(Bad::Violation(Violation::UnknownChain))
}

fn recipient<'a>(
    id: &KeyId,
    tenant: &TenantName,
    store: &Store,
    recipients: &'a mut HashMap<TenantName, Vec<(KeyId, RecipientSecretKey)>>,
) -> Result<&'a RecipientSecretKey, Bad> {
    let is_known = |all: &[(KeyId, RecipientSecretKey)]| all.iter().any(|(known, _)| known == id);
    if !recipients.get(tenant).is_some_and(|all| is_known(all)) {
        let ring = store.keys().get(tenant).map_err(Bad::Store)?;
        let secrets = ring.iter().filter_map(|key| {
            let secret = RecipientSecretKey::from_bytes(*key.recipient());
            Some((secret.public_key().ok()?.id(), secret))
        });
        recipients.insert(*tenant, secrets.collect());
    }
    let all = recipients.get(tenant).map(Vec::as_slice).unwrap_or_default();
    let found = all.iter().find(|(known, _)| known == id);
    found.map(|(_, secret)| secret).ok_or(Bad::Violation(Violation::UnknownChain))
}

fn earlier(
    store: &Store,
    at: &StreamKey,
    recent: &VecDeque<(u64, [u8; 16])>,
    record: &ChainRecord<'_>,
    readings: &[Reading],
) -> Earlier {
    let compare = |same: bool| if same { Earlier::Same } else { Earlier::Other };
    if let Some((_, tag)) = recent.iter().find(|(seq, _)| *seq == record.seq) {
        return compare(*tag == record.tag());
    }
    match store.hot_record(&at.tenant, at.device, at.stream, record.chain, record.seq) {
        Ok(Some(kept)) => compare(is_same(&kept.readings, readings)),
        Ok(None) | Err(_) => Earlier::Unknown,
    }
}

/// Sealed readings have the time of receipt, which says nothing.
fn is_same(kept: &[Reading], new: &[Reading]) -> bool {
    match (kept, new) {
        ([Reading { value: Value::Sealed(a), .. }], [Reading { value: Value::Sealed(b), .. }]) => a == b,
        _ => kept == new,
    }
}

#[cfg(test)]
pub(crate) mod tests;
