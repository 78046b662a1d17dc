//! Frames on the line.

use super::Frame;

/// What a frame has besides its body: sequence, kind and checksum.
pub const FRAME_OVERHEAD_BYTES: usize = 4;

/// Sequence and kind.
const HEAD_BYTES: usize = 2;
const FLAG: u8 = 0x7e;
const ESCAPE: u8 = 0x7d;
const ESCAPED: u8 = 0x20;

/// RFC 1662 §C.2: CRC-16 of ITU-T V.41 with its bits in reverse.
const FCS_START: u16 = 0xffff;
const FCS_GOOD: u16 = 0xf0b8;

const fn fcs(mut fcs: u16, byte: u8) -> u16 {
    fcs ^= byte as u16;
    let mut bit = 0;
    while bit < 8 {
        fcs = if fcs & 1 == 1 { fcs >> 1 ^ 0x8408 } else { fcs >> 1 };
        bit += 1;
    }
    fcs
}

/// Gives `put` the bytes of a frame for the line, one after the other.
pub fn encode(frame: &Frame<'_>, mut put: impl FnMut(u8)) {
    let mut check = FCS_START;
    put(FLAG);
    let bytes = [frame.sequence, frame.kind].into_iter().chain(frame.body.iter().copied());
    for byte in bytes {
        check = fcs(check, byte);
        escape(byte, &mut put);
    }
    let [low, high] = (!check).to_le_bytes();
    escape(low, &mut put);
    escape(high, &mut put);
    put(FLAG);
}

fn escape(byte: u8, put: &mut impl FnMut(u8)) {
    if matches!(byte, FLAG | ESCAPE) {
        put(ESCAPE);
        put(byte ^ ESCAPED);
    } else {
        put(byte);
    }
}

/// Finds frames in what comes over the line. Garbage, cut and overlong frames are let go; the next flag starts anew.
pub struct Decoder<B> {
    room: B,
    len: usize,
    check: u16,
    is_escaped: bool,
    /// Nothing counts up to the next flag.
    is_spoilt: bool,
}

impl<B: AsMut<[u8]>> Decoder<B> {
    /// A decoder for frames of at most `room`, the checksum included.
    pub const fn new(room: B) -> Self {
        Self { room, len: 0, check: FCS_START, is_escaped: false, is_spoilt: true }
    }

    /// Where the last frame's body stands, with all room behind it that a frame leaves: an answer may take its place.
    pub fn body_mut(&mut self) -> &mut [u8] {
        let room = self.room.as_mut();
        let end = room.len().saturating_sub(FRAME_OVERHEAD_BYTES - HEAD_BYTES);
        room.get_mut(HEAD_BYTES..end).unwrap_or_default()
    }

    /// Takes one byte; gives a frame when that ends one.
    pub fn take(&mut self, byte: u8) -> Option<Frame<'_>> {
        if byte == FLAG {
            let (len, is_whole) = (self.len, self.check == FCS_GOOD && !self.is_spoilt && !self.is_escaped);
            (self.len, self.check, self.is_escaped, self.is_spoilt) = (0, FCS_START, false, false);
            let len = len.checked_sub(2).filter(|_| is_whole)?;
            let [sequence, kind, body @ ..] = self.room.as_mut().get(..len)? else { return None };
            return Some(Frame { sequence: *sequence, kind: *kind, body });
        }
        if byte == ESCAPE {
            self.is_spoilt |= core::mem::replace(&mut self.is_escaped, true);
            return None;
        }
        let byte = if core::mem::take(&mut self.is_escaped) { byte ^ ESCAPED } else { byte };
        match self.room.as_mut().get_mut(self.len) {
            Some(slot) => *slot = byte,
            None => self.is_spoilt = true,
        }
        self.len = self.len.saturating_add(1);
        self.check = fcs(self.check, byte);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn on_line(sequence: u8, kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&Frame { sequence, kind, body }, |byte| bytes.push(byte));
        bytes
    }

    fn found(line: &[u8], room: usize) -> Vec<(u8, u8, Vec<u8>)> {
        let mut room = std::vec![0; room];
        let mut decoder = Decoder::new(&mut room[..]);
        let mut frames = Vec::new();
        for byte in line {
            frames.extend(decoder.take(*byte).map(|f| (f.sequence, f.kind, f.body.to_vec())));
        }
        frames
    }

    /// What `docs/wire/serial.md` shows.
    #[test]
    fn a_frame_is_the_one_of_the_document() {
        let line = [0x7e, 0x07, 0x05, 0x7d, 0x5e, 0x7d, 0x5d, 0x00, 0x83, 0x41, 0x7e];
        assert_eq!(on_line(7, 5, &[0x7e, 0x7d, 0x00]), line);
        assert_eq!(found(&line, 16), [(7, 5, [0x7e, 0x7d, 0].to_vec())]);
    }

    #[test]
    fn the_checksum_is_that_of_x_25() {
        // The check value of CRC-16/IBM-SDLC in every catalogue.
        let check = b"123456789".iter().fold(FCS_START, |check, byte| fcs(check, *byte));
        assert_eq!(!check, 0x906e);
    }

    #[test]
    #[cfg_attr(miri, ignore = "every bit takes too long")]
    fn a_frame_with_any_bit_flipped_is_let_go_and_the_next_one_comes() {
        let (first, next) = (on_line(1, 2, b"reading 21.5"), on_line(2, 2, b"next"));
        for bit in 0..first.len() * 8 {
            let mut line = first.clone();
            line[bit / 8] ^= 1 << (bit % 8);
            line.extend(&next);
            let frames = found(&line, 64);
            assert_eq!(frames.last(), Some(&(2, 2, b"next".to_vec())), "bit {bit}");
            assert!(frames.len() == 1, "bit {bit}");
        }
    }

    #[test]
    fn what_does_not_fit_is_let_go() {
        let mut line = on_line(1, 2, &[7; 100]);
        assert_eq!(found(&line, 103), []);
        assert_eq!(found(&line, 104).len(), 1);
        line.extend(on_line(2, 2, &[7; 10]));
        assert_eq!(found(&line, 50), [(2, 2, [7; 10].to_vec())]);
    }

    #[test]
    fn a_frame_that_is_cut_anywhere_is_let_go() {
        let (whole, next) = (on_line(1, 2, &[0x7e; 9]), on_line(2, 2, b"next"));
        for len in 0..whole.len() - 1 {
            let line = [&whole[..len], &next].concat();
            assert_eq!(found(&line, 64), [(2, 2, b"next".to_vec())], "{len}");
        }
    }
}
