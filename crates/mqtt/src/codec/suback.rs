//! SUBACK: §3.9.

use bytes::BytesMut;

use crate::codec::property::{Property, not_allowed, once, put_option, put_user, read_properties};
use crate::codec::reader::Reader;
use crate::codec::writer::{PacketTooLarge, frame, properties, put_u8, put_u16};
use crate::codec::{DecodeError, PacketId, ReasonCode, Text, UserProperties, Version};

/// The answer to SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// The request that is answered.
    pub id: PacketId,
    /// A sentence for people.
    pub reason_string: Option<Text>,
    /// Pairs of the server.
    pub user: UserProperties,
    /// One for each topic filter, in their order.
    pub reasons: Vec<ReasonCode>,
}

impl SubAck {
    pub(crate) fn read(version: Version, mut r: Reader) -> Result<Self, DecodeError> {
        let mut ack = Self { id: r.packet_id()?, reason_string: None, user: Vec::new(), reasons: Vec::new() };
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
            let known = ReasonCode::from_code(code).filter(|reason| allows(version, *reason));
            ack.reasons.push(known.ok_or(DecodeError::ReasonCode(code))?);
        }
        if ack.reasons.is_empty() {
            return Err(DecodeError::Truncated);
        }
        Ok(ack)
    }

    pub(crate) fn write(
        &self,
        version: Version,
        limit: usize,
        out: &mut BytesMut,
    ) -> Result<(), PacketTooLarge> {
        frame(out, 0x90, limit, &|out| {
            put_u16(out, self.id.get());
            if version == Version::V5 {
                properties(out, &|out| {
                    put_option(out, self.reason_string.clone().map(Property::ReasonString));
                    put_user(out, &self.user);
                });
            }
            for reason in &self.reasons {
                put_u8(out, code(version, *reason));
            }
        })
    }
}

fn allows(version: Version, reason: ReasonCode) -> bool {
    use ReasonCode as R;
    match reason {
        R::Success | R::GrantedQoS1 | R::GrantedQoS2 | R::UnspecifiedError => true,
        R::ImplementationSpecificError
        | R::NotAuthorized
        | R::TopicFilterInvalid
        | R::PacketIdentifierInUse
        | R::QuotaExceeded
        | R::SharedSubscriptionsNotSupported
        | R::SubscriptionIdentifiersNotSupported
        | R::WildcardSubscriptionsNotSupported => version == Version::V5,
        _ => false,
    }
}

/// MQTT 3.1.1 has one code for every failure: §3.9.3 there.
const fn code(version: Version, reason: ReasonCode) -> u8 {
    match version {
        Version::V5 => reason.code(),
        Version::V3_1 | Version::V3_1_1 if reason.is_failure() => 0x80,
        Version::V3_1 | Version::V3_1_1 => reason.code(),
    }
}
