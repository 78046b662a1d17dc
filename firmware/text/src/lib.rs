//! UTF-8 (RFC 3629) for chips. The core library reads it with a table of 256 bytes, which takes RAM on AVR.

#![no_std]

/// The text that `bytes` are; `None` when they are no UTF-8.
#[must_use]
#[allow(
    unsafe_code,
    reason = "the core library makes a text of bytes only with its own check, or without any"
)]
pub fn from_utf8(bytes: &[u8]) -> Option<&str> {
    // SAFETY: that is what was checked.
    is_utf8(bytes).then(|| unsafe { core::str::from_utf8_unchecked(bytes) })
}

fn is_utf8(bytes: &[u8]) -> bool {
    let mut bytes = bytes.iter();
    while let Some(first) = bytes.next() {
        // How many bytes follow, and what the first of them may be: RFC 3629 §4.
        let (more, second) = match first {
            0x00..=0x7f => continue,
            0xc2..=0xdf => (1, 0x80..=0xbf),
            0xe0 => (2, 0xa0..=0xbf),
            0xed => (2, 0x80..=0x9f),
            0xe1..=0xef => (2, 0x80..=0xbf),
            0xf0 => (3, 0x90..=0xbf),
            0xf1..=0xf3 => (3, 0x80..=0xbf),
            0xf4 => (3, 0x80..=0x8f),
            _ => return false,
        };
        let mut is_next =
            |range: core::ops::RangeInclusive<u8>| bytes.next().is_some_and(|byte| range.contains(byte));
        if !is_next(second) || !(1..more).all(|_| is_next(0x80..=0xbf)) {
            return false;
        }
    }
    true
}
