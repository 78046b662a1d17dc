//! What gateways say of themselves and carry for others, and what they are told of their admission.

use std::sync::Arc;

use bytes::Bytes;
use thingward_crypto::KeyId;
use thingward_model::{DeviceName, Link, Principal, TenantName, Timestamp};
use thingward_mqtt::broker::Message;
use thingward_mqtt::codec::{MessageProperties, QoS, ReasonCode};

use super::ServiceGate;
use crate::accounts::{BadAccount, Taken};
use crate::gateway_status::{self, GatewayStatus, KeptStatus, Report, StatusError};
use crate::topics;

/// How long after a gateway said how it is it may say that again, in microseconds.
const STATUS_MICROS: u64 = 1_000_000;

impl ServiceGate {
    /// What a gateway that was away may enrol now. A code that was printed on a thing is not known any more.
    pub(super) fn open_admission(&self, gateway: &Principal, now: Timestamp) -> Option<Message> {
        let open = self.directory.admission(&gateway.tenant, &gateway.name, now);
        let told = open.map_or_else(
            || topics::admission(0, None, None),
            |admission| {
                let left = admission.until.micros_since(now).saturating_add(999_999) / 1_000_000;
                topics::admission(u32::try_from(left).unwrap_or_default(), admission.radio.as_ref(), None)
            },
        );
        once(&gateway.tenant, &gateway.name, topics::ADMISSION, &told)
    }

    /// What a thing can do is another, so the policies for the gateway that has its key are: it is told to look.
    pub(super) fn keeper_looks(
        &self,
        tenant: &TenantName,
        thing: &DeviceName,
        now: Timestamp,
    ) -> Option<Message> {
        let gateway = self.directory.keeper(tenant, thing)?;
        Some(Message {
            topic: topics::inner(tenant, &gateway, topics::MEMBERSHIP)?,
            payload: now.to_string().into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: MessageProperties::default(),
            author: Bytes::new(),
        })
    }

    /// How a gateway is. Only the latest is kept, and each costs a write, so they come no faster than once a second.
    pub(super) fn status(
        &mut self,
        now: Timestamp,
        gateway: &Principal,
        message: &[u8],
    ) -> Result<(), ReasonCode> {
        let at = (gateway.tenant, gateway.name);
        // Also when the clock was set back.
        let is_too_soon = |last: &Timestamp| now.micros_since(*last).unsigned_abs() < STATUS_MICROS;
        if self.said_at.get(&at).is_some_and(is_too_soon) {
            return Err(ReasonCode::QuotaExceeded);
        }
        let status = GatewayStatus::parse(message).map_err(|e| self.wrong_status(now, gateway, &e))?;
        self.said_at.insert(at, now);
        let key = gateway_status::key(&gateway.tenant, &gateway.name);
        self.statuses.push((key, Some(KeptStatus::new(now, status))));
        Ok(())
    }

    /// What a gateway found. It is a finding about the thing where the gateway keeps that, else about the gateway: it says nothing
    /// about others.
    pub(super) fn found(
        &mut self,
        now: Timestamp,
        gateway: &Principal,
        message: &[u8],
    ) -> Result<(), ReasonCode> {
        let report = Report::parse(message).map_err(|e| self.wrong_status(now, gateway, &e))?;
        let (tenant, name) = (gateway.tenant, gateway.name);
        let own = report.member().filter(|thing| self.directory.keeper(&tenant, thing) == Some(name));
        let (kind, detail) = (report.kind.as_str(), format!("says {name}: {}", report.detail()));
        self.pipeline.note_device(tenant, own.unwrap_or(name), kind, detail, now);
        Ok(())
    }

    /// What a gateway did by itself: in the log, on its word.
    pub(super) fn account(
        &mut self,
        now: Timestamp,
        gateway: &Principal,
        message: &[u8],
    ) -> Result<(), ReasonCode> {
        let (tenant, name) = (gateway.tenant, gateway.name);
        let directory = Arc::clone(&self.directory);
        let key = |id: &KeyId| directory.key(&tenant, &name, id);
        match self.accounts.take(gateway, message, key) {
            Ok(Taken::Before) => {}
            Ok(Taken::New(deed)) => self.pipeline.deeds.push((tenant, deed)),
            Ok(Taken::Apart(deed)) => {
                let detail = format!("{} {}: it does not follow what the log has", deed.action, deed.target);
                self.pipeline.note_device(tenant, name, "account-gap", detail, now);
                self.pipeline.deeds.push((tenant, deed));
            }
            Ok(Taken::Anew(deed)) => {
                let detail = "it begins anew with its first account".to_owned();
                self.pipeline.note_device(tenant, name, "account-restart", detail, now);
                self.pipeline.deeds.push((tenant, deed));
            }
            Err(BadAccount::Wrong(fault)) => {
                self.pipeline.note_device(tenant, name, "wrong-account", fault.to_string(), now);
                return Err(ReasonCode::PayloadFormatInvalid);
            }
            Err(BadAccount::Store(e)) => {
                tracing::error!(error = %e, "what a gateway did by itself cannot be put into the log");
                return Err(ReasonCode::UnspecifiedError);
            }
        }
        Ok(())
    }

    fn wrong_status(&mut self, now: Timestamp, gateway: &Principal, error: &StatusError) -> ReasonCode {
        self.pipeline.note_device(gateway.tenant, gateway.name, "bad-status", error.to_string(), now);
        ReasonCode::PayloadFormatInvalid
    }
}

/// What is wrong with a gateway that carried a message of this thing over this link; one of a fixed set of words. Only who keeps
/// the key of a thing carries what it says, and that over a radio; what has a key of its own signs with it.
pub(super) fn wrong_link(
    gateway: DeviceName,
    keeper: Option<DeviceName>,
    link: Link,
) -> Option<&'static str> {
    match keeper {
        Some(keeper) if keeper != gateway => Some("wrong-keeper"),
        Some(_) if link.is_thing_itself() => Some("wrong-link"),
        None if !link.is_thing_itself() => Some("wrong-link"),
        Some(_) | None => None,
    }
}

/// What a gateway is told of something, at most once: so the broker keeps nothing of it, and nothing old comes later. Of its
/// admission a gateway that was away is told again when it subscribes.
#[must_use]
pub(crate) fn once(tenant: &TenantName, gateway: &DeviceName, what: &str, told: &str) -> Option<Message> {
    Some(Message {
        topic: topics::inner(tenant, gateway, what)?,
        payload: Bytes::copy_from_slice(told.as_bytes()),
        qos: QoS::AtMostOnce,
        retain: false,
        properties: MessageProperties::default(),
        author: Bytes::new(),
    })
}
