//! A recording of a controller's packets in the format btsnoop: that of RFC 1761 with a name, a version and a time of
//! its own. All numbers are big-endian.

use crate::hci::{Advertisement, Event, HciError, Packet, split};

const MAGIC: &[u8; 8] = b"btsnoop\0";
const VERSION: u32 = 1;
/// Bytes of a packet that is read; none of HCI is longer.
pub const PACKET_BYTES_MAX: u32 = 65_540;
/// 1970 in microseconds of the format's time, which begins with the year 0.
const EPOCH_MICROS: i64 = 0x00dc_ddb3_0f2f_8000;
/// A record's flags for an event, where nothing else says so: received, and no data of a connection.
const FLAGS_EVENT: u32 = 3;
/// An event among the records of a Linux monitor.
const MONITOR_EVENT: u32 = 3;

/// What the packets of a recording have in front.
#[derive(Debug, Clone, Copy)]
enum Link {
    /// Nothing; the record's flags tell their type.
    Bare,
    /// H4's packet type.
    H4,
    /// Nothing; the lower half of the flags is the monitor's opcode.
    Monitor,
}

/// Why a recording cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnoopError {
    /// It does not begin as such a recording does.
    #[error("not a btsnoop recording of version 1")]
    Header,
    /// It is of a link that is not read: HCI bare, over H4, or by a monitor.
    #[error("data link {0} is not known")]
    DataLink(u32),
    /// It ends within a record.
    #[error("the recording ends within a record")]
    Truncated,
    /// A record is longer than a packet can be.
    #[error("a record of {0} bytes")]
    TooLong(u32),
}

/// Why a recorded packet gave no advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// The recording cannot be read on.
    #[error(transparent)]
    Snoop(#[from] SnoopError),
    /// This packet is not as it should be; the next may be.
    #[error(transparent)]
    Hci(#[from] HciError),
}

/// A recorded packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was recorded, in microseconds since 1970.
    pub micros: i64,
    /// The event in it; `None` for other packets.
    pub event: Result<Option<Event<'a>>, HciError>,
}

/// A recording. It ends with the first error.
#[derive(Debug, Clone)]
pub struct Recording<'a> {
    link: Link,
    rest: &'a [u8],
}

impl<'a> Recording<'a> {
    /// Reads the head of a file.
    ///
    /// # Errors
    ///
    /// [`SnoopError::Header`], [`SnoopError::DataLink`].
    pub fn new(file: &'a [u8]) -> Result<Self, SnoopError> {
        let (magic, rest) = file.split_first_chunk::<8>().ok_or(SnoopError::Header)?;
        let (version, rest) = number(rest).ok_or(SnoopError::Header)?;
        let (link, rest) = number(rest).ok_or(SnoopError::Header)?;
        if magic != MAGIC || version != VERSION {
            return Err(SnoopError::Header);
        }
        let link = match link {
            1001 => Link::Bare,
            1002 => Link::H4,
            2001 => Link::Monitor,
            other => return Err(SnoopError::DataLink(other)),
        };
        Ok(Self { link, rest })
    }

    /// All advertisements with the time of their record.
    pub fn advertisements(
        self,
    ) -> impl Iterator<Item = Result<(i64, Advertisement<'a>), RecordingError>> + use<'a> {
        self.flat_map(|record| {
            let (micros, event, failed) = match record {
                Ok(Record { micros, event: Ok(event) }) => (micros, event, None),
                Ok(Record { micros, event: Err(error) }) => (micros, None, Some(error.into())),
                Err(error) => (0, None, Some(error.into())),
            };
            let told = event.into_iter().flat_map(Event::advertisements);
            failed.map(Err).into_iter().chain(told.map(move |read| Ok((micros, read?))))
        })
    }

    fn record(&self) -> Option<Result<(Record<'a>, &'a [u8]), SnoopError>> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((flags, micros, len, rest)) = head(self.rest) else {
            return Some(Err(SnoopError::Truncated));
        };
        if len > PACKET_BYTES_MAX {
            return Some(Err(SnoopError::TooLong(len)));
        }
        let body = usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len));
        let Some((packet, rest)) = body else { return Some(Err(SnoopError::Truncated)) };
        let micros = micros.saturating_sub(EPOCH_MICROS);
        Some(Ok((Record { micros, event: self.link.event(flags, packet) }, rest)))
    }
}

impl<'a> Iterator for Recording<'a> {
    type Item = Result<Record<'a>, SnoopError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.record()?;
        self.rest = read.as_ref().map_or([].as_slice(), |(_, rest)| rest);
        Some(read.map(|(record, _)| record))
    }
}

impl Link {
    fn event(self, flags: u32, packet: &[u8]) -> Result<Option<Event<'_>>, HciError> {
        match self {
            Self::Bare if flags & FLAGS_EVENT == FLAGS_EVENT => Event::parse(packet).map(Some),
            Self::Monitor if flags & 0xffff == MONITOR_EVENT => Event::parse(packet).map(Some),
            Self::Bare | Self::Monitor => Ok(None),
            Self::H4 => match split(packet)? {
                Some((Packet::Event(event), len)) if len == packet.len() => Ok(Some(event)),
                Some((Packet::Other, len)) if len == packet.len() => Ok(None),
                Some(_) | None => Err(HciError::Length),
            },
        }
    }
}

/// Flags, time and included length of a record, and what follows its head.
fn head(bytes: &[u8]) -> Option<(u32, i64, u32, &[u8])> {
    let (_original, rest) = number(bytes)?;
    let (len, rest) = number(rest)?;
    let (flags, rest) = number(rest)?;
    let (_dropped, rest) = number(rest)?;
    let (micros, rest) = rest.split_first_chunk::<8>()?;
    Some((flags, i64::from_be_bytes(*micros), len, rest))
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}
