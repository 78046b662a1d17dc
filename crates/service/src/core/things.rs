//! What the core does about commands, descriptions and grants: logs, signs, keeps and sends.

use std::collections::HashSet;

use bytes::Bytes;
use thingward_model::{DeviceName, TenantName, Timestamp};
use thingward_mqtt::broker::Message;
use thingward_mqtt::codec::{MessageProperties, QoS};
use thingward_mqtt::topic::TopicName;
use thingward_seal::command::CommandId;
use thingward_store::hot::{Batch, Space};
use thingward_store::{Store, StoreError};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::handle::stopping;
use super::{Core, CoreHandle, Event};
use crate::access::Access;
use crate::audit::Deed;
use crate::command::{self, CommandRecord, NewCommand};
use crate::description;
use crate::sealer::Sealer;
use crate::topics;

/// The commands that waited when the service stopped.
///
/// # Errors
///
/// What the store says.
pub(super) fn waiting(store: &Store, sealer: &mut Sealer) -> Result<Vec<CommandRecord>, StoreError> {
    let corrupt = || StoreError::Corrupt { what: "a command that waits".to_owned() };
    let read = |(key, sealed): (Vec<u8>, Vec<u8>)| {
        let plain = sealer.open(&key, &sealed).map_err(|_| corrupt())?;
        CommandRecord::decode(&key, &plain).ok_or_else(corrupt)
    };
    store.scan(Space::Commands, command::WAITING_PREFIX, usize::MAX)?.into_iter().map(read).collect()
}

/// Tells the policies what devices said that they can do.
///
/// # Errors
///
/// What the store says.
pub(super) fn descriptions(store: &Store, sealer: &mut Sealer, access: &Access) -> Result<(), StoreError> {
    for (key, sealed) in store.scan(Space::Descriptions, b"", usize::MAX)? {
        let corrupt = || StoreError::Corrupt { what: "a description".to_owned() };
        let plain = sealer.open(&key, &sealed).map_err(|_| corrupt())?;
        let (tenant, device) = description::names(&key).ok_or_else(corrupt)?;
        let (via, document) = description::decode(&plain).ok_or_else(corrupt)?;
        if let Ok(thing) = thingward_model::description::ThingDescription::parse(document) {
            access.described(&tenant, &device, &thing, via);
        }
    }
    Ok(())
}

impl Core {
    /// Logs and signs a command, and lets it wait for its device. The answer comes once all of it is durable.
    pub(super) fn command(
        &mut self,
        now: Timestamp,
        new: NewCommand,
        done: oneshot::Sender<Result<u64, StoreError>>,
    ) {
        match self.try_command(now, new) {
            Ok(log) => self.waiting.push((done, log)),
            Err(error) => drop(done.send(Err(error))),
        }
    }

    fn try_command(&mut self, now: Timestamp, new: NewCommand) -> Result<u64, StoreError> {
        let (tenant, record) = (new.record.tenant, &new.record);
        if self.broker.gate().commands.is_waiting(&tenant, &record.device, record.id) {
            return Err(StoreError::Conflict { what: "a command of this id waits for the device" });
        }
        if !self.broker.gate().commands.has_room(&tenant, &record.device) {
            return Err(StoreError::Conflict { what: "the device has as many commands waiting as it may" });
        }
        let too_large = StoreError::Invalid { what: "a part of what goes into the log is too large" };
        let entry = self.auditor.entry(new.deed.clone(), now).map_err(|_| too_large)?;
        let log = self.log.append(tenant, entry)?;
        let unsigned = StoreError::Invalid { what: "the command cannot be signed" };
        self.broker.gate_mut().commands.add(new, log).map_err(|_| unsigned)?;
        Ok(log)
    }

