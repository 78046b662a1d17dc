//! The broker's gate: who may connect, publish, subscribe and be delivered to, by identity and nothing else.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value as Json;
use thingward_ingress::Member;
use thingward_model::{StreamName, TenantName, Timestamp};
use thingward_mqtt::broker::{Gate, Incoming, Message, Routed, Scope};
use thingward_mqtt::codec::{Connect, MessageProperties, QoS, ReasonCode, Text};
use thingward_mqtt::topic::{TopicFilter, TopicName};
use thingward_policy as policy;
use thingward_policy::{Forward, Permit, PublishReadings};
use thingward_seal::envelope::SignedEnvelope;
use thingward_store::query::senml;
use thingward_store::{Record, Store, StoreError};

use crate::directory::Directory;
use crate::pipeline::{Pipeline, Refusal, Via};
use crate::topics::{self, DeviceTopic};

/// Decides by identity, and hands readings to the pipeline.
pub struct ServiceGate {
    pub(crate) pipeline: Pipeline,
    store: Arc<Store>,
    directory: Arc<Directory>,
    /// Tenants with a reader: for others no text is made of their readings.
    read: RefCell<HashSet<TenantName>>,
    /// What readers are told of kept readings, until the core takes it.
    pub(crate) announcements: Vec<Message>,
}

impl ServiceGate {
    /// A gate in front of `pipeline`.
    #[must_use]
    pub fn new(pipeline: Pipeline, store: Arc<Store>, directory: Arc<Directory>) -> Self {
        Self { pipeline, store, directory, read: RefCell::default(), announcements: Vec::new() }
    }

    /// Whether the certificate still makes its holder a member: asked again each time, because a revocation takes
    /// effect at once, and a connection that is about to be cut still has a will.
    fn is_member(&self, who: &Member) -> bool {
        let p = &who.principal;
        self.directory.role(&p.tenant, &p.name) == Some(p.role) && !self.directory.is_revoked(&who.serial)
    }

    fn telemetry(
        &mut self,
        permit: &Permit<PublishReadings>,
        device: thingward_model::DeviceName,
        stream: StreamName,
        payload: &[u8],
        via: Via,
        now: Timestamp,
    ) -> Result<Routed, ReasonCode> {
        let kept = self.pipeline.take(permit, device, stream, payload, via, now).map_err(|r| reason(&r))?;
        if self.read.borrow().contains(permit.tenant()) {
            self.announcements.extend(kept.iter().filter_map(|record| announcement(permit.tenant(), record)));
        }
        // The readings are kept whoever listens, so a full queue of a listener is no reason to refuse them.
        Ok(Routed::Nothing)
    }

    fn forward(
        &mut self,
        who: &Member,
        permit: &Permit<Forward>,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<Routed, ReasonCode> {
        let (tenant, gateway) = (who.principal.tenant, who.principal.name);
        let envelope = SignedEnvelope::decode(payload).map_err(|_| ReasonCode::PayloadFormatInvalid)?;
        let key = self.directory.key(&tenant, &gateway, &envelope.key_id());
        let Some(envelope) = key.and_then(|key| envelope.verify(&key).ok()) else {
            self.pipeline.note_device(
                tenant,
                gateway,
                "wrong-signer",
                "envelope of a gateway".to_owned(),
                now,
            );
            return Err(ReasonCode::NotAuthorized);
        };
        if self.directory.role(&tenant, &envelope.child).is_none() {
            self.pipeline.note_device(tenant, gateway, "unknown-child", envelope.child.to_string(), now);
            return Err(ReasonCode::NotAuthorized);
        }
        self.pipeline.count_envelope();
        match topics::parse_device_topic(envelope.topic) {
            Some(DeviceTopic::Telemetry(stream)) => {
                let child = permit.for_child();
                self.telemetry(
                    &child,
                    envelope.child,
                    stream,
                    envelope.message,
                    Via::Gateway,
                    envelope.received,
                )
            }
            Some(DeviceTopic::Other(rest)) => {
                let topic =
                    topics::inner(&tenant, &envelope.child, rest).ok_or(ReasonCode::TopicNameInvalid)?;
                Ok(Routed::One(Message {
                    topic,
                    payload: Bytes::copy_from_slice(envelope.message),
                    qos: QoS::AtLeastOnce,
                    retain: false,
                    properties: MessageProperties::default(),
                }))
            }
            Some(DeviceTopic::Forward) | None => Err(ReasonCode::NotAuthorized),
        }
    }
}

impl Gate for ServiceGate {
    type Identity = Member;

