//! CONNACK: §3.2.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::BytesMut;

use crate::codec::property::{
    Property, not_allowed, once, once_flag, once_nonzero, put_option, put_user, read_properties,
};
use crate::codec::reader::Reader;
use crate::codec::writer::{PacketTooLarge, Sink, frame, properties, put_u8};
use crate::codec::{Binary, DecodeError, ReasonCode, Text, UserProperties, Version};

/// The answer to CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// The server still has the session of an earlier connection.
    pub session_present: bool,
    /// Accepted, or why not.
    pub reason: ReasonCode,
    /// Properties of MQTT 5.0.
    pub properties: ConnAckProperties,
}

/// §3.2.2.3. What is absent has the meaning that the standard gives to its absence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnAckProperties {
    /// Seconds that the session outlives the connection, where not as asked for.
    pub session_expiry: Option<u32>,
    /// Most QoS 1 and 2 messages in flight to the server; absent is 65 535.
    pub receive_maximum: Option<NonZeroU16>,
    /// `Some(false)`: QoS 0 only. `Some(true)`: up to QoS 1.
    pub maximum_qos_is_one: Option<bool>,
    /// Whether the server keeps retained messages.
    pub retain_available: Option<bool>,
    /// Largest packet that the server takes, in bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The client identifier that the server chose.
    pub assigned_client_id: Option<Text>,
    /// Highest topic alias that the server takes; absent is 0.
    pub topic_alias_maximum: Option<u16>,
    /// A sentence for people.
    pub reason_string: Option<Text>,
    /// Pairs of the server.
    pub user: UserProperties,
    /// Whether filters may have wildcards.
    pub wildcard_available: Option<bool>,
    /// Whether subscriptions may have identifiers.
    pub subscription_ids_available: Option<bool>,
    /// Whether subscriptions may be shared.
    pub shared_available: Option<bool>,
    /// The keep alive in seconds that replaces the client's.
    pub server_keep_alive: Option<u16>,
    /// Where the client may have its responses sent.
    pub response_information: Option<Text>,
    /// Another server to use.
    pub server_reference: Option<Text>,
    /// Name of the extended authentication.
    pub authentication_method: Option<Text>,
    /// Data of the extended authentication.
    pub authentication_data: Option<Binary>,
}

impl ConnAck {
    /// An answer without properties.
    #[must_use]
    pub fn new(session_present: bool, reason: ReasonCode) -> Self {
        Self { session_present, reason, properties: ConnAckProperties::default() }
    }

    pub(crate) fn read(version: Version, mut r: Reader) -> Result<Self, DecodeError> {
        let flags = r.u8()?;
        if flags & 0xFE != 0 {
            return Err(DecodeError::Flags);
        }
        let code = r.u8()?;
        let reason = match version {
            Version::V5 => ReasonCode::from_code(code),
            Version::V3_1 | Version::V3_1_1 => from_return_code(code),
        };
        let reason = reason.ok_or(DecodeError::ReasonCode(code))?;
        // MQTT 3.1 reserves the first byte.
        let mut packet = Self::new(flags & 1 != 0 && version != Version::V3_1, reason);
        packet.properties.read(version, &mut r)?;
        r.finish()?;
        Ok(packet)
    }

    pub(crate) fn write(
        &self,
        version: Version,
        limit: usize,
        out: &mut BytesMut,
    ) -> Result<(), PacketTooLarge> {
        frame(out, 0x20, limit, &|out| {
            // MQTT 3.1 reserves the first byte.
            put_u8(out, u8::from(self.session_present && version != Version::V3_1));
            if version == Version::V5 {
                put_u8(out, self.reason.code());
                properties(out, &|out| self.properties.write(out));
            } else {
                put_u8(out, to_return_code(self.reason));
            }
        })
    }
}

/// The return codes of MQTT 3.1.1, §3.2.2.3 there.
const fn to_return_code(reason: ReasonCode) -> u8 {
    use ReasonCode as R;
    match reason {
        R::Success => 0,
        R::UnsupportedProtocolVersion => 1,
        R::ClientIdentifierNotValid => 2,
        R::BadUserNameOrPassword => 4,
        R::NotAuthorized | R::Banned => 5,
        _ => 3,
    }
}

