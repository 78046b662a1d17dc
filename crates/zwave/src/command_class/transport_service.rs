//! Commands that are longer than a frame, in segments: CC, "Transport Service".

use std::collections::BTreeMap;
use std::time::Duration;

use super::COMMAND_MAX;
use super::crc16::crc;
use crate::bytes::Reader;
use crate::{NodeId, ParseError, command_class::Value};

const FIRST: u8 = 0xc0;
const SUBSEQUENT: u8 = 0xe0;
const REQUEST: u8 = 0xc8;
const COMPLETE: u8 = 0xe8;
const WAIT: u8 = 0xf0;
/// Upper five bits are the command, lower three belong to the first field.
const COMMAND: u8 = 0xf8;
/// Bytes of a command in one segment: what a frame at 40 kbit/s and less carries.
pub const SEGMENT_MAX: usize = 39;
/// How long a receiver waits for the next segment: 800 ms.
pub const SEGMENT_TIMEOUT: Duration = Duration::from_millis(800);
/// Commands that are put together at one time.
const SESSIONS_MAX: usize = 8;

/// A segment, or what is said about segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// The first.
    First {
        /// Bytes of the whole command.
        size: u16,
        /// Which command of its sender.
        session: u8,
        /// Part of the command.
        data: Vec<u8>,
    },
    /// Another.
    Subsequent {
        /// Bytes of the whole command.
        size: u16,
        /// Which command of its sender.
        session: u8,
        /// Where the part begins.
        offset: u16,
        /// Part of the command.
        data: Vec<u8>,
    },
    /// The segment from here on is missing.
    Request {
        /// Which command.
        session: u8,
        /// Where it begins.
        offset: u16,
    },
    /// The command is there.
    Complete {
        /// Which command.
        session: u8,
    },
    /// Later, after so many segments of others.
    Wait {
        /// Segments.
        pending: u8,
    },
}

impl Segment {
    /// Its class.
    pub const CLASS: u8 = 0x55;

    pub(crate) fn parse(command: u8, reader: &mut Reader) -> Result<Option<Self>, ParseError> {
        let high = u16::from(command & 0x07) << 8;
        Ok(Some(match command & COMMAND {
            FIRST => {
                let mut body = checked(command, reader)?;
                let size = high | u16::from(body.u8()?);
                let session = extended(&mut body)? >> 4;
                Self::First { size, session, data: body.rest().to_vec() }
            }
            SUBSEQUENT => {
                let mut body = checked(command, reader)?;
                let size = high | u16::from(body.u8()?);
                let [head, low] = body.array()?;
                if head & 0x08 != 0 {
                    let length = body.u8()?;
                    body.take(length.into())?;
                }
                let offset = u16::from(head & 0x07) << 8 | u16::from(low);
                Self::Subsequent { size, session: head >> 4, offset, data: body.rest().to_vec() }
            }
            REQUEST => {
                let [head, low] = reader.array()?;
                Self::Request { session: head >> 4, offset: u16::from(head & 0x07) << 8 | u16::from(low) }
            }
            COMPLETE => Self::Complete { session: reader.u8()? >> 4 },
            WAIT => Self::Wait { pending: reader.u8()? },
            _ => return Ok(None),
        }))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let begin = out.len().saturating_sub(1);
        match self {
            Self::First { size, session, data } => {
                let [high, low] = size.to_be_bytes();
                out.extend([FIRST | high & 0x07, low, session << 4]);
                out.extend(data);
                write_checksum(begin, out);
            }
            Self::Subsequent { size, session, offset, data } => {
                let [high, low] = size.to_be_bytes();
                let [offset_high, offset_low] = offset.to_be_bytes();
                out.extend([SUBSEQUENT | high & 0x07, low, session << 4 | offset_high & 0x07, offset_low]);
                out.extend(data);
                write_checksum(begin, out);
            }
            Self::Request { session, offset } => {
                let [high, low] = offset.to_be_bytes();
                out.extend([REQUEST, session << 4 | high & 0x07, low]);
            }
            Self::Complete { session } => out.extend([COMPLETE, session << 4]),
            Self::Wait { pending } => out.extend([WAIT, *pending]),
        }
    }

