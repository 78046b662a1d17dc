//! PUBLISH: §3.3.
//!
//! ```text
//! topic name [ packet identifier (2) ] properties payload
//! ```

use bytes::{Bytes, BytesMut};

use crate::codec::property::{
    Property, not_allowed, once, once_nonzero, put_option, put_user, read_properties,
};
use crate::codec::reader::Reader;
use crate::codec::writer::{PacketTooLarge, Sink, frame, properties, put_text, put_u16};
use crate::codec::{
    DecodeError, Delivery, MessageProperties, PacketId, PayloadFormat, QoS, SubscriptionId, TopicAlias,
    Version,
};
use crate::topic::TopicName;

/// An application message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Where it goes.
    pub topic: PublishTopic,
    /// How it is delivered.
    pub delivery: Delivery,
    /// To a server: keep it for later subscribers. To a client: it was kept.
    pub retain: bool,
    /// Properties of the message.
    pub properties: MessageProperties,
    /// The subscriptions that it is sent for. Only from server to client.
    pub subscription_ids: Vec<SubscriptionId>,
    /// The message.
    pub payload: Bytes,
}

/// A topic name, an alias for it, or both, which defines the alias: §3.3.2.3.4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishTopic {
    /// The name.
    Name(TopicName),
    /// The name, which the alias stands for from here on.
    Define(TopicName, TopicAlias),
    /// An alias that was defined before.
    Alias(TopicAlias),
}

/// A PUBLISH made of borrowed parts, so that one message is written to many receivers without being copied.
#[derive(Debug, Clone, Copy)]
pub struct PublishView<'a> {
    /// The topic name; `None` when the alias stands for it.
    pub topic: Option<&'a TopicName>,
    /// The alias.
    pub alias: Option<TopicAlias>,
    /// How it is delivered.
    pub delivery: Delivery,
    /// The retain flag.
    pub retain: bool,
    /// Properties of the message, without its expiry.
    pub properties: &'a MessageProperties,
    /// Seconds that the message stays of use from here on.
    pub message_expiry: Option<u32>,
    /// The subscriptions that it is sent for.
    pub subscription_ids: &'a [SubscriptionId],
    /// The message.
    pub payload: &'a [u8],
}

impl Publish {
    pub(crate) fn read(
        from_client: bool,
        version: Version,
        flags: u8,
        mut r: Reader,
    ) -> Result<Self, DecodeError> {
        let duplicate = flags & 0x08 != 0;
        let qos = QoS::from_level((flags >> 1) & 3).ok_or(DecodeError::Delivery)?;
        if duplicate && qos == QoS::AtMostOnce {
            return Err(DecodeError::Delivery);
        }
        let name = r.text()?;
        let name =
            if name.is_empty() && version == Version::V5 { None } else { Some(TopicName::try_from(name)?) };
        let delivery = match qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            QoS::AtLeastOnce => Delivery::AtLeastOnce { id: publish_id(&mut r)?, duplicate },
            QoS::ExactlyOnce => Delivery::ExactlyOnce { id: publish_id(&mut r)?, duplicate },
        };
        let mut message = MessageProperties::default();
        let mut alias = None;
        let mut subscription_ids = Vec::new();
        read_properties(&mut r, version, |p| match p {
            Property::TopicAlias(0) => Err(DecodeError::TopicAliasZero),
            Property::TopicAlias(v) => once_nonzero(&mut alias, 0x23, v),
            // [MQTT-3.3.4-6]: never from a client.
            Property::SubscriptionIdentifier(v) if !from_client => {
                subscription_ids.push(SubscriptionId::new(v).ok_or(DecodeError::PropertyValue(0x0B))?);
                Ok(())
            }
            other => take_message_property(&mut message, other),
        })?;
        let topic = match (name, alias) {
            (Some(name), None) => PublishTopic::Name(name),
            (Some(name), Some(alias)) => PublishTopic::Define(name, alias),
            (None, Some(alias)) => PublishTopic::Alias(alias),
            // A topic name has at least one character [MQTT-4.7.3-1].
            (None, None) => return Err(DecodeError::TopicName),
        };
        let retain = flags & 0x01 != 0;
        Ok(Self { topic, delivery, retain, properties: message, subscription_ids, payload: r.rest() })
    }

    pub(crate) fn write(
        &self,
        version: Version,
        limit: usize,
        out: &mut BytesMut,
    ) -> Result<(), PacketTooLarge> {
        let (topic, alias) = match &self.topic {
            PublishTopic::Name(name) => (Some(name), None),
            PublishTopic::Define(name, alias) => (Some(name), Some(*alias)),
            PublishTopic::Alias(alias) => (None, Some(*alias)),
        };
        PublishView {
            topic,
            alias,
            delivery: self.delivery,
            retain: self.retain,
            properties: &self.properties,
            message_expiry: self.properties.message_expiry,
            subscription_ids: &self.subscription_ids,
            payload: &self.payload,
        }
        .write(version, limit, out)
    }
}

