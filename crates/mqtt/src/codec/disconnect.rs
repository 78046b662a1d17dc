//! DISCONNECT: §3.14.

use bytes::BytesMut;

use crate::codec::property::{Property, not_allowed, once, put_option, put_user, read_properties};
use crate::codec::reader::Reader;
use crate::codec::writer::{PacketTooLarge, frame, properties, put_u8};
use crate::codec::{DecodeError, ReasonCode, Text, UserProperties, Version};

/// The last packet of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// Why. A code that the standard does not have is read as [`ReasonCode::UnspecifiedError`]: the connection is
    /// over either way.
    pub reason: ReasonCode,
    /// Properties of MQTT 5.0.
    pub properties: DisconnectProperties,
}

/// §3.14.2.2.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DisconnectProperties {
    /// Replaces the session expiry of CONNECT, in seconds. Only from a client.
    pub session_expiry: Option<u32>,
    /// A sentence for people.
    pub reason_string: Option<Text>,
    /// Pairs of the peer.
    pub user: UserProperties,
    /// Another server to use.
    pub server_reference: Option<Text>,
}

impl Disconnect {
    /// A disconnection without properties.
    #[must_use]
    pub fn new(reason: ReasonCode) -> Self {
        Self { reason, properties: DisconnectProperties::default() }
    }

    pub(crate) fn read(version: Version, mut r: Reader) -> Result<Self, DecodeError> {
        let mut packet = Self::new(ReasonCode::Success);
        if version == Version::V5 && !r.is_empty() {
            packet.reason = ReasonCode::from_code(r.u8()?).unwrap_or(ReasonCode::UnspecifiedError);
            if !r.is_empty() {
                packet.properties.read(&mut r)?;
            }
        }
        r.finish()?;
        Ok(packet)
    }

    pub(crate) fn write(
        &self,
        version: Version,
        limit: usize,
        out: &mut BytesMut,
    ) -> Result<(), PacketTooLarge> {
        let p = &self.properties;
        let bare = *p == DisconnectProperties::default();
        frame(out, 0xE0, limit, &|out| {
            if version != Version::V5 || (bare && self.reason == ReasonCode::Success) {
                return;
            }
            put_u8(out, self.reason.code());
            if !bare {
                properties(out, &|out| {
                    put_option(out, p.session_expiry.map(Property::SessionExpiryInterval));
                    put_option(out, p.reason_string.clone().map(Property::ReasonString));
                    put_option(out, p.server_reference.clone().map(Property::ServerReference));
                    put_user(out, &p.user);
                });
            }
        })
    }
}

impl DisconnectProperties {
    fn read(&mut self, r: &mut Reader) -> Result<(), DecodeError> {
        read_properties(r, Version::V5, |p| match p {
            Property::SessionExpiryInterval(v) => once(&mut self.session_expiry, 0x11, v),
            Property::ReasonString(v) => once(&mut self.reason_string, 0x1F, v),
            Property::ServerReference(v) => once(&mut self.server_reference, 0x1C, v),
            Property::UserProperty(v) => {
                self.user.push(v);
                Ok(())
            }
            other => not_allowed(&other),
        })
    }
}
