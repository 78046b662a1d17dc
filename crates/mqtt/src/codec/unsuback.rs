//! UNSUBACK: §3.11.

use bytes::BytesMut;

use crate::codec::property::{Property, not_allowed, once, put_option, put_user, read_properties};
use crate::codec::reader::Reader;
use crate::codec::writer::{PacketTooLarge, frame, properties, put_u8, put_u16};
use crate::codec::{DecodeError, PacketId, ReasonCode, Text, UserProperties, Version};

/// The answer to UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck {
    /// The request that is answered.
    pub id: PacketId,
    /// A sentence for people.
    pub reason_string: Option<Text>,
    /// Pairs of the server.
    pub user: UserProperties,
    /// One for each topic filter, in their order; before MQTT 5.0 there are none on the wire.
    pub reasons: Vec<ReasonCode>,
}

impl UnsubAck {
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
        if ack.reasons.is_empty() && version == Version::V5 {
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
        frame(out, 0xB0, limit, &|out| {
            put_u16(out, self.id.get());
            if version == Version::V5 {
                properties(out, &|out| {
                    put_option(out, self.reason_string.clone().map(Property::ReasonString));
                    put_user(out, &self.user);
                });
                for reason in &self.reasons {
                    put_u8(out, reason.code());
                }
            }
        })
    }
}

const fn allows(version: Version, reason: ReasonCode) -> bool {
    use ReasonCode as R;
    matches!(version, Version::V5)
        && matches!(
            reason,
            R::Success
                | R::NoSubscriptionExisted
                | R::UnspecifiedError
                | R::ImplementationSpecificError
                | R::NotAuthorized
                | R::TopicFilterInvalid
                | R::PacketIdentifierInUse
        )
}
