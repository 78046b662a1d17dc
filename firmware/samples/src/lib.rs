//! Keys and messages that images and the runner both use.

#![no_std]

pub mod chain;
pub mod grants;
pub mod standard;

/// How many there are of each.
pub const COUNT: u8 = 8;

/// What is bound to a sealed message.
pub const HEADER: [u8; 8] = *b"thing 01";

/// Room for a record or a checkpoint, in bytes.
pub const RECORD_ROOM: usize = 300;

/// Room for the record of a reading, in bytes.
pub const READING_ROOM: usize = 96;

/// Secret bytes: all zeros, all ones, then ones without a pattern.
pub fn seed(number: u8) -> [u8; 32] {
    match number {
        0 => [0; 32],
        1 => [0xff; 32],
        _ => without_pattern(number),
    }
}

/// A message of 64 bytes.
pub fn message(number: u8) -> [u8; 64] {
    without_pattern(number ^ 0xa5)
}

/// A coordinate to multiply by: one above what is canonical, some with long runs of ones and zeros, over which carries run
/// far, then ones without a pattern.
pub fn coordinate(number: u8) -> [u8; 32] {
    let ones_below =
        |bit: usize| core::array::from_fn(|k| (0xff_u16 >> (8 * k + 8).saturating_sub(bit).min(8)) as u8);
    match number {
        0 => [0xff; 32],
        1 => ones_below(253),
        2 => ones_below(160),
        3 => core::array::from_fn(|k| if k & 8 == 0 { 0xff } else { 0 }),
        _ => without_pattern(number ^ 0x3c),
    }
}

fn without_pattern<const N: usize>(start: u8) -> [u8; N] {
    let mut state = [start, 0x1d, 0x77, 0xc3];
    core::array::from_fn(|_| {
        for k in 0..4 {
            state[k] = state[k].wrapping_mul(5).wrapping_add(state[(k + 3) & 3].rotate_left(3) ^ 0x9b);
        }
        state[0] ^ state[2]
    })
}
