//! CONNECT: §3.1.
//!
//! ```text
//! protocol name, level (1), flags (1), keep alive (2), properties
//! client identifier [ will properties, will topic, will payload ] [ user name ] [ password ]
//! ```

use bytes::BytesMut;

use crate::codec::property::{
    Property, not_allowed, once, once_flag, once_nonzero, put_option, put_user, read_properties,
};
use crate::codec::publish::{put_message_properties, take_message_property};
use crate::codec::reader::Reader;
use crate::codec::writer::{PacketTooLarge, Sink, frame, properties, put_binary, put_text, put_u8, put_u16};
use crate::codec::{Binary, ConnectPart, DecodeError, MessageProperties, QoS, Text, UserProperties, Version};
use crate::topic::TopicName;

/// A client's request for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// The protocol version of the connection.
    pub version: Version,
    /// Drop what an earlier session left. Called Clean Session before MQTT 5.0, where it also ends the session
    /// with the connection.
    pub clean_start: bool,
    /// Longest silence of the client in seconds; 0 switches the check off.
    pub keep_alive: u16,
    /// Names the session; empty asks the server to choose.
    pub client_id: Text,
    /// Published when the client goes without saying so.
    pub will: Option<Will>,
    /// User name.
    pub username: Option<Text>,
    /// Password.
    pub password: Option<Binary>,
    /// Properties of MQTT 5.0.
    pub properties: ConnectProperties,
}

/// The message that speaks for a client that is gone: §3.1.2.5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Where it is published.
    pub topic: TopicName,
    /// What is published.
    pub payload: Binary,
    /// The QoS of the publication.
    pub qos: QoS,
    /// Whether it becomes the retained message.
    pub retain: bool,
    /// Seconds between the end of the connection and the publication: §3.1.3.2.2.
    pub delay: Option<u32>,
    /// Properties of the message.
    pub properties: MessageProperties,
}

/// §3.1.2.11.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectProperties {
    /// Seconds that the session outlives its connection; `u32::MAX` is for ever, absent is 0.
    pub session_expiry: Option<u32>,
    /// Most QoS 1 and 2 messages in flight to the client; absent is 65 535.
    pub receive_maximum: Option<std::num::NonZeroU16>,
    /// Largest packet that the client takes, in bytes.
    pub maximum_packet_size: Option<std::num::NonZeroU32>,
    /// Highest topic alias that the client takes; absent is 0.
    pub topic_alias_maximum: Option<u16>,
    /// The client asks for Response Information.
    pub request_response_information: Option<bool>,
    /// `false`: reason strings and user properties only on PUBLISH, CONNACK and DISCONNECT.
    pub request_problem_information: Option<bool>,
    /// Pairs of the client.
    pub user: UserProperties,
    /// Name of the extended authentication.
    pub authentication_method: Option<Text>,
    /// Data of the extended authentication.
    pub authentication_data: Option<Binary>,
}

/// The connect flags, taken apart and checked: §3.1.2.3.
struct Flags {
    clean_start: bool,
    will: Option<(QoS, bool)>,
    username: bool,
    password: bool,
}

impl Connect {
    /// The protocol version that `level` stands for under `name`.
    fn version(name: &[u8], level: u8) -> Result<Version, DecodeError> {
        match (name, level) {
            (b"MQIsdp", 3) => Ok(Version::V3_1),
            (b"MQTT", 4) => Ok(Version::V3_1_1),
            (b"MQTT", 5) => Ok(Version::V5),
            (b"MQIsdp" | b"MQTT", other) => Err(DecodeError::ProtocolVersion(other)),
            _ => Err(DecodeError::ProtocolName),
        }
    }

    pub(crate) fn read(flags: u8, mut r: Reader) -> Result<Self, DecodeError> {
        let name = r.binary()?;
        let version = Self::version(name.as_bytes(), r.u8()?)?;
        let mut part = ConnectPart::Header;
        Self::read_rest(version, flags, r, &mut part).map_err(|cause| DecodeError::Connect {
            version,
            part,
            cause: Box::new(cause),
        })
    }

    fn read_rest(
        version: Version,
        fixed: u8,
        mut r: Reader,
        part: &mut ConnectPart,
    ) -> Result<Self, DecodeError> {
        // MQTT 3.1 leaves these bits without a rule for this packet.
        if fixed != 0 && version != Version::V3_1 {
            return Err(DecodeError::Flags);
        }
        let flags = Flags::read(version, r.u8()?)?;
        let keep_alive = r.u16()?;
        let properties = ConnectProperties::read(version, &mut r)?;
        *part = ConnectPart::Payload;
        let client_id = r.text()?;
        let will = flags.will.map(|f| Will::read(version, f, &mut r, part)).transpose()?;
        let username = flags.username.then(|| r.text()).transpose()?;
        let password = flags.password.then(|| r.binary()).transpose()?;
        *part = ConnectPart::Header;
        r.finish()?;
        let clean_start = flags.clean_start;
        Ok(Self { version, clean_start, keep_alive, client_id, will, username, password, properties })
    }

    pub(crate) fn write(&self, limit: usize, out: &mut BytesMut) -> Result<(), PacketTooLarge> {
        frame(out, 0x10, limit, &|out| self.body(out))
    }