impl PublishView<'_> {
    /// Writes the packet.
    ///
    /// # Errors
    ///
    /// The packet is larger than `limit` bytes; nothing was written.
    pub fn write(&self, version: Version, limit: usize, out: &mut BytesMut) -> Result<(), PacketTooLarge> {
        frame(out, self.first_byte(), limit, &|out| {
            match self.topic {
                Some(name) => put_text(out, name.as_text()),
                None => put_u16(out, 0),
            }
            if let Some(id) = self.delivery.id() {
                put_u16(out, id.get());
            }
            if version == Version::V5 {
                properties(out, &|out| self.properties(out));
            }
            out.put(self.payload);
        })
    }

    fn properties(&self, out: &mut dyn Sink) {
        put_message_properties(out, self.properties, self.message_expiry);
        put_option(out, self.alias.map(|v| Property::TopicAlias(v.get())));
        for id in self.subscription_ids {
            Property::SubscriptionIdentifier(id.get()).write(out);
        }
    }

    fn first_byte(&self) -> u8 {
        let duplicate = match self.delivery {
            Delivery::AtMostOnce => false,
            Delivery::AtLeastOnce { duplicate, .. } | Delivery::ExactlyOnce { duplicate, .. } => duplicate,
        };
        0x30 | (self.delivery.qos().level() << 1) | (u8::from(duplicate) << 3) | u8::from(self.retain)
    }
}

fn publish_id(r: &mut Reader) -> Result<PacketId, DecodeError> {
    PacketId::new(r.u16()?).ok_or(DecodeError::PublishIdZero)
}

/// Takes a property that a message and a will share.
pub(crate) fn take_message_property(
    m: &mut MessageProperties,
    property: Property,
) -> Result<(), DecodeError> {
    let id = property.id();
    match property {
        Property::PayloadFormatIndicator(0) => once(&mut m.payload_format, id, PayloadFormat::Bytes),
        Property::PayloadFormatIndicator(1) => once(&mut m.payload_format, id, PayloadFormat::Utf8),
        Property::PayloadFormatIndicator(_) => Err(DecodeError::PropertyValue(id)),
        Property::MessageExpiryInterval(v) => once(&mut m.message_expiry, id, v),
        Property::ContentType(v) => once(&mut m.content_type, id, v),
        Property::ResponseTopic(v) => {
            // [MQTT-3.3.2-14]: no wildcards; an empty or too deep one is no topic name either.
            once(
                &mut m.response_topic,
                id,
                TopicName::try_from(v).map_err(|_| DecodeError::PropertyValue(id))?,
            )
        }
        Property::CorrelationData(v) => once(&mut m.correlation_data, id, v),
        Property::UserProperty(v) => {
            m.user.push(v);
            Ok(())
        }
        other => not_allowed(&other),
    }
}

pub(crate) fn put_message_properties(out: &mut dyn Sink, m: &MessageProperties, expiry: Option<u32>) {
    let format = m.payload_format.map(|format| match format {
        PayloadFormat::Bytes => 0,
        PayloadFormat::Utf8 => 1,
    });
    put_option(out, format.map(Property::PayloadFormatIndicator));
    put_option(out, expiry.map(Property::MessageExpiryInterval));
    put_option(out, m.content_type.clone().map(Property::ContentType));
    put_option(out, m.response_topic.as_ref().map(|t| Property::ResponseTopic(t.as_text().clone())));
    put_option(out, m.correlation_data.clone().map(Property::CorrelationData));
    put_user(out, &m.user);
}
