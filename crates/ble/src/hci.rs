//! Event packets of a controller over H4, and the advertisements in them (Bluetooth Core 5.4, Vol 4 Part A §2 and
//! Part E §5.4, §7.7.65.2, §7.7.65.13).

use crate::address::{Address, AddressKind};

/// A packet of a controller or host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Something that the controller tells.
    Event(Event<'a>),
    /// A command, or data of a connection.
    Other,
}

/// An event of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// What happened.
    pub code: u8,
    /// Its parameters, at most 255 bytes.
    pub parameters: &'a [u8],
}

/// What a device advertised, as the controller tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertisement<'a> {
    /// Who.
    pub address: Address,
    /// What kind of address that is.
    pub address_kind: AddressKind,
    /// How strongly it was received, in dBm, if the controller knows.
    pub rssi: Option<i8>,
    /// Which of the device's advertising sets it is of; none for a legacy report.
    pub set: Option<u8>,
    /// Whether all of its data is here.
    pub status: DataStatus,
    /// Its [structures](crate::ad).
    pub data: &'a [u8],
}

/// How much of an advertisement's data a report has (§7.7.65.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataStatus {
    /// All of it, or the last part behind others.
    Complete,
    /// A part; the next one is in a later report.
    MoreToCome,
    /// A part; the rest was lost.
    Truncated,
}

/// Why bytes are not packets of H4, or an event not one of advertisements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HciError {
    /// A packet begins with a type that there is not: the place in the stream is lost.
    #[error("packet type {0:#04x} is not known")]
    PacketType(u8),
    /// An event has more or less parameters than it says.
    #[error("the event's parameters are not as long as it says")]
    Length,
    /// A report has an address type that is reserved.
    #[error("address type {0:#04x} is reserved")]
    AddressType(u8),
}

const EVENT_LE_META: u8 = 0x3e;
const ADVERTISING_REPORT: u8 = 0x02;
const EXTENDED_ADVERTISING_REPORT: u8 = 0x0d;
/// An RSSI that was not measured.
const RSSI_NONE: i8 = 127;

/// The first packet of a stream over H4, and how many bytes it has; `None` until all of it is there. No packet has
/// more than 65 540 bytes.
///
/// # Errors
///
/// [`HciError::PacketType`].
pub fn split(stream: &[u8]) -> Result<Option<(Packet<'_>, usize)>, HciError> {
    let Some((packet_type, rest)) = stream.split_first() else { return Ok(None) };
    let (header, len) = match (*packet_type, rest) {
        (0x01 | 0x03, [_, _, len, ..]) => (3, usize::from(*len)),
        (0x02, [_, _, low, high, ..]) => (4, usize::from(u16::from_le_bytes([*low, *high]))),
        (0x04, [_, len, ..]) => (2, usize::from(*len)),
        (0x05, [_, _, low, high, ..]) => (4, usize::from(u16::from_le_bytes([*low, *high & 0x3f]))),
        (0x01..=0x05, _) => return Ok(None),
        (other, _) => return Err(HciError::PacketType(other)),
    };
    let Some(body) = rest.get(..header + len) else { return Ok(None) };
    let packet = match (*packet_type, body) {
        (0x04, [code, _, parameters @ ..]) => Packet::Event(Event { code: *code, parameters }),
        _ => Packet::Other,
    };
    Ok(Some((packet, 1 + body.len())))
}

impl<'a> Event<'a> {
    /// An event without H4's type in front.
    ///
    /// # Errors
    ///
    /// [`HciError::Length`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, HciError> {
        match bytes {
            [code, len, parameters @ ..] if usize::from(*len) == parameters.len() => {
                Ok(Self { code: *code, parameters })
            }
            _ => Err(HciError::Length),
        }
    }

    /// The advertisements in it; none if it tells of something else. They end with the first error.
    pub fn advertisements(self) -> Advertisements<'a> {
        let (layout, left, rest) = match (self.code, self.parameters) {
            (EVENT_LE_META, [ADVERTISING_REPORT, count, rest @ ..]) => (Layout::Legacy, *count, rest),
            (EVENT_LE_META, [EXTENDED_ADVERTISING_REPORT, count, rest @ ..]) => {
                (Layout::Extended, *count, rest)
            }
            _ => (Layout::Legacy, 0, [].as_slice()),
        };
        Advertisements { layout, left, rest }
    }
}

#[derive(Debug, Clone, Copy)]
enum Layout {
    Legacy,
    Extended,
}

/// The advertisements of an event.
#[derive(Debug, Clone)]
pub struct Advertisements<'a> {
    layout: Layout,
    left: u8,
    rest: &'a [u8],
}

impl<'a> Iterator for Advertisements<'a> {
    type Item = Result<Advertisement<'a>, HciError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let read = match self.layout {
            Layout::Legacy => legacy(self.rest),
            Layout::Extended => extended(self.rest),
        };
        let read =
            read.ok_or(HciError::Length).and_then(|(report, rest)| Ok((report.advertisement()?, rest)));
        match read {
            // Behind the last report there is nothing.
            Ok((_, rest)) if self.left == 0 && !rest.is_empty() => Some(Err(HciError::Length)),
            Ok((advertisement, rest)) => {
                self.rest = rest;
                Some(Ok(advertisement))
            }
            Err(error) => {
                self.left = 0;
                Some(Err(error))
            }
        }
    }
}

struct Report<'a> {
    address_type: u8,
    address: [u8; 6],
    rssi: u8,
    set: Option<u8>,
    status: DataStatus,
    data: &'a [u8],
}

impl<'a> Report<'a> {
    fn advertisement(self) -> Result<Advertisement<'a>, HciError> {
        let address_kind = match self.address_type {
            0x00 | 0x02 => AddressKind::Public,
            0x01 | 0x03 => AddressKind::Random,
            0xff => AddressKind::Anonymous,
            other => return Err(HciError::AddressType(other)),
        };
        let rssi = i8::from_le_bytes([self.rssi]);
        Ok(Advertisement {
            address: Address::from_air(self.address),
            address_kind,
            rssi: (rssi != RSSI_NONE).then_some(rssi),
            set: self.set,
            status: self.status,
            data: self.data,
        })
    }
}

/// §7.7.65.2. Controllers write the fields of one report after the other.
fn legacy(bytes: &[u8]) -> Option<(Report<'_>, &[u8])> {
    let ([_event_type, address_type, a, b, c, d, e, f, len], rest) = bytes.split_first_chunk::<9>()?;
    let (data, rest) = rest.split_at_checked(usize::from(*len))?;
    let (rssi, rest) = rest.split_first()?;
    let address = [*a, *b, *c, *d, *e, *f];
    let (set, status) = (None, DataStatus::Complete);
    Some((Report { address_type: *address_type, address, rssi: *rssi, set, status, data }, rest))
}

/// §7.7.65.13. Bits 5 and 6 of the event type say whether more follows or was lost.
fn extended(bytes: &[u8]) -> Option<(Report<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<24>()?;
    let [event_type, _, address_type, a, b, c, d, e, f, _phy, _phy2, set, _power, rssi, .., len] = head;
    let (data, rest) = rest.split_at_checked(usize::from(*len))?;
    let address = [*a, *b, *c, *d, *e, *f];
    let status = match event_type & 0x60 {
        0x00 => DataStatus::Complete,
        0x20 => DataStatus::MoreToCome,
        _ => DataStatus::Truncated,
    };
    Some((Report { address_type: *address_type, address, rssi: *rssi, set: Some(*set), status, data }, rest))
}