    /// Asks a device for new evidence, or the gateway that it is behind. One that is not connected brings some when it starts.
    pub(super) fn ask_evidence(&mut self, now: Timestamp, tenant: &TenantName, device: &DeviceName) {
        let gateway = self.broker.gate().commands.gateway_of(tenant, device);
        let behind =
            gateway.and_then(|gateway| topics::inner(tenant, &gateway, &topics::attestation_of(device)));
        for topic in topics::inner(tenant, device, topics::ATTESTATION).into_iter().chain(behind) {
            self.broker.announce(
                now,
                Message {
                    topic,
                    payload: Bytes::new(),
                    qos: QoS::AtLeastOnce,
                    retain: false,
                    properties: MessageProperties::default(),
                    author: Bytes::new(),
                },
            );
        }
    }

    /// Lets what was taken back wait for a device, in the place of what it was told before. The answer comes once that is
    /// durable.
    pub(super) fn tell_revocation(
        &mut self,
        now: Timestamp,
        (tenant, device): (TenantName, DeviceName),
        payload: Vec<u8>,
        done: oneshot::Sender<Result<u64, StoreError>>,
    ) {
        let payload = Bytes::from(payload);
        let message = |topic: Option<TopicName>, retain| {
            topic.map(|topic| Message {
                topic,
                payload: payload.clone(),
                qos: QoS::AtLeastOnce,
                retain,
                properties: MessageProperties::default(),
                author: Bytes::new(),
            })
        };
        // A gateway that is away asks for it when it comes back.
        let gateway = self.broker.gate().commands.gateway_of(&tenant, &device);
        let behind =
            gateway.and_then(|gateway| topics::inner(&tenant, &gateway, &topics::revocation_of(&device)));
        if let Some(message) = message(behind, false) {
            self.broker.announce(now, message);
        }
        let message = message(topics::inner(&tenant, &device, topics::REVOCATION), true);
        let no_room = StoreError::Conflict { what: "the device has no room for another message" };
        let told = message.is_some_and(|message| self.broker.publish(now, message).is_ok());
        if told {
            self.waiting.push((done, 0));
        } else {
            let _ = done.send(Err(no_room));
        }
    }

    /// Lets the word that their membership is another wait for devices. The answer comes once that is durable. Who has no
    /// room for it looks within the hour by itself, and holds up nobody else.
    pub(super) fn tell_membership(
        &mut self,
        now: Timestamp,
        tenant: &TenantName,
        devices: &[DeviceName],
        done: oneshot::Sender<Result<u64, StoreError>>,
    ) {
        // When: a retained message without a payload would be none.
        let payload = Bytes::from(now.to_string());
        for device in devices {
            let Some(topic) = topics::inner(tenant, device, topics::MEMBERSHIP) else { continue };
            let message = Message {
                topic,
                payload: payload.clone(),
                qos: QoS::AtLeastOnce,
                retain: true,
                properties: MessageProperties::default(),
                author: Bytes::new(),
            };
            if let Err(reason) = self.broker.publish(now, message) {
                tracing::warn!(%tenant, %device, ?reason, "a device is not told to look at its membership");
            }
        }
        self.waiting.push((done, 0));
    }

    /// Sends what is due, and gives what has to be kept of commands, descriptions, uses and accounts.
    ///
    /// # Errors
    ///
    /// When a value cannot be sealed, or the log cannot be written.
    pub(super) fn things(&mut self, now: Timestamp) -> Result<Batch, ()> {
        let gate = self.broker.gate_mut();
        let access = std::sync::Arc::clone(&gate.directory.access);
        for message in gate.commands.due(now, &access) {
            self.broker.announce(now, message);
        }
        let gate = self.broker.gate_mut();
        let (mut changes, described) = (gate.commands.drain(), std::mem::take(&mut gate.described));
        gate.pipeline.deeds.append(&mut changes.deeds);
        let statuses = std::mem::take(&mut gate.statuses);
        let mut batch = gate.uses.drain();
        batch.extend(gate.accounts.drain());
        for (key, kept) in statuses {
            let Some(kept) = kept else {
                batch.delete(Space::Meta, key);
                continue;
            };
            let plain = serde_json::to_vec(&kept)
                .map_err(|error| tracing::error!(%error, "a status cannot be written"))?;
            batch.put(Space::Meta, key.clone(), self.seal(&key, &plain)?);
        }
        for (key, document) in described {
            match document {
                Some(document) => batch.put(Space::Descriptions, key.clone(), self.seal(&key, &document)?),
                None => batch.delete(Space::Descriptions, key),
            }
        }
        let written = changes.write(&mut self.sealer, &mut batch);
        written.map_err(|_| tracing::error!("a command cannot be sealed"))?;
        Ok(batch)
    }

