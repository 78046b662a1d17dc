//! The broker's gate: who may connect, publish, subscribe and be delivered to, by identity and policy.

mod gateways;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value as Json;
use thingward_crypto::{Digest, KeyId, SoftwareKey, sha256};
use thingward_grant::Nonce;
use thingward_ingress::Member;
use thingward_model::description::ThingDescription;
use thingward_model::{DeviceName, Principal, Role, StreamName, TenantName, Timestamp};
use thingward_mqtt::broker::{Delivered, Gate, Incoming, Message, Routed, Scope};
use thingward_mqtt::codec::{Connect, MessageProperties, QoS, ReasonCode, Text};
use thingward_mqtt::topic::{TopicFilter, TopicName};
use thingward_policy::{Act, Forward, Permit, PublishReadings, Reader, Resource, SendCommands, Subject};
use thingward_seal::command::CommandId;
use thingward_seal::envelope::SignedEnvelope;
use thingward_store::query::senml;
use thingward_store::{Hop, Record, Route, Store, StoreError};

use crate::accounts::Accounts;
use crate::audit::Deed;
use crate::beacon::beacon;
use crate::command::{BadReply, Commands, parse_id, target};
use crate::description;
use crate::directory::Directory;
use crate::gateway_status::{self, KeptStatus};
use crate::pipeline::{Pipeline, Refusal, Via};
use crate::refusals::{Refusals, Refused};
use crate::topics::{self, DeviceTopic};
use crate::uses::{BadUse, Uses};

pub(crate) use gateways::once;
use gateways::wrong_link;

/// Decides by identity, and hands readings to the pipeline.
pub struct ServiceGate {
    pub(crate) pipeline: Pipeline,
    pub(crate) commands: Commands,
    pub(crate) uses: Uses,
    pub(crate) accounts: Accounts,
    /// Signs the time.
    grant_key: Arc<SoftwareKey>,
    store: Arc<Store>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) refusals: Refusals,
    /// What gateways are told, until the core takes it.
    pub(crate) announcements: Vec<Message>,
    /// What devices said that they can do, until the core keeps it.
    pub(crate) described: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// What gateways say of themselves, until the core keeps it.
    pub(crate) statuses: Vec<(Vec<u8>, Option<KeptStatus>)>,
    /// When a gateway said that last.
    said_at: HashMap<(TenantName, DeviceName), Timestamp>,
    /// What devices said last, by its hash: most say the same again.
    descriptions: HashMap<(TenantName, DeviceName), Digest>,
    /// The time of the step that decides, for what the broker asks without one.
    time: Timestamp,
}

impl ServiceGate {
    /// A gate in front of `pipeline`.
    #[must_use]
    pub(crate) fn new(
        pipeline: Pipeline,
        commands: Commands,
        uses: Uses,
        accounts: Accounts,
        grant_key: Arc<SoftwareKey>,
        store: Arc<Store>,
        directory: Arc<Directory>,
    ) -> Self {
        Self {
            pipeline,
            commands,
            uses,
            accounts,
            grant_key,
            store,
            directory,
            refusals: Refusals::default(),
            announcements: Vec::new(),
            described: Vec::new(),
            statuses: Vec::new(),
            said_at: HashMap::new(),
            descriptions: HashMap::new(),
            time: Timestamp::EPOCH,
        }
    }

    /// It is so late from here on. Said before each step.
    pub(crate) const fn set_time(&mut self, now: Timestamp) {
        self.time = now;
    }

    /// Asked again each time, because a revocation takes effect at once, and a connection that is about to be cut still has a will.
    fn is_member(&self, who: &Member) -> bool {
        self.directory.is_member(who)
    }

