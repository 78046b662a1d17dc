//! The core without threads and without a clock: somebody else says when it takes a step and what time it is then. The threads
//! take the same steps.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde_json::Value as Json;
use thingward_audit::entry::EntryError;
use thingward_crypto::VerifyingKey;
use thingward_crypto::sealed::SealingKey;
use thingward_ingress::{Member, Output};
use thingward_model::{ActionName, DeviceName, TenantName, Timestamp};
use thingward_mqtt::broker::{ConnId, Limits};
use thingward_policy::{Permit, SendCommands, Subject};
use thingward_seal::FormatError;
use thingward_seal::command::{CANONICAL_BYTES_MAX, Command, CommandId, Data, json};
use thingward_store::{Record, Store, StoreError};
use tokio::sync::{broadcast, oneshot};

use super::{Core, Event, open};
use crate::audit::{Auditor, Deed, LogWriter};
use crate::authority::AuthorityError;
use crate::command::{self, CommandRecord, NewCommand, State};
use crate::core::committer::{Committer, Group};
use crate::core::handle::follow;
use crate::directory::Directory;
use crate::finding::Finding;
use crate::reign::keys;

/// See the module.
pub struct SteppedCore {
    core: Core,
    committer: Committer,
    auditor: Arc<Auditor>,
    command_key: VerifyingKey,
    events: Vec<Event>,
}

/// What a step decided, and nobody hears of before it is durable.
pub struct Decision(Option<Group>);

/// What was decided cannot be kept; the core must not go on.
#[derive(Debug, thiserror::Error)]
#[error("what was decided cannot be kept")]
pub struct Stuck;

/// A command of the operator that needs no passkey.
#[derive(Debug, Clone)]
pub struct Told {
    /// For whom.
    pub device: DeviceName,
    /// Names it.
    pub id: CommandId,
    /// What shall be done.
    pub action: ActionName,
    /// With what; null for nothing.
    pub input: Json,
    /// When it counts no more.
    pub expires: Timestamp,
}

/// The index of an entry in the log, once it is durable.
pub type Logged = oneshot::Receiver<Result<u64, StoreError>>;

impl SteppedCore {
    /// Reads the state of the last run.
    ///
    /// # Errors
    ///
    /// What the store says, or why its keys do not open.
    pub async fn open(
        store: Arc<Store>,
        directory: Arc<Directory>,
        sealing: &SealingKey,
        trust_domain: &str,
        limits: Limits,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let auditor = Arc::new(Auditor::open(trust_domain, store.registry(), sealing).await?);
        let keys = keys(store.registry(), sealing).await?;
        let command_key = thingward_crypto::Signer::public_key(&keys.commands).clone();
        let log = LogWriter::load(&store, &store.registry().all_tenants().await?)?;
        let (core, committer, _) = open(store, directory, Arc::clone(&auditor), log, keys, limits, now)?;
        Ok(Self { core, committer, auditor, command_key, events: Vec::new() })
    }

    /// A member connected.
    pub fn accept(&mut self, conn: ConnId, who: Member, output: Output) {
        self.events.push(Event::Accept { conn, who, output });
    }

    /// Bytes came over a connection.
    pub fn received(&mut self, conn: ConnId, bytes: Bytes) {
        self.events.push(Event::Received { conn, received: BytesMut::from(bytes).into() });
    }

    /// A connection ended.
    pub fn closed(&mut self, conn: ConnId) {
        self.events.push(Event::Closed { conn });
    }

    /// The operator tells a device to do something.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when there is no such command.
    pub fn command(
        &mut self,
        permit: &Permit<SendCommands>,
        told: Told,
        now: Timestamp,
    ) -> Result<Logged, FormatError> {
        let Told { device, id, action, input, expires } = told;
        let (tenant, actor) = (*permit.tenant(), "operator".to_owned());
        let encoded = json::encode(&input)?;
        let input_data = Data::from_bytes(&encoded)?;
        let command =
            Command { tenant, device, id, action, input: input_data, issued: now, expires, actor: &actor };
        let mut canonical = vec![0; CANONICAL_BYTES_MAX];
        let len = command.encode(&mut canonical)?;
        canonical.truncate(len);
        let record = CommandRecord {
            tenant,
            device,
            id,
            action,
            input,
            actor,
            who: command::who(&Subject::Operator),
            issued: now,
            expires,
            log: 0,
            message: Vec::new(),
            state: State::Waiting,
            reply: Vec::new(),
        };
        let deed = command::sent(&record, &canonical);
        let (done, wait) = oneshot::channel();
        let new = Box::new(NewCommand { record, canonical, approval: None, deed });
        self.events.push(Event::Command { new, done });
        Ok(wait)
    }

    /// Somebody does something that the log has to have first.
    ///
    /// # Errors
    ///
    /// [`EntryError`] when a part of it is too large.
    pub fn log(&mut self, tenant: TenantName, deed: Deed, now: Timestamp) -> Result<Logged, EntryError> {
        let entry = self.auditor.entry(deed, now)?;
        let (done, wait) = oneshot::channel();
        self.events.push(Event::Log { tenant, entry, done });
        Ok(wait)
    }

    /// Decides about everything that happened since the last step.
    ///
    /// # Errors
    ///
    /// [`Stuck`].
    pub fn decide(&mut self, now: Timestamp) -> Result<Decision, Stuck> {
        let decided = self.core.step(now, std::mem::take(&mut self.events).into_iter());
        decided.map(|decided| Decision(decided.group)).map_err(|()| Stuck)
    }

    /// Makes decisions durable in one step, in their order, and then lets them be heard of.
    ///
    /// # Errors
    ///
    /// What the store says. Nothing is heard of then, and the core must not go on: it is ahead of the disk.
    pub fn commit(&mut self, decisions: Vec<Decision>) -> Result<(), StoreError> {
        self.committer.finish(decisions.into_iter().filter_map(|decision| decision.0).collect())
    }

    /// Accepted readings of a tenant as they become durable.
    #[must_use]
    pub fn follow(&self, tenant: TenantName) -> broadcast::Receiver<Arc<Record>> {
        follow(&self.committer.followers, tenant)
    }

    /// Whether anything happened since the last step, or its time has come.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        !self.events.is_empty() || self.core.next_deadline().is_some_and(|at| at <= now)
    }

    /// The findings of a tenant.
    #[must_use]
    pub fn findings(&self, tenant: &TenantName) -> Vec<Finding> {
        self.core.broker.gate().pipeline.findings.of_tenant(tenant)
    }

    /// Whether a command waits for its device's word.
    #[must_use]
    pub fn is_waiting(&self, tenant: &TenantName, device: &DeviceName, id: CommandId) -> bool {
        self.core.broker.gate().commands.is_waiting(tenant, device, id)
    }

    /// The key that commands verify with.
    #[must_use]
    pub const fn command_key(&self) -> &VerifyingKey {
        &self.command_key
    }

    /// Who signs the audit logs.
    #[must_use]
    pub const fn auditor(&self) -> &Arc<Auditor> {
        &self.auditor
    }
}