    fn seal(&mut self, key: &[u8], plain: &[u8]) -> Result<Bytes, ()> {
        let sealed = self.sealer.seal(key, plain);
        sealed.map(Bytes::from).map_err(|_| tracing::error!("a description or status cannot be sealed"))
    }
}

impl CoreHandle {
    /// Sends a command. Returns its index in the log once both are durable.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it is not sent.
    pub(crate) async fn command(&self, new: NewCommand) -> Result<u64, StoreError> {
        let (done, wait) = oneshot::channel();
        self.send(Event::Command { new: Box::new(new), done }).await;
        wait.await.unwrap_or_else(|_| Err(stopping("send a command")))
    }

    /// Takes a command back. It is once this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when it does not wait any more.
    pub(crate) async fn cancel_command(
        &self,
        tenant: TenantName,
        device: DeviceName,
        id: CommandId,
        deed: Deed,
    ) -> Result<(), StoreError> {
        let (done, wait) = oneshot::channel();
        self.send(Event::CancelCommand { tenant, device, id, deed: Box::new(deed), done }).await;
        wait.await.unwrap_or_else(|_| Err(stopping("take a command back"))).map(drop)
    }

    /// Lets what was taken back wait for a device. It does once this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the device is not told.
    pub(crate) async fn tell_revocation(
        &self,
        tenant: TenantName,
        device: DeviceName,
        payload: Vec<u8>,
    ) -> Result<(), StoreError> {
        let (done, wait) = oneshot::channel();
        self.send(Event::TellRevocation { tenant, device, payload, done }).await;
        wait.await.unwrap_or_else(|_| Err(stopping("tell a device what was taken back"))).map(drop)
    }

    /// Lets the word that their membership is another wait for devices. It does once this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: not all of them are told.
    pub(crate) async fn tell_membership(
        &self,
        tenant: TenantName,
        devices: Vec<DeviceName>,
    ) -> Result<(), StoreError> {
        let (done, wait) = oneshot::channel();
        self.send(Event::TellMembership { tenant, devices, done }).await;
        wait.await
            .unwrap_or_else(|_| Err(stopping("tell devices that their membership is another")))
            .map(drop)
    }

    /// Asks a device that is connected for new evidence.
    pub(crate) async fn ask_evidence(&self, tenant: TenantName, device: DeviceName) {
        self.send(Event::AskEvidence { tenant, device }).await;
    }

    /// Tells a gateway that is connected something, as [`crate::topics`] says it. It is told once this returns.
    pub(crate) async fn tell_gateway(
        &self,
        tenant: TenantName,
        gateway: DeviceName,
        what: &'static str,
        payload: Zeroizing<String>,
    ) {
        let (done, wait) = oneshot::channel();
        self.send(Event::TellGateway { tenant, gateway, what, payload, done }).await;
        let _ = wait.await;
    }

    /// Keeps a finding about a device.
    pub(crate) async fn note_device(
        &self,
        tenant: TenantName,
        device: DeviceName,
        kind: &'static str,
        detail: String,
    ) {
        self.send(Event::NoteDevice { tenant, device, kind, detail }).await;
    }

    /// Forgets what a device said that it can do, and takes back what waits for it.
    pub(crate) async fn forget_device(&self, tenant: TenantName, device: DeviceName) {
        let (done, wait) = oneshot::channel();
        self.send(Event::ForgetDevice { tenant, device, done }).await;
        let _ = wait.await;
    }

    /// Takes back what waits for these, as the audit log names them.
    pub(crate) async fn cancel_commands_of(&self, actors: HashSet<String>) {
        let (done, wait) = oneshot::channel();
        self.send(Event::CancelCommandsOf { actors, done }).await;
        let _ = wait.await;
    }
}
