//! PUBACK, PUBREC, PUBREL and PUBCOMP, which have one layout: §3.4 to §3.7.
//!
//! ```text
//! packet identifier (2) [ reason code (1) [ properties ] ]
//! ```

use bytes::BytesMut;

use crate::codec::property::{Property, not_allowed, once, put_option, put_user, read_properties};
use crate::codec::reader::Reader;
use crate::codec::writer::{PacketTooLarge, frame, properties, put_u8, put_u16};
use crate::codec::{DecodeError, PacketId, ReasonCode, Text, UserProperties, Version};

/// Which of the four acknowledgements a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckKind {
    /// PUBACK: the answer to QoS 1.
    PubAck,
    /// PUBREC: the first answer to QoS 2.
    PubRec,
    /// PUBREL: the sender lets go of the identifier.
    PubRel,
    /// PUBCOMP: the end of QoS 2.
    PubComp,
}

impl AckKind {
    /// Type and flags: only PUBREL has a flag set, §2.1.3.
    const fn first_byte(self) -> u8 {
        match self {
            Self::PubAck => 0x40,
            Self::PubRec => 0x50,
            Self::PubRel => 0x62,
            Self::PubComp => 0x70,
        }
    }

    /// §3.4.2.1, §3.5.2.1, §3.6.2.1, §3.7.2.1.
    pub(crate) const fn allows(self, reason: ReasonCode) -> bool {
        use ReasonCode as R;
        match self {
            Self::PubAck | Self::PubRec => matches!(
                reason,
                R::Success
                    | R::NoMatchingSubscribers
                    | R::UnspecifiedError
                    | R::ImplementationSpecificError
                    | R::NotAuthorized
                    | R::TopicNameInvalid
                    | R::PacketIdentifierInUse
                    | R::QuotaExceeded
                    | R::PayloadFormatInvalid
            ),
            Self::PubRel | Self::PubComp => matches!(reason, R::Success | R::PacketIdentifierNotFound),
        }
    }
}

/// An acknowledgement. Before MQTT 5.0 it has only the identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The exchange that it belongs to.
    pub id: PacketId,
    /// How it went.
    pub reason: ReasonCode,
    /// A sentence for people.
    pub reason_string: Option<Text>,
    /// Pairs of the peer.
    pub user: UserProperties,
}

impl Ack {
    /// An acknowledgement without properties.
    #[must_use]
    pub const fn new(id: PacketId, reason: ReasonCode) -> Self {
        Self { id, reason, reason_string: None, user: Vec::new() }
    }

    pub(crate) fn read(kind: AckKind, version: Version, mut r: Reader) -> Result<Self, DecodeError> {
        let mut ack = Self::new(r.packet_id()?, ReasonCode::Success);
        if version == Version::V5 && !r.is_empty() {
            let code = r.u8()?;
            let mut properties = Ok(());
            if !r.is_empty() {
                properties = read_properties(&mut r, version, |p| match p {
                    Property::ReasonString(v) => once(&mut ack.reason_string, 0x1F, v),
                    Property::UserProperty(v) => {
                        ack.user.push(v);
                        Ok(())
                    }
                    other => not_allowed(&other),
                });
            }
            let known = ReasonCode::from_code(code).filter(|reason| kind.allows(*reason));
            ack.reason = known.ok_or(DecodeError::ReasonCode(code))?;
            properties?;
        }
        r.finish()?;
        Ok(ack)
    }

    pub(crate) fn write(
        &self,
        kind: AckKind,
        version: Version,
        limit: usize,
        out: &mut BytesMut,
    ) -> Result<(), PacketTooLarge> {
        let bare = self.reason_string.is_none() && self.user.is_empty();
        frame(out, kind.first_byte(), limit, &|out| {
            put_u16(out, self.id.get());
            if version != Version::V5 || (bare && self.reason == ReasonCode::Success) {
                return;
            }
            put_u8(out, self.reason.code());
            if !bare {
                properties(out, &|out| {
                    put_option(out, self.reason_string.clone().map(Property::ReasonString));
                    put_user(out, &self.user);
                });
            }
        })
    }
}