    fn scope(&self, who: &Member) -> Scope {
        Scope::from(who.principal.to_string())
    }

    fn share(&self, topic: &TopicName) -> Scope {
        topics::device_part(topic)
    }

    fn encode_identity(&self, who: &Member) -> Bytes {
        who.encode()
    }

    fn decode_identity(&self, bytes: &[u8]) -> Option<Member> {
        // Who was released while the service was down does not come back.
        let who = Member::decode(bytes).filter(|who| self.is_member(who))?;
        if who.principal.role == thingward_model::Role::Application {
            // Its subscriptions come back with it.
            self.read.borrow_mut().insert(who.principal.tenant);
        }
        Some(who)
    }

    fn connect(&mut self, _now: Timestamp, who: &Member, _connect: &Connect) -> Result<(), ReasonCode> {
        if !self.is_member(who) {
            return Err(ReasonCode::NotAuthorized);
        }
        match self.store.keys().get(&who.principal.tenant) {
            Ok(_) => Ok(()),
            Err(_) => Err(ReasonCode::ServerUnavailable),
        }
    }

    fn publish(
        &mut self,
        now: Timestamp,
        who: &Member,
        incoming: &Incoming<'_>,
    ) -> Result<Routed, ReasonCode> {
        if !self.is_member(who) {
            return Err(ReasonCode::NotAuthorized);
        }
        let message = incoming.message;
        let p = &who.principal;
        if p.role == thingward_model::Role::Application {
            let topic = topics::inner_for_application(p, message.topic.as_str());
            let topic = topic.ok_or(ReasonCode::NotAuthorized)?;
            return Ok(Routed::One(Message { topic, ..message.clone() }));
        }
        match topics::parse_device_topic(message.topic.as_str()) {
            None => Err(ReasonCode::NotAuthorized),
            Some(DeviceTopic::Telemetry(stream)) => {
                let permit = policy::publish_readings(p, &p.name).map_err(|_| ReasonCode::NotAuthorized)?;
                self.telemetry(&permit, p.name, stream, &message.payload, Via::Device, now)
            }
            Some(DeviceTopic::Other(rest)) => {
                let topic = topics::inner(&p.tenant, &p.name, rest).ok_or(ReasonCode::TopicNameInvalid)?;
                Ok(Routed::One(Message { topic, ..message.clone() }))
            }
            Some(DeviceTopic::Forward) => {
                let permit = policy::forward(p).map_err(|_| ReasonCode::NotAuthorized)?;
                self.forward(who, &permit, &message.payload, now)
            }
        }
    }

    fn subscribe(&mut self, who: &Member, filter: &TopicFilter) -> Result<TopicFilter, ReasonCode> {
        let inner = topics::inner_filter(&who.principal, filter).ok_or(ReasonCode::NotAuthorized)?;
        if who.principal.role == thingward_model::Role::Application {
            self.read.borrow_mut().insert(who.principal.tenant);
        }
        Ok(inner)
    }

    fn deliver(&self, who: &Member, topic: &TopicName) -> Option<TopicName> {
        self.is_member(who).then(|| topics::outer(&who.principal, topic))?
    }
}

/// What the publisher is told.
fn reason(refusal: &Refusal) -> ReasonCode {
    match refusal {
        Refusal::Payload | Refusal::Chain(_) => ReasonCode::PayloadFormatInvalid,
        Refusal::TooManyStreams => ReasonCode::NotAuthorized,
        Refusal::Store(StoreError::KeyWithdrawn { .. } | StoreError::KeyUnusable { .. }) => {
            ReasonCode::ImplementationSpecificError
        }
        Refusal::Store(e) => {
            tracing::error!(error = %e, "readings could not be kept");
            ReasonCode::UnspecifiedError
        }
    }
}

/// A kept record as applications see it: SenML in JSON, with its assurance as a property.
fn announcement(tenant: &TenantName, record: &Record) -> Option<Message> {
    let topic = topics::inner(tenant, &record.device, &format!("telemetry/{}", record.stream))?;
    let user = vec![(Text::try_from("assurance").ok()?, Text::try_from(record.assurance.as_str()).ok()?)];
    let properties = MessageProperties {
        content_type: Text::try_from("application/senml+json").ok(),
        user,
        ..MessageProperties::default()
    };
    let pack: Vec<_> = record.clone().into_rows().map(|row| Json::Object(senml(&row))).collect();
    let payload = Json::Array(pack).to_string().into();
    Some(Message { topic, payload, qos: QoS::AtLeastOnce, retain: false, properties })
}

#[cfg(test)]
mod tests;
