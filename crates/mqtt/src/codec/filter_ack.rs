//! SUBACK and UNSUBACK, which have one layout: §3.9 and §3.11.
//!
//! ```text
//! packet identifier (2), properties, a reason code (1) for each topic filter
//! ```

use bytes::BytesMut;

use crate::codec::property::{Property, not_allowed, once, put_option, put_user, read_properties};
use crate::codec::reader::Reader;
use crate::codec::writer::{PacketTooLarge, frame, properties, put_u8, put_u16};
use crate::codec::{DecodeError, PacketId, ReasonCode, Text, UserProperties, Version};

/// Which of the two answers a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterAckKind {
    /// SUBACK: the answer to SUBSCRIBE.
    SubAck,
    /// UNSUBACK: the answer to UNSUBSCRIBE. Before MQTT 5.0 it has no reasons.
    UnsubAck,
}

impl FilterAckKind {
    const fn first_byte(self) -> u8 {
        match self {
            Self::SubAck => 0x90,
            Self::UnsubAck => 0xB0,
        }
    }

    const fn has_reasons(self, version: Version) -> bool {
        matches!((self, version), (Self::SubAck, _) | (Self::UnsubAck, Version::V5))
    }

    /// §3.9.3 and §3.11.3.
    const fn allows(self, version: Version, reason: ReasonCode) -> bool {
        use ReasonCode as R;
        match reason {
            R::Success | R::UnspecifiedError => self.has_reasons(version),
            R::GrantedQoS1 | R::GrantedQoS2 => matches!(self, Self::SubAck),
            R::QuotaExceeded
            | R::SharedSubscriptionsNotSupported
            | R::SubscriptionIdentifiersNotSupported
            | R::WildcardSubscriptionsNotSupported => matches!((self, version), (Self::SubAck, Version::V5)),
            R::NoSubscriptionExisted => matches!((self, version), (Self::UnsubAck, Version::V5)),
            R::ImplementationSpecificError
            | R::NotAuthorized
            | R::TopicFilterInvalid
            | R::PacketIdentifierInUse => matches!(version, Version::V5),
            _ => false,
        }
    }
}

/// The answer to topic filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterAck {
    /// The request that is answered.
    pub id: PacketId,
    /// A sentence for people.
    pub reason_string: Option<Text>,
    /// Pairs of the server.
    pub user: UserProperties,
    /// One for each topic filter, in their order.
    pub reasons: Vec<ReasonCode>,
}

impl FilterAck {
    /// An answer without properties.
    #[must_use]
    pub const fn new(id: PacketId, reasons: Vec<ReasonCode>) -> Self {
        Self { id, reason_string: None, user: Vec::new(), reasons }
    }

    pub(crate) fn read(kind: FilterAckKind, version: Version, mut r: Reader) -> Result<Self, DecodeError> {
        let mut ack = Self::new(r.packet_id()?, Vec::new());
        read_properties(&mut r, version, |p| match p {
            Property::ReasonString(v) => once(&mut ack.reason_string, 0x1F, v),
            Property::UserProperty(v) => {
                ack.user.push(v);
                Ok(())
            }
            other => not_allowed(&other),
        })?;
        while !r.is_empty() {
            let code = r.u8()?;
            let known = ReasonCode::from_code(code).filter(|reason| kind.allows(version, *reason));
            ack.reasons.push(known.ok_or(DecodeError::ReasonCode(code))?);
        }
        if ack.reasons.is_empty() && kind.has_reasons(version) {
            return Err(DecodeError::Truncated);
        }
        Ok(ack)
    }

    pub(crate) fn write(
        &self,
        kind: FilterAckKind,
        version: Version,
        limit: usize,
        out: &mut BytesMut,
    ) -> Result<(), PacketTooLarge> {
        frame(out, kind.first_byte(), limit, &|out| {
            put_u16(out, self.id.get());
            if version == Version::V5 {
                properties(out, &|out| {
                    put_option(out, self.reason_string.clone().map(Property::ReasonString));
                    put_user(out, &self.user);
                });
            }
            if kind.has_reasons(version) {
                self.reasons.iter().for_each(|reason| put_u8(out, code(version, *reason)));
            }
        })
    }
}

/// MQTT 3.1.1 has one code for every failure: §3.9.3 there.
const fn code(version: Version, reason: ReasonCode) -> u8 {
    match version {
        Version::V3_1 | Version::V3_1_1 if reason.is_failure() => 0x80,
        Version::V5 | Version::V3_1 | Version::V3_1_1 => reason.code(),
    }
}