    /// The permit of a member to do `A`. A no goes to the log.
    fn permit<A: Act>(
        &mut self,
        now: Timestamp,
        who: &Principal,
        on: &Resource,
    ) -> Result<Permit<A>, ReasonCode> {
        self.directory.access.decide(&who.tenant, &Subject::Member(*who), on).map_err(|denied| {
            let actor = format!("{}/{}", who.role, who.name);
            let refused =
                Refused { tenant: who.tenant, actor, action: A::ACTION, on: *on, reason: denied.reason };
            if let Some(deed) = self.refusals.note(refused, now) {
                self.pipeline.deeds.push((who.tenant, deed));
            }
            ReasonCode::NotAuthorized
        })
    }

    /// The permit of a member to publish to a stream of its own.
    fn publishing(
        &mut self,
        now: Timestamp,
        who: &Principal,
        stream: StreamName,
    ) -> Result<Permit<PublishReadings>, ReasonCode> {
        self.permit(now, who, &Resource::Stream(who.name, stream))
    }

    /// Whether the application that published a command may still send it.
    fn may_still_command(&mut self, message: &Message) -> bool {
        let Some(author) = Member::decode(&message.author).filter(|author| self.is_member(author)) else {
            return false;
        };
        let topic = topics::outer(&author.principal, &message.topic);
        let Some((device, operation)) = topic.and_then(|topic| topics::parse_command(topic.as_str())) else {
            return false;
        };
        let on = Resource::Operation(device, operation, number(&message.payload));
        self.permit::<SendCommands>(self.time, &author.principal, &on).is_ok()
    }

    /// Looks at what a device says beside readings: replies to commands, and what it can do.
    fn said(
        &mut self,
        now: Timestamp,
        who: &Principal,
        rest: &str,
        message: &[u8],
        via: Via,
    ) -> Result<(), ReasonCode> {
        let (tenant, device) = (who.tenant, who.name);
        if let Some(id) = rest.strip_prefix("replies/").and_then(parse_id) {
            let directory = Arc::clone(&self.directory);
            let key = |id: &KeyId| directory.key(&tenant, &device, id);
            return match self.commands.reply(&tenant, &device, id, message, key) {
                Ok(()) | Err(BadReply::NotWaiting) => Ok(()),
                Err(BadReply::Wrong(what)) => {
                    self.pipeline.note_device(tenant, device, "wrong-reply", what.to_owned(), now);
                    Err(ReasonCode::PayloadFormatInvalid)
                }
            };
        }
        // To take a retained message away is not to say anything.
        if rest == "state/description" && !message.is_empty() {
            self.describe(now, who, message, via)?;
        }
        Ok(())
    }

    /// A use of a grant, which is nobody's to listen to: it is in the log, and counted.
    fn used(
        &mut self,
        now: Timestamp,
        who: &Principal,
        nonce: &Nonce,
        message: &[u8],
    ) -> Result<(), ReasonCode> {
        let directory = Arc::clone(&self.directory);
        let key = |id: &KeyId| directory.key(&who.tenant, &who.name, id);
        match self.uses.take(now, who, nonce, message, key) {
            Ok(deed) => {
                self.pipeline.deeds.extend(deed.map(|deed| (who.tenant, deed)));
                Ok(())
            }
            Err(BadUse::Wrong(fault)) => {
                self.pipeline.note_device(who.tenant, who.name, "wrong-use", fault.to_string(), now);
                Err(ReasonCode::PayloadFormatInvalid)
            }
            Err(BadUse::Store(e)) => {
                tracing::error!(error = %e, "a use of a grant cannot be counted");
                Err(ReasonCode::UnspecifiedError)
            }
        }
    }

    /// Who asks what time it is gets the answer where it asked, while it is one.
    fn tell_time(&self, now: Timestamp, who: &Principal, nonce: &Nonce) -> Result<Message, ReasonCode> {
        let signed = beacon(&self.grant_key, &who.tenant, now, Some(*nonce));
        let payload = signed.map_err(|error| {
            tracing::error!(?error, "the time cannot be signed");
            ReasonCode::UnspecifiedError
        })?;
        let topic = topics::inner(&who.tenant, &who.name, &topics::time(nonce));
        Ok(Message {
            topic: topic.ok_or(ReasonCode::TopicNameInvalid)?,
            payload: payload.into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: MessageProperties {
                message_expiry: Some(topics::TIME_SECONDS),
                ..MessageProperties::default()
            },
            author: Bytes::new(),
        })
    }

