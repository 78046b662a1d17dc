//! Which block of a body it is: RFC 7959 §2.2.

use alloc::vec::Vec;

use super::Packet;
use crate::message::{OptionNumber, uint};

/// The value of a Block1 or Block2 option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) number: u32,
    pub(super) more: bool,
    /// 0 for 16 bytes to 6 for 1024.
    pub(super) exponent: u8,
}

/// The number has 20 bits.
const NUMBER_MAX: u32 = (1 << 20) - 1;

impl Block {
    /// The option of a packet; `Err` for the reserved exponent.
    pub(super) fn of(packet: &Packet, number: OptionNumber) -> Result<Option<Self>, ReservedExponent> {
        let Some(value) = packet.get(number).and_then(uint) else { return Ok(None) };
        let exponent = u8::try_from(value & 7).unwrap_or_default();
        if exponent == 7 {
            return Err(ReservedExponent);
        }
        Ok(Some(Self { number: value >> 4, more: value & 8 != 0, exponent }))
    }

    pub(super) fn value(self) -> u32 {
        self.number << 4 | u32::from(self.more) << 3 | u32::from(self.exponent)
    }

    pub(super) const fn bytes(self) -> usize {
        16 << self.exponent
    }

    /// Where the block begins in the body.
    pub(super) fn start(self) -> usize {
        usize::try_from(self.number).unwrap_or(usize::MAX).saturating_mul(self.bytes())
    }

    /// The block that begins at `start`, in blocks of no more than `exponent`.
    pub(super) fn at(start: usize, exponent: u8) -> Option<Self> {
        let number = u32::try_from(start / (16 << exponent)).ok().filter(|number| *number <= NUMBER_MAX)?;
        Some(Self { number, more: false, exponent })
    }

    /// This block of a body, and whether more follows; `None` behind its end.
    pub(super) fn cut(self, body: &[u8]) -> Option<(Self, &[u8])> {
        let rest = body.get(self.start()..).filter(|rest| !rest.is_empty() || self.number == 0)?;
        let block = rest.get(..self.bytes()).unwrap_or(rest);
        Some((Self { more: block.len() < rest.len(), ..self }, block))
    }
}

/// RFC 7959 §2.2: an exponent of 7 is an error over UDP.
pub(super) struct ReservedExponent;

/// Why a block does not go on with a body.
pub(super) enum NotJoined {
    /// Another one was due, or it is not full although more follow.
    OutOfOrder,
    TooLarge,
}

/// Adds a block to the body of which everything before is there.
pub(super) fn join(body: &mut Vec<u8>, block: Block, payload: &[u8], max: usize) -> Result<(), NotJoined> {
    let full = payload.len() == block.bytes() || (!block.more && payload.len() < block.bytes());
    if block.start() != body.len() || !full {
        return Err(NotJoined::OutOfOrder);
    }
    if body.len() + payload.len() > max {
        return Err(NotJoined::TooLarge);
    }
    body.extend_from_slice(payload);
    Ok(())
}