    fn body(&self, out: &mut dyn Sink) {
        out.put(match self.version {
            Version::V3_1 => b"\x00\x06MQIsdp\x03",
            Version::V3_1_1 => b"\x00\x04MQTT\x04",
            Version::V5 => b"\x00\x04MQTT\x05",
        });
        put_u8(out, self.flags());
        put_u16(out, self.keep_alive);
        if self.version == Version::V5 {
            properties(out, &|out| self.properties.write(out));
        }
        put_text(out, &self.client_id);
        if let Some(will) = &self.will {
            if self.version == Version::V5 {
                properties(out, &|out| {
                    put_option(out, will.delay.map(Property::WillDelayInterval));
                    put_message_properties(out, &will.properties, will.properties.message_expiry);
                });
            }
            put_text(out, will.topic.as_text());
            put_binary(out, &will.payload);
        }
        if let Some(username) = &self.username {
            put_text(out, username);
        }
        if let Some(password) = &self.password {
            put_binary(out, password);
        }
    }

    fn flags(&self) -> u8 {
        let will =
            self.will.as_ref().map_or(0, |w| 0x04 | (w.qos.level() << 3) | if w.retain { 0x20 } else { 0 });
        will | if self.clean_start { 0x02 } else { 0 }
            | if self.username.is_some() { 0x80 } else { 0 }
            | if self.password.is_some() { 0x40 } else { 0 }
    }
}

impl Flags {
    fn read(version: Version, byte: u8) -> Result<Self, DecodeError> {
        let [will, retain, username, password] = [0x04, 0x20, 0x80, 0x40].map(|bit| byte & bit != 0);
        let qos = QoS::from_level((byte >> 3) & 3).ok_or(DecodeError::ConnectFlags)?;
        let stray_will = !will && (retain || qos != QoS::AtMostOnce);
        // A password alone is allowed from MQTT 5.0 on; 3.1.1 forbids it [MQTT-3.1.2-22 there].
        let stray_password = password && !username && version != Version::V5;
        let reserved = byte & 0x01 != 0 && version != Version::V3_1;
        if stray_will || stray_password || reserved {
            return Err(DecodeError::ConnectFlags);
        }
        let will = will.then_some((qos, retain));
        Ok(Self { clean_start: byte & 0x02 != 0, will, username, password })
    }
}

impl Will {
    fn read(
        version: Version,
        (qos, retain): (QoS, bool),
        r: &mut Reader,
        part: &mut ConnectPart,
    ) -> Result<Self, DecodeError> {
        *part = ConnectPart::Header;
        let mut delay = None;
        let mut message = MessageProperties::default();
        read_properties(r, version, |p| match p {
            Property::WillDelayInterval(v) => once(&mut delay, 0x18, v),
            other => take_message_property(&mut message, other),
        })?;
        *part = ConnectPart::Payload;
        let topic = r.topic_name()?;
        Ok(Self { topic, payload: r.binary()?, qos, retain, delay, properties: message })
    }
}

impl ConnectProperties {
    fn read(version: Version, r: &mut Reader) -> Result<Self, DecodeError> {
        let mut p = Self::default();
        read_properties(r, version, |property| {
            let id = property.id();
            match property {
                Property::SessionExpiryInterval(v) => once(&mut p.session_expiry, id, v),
                Property::ReceiveMaximum(v) => once_nonzero(&mut p.receive_maximum, id, v),
                Property::MaximumPacketSize(v) => once_nonzero(&mut p.maximum_packet_size, id, v),
                Property::TopicAliasMaximum(v) => once(&mut p.topic_alias_maximum, id, v),
                Property::RequestResponseInformation(v) => {
                    once_flag(&mut p.request_response_information, id, v)
                }
                Property::RequestProblemInformation(v) => {
                    once_flag(&mut p.request_problem_information, id, v)
                }
                Property::UserProperty(v) => {
                    p.user.push(v);
                    Ok(())
                }
                Property::AuthenticationMethod(v) => once(&mut p.authentication_method, id, v),
                Property::AuthenticationData(v) => once(&mut p.authentication_data, id, v),
                other => not_allowed(&other),
            }
        })?;
        // §3.1.2.11.10: data without a method is a protocol error.
        if p.authentication_data.is_some() && p.authentication_method.is_none() {
            return Err(DecodeError::PropertyValue(0x16));
        }
        Ok(p)
    }

    fn write(&self, out: &mut dyn Sink) {
        let flag = |value: Option<bool>| value.map(u8::from);
        put_option(out, self.session_expiry.map(Property::SessionExpiryInterval));
        put_option(out, self.receive_maximum.map(|v| Property::ReceiveMaximum(v.get())));
        put_option(out, self.maximum_packet_size.map(|v| Property::MaximumPacketSize(v.get())));
        put_option(out, self.topic_alias_maximum.map(Property::TopicAliasMaximum));
        put_option(out, flag(self.request_response_information).map(Property::RequestResponseInformation));
        put_option(out, flag(self.request_problem_information).map(Property::RequestProblemInformation));
        put_option(out, self.authentication_method.clone().map(Property::AuthenticationMethod));
        put_option(out, self.authentication_data.clone().map(Property::AuthenticationData));
        put_user(out, &self.user);
    }
}