    /// What a device says that it can do. A gateway can say it for any of its tenant's devices, so what came through one
    /// never allows more than what is known, and never takes the place of what the device itself said here.
    fn describe(
        &mut self,
        now: Timestamp,
        who: &Principal,
        message: &[u8],
        via: Via,
    ) -> Result<(), ReasonCode> {
        let (tenant, device) = (who.tenant, who.name);
        let hash = sha256(&[&[u8::from(via == Via::Gateway)], message]);
        if self.descriptions.get(&(tenant, device)) == Some(&hash) {
            return Ok(());
        }
        let thing = ThingDescription::parse(message).map_err(|error| {
            self.pipeline.note_device(tenant, device, "bad-description", error.to_string(), now);
            ReasonCode::PayloadFormatInvalid
        })?;
        if self.directory.access.described(&tenant, &device, &thing, via) {
            self.descriptions.insert((tenant, device), hash);
            let kept = description::encode(via, message);
            self.described.push((description::key(&tenant, &device), Some(kept)));
            self.announcements.extend(self.keeper_looks(&who.tenant, &device, now));
        }
        Ok(())
    }

    /// Forgets what a device said, which is none of the tenant's any more.
    pub(crate) fn forget_description(&mut self, tenant: &TenantName, device: &DeviceName) {
        self.said_at.remove(&(*tenant, *device));
        self.statuses.push((gateway_status::key(tenant, device), None));
        self.descriptions.remove(&(*tenant, *device));
        self.described.push((description::key(tenant, device), None));
    }

    fn telemetry(
        &mut self,
        permit: &Permit<PublishReadings>,
        device: DeviceName,
        stream: StreamName,
        payload: &[u8],
        route: Route,
        now: Timestamp,
    ) -> Result<(), ReasonCode> {
        let taken = self.pipeline.take(permit, device, stream, payload, route, now);
        taken.map(drop).map_err(|refusal| reason(&refusal))
    }

    fn forward(
        &mut self,
        permit: &Permit<Forward>,
        gateway: DeviceName,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<Routed, ReasonCode> {
        let tenant = *permit.tenant();
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
        let Some(role) = self.directory.role(&tenant, &envelope.child) else {
            self.pipeline.note_device(tenant, gateway, "unknown-child", envelope.child.to_string(), now);
            return Err(ReasonCode::NotAuthorized);
        };
        let keeper = self.directory.keeper(&tenant, &envelope.child);
        if let Some(lie) = wrong_link(gateway, keeper, envelope.link) {
            let detail = format!("{} over {}", envelope.child, envelope.link);
            self.pipeline.note_device(tenant, gateway, lie, detail, now);
            return Err(ReasonCode::NotAuthorized);
        }
        self.pipeline.count_envelope();
        let child = Principal { tenant, role, name: envelope.child };
        match topics::parse_device_topic(envelope.topic) {
            Some(DeviceTopic::Telemetry(stream)) => {
                let permit = self.publishing(now, &child, stream)?;
                self.commands.carried(tenant, envelope.child, gateway, now);
                let hop = Hop { gateway, link: envelope.link, received: envelope.received };
                let route = Route::Through(hop);
                self.telemetry(&permit, envelope.child, stream, envelope.message, route, now)?;
                Ok(Routed::Nowhere)
            }
            Some(DeviceTopic::Other(rest)) => {
                let _: Permit<PublishReadings> = self.publishing(now, &child, topics::area(rest)?)?;
                self.said(now, &child, rest, envelope.message, Via::Gateway)?;
                self.commands.carried(tenant, envelope.child, gateway, now);
                let topic =
                    topics::inner(&tenant, &envelope.child, rest).ok_or(ReasonCode::TopicNameInvalid)?;
                Ok(Routed::ToThoseWithRoom(Message {
                    topic,
                    payload: Bytes::copy_from_slice(envelope.message),
                    qos: QoS::AtLeastOnce,
                    retain: false,
                    properties: MessageProperties::default(),
                    author: Bytes::new(),
                }))
            }
            Some(DeviceTopic::Use(nonce)) => {
                let _: Permit<PublishReadings> = self.publishing(now, &child, uses_area()?)?;
                self.used(now, &child, &nonce, envelope.message)?;
                self.commands.carried(tenant, envelope.child, gateway, now);
                Ok(Routed::Nowhere)
            }
            Some(
                DeviceTopic::Forward
                | DeviceTopic::Time(_)
                | DeviceTopic::Status
                | DeviceTopic::Findings
                | DeviceTopic::Account,
            )
            | None => Err(ReasonCode::NotAuthorized),
        }
    }
}

/// Uses, as policies see them: a stream of that name.
fn uses_area() -> Result<StreamName, ReasonCode> {
    topics::area("uses")
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
        Member::decode(bytes).filter(|who| self.is_member(who))
    }

