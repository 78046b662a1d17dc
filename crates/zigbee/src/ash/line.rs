//! Frames on the line: flags, escapes, and octets that say that something went wrong (4.2).

use std::fmt;

use zeroize::Zeroizing;

use super::AshFrame;
use super::frame::{AshError, FRAME_BYTES_MAX};
use crate::Octets;

const FLAG: u8 = 0x7e;
const ESCAPE: u8 = 0x7d;
const CANCEL: u8 = 0x1a;
const SUBSTITUTE: u8 = 0x18;
const XON: u8 = 0x11;
const XOFF: u8 = 0x13;

/// What is on the line, octet for octet, made to frames.
pub struct LineDecoder {
    /// Up to [`FRAME_BYTES_MAX`], which there is room for from the start: what grows leaves copies of keys behind.
    frame: Zeroizing<Vec<u8>>,
    escaped: bool,
    /// What comes until the next flag is no frame.
    spoilt: bool,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineEvent {
    /// A frame.
    Frame(AshFrame),
    /// Something that was one, or more than a frame can be: `None`.
    Damaged(Option<AshError>),
}

impl AshFrame {
    /// The octets on the line, with the flag behind them.
    #[must_use]
    pub fn to_line(&self) -> Octets {
        self.to_line_behind(&[])
    }

    /// The same behind octets that are no frame's.
    pub(super) fn to_line_behind(&self, before: &[u8]) -> Octets {
        let frame = self.to_bytes();
        let mut out = Vec::with_capacity(before.len() + 2 * frame.len() + 1);
        out.extend(before);
        for octet in frame.iter().copied() {
            match octet {
                FLAG | ESCAPE | XON | XOFF | SUBSTITUTE | CANCEL => out.extend([ESCAPE, octet ^ 0x20]),
                octet => out.push(octet),
            }
        }
        out.push(FLAG);
        out.into()
    }
}

/// What a host sends before its reset, so that what was begun is forgotten.
pub(super) const CANCEL_BEGUN: u8 = CANCEL;

impl Default for LineDecoder {
    fn default() -> Self {
        let frame = Zeroizing::new(Vec::with_capacity(FRAME_BYTES_MAX));
        Self { frame, escaped: false, spoilt: false }
    }
}

/// What is in the frame is not shown.
impl fmt::Debug for LineDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LineDecoder({} octets)", self.frame.len())
    }
}

impl LineDecoder {
    /// Takes what came over the line; what it completes.
    pub fn receive(&mut self, octets: &[u8]) -> Vec<LineEvent> {
        octets.iter().filter_map(|octet| self.octet(*octet)).collect()
    }

    fn octet(&mut self, octet: u8) -> Option<LineEvent> {
        match octet {
            FLAG => return self.end(),
            CANCEL => *self = Self::default(),
            SUBSTITUTE => self.spoilt = true,
            // Flow control, which is the line's own.
            XON | XOFF => {}
            ESCAPE => self.escaped = true,
            _ if self.frame.len() >= FRAME_BYTES_MAX => {
                self.spoilt = true;
                self.escaped = false;
            }
            octet => {
                self.frame.push(if self.escaped { octet ^ 0x20 } else { octet });
                self.escaped = false;
            }
        }
        None
    }

    /// A flag. Between two of them there may be nothing.
    fn end(&mut self) -> Option<LineEvent> {
        let Self { frame, spoilt, escaped } = std::mem::take(self);
        if spoilt || escaped {
            return Some(LineEvent::Damaged(None));
        }
        if frame.is_empty() {
            return None;
        }
        Some(match AshFrame::read(&frame) {
            Ok(frame) => LineEvent::Frame(frame),
            Err(error) => LineEvent::Damaged(Some(error)),
        })
    }
}
