//! Frames: Host API, "Frame layout".

use crate::ParseError;

const SOF: u8 = 0x01;
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;
const CAN: u8 = 0x18;
/// Bytes that a frame counts beside its payload: length, type, function, checksum without the length itself.
const COUNTED: usize = 3;
/// Longest payload, in bytes: the length is one byte.
pub const PAYLOAD_MAX: usize = 255 - COUNTED;

/// Who asks and who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// Unasked for, by either end.
    Request,
    /// Answers a request, of the same function.
    Response,
}

/// A data frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    kind: FrameKind,
    function: u8,
    payload: Vec<u8>,
}

impl Frame {
    /// # Errors
    ///
    /// [`ParseError::TooLong`] for a payload of more than [`PAYLOAD_MAX`] bytes.
    pub fn new(kind: FrameKind, function: u8, payload: Vec<u8>) -> Result<Self, ParseError> {
        if payload.len() > PAYLOAD_MAX {
            return Err(ParseError::TooLong);
        }
        Ok(Self { kind, function, payload })
    }

    /// Whether it asks or answers.
    #[must_use]
    pub const fn kind(&self) -> FrameKind {
        self.kind
    }

    /// Number of the function.
    #[must_use]
    pub const fn function(&self) -> u8 {
        self.function
    }

    /// What the function takes or gives.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Its bytes, from SOF to checksum.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = u8::try_from(self.payload.len() + COUNTED).unwrap_or(u8::MAX);
        let kind = match self.kind {
            FrameKind::Request => 0,
            FrameKind::Response => 1,
        };
        let mut out = vec![SOF, length, kind, self.function];
        out.extend_from_slice(&self.payload);
        out.push(checksum(out.get(1..).unwrap_or_default()));
        out
    }

    /// Reads one frame, from its length to its checksum.
    fn parse(counted: &[u8]) -> Result<Self, ParseError> {
        let (sum, rest) = counted.split_last().ok_or(ParseError::Truncated)?;
        if checksum(rest) != *sum {
            return Err(ParseError::Checksum);
        }
        let [_, kind, function, payload @ ..] = rest else { return Err(ParseError::Truncated) };
        let kind = match kind {
            0 => FrameKind::Request,
            1 => FrameKind::Response,
            other => return Err(ParseError::Reserved { field: "type", value: (*other).into() }),
        };
        Ok(Self { kind, function: *function, payload: payload.to_vec() })
    }
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0xff, |sum, byte| sum ^ byte)
}

/// What comes over the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// The frame before was taken.
    Ack,
    /// The frame before was broken.
    Nak,
    /// The frame before was dropped: both ends spoke.
    Can,
    /// A frame.
    Frame(Frame),
    /// A frame that is broken.
    Broken(ParseError),
    /// A byte that begins nothing.
    Noise(u8),
}

/// Cuts a stream of bytes into units. Holds one frame at most.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
}

impl Decoder {
    /// Takes bytes as they come.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Unit)) {
        for byte in bytes {
            if let Some(unit) = self.step(*byte) {
                each(unit);
            }
        }
    }

    /// Whether a frame has begun and not ended.
    #[must_use]
    pub const fn is_in_frame(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Drops a frame whose end did not come in time.
    pub fn reset(&mut self) {
        self.pending.clear();
    }

    fn step(&mut self, byte: u8) -> Option<Unit> {
        if self.pending.is_empty() {
            return match byte {
                SOF => {
                    self.pending.push(byte);
                    None
                }
                ACK => Some(Unit::Ack),
                NAK => Some(Unit::Nak),
                CAN => Some(Unit::Can),
                other => Some(Unit::Noise(other)),
            };
        }
        self.pending.push(byte);
        let [_, length, ..] = self.pending.as_slice() else { return None };
        if usize::from(*length) < COUNTED {
            self.pending.clear();
            return Some(Unit::Broken(ParseError::Truncated));
        }
        if self.pending.len() < usize::from(*length) + 2 {
            return None;
        }
        let frame = Frame::parse(self.pending.get(1..).unwrap_or_default());
        self.pending.clear();
        Some(frame.map_or_else(Unit::Broken, Unit::Frame))
    }
}

/// The three units that are no frames.
pub(super) const fn byte_of(unit: &Unit) -> Option<u8> {
    match unit {
        Unit::Ack => Some(ACK),
        Unit::Nak => Some(NAK),
        Unit::Can => Some(CAN),
        Unit::Frame(_) | Unit::Broken(_) | Unit::Noise(_) => None,
    }
}
