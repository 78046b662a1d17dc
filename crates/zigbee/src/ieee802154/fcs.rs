//! The frame check sequence: 7.2.10.

/// What the last two octets of a captured frame say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fcs {
    /// The checksum is that of the frame.
    Good,
    /// The checksum is not that of the frame, which was damaged on its way or was not heard well.
    Bad {
        /// As it was captured.
        found: u16,
        /// As it would be right.
        computed: u16,
    },
    /// The receiver checked it and kept no checksum.
    Absent,
}

impl Fcs {
    /// Splits a frame from its checksum. `None` where it is shorter than one.
    #[must_use]
    pub fn split(frame: &[u8]) -> Option<(&[u8], Self)> {
        let (frame, found) = frame.split_last_chunk()?;
        let (found, computed) = (u16::from_le_bytes(*found), fcs(frame));
        Some((frame, if found == computed { Self::Good } else { Self::Bad { found, computed } }))
    }
}

/// The checksum of a frame without it: x^16 + x^12 + x^5 + 1 over the octets as they are sent, lowest bit first.
#[must_use]
pub fn fcs(frame: &[u8]) -> u16 {
    frame.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x8408 } else { 0 })
    })
}