    /// Names of fields and what they say.
    #[must_use]
    pub fn values(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// A command in segments. `None` for one that is too long, or needs none.
    #[must_use]
    pub fn split(command: &[u8], session: u8) -> Option<Vec<Self>> {
        let size = u16::try_from(command.len()).ok().filter(|size| usize::from(*size) <= COMMAND_MAX)?;
        let mut offset = 0;
        let mut segments = Vec::new();
        for data in command.chunks(SEGMENT_MAX).map(<[u8]>::to_vec) {
            let length = u16::try_from(data.len()).ok()?;
            segments.push(if offset == 0 {
                Self::First { size, session, data }
            } else {
                Self::Subsequent { size, session, offset, data }
            });
            offset += length;
        }
        (segments.len() > 1).then_some(segments)
    }
}

/// The fields of a segment whose checksum is right.
fn checked<'a>(command: u8, reader: &mut Reader<'a>) -> Result<Reader<'a>, ParseError> {
    let (body, sum) = reader.rest().split_last_chunk().ok_or(ParseError::Truncated)?;
    if crc(&[&[Segment::CLASS, command], body]) != u16::from_be_bytes(*sum) {
        return Err(ParseError::Checksum);
    }
    Ok(Reader::new(body))
}

/// The byte with the session, past what may be said beside it.
fn extended(body: &mut Reader) -> Result<u8, ParseError> {
    let head = body.u8()?;
    if head & 0x08 != 0 {
        let length = body.u8()?;
        body.take(length.into())?;
    }
    Ok(head)
}

fn write_checksum(begin: usize, out: &mut Vec<u8>) {
    let sum = crc(&[out.get(begin..).unwrap_or_default()]);
    out.extend(sum.to_be_bytes());
}

struct Session {
    number: u8,
    data: Vec<u8>,
    size: usize,
    due: Duration,
}

/// What became of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assembled {
    /// The command is there; its sender is told so.
    Command(Vec<u8>, Segment),
    /// More is to come.
    More,
    /// One is missing; its sender is asked for it.
    Missing(Segment),
    /// Nothing came of it.
    Ignored,
}

/// Puts commands together, one for each sender.
#[derive(Default)]
pub struct Assembler {
    sessions: BTreeMap<NodeId, Session>,
}

impl Assembler {
    /// Takes a segment. Segments come in order; a gap is asked for.
    pub fn push(&mut self, from: NodeId, segment: Segment, now: Duration) -> Assembled {
        self.sessions.retain(|_, session| session.due > now);
        let due = now + SEGMENT_TIMEOUT;
        match segment {
            Segment::First { size, session, data } => {
                let size = usize::from(size);
                let room = self.sessions.len() < SESSIONS_MAX || self.sessions.contains_key(&from);
                if size > COMMAND_MAX || data.len() > size || !room {
                    return Assembled::Ignored;
                }
                self.sessions.insert(from, Session { number: session, data, size, due });
                self.complete(from)
            }
            Segment::Subsequent { size, session: number, offset, data } => {
                let Some(session) = self.sessions.get_mut(&from) else { return Assembled::Ignored };
                if session.number != number || session.size != usize::from(size) {
                    return Assembled::Ignored;
                }
                session.due = due;
                match usize::from(offset).cmp(&session.data.len()) {
                    std::cmp::Ordering::Less => return Assembled::Ignored,
                    std::cmp::Ordering::Greater => {
                        let offset = u16::try_from(session.data.len()).unwrap_or(u16::MAX);
                        return Assembled::Missing(Segment::Request { session: number, offset });
                    }
                    std::cmp::Ordering::Equal => {}
                }
                if session.data.len() + data.len() > session.size {
                    self.sessions.remove(&from);
                    return Assembled::Ignored;
                }
                session.data.extend(data);
                self.complete(from)
            }
            Segment::Request { .. } | Segment::Complete { .. } | Segment::Wait { .. } => Assembled::Ignored,
        }
    }

    fn complete(&mut self, from: NodeId) -> Assembled {
        if self.sessions.get(&from).is_none_or(|session| session.data.len() < session.size) {
            return Assembled::More;
        }
        self.sessions.remove(&from).map_or(Assembled::Ignored, |session| {
            Assembled::Command(session.data, Segment::Complete { session: session.number })
        })
    }
}
