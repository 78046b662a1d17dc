//! From a message to rows: verify the chain, open, keep, seal for the tenant. No I/O but lookups of old records.
//!
//! Everything that one message changes goes into one batch; nothing is acknowledged before it is durable.

mod keys;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::HashMap;
use thingward_crypto::VerifyingKey;
use thingward_model::limits::RECORD_BYTES_MAX;
use thingward_model::{Assurance, Confidentiality, DeviceName, StreamName, TenantName, Timestamp, senml};
use thingward_policy::{Permit, PublishReadings};
use thingward_seal::verifier::verify_statement;
use thingward_seal::{
    ChainState, Earlier, FormatError, Item, Items, Record as ChainRecord, RecordKey, RecordVerdict,
    SignedStatement, Statement, StatementKind, StatementVerdict, Subject, Violation, item,
};
use thingward_store::hot::{Batch, Block, Opened, Space};
use thingward_store::{Reading, Record, Route, Store, StoreError, Value};

use self::keys::Recipients;
use crate::ahead::Ahead;
use crate::audit::Deed;
use crate::directory::Directory;
use crate::finding::{Findings, Place};
use crate::metrics::Metrics;
use crate::payload;
use crate::recent::Recent;
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
    recipients: Recipients,
    pub(crate) findings: Findings,
    /// What has to be in the log with the same group.
    pub(crate) deeds: Vec<(TenantName, Deed)>,
    changed: Vec<StreamKey>,
    /// Blocks that wait for the end of their group.
    full: Vec<Block>,
    batch: Batch,
    /// Open statements, by chain.
    opens: Ahead,
    accepted: Vec<Accepted>,
    scratch: Box<[u8; RECORD_BYTES_MAX]>,
    /// The block that a record of this group was looked for in last.
    opened: Opened,
    /// The number of this group.
    group: u64,
    /// Groups up to this number are durable.
    durable: Arc<AtomicU64>,
}

/// A group of changes. Nothing of it may be acknowledged before [`Self::batch`] is durable.
pub struct Drained {
    /// What has to become durable.
    pub batch: Batch,
    /// The records that were accepted with it.
    pub accepted: Vec<Accepted>,
    /// Its number: they rise.
    pub group: u64,
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
            opens: Ahead::new(Arc::clone(&store), Space::Chains),
            opened: Opened::default(),
            group: 1,
            durable: Arc::default(),
            store,
            directory,
            metrics,
            streams: HashMap::default(),
            recipients: Recipients::default(),
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
        taken
    }

    /// Who follows is told of a record that was kept.
    fn accept(&mut self, tenant: TenantName, record: &Arc<Record>) {
        self.metrics.readings_accepted.inc_by(record.readings.len() as u64);
        self.accepted.push((tenant, Arc::clone(record)));
    }

    /// The records that were accepted in this group so far.
    #[must_use]
    pub fn accepted(&self) -> &[Accepted] {
        &self.accepted
    }

    /// Whoever makes groups durable says here up to which number they are.
    #[must_use]
    pub fn durable(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.durable)
    }

    /// How many records were opened in all to compare what came with them.
    #[must_use]
    pub const fn records_opened(&self) -> u64 {
        self.opened.count
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
        let record = Arc::new(record);
        self.accept(at.tenant, &record);
        Ok(record)
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
        let Self { store, streams, scratch, recipients, full, changed, opened, group, .. } = self;
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
                let key = recipients.record_key(chain, at, store)?;
                open(record, key, scratch.as_mut_slice(), at_hand)
            }
        };
        let (mut state, mut failed) = (chain.state, None);
        let verdict = state.record(record, readings.is_some(), |record| {
            let readings = readings.as_deref().unwrap_or_default();
            let found = earlier(store, at, &chain.recent, opened, record, readings);
            found.unwrap_or_else(|e| {
                failed = Some(e);
                Earlier::Unknown
            })
        });
        if let Some(e) = failed {
            // It may have been kept, and must not be twice.
            return Err(Bad::Store(e));
        }
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
        chain.recent.remember(record.seq, record.tag(), *group);
        note_change(changed, at, &mut stream.is_changed);
        if let Some(violation) = violation {
            self.note(at, violation.as_str(), format!("at record {}", record.seq), now);
        }
        if is_empty {
            // It opened, so the device made it, but it holds no pack; the chain goes on.
            return Err(Bad::Violation(Violation::Malformed));
        }
        let kept = Arc::new(kept);
        self.accept(at.tenant, &kept);
        Ok(Some(kept))
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
        if self.opens.get(&entry).map_err(Bad::Store)?.is_some() {
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
            recent: Recent::default(),
        };
        if confidentiality == Confidentiality::Service {
            self.recipients.record_key(&mut chain, at, &self.store)?;
        }
        if let Some(violation) = succession {
            self.note(at, violation.as_str(), "a new chain does not follow the old one".to_owned(), now);
        }
        self.opens.put(entry, signed.bytes.to_vec()).map_err(Bad::Store)?;
        let stream = self.streams.entry(*at).or_default();
        stream.chain = Some(chain);
        note_change(&mut self.changed, at, &mut stream.is_changed);
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
        self.recipients.forget(tenant);
        self.opened.forget();
        for (at, state) in &mut self.streams {
            if at.tenant == *tenant
                && let Some(chain) = &mut state.chain
            {
                chain.key = None;
            }
        }
    }

    /// Ends a group.
    ///
    /// # Errors
    ///
    /// What the store says when it seals; nothing of the group may be acknowledged then.
    pub fn drain(&mut self) -> Result<Drained, StoreError> {
        let durable = self.durable.load(Ordering::Acquire);
        for at in self.changed.drain(..) {
            if let Some(state) = self.streams.get_mut(&at) {
                state.is_changed = false;
                self.full.extend(state.block.take().map(|block| *block));
                if let Some(chain) = &mut state.chain {
                    chain.recent.trim(durable);
                }
                self.batch.put(Space::Chains, at.entry(), state.encode());
            }
        }
        for block in self.full.drain(..) {
            self.batch.put_block(block.seal()?);
        }
        self.batch.extend(self.opens.drain());
        self.opened.forget();
        let group = self.group;
        self.group += 1;
        let (batch, accepted) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.accepted));
        Ok(Drained { batch, accepted, group })
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

fn earlier(
    store: &Store,
    at: &StreamKey,
    recent: &Recent,
    opened: &mut Opened,
    record: &ChainRecord<'_>,
    readings: &[Reading],
) -> Result<Earlier, StoreError> {
    let compare = |same: bool| if same { Earlier::Same } else { Earlier::Other };
    if let Some(tag) = recent.tag(record.seq) {
        return Ok(compare(*tag == record.tag()));
    }
    let kept = store.hot_record(&at.tenant, at.device, at.stream, record.chain, record.seq, opened)?;
    Ok(kept.map_or(Earlier::Unknown, |kept| compare(is_same(&kept.readings, readings))))
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
