//! A cursor that cannot leave its region.

use bytes::{Buf, Bytes};

use crate::codec::{Binary, DecodeError, PacketId, Text};
use crate::topic::{TopicFilter, TopicName};

/// Reads fields from one region: a packet, or a property block inside it.
pub(crate) struct Reader {
    rest: Bytes,
}

impl Reader {
    pub(crate) const fn new(rest: Bytes) -> Self {
        Self { rest }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        if len > self.rest.len() {
            return Err(DecodeError::Truncated);
        }
        Ok(self.rest.split_to(len))
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> Bytes {
        self.rest
    }

    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(DecodeError::Leftover) }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.rest.try_get_u8().map_err(|_| DecodeError::Truncated)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.rest.try_get_u16().map_err(|_| DecodeError::Truncated)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.rest.try_get_u32().map_err(|_| DecodeError::Truncated)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.rest.try_get_u64().map_err(|_| DecodeError::Truncated)
    }

    /// A variable byte integer: §1.5.5. Longer forms than needed are taken, as for every field but the remaining
    /// length the standard only binds the sender.
    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Length)
    }

    pub(crate) fn binary(&mut self) -> Result<Binary, DecodeError> {
        let len = usize::from(self.u16()?);
        Binary::try_from(self.take(len)?).map_err(|_| DecodeError::Truncated)
    }

    pub(crate) fn text(&mut self) -> Result<Text, DecodeError> {
        let len = usize::from(self.u16()?);
        Text::try_from(self.take(len)?).map_err(|_| DecodeError::Text)
    }

    pub(crate) fn topic_name(&mut self) -> Result<TopicName, DecodeError> {
        Ok(TopicName::try_from(self.text()?)?)
    }

    pub(crate) fn topic_filter(&mut self) -> Result<TopicFilter, DecodeError> {
        Ok(TopicFilter::try_from(self.text()?)?)
    }

    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.u16()?).ok_or(DecodeError::PacketIdZero)
    }
}
