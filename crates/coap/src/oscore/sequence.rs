//! The own sequence numbers, which may never repeat, a restart included: RFC 8613 §7.2.1 and appendix B.1.1.

use super::{PartialIv, ProtectError};

/// A count of sequence numbers: all below it are used or were set aside.
pub type SequenceNumber = u64;

/// Numbers from `next` to before `limit` may be used.
///
/// The limit is what lies on disk. After a restart numbering goes on from there, so that those which were set aside and
/// not used are lost and none is used twice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequence {
    next: SequenceNumber,
    limit: SequenceNumber,
}

impl Sequence {
    /// Nothing is usable before something is set aside.
    pub(super) const fn starting_at(start: SequenceNumber) -> Self {
        Self { next: start, limit: start }
    }

    /// Numbers below `limit` are on disk as used.
    pub(super) fn set_aside(&mut self, limit: SequenceNumber) {
        self.limit = self.limit.max(limit);
    }

    pub(super) const fn left(&self) -> u64 {
        self.limit - self.next
    }

    pub(super) const fn next(&self) -> SequenceNumber {
        self.next
    }

    pub(super) fn take(&mut self) -> Result<PartialIv, ProtectError> {
        let number = PartialIv::new(self.next).ok_or(ProtectError::Exhausted)?;
        if self.next >= self.limit {
            return Err(ProtectError::NothingSetAside);
        }
        self.next += 1;
        Ok(number)
    }
}