    fn connect(&mut self, now: Timestamp, who: &Member, _connect: &Connect) -> Result<(), ReasonCode> {
        if !self.is_member(who) {
            let Principal { tenant, name, .. } = who.principal;
            if let Some(keeper) = self.directory.keeper(&tenant, &name) {
                let detail = format!("its key is out of {keeper}, or that does not say what it does");
                self.pipeline.note_device(tenant, name, "kept-key-elsewhere", detail, now);
            }
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
        if p.role == Role::Application {
            let (device, operation) =
                topics::parse_command(message.topic.as_str()).ok_or(ReasonCode::NotAuthorized)?;
            let on = Resource::Operation(device, operation, number(&message.payload));
            if message.retain {
                // It would be there for ever, whoever may send it then.
                return Err(ReasonCode::NotAuthorized);
            }
            let _: Permit<SendCommands> = self.permit(now, p, &on)?;
            let deed =
                Deed::new(format!("application/{}", p.name), "command.publish", target(&device, &operation));
            self.pipeline.deeds.push((p.tenant, deed));
            let topic = topics::inner(&p.tenant, &device, &format!("commands/{operation}"));
            return Ok(Routed::ToAll(Message {
                topic: topic.ok_or(ReasonCode::TopicNameInvalid)?,
                // Whether it may is asked again when the device is there.
                author: who.encode(),
                ..message.clone()
            }));
        }
        match topics::parse_device_topic(message.topic.as_str()) {
            None => Err(ReasonCode::NotAuthorized),
            Some(DeviceTopic::Telemetry(stream)) => {
                let permit = self.publishing(now, p, stream)?;
                let route = Route::Direct(who.link);
                self.telemetry(&permit, p.name, stream, &message.payload, route, now)?;
                Ok(Routed::Nowhere)
            }
            Some(DeviceTopic::Other(rest)) => {
                let _: Permit<PublishReadings> = self.publishing(now, p, topics::area(rest)?)?;
                self.said(now, p, rest, &message.payload, Via::Device)?;
                let topic = topics::inner(&p.tenant, &p.name, rest).ok_or(ReasonCode::TopicNameInvalid)?;
                Ok(Routed::ToThoseWithRoom(Message { topic, ..message.clone() }))
            }
            Some(DeviceTopic::Use(nonce)) => {
                let _: Permit<PublishReadings> = self.publishing(now, p, uses_area()?)?;
                self.used(now, p, &nonce, &message.payload)?;
                Ok(Routed::Nowhere)
            }
            Some(DeviceTopic::Time(nonce)) => self.tell_time(now, p, &nonce).map(Routed::ToAll),
            Some(DeviceTopic::Status | DeviceTopic::Findings | DeviceTopic::Account)
                if p.role != Role::Gateway =>
            {
                Err(ReasonCode::NotAuthorized)
            }
            // For those who look at the gateway, and in nobody's subscription.
            Some(DeviceTopic::Status) => {
                let _: Permit<Forward> = self.permit(now, p, &Resource::Tenant)?;
                self.status(now, p, &message.payload).map(|()| Routed::Nowhere)
            }
            Some(DeviceTopic::Findings) => {
                let _: Permit<Forward> = self.permit(now, p, &Resource::Tenant)?;
                self.found(now, p, &message.payload).map(|()| Routed::Nowhere)
            }
            // What it did it may tell, whatever it may do from here on: that is what the log is for.
            Some(DeviceTopic::Account) => self.account(now, p, &message.payload).map(|()| Routed::Nowhere),
            Some(DeviceTopic::Forward) => {
                let permit = self.permit(now, p, &Resource::Tenant)?;
                self.forward(&permit, p.name, &message.payload, now)
            }
        }
    }

    fn subscribe(&mut self, who: &Member, filter: &TopicFilter) -> Result<TopicFilter, ReasonCode> {
        let inner = topics::inner_filter(&who.principal, filter).ok_or(ReasonCode::NotAuthorized)?;
        // Its subscription counts once this group of events is done, and commands leave behind that.
        let (p, now) = (&who.principal, self.time);
        match p.role {
            Role::Device => self.commands.listens(&p.tenant, &p.name, now),
            Role::Gateway => {
                self.commands.listens(&p.tenant, &p.name, now);
                self.commands.gateway_listens(&p.tenant, &p.name, now);
                if filter.pattern_str() == "devices/me/admission" {
                    self.announcements.extend(self.open_admission(p, now));
                }
            }
            Role::Application => {}
        }
        Ok(inner)
    }

    fn deliver(&mut self, who: &Member, message: &Message) -> Option<Delivered> {
        if !self.is_member(who) {
            return None;
        }
        if !message.author.is_empty() && !self.may_still_command(message) {
            return None;
        }
        let topic = topics::outer(&who.principal, &message.topic)?;
        let payload = match who.principal.role {
            // Their own commands and state, and those of things behind them.
            Role::Device | Role::Gateway => {
                let now = self.time;
                let command = topics::command_id(topic.as_str());
                let may = |(child, id): (Option<DeviceName>, CommandId)| {
                    let device = child.unwrap_or(who.principal.name);
                    let access = &self.directory.access;
                    self.commands.may_deliver(&who.principal.tenant, &device, id, now, access)
                };
                Some(message.payload.clone()).filter(|_| command.is_none_or(may))?
            }
            Role::Application => {
                let policies = self.directory.access.of(&who.principal.tenant)?;
                view::of(&Reader::new(policies, Subject::Member(who.principal)), &topic, message)?
            }
        };
        Some(Delivered { topic, payload })
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

/// A payload that is a number, in ten-thousandths, as policies look at it.
fn number(payload: &[u8]) -> Option<i64> {
    let number: f64 = std::str::from_utf8(payload).ok()?.trim().parse().ok()?;
    Some(thingward_policy::ten_thousandths(number))
}

/// A kept record as applications see it: SenML in JSON, with its assurance as a property.
pub(crate) fn announcement(tenant: &TenantName, record: &Record) -> Option<Message> {
    let topic = topics::telemetry_levels(tenant, &record.device, &record.stream).join("/");
    let topic = TopicName::try_from(topic.as_str()).ok()?;
    let link = record.route.link().map(|link| ("link", link.as_str()));
    let said = std::iter::once(("assurance", record.assurance.as_str())).chain(link);
    let property = |(name, value)| Some((Text::try_from(name).ok()?, Text::try_from(value).ok()?));
    let user = said.map(property).collect::<Option<_>>()?;
    let properties = MessageProperties {
        content_type: Text::try_from("application/senml+json").ok(),
        user,
        ..MessageProperties::default()
    };
    let pack: Vec<_> = record.clone().into_rows().map(|row| Json::Object(senml(&row))).collect();
    let payload = Json::Array(pack).to_string().into();
    Some(Message { topic, payload, qos: QoS::AtLeastOnce, retain: false, properties, author: Bytes::new() })
}

#[cfg(test)]
mod tests;
