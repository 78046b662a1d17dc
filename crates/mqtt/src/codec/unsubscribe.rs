//! UNSUBSCRIBE: §3.10.

use bytes::BytesMut;

use crate::codec::property::{Property, not_allowed, put_user, read_properties};
use crate::codec::reader::Reader;
use crate::codec::subscribe::as_subscription;
use crate::codec::writer::{PacketTooLarge, frame, properties, put_text, put_u16};
use crate::codec::{DecodeError, PacketId, UserProperties, Version};
use crate::topic::TopicFilter;

/// The end of subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Answered by UNSUBACK with the same identifier.
    pub id: PacketId,
    /// Pairs of the client.
    pub user: UserProperties,
    /// At least one, each as it was subscribed to.
    pub filters: Vec<TopicFilter>,
}

impl Unsubscribe {
    pub(crate) fn read(version: Version, mut r: Reader) -> Result<Self, DecodeError> {
        let id = r.packet_id()?;
        let mut user = Vec::new();
        read_properties(&mut r, version, |p| match p {
            Property::UserProperty(v) => {
                user.push(v);
                Ok(())
            }
            other => not_allowed(&other),
        })
        .map_err(as_subscription)?;
        let mut filters = Vec::new();
        while !r.is_empty() {
            filters.push(r.topic_filter()?);
        }
        if filters.is_empty() {
            return Err(DecodeError::NoTopicFilter);
        }
        Ok(Self { id, user, filters })
    }

    pub(crate) fn write(
        &self,
        version: Version,
        limit: usize,
        out: &mut BytesMut,
    ) -> Result<(), PacketTooLarge> {
        frame(out, 0xA2, limit, &|out| {
            put_u16(out, self.id.get());
            if version == Version::V5 {
                properties(out, &|out| put_user(out, &self.user));
            }
            for filter in &self.filters {
                put_text(out, filter.as_text());
            }
        })
    }
}