const fn from_return_code(code: u8) -> Option<ReasonCode> {
    use ReasonCode as R;
    match code {
        0 => Some(R::Success),
        1 => Some(R::UnsupportedProtocolVersion),
        2 => Some(R::ClientIdentifierNotValid),
        3 => Some(R::ServerUnavailable),
        4 => Some(R::BadUserNameOrPassword),
        5 => Some(R::NotAuthorized),
        _ => None,
    }
}

impl ConnAckProperties {
    fn read(&mut self, version: Version, r: &mut Reader) -> Result<(), DecodeError> {
        read_properties(r, version, |property| {
            let id = property.id();
            match property {
                Property::SessionExpiryInterval(v) => once(&mut self.session_expiry, id, v),
                Property::ReceiveMaximum(v) => once_nonzero(&mut self.receive_maximum, id, v),
                Property::MaximumQoS(v) => once_flag(&mut self.maximum_qos_is_one, id, v),
                Property::RetainAvailable(v) => once_flag(&mut self.retain_available, id, v),
                Property::MaximumPacketSize(v) => once_nonzero(&mut self.maximum_packet_size, id, v),
                Property::AssignedClientIdentifier(v) => once(&mut self.assigned_client_id, id, v),
                Property::TopicAliasMaximum(v) => once(&mut self.topic_alias_maximum, id, v),
                Property::ReasonString(v) => once(&mut self.reason_string, id, v),
                Property::UserProperty(v) => {
                    self.user.push(v);
                    Ok(())
                }
                Property::WildcardSubscriptionAvailable(v) => once_flag(&mut self.wildcard_available, id, v),
                Property::SubscriptionIdentifierAvailable(v) => {
                    once_flag(&mut self.subscription_ids_available, id, v)
                }
                Property::SharedSubscriptionAvailable(v) => once_flag(&mut self.shared_available, id, v),
                Property::ServerKeepAlive(v) => once(&mut self.server_keep_alive, id, v),
                Property::ResponseInformation(v) => once(&mut self.response_information, id, v),
                Property::ServerReference(v) => once(&mut self.server_reference, id, v),
                Property::AuthenticationMethod(v) => once(&mut self.authentication_method, id, v),
                Property::AuthenticationData(v) => once(&mut self.authentication_data, id, v),
                other => not_allowed(&other),
            }
        })
    }

    fn write(&self, out: &mut dyn Sink) {
        let flag = |value: Option<bool>| value.map(u8::from);
        put_option(out, self.session_expiry.map(Property::SessionExpiryInterval));
        put_option(out, flag(self.maximum_qos_is_one).map(Property::MaximumQoS));
        put_option(out, flag(self.retain_available).map(Property::RetainAvailable));
        put_option(out, self.maximum_packet_size.map(|v| Property::MaximumPacketSize(v.get())));
        put_option(out, self.assigned_client_id.clone().map(Property::AssignedClientIdentifier));
        put_option(out, self.topic_alias_maximum.map(Property::TopicAliasMaximum));
        put_option(out, self.receive_maximum.map(|v| Property::ReceiveMaximum(v.get())));
        put_option(out, self.reason_string.clone().map(Property::ReasonString));
        put_option(out, flag(self.wildcard_available).map(Property::WildcardSubscriptionAvailable));
        put_option(out, flag(self.subscription_ids_available).map(Property::SubscriptionIdentifierAvailable));
        put_option(out, flag(self.shared_available).map(Property::SharedSubscriptionAvailable));
        put_option(out, self.server_keep_alive.map(Property::ServerKeepAlive));
        put_option(out, self.response_information.clone().map(Property::ResponseInformation));
        put_option(out, self.server_reference.clone().map(Property::ServerReference));
        put_option(out, self.authentication_method.clone().map(Property::AuthenticationMethod));
        put_option(out, self.authentication_data.clone().map(Property::AuthenticationData));
        put_user(out, &self.user);
    }
}
