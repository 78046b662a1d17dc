//! SUBSCRIBE: §3.8.

use bytes::BytesMut;

use crate::codec::property::{Property, not_allowed, once, put_option, put_user, read_properties};
use crate::codec::reader::Reader;
use crate::codec::writer::{PacketTooLarge, frame, properties, put_text, put_u8, put_u16};
use crate::codec::{DecodeError, PacketId, QoS, SubscriptionId, UserProperties, Version};
use crate::topic::TopicFilter;

/// A request for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Answered by SUBACK with the same identifier.
    pub id: PacketId,
    /// Comes with each message that these subscriptions match.
    pub subscription_id: Option<SubscriptionId>,
    /// Pairs of the client.
    pub user: UserProperties,
    /// At least one.
    pub requests: Vec<SubscribeRequest>,
}

/// One topic filter of a SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// Which messages.
    pub filter: TopicFilter,
    /// How they are delivered.
    pub options: SubscriptionOptions,
}

/// §3.8.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// Highest QoS that messages are delivered with.
    pub qos: QoS,
    /// Not the messages of the same client.
    pub no_local: bool,
    /// Leave the retain flag as the publisher set it.
    pub retain_as_published: bool,
    /// Which retained messages come at once.
    pub retain_handling: RetainHandling,
}

/// Which retained messages a SUBSCRIBE brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetainHandling {
    /// All that match.
    Send,
    /// All that match when the subscription is new.
    SendIfNew,
    /// None.
    DoNotSend,
}

impl SubscriptionOptions {
    /// Messages up to `qos`, everything else as before MQTT 5.0.
    #[must_use]
    pub const fn new(qos: QoS) -> Self {
        Self { qos, no_local: false, retain_as_published: false, retain_handling: RetainHandling::Send }
    }

    pub(crate) fn from_byte(version: Version, byte: u8) -> Result<Self, DecodeError> {
        let allowed = if version == Version::V5 { 0x3f } else { 0x03 };
        if byte & !allowed != 0 {
            return Err(DecodeError::SubscriptionOptions);
        }
        Ok(Self {
            qos: QoS::from_level(byte & 3).ok_or(DecodeError::SubscriptionOptions)?,
            no_local: byte & 0x04 != 0,
            retain_as_published: byte & 0x08 != 0,
            retain_handling: match byte >> 4 {
                0 => RetainHandling::Send,
                1 => RetainHandling::SendIfNew,
                2 => RetainHandling::DoNotSend,
                _ => return Err(DecodeError::SubscriptionOptions),
            },
        })
    }

    pub(crate) fn to_byte(self) -> u8 {
        let handling = match self.retain_handling {
            RetainHandling::Send => 0x00,
            RetainHandling::SendIfNew => 0x10,
            RetainHandling::DoNotSend => 0x20,
        };
        self.qos.level()
            | (u8::from(self.no_local) << 2)
            | (u8::from(self.retain_as_published) << 3)
            | handling
    }
}

impl Subscribe {
    pub(crate) fn read(version: Version, mut r: Reader) -> Result<Self, DecodeError> {
        let id = r.packet_id()?;
        let mut subscription_id = None;
        let mut user = Vec::new();
        read_properties(&mut r, version, |p| match p {
            Property::SubscriptionIdentifier(v) => once(
                &mut subscription_id,
                0x0B,
                SubscriptionId::new(v).ok_or(DecodeError::PropertyValue(0x0B))?,
            ),
            Property::UserProperty(v) => {
                user.push(v);
                Ok(())
            }
            other => not_allowed(&other),
        })
        .map_err(as_subscription)?;
        let mut requests = Vec::new();
        while !r.is_empty() {
            let filter = r.topic_filter()?;
            let options = SubscriptionOptions::from_byte(version, r.u8()?)?;
            if options.no_local && filter.shared().is_some() {
                return Err(DecodeError::SharedNoLocal);
            }
            requests.push(SubscribeRequest { filter, options });
        }
        if requests.is_empty() {
            return Err(DecodeError::NoTopicFilter);
        }
        Ok(Self { id, subscription_id, user, requests })
    }

    pub(crate) fn write(
        &self,
        version: Version,
        limit: usize,
        out: &mut BytesMut,
    ) -> Result<(), PacketTooLarge> {
        frame(out, 0x82, limit, &|out| {
            put_u16(out, self.id.get());
            if version == Version::V5 {
                properties(out, &|out| {
                    let id = self.subscription_id;
                    put_option(out, id.map(|id| Property::SubscriptionIdentifier(id.get())));
                    put_user(out, &self.user);
                });
            }
            for request in &self.requests {
                let options = match version {
                    Version::V5 => request.options.to_byte(),
                    Version::V3_1 | Version::V3_1_1 => request.options.qos.level(),
                };
                put_text(out, request.filter.as_text());
                put_u8(out, options);
            }
        })
    }
}

/// Faults in the properties of a subscription are all malformed packets.
pub(crate) fn as_subscription(error: DecodeError) -> DecodeError {
    match error {
        DecodeError::PropertyNotAllowed(id)
        | DecodeError::DuplicateProperty(id)
        | DecodeError::PropertyValue(id) => DecodeError::SubscriptionProperty(id),
        other => other,
    }
}
