//! The newer format of captures: blocks, of which sections, interfaces and packets are read and all others skipped.

use std::time::Duration;

use super::{CaptureError, Captured, LinkType, Order, length};
use crate::bytes::{Malformed, Problem, Reader};

/// The type of the block that a section begins with; it reads the same in both orders of octets.
pub(super) const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const INTERFACE: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const PACKET: u32 = 6;
/// The option of an interface that says what its clock counts.
const CLOCK: u16 = 9;

/// Interfaces of a section that are taken.
const INTERFACES_MAX: usize = 256;

/// A file of this format.
#[derive(Debug)]
pub(super) struct PcapNg<'a> {
    order: Order,
    interfaces: Vec<Interface>,
    rest: Reader<'a>,
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: Result<LinkType, CaptureError>,
    /// Units of its clock in a second.
    clock: u64,
}

impl<'a> PcapNg<'a> {
    pub(super) const fn new(file: &'a [u8]) -> Self {
        Self { order: Order { big: false }, interfaces: Vec::new(), rest: Reader::new(file) }
    }

    pub(super) fn next(&mut self) -> Option<Result<Captured<'a>, CaptureError>> {
        while !self.rest.is_empty() {
            match self.block() {
                Ok(None) => {}
                Ok(Some(captured)) => return Some(captured),
                Err(malformed) => {
                    self.rest = Reader::new(&[]);
                    return Some(Err(CaptureError::Broken(malformed)));
                }
            }
        }
        None
    }

    /// Reads a block; the frame in it, where it has one.
    fn block(&mut self) -> Result<Option<Result<Captured<'a>, CaptureError>>, Malformed> {
        let kind: [u8; 4] = self.rest.array("pcapng.block_type")?;
        let length_octets: [u8; 4] = self.rest.array("pcapng.block_length")?;
        if kind == SECTION {
            self.section()?;
        }
        let whole = length(self.order.u32(length_octets));
        // Type and length twice; of a section, the mark of its order was read too.
        let before = if kind == SECTION { 16 } else { 12 };
        let body = whole.checked_sub(before).filter(|_| whole.is_multiple_of(4));
        let body = body.ok_or(Malformed::new("pcapng.block_length", Problem::Range))?;
        let body = Reader::new(self.rest.take("pcapng.block", body)?);
        if self.rest.array::<4>("pcapng.block_length")? != length_octets {
            return Err(Malformed::new("pcapng.block_length", Problem::Range));
        }
        match self.order.u32(kind) {
            INTERFACE => self.interface(body).map(|()| None),
            PACKET => self.packet(body).map(Some),
            SIMPLE_PACKET => self.simple_packet(body).map(Some),
            _ => Ok(None),
        }
    }

    fn section(&mut self) -> Result<(), Malformed> {
        self.interfaces.clear();
        self.order = match self.rest.array("pcapng.order")? {
            [0x4d, 0x3c, 0x2b, 0x1a] => Order { big: false },
            [0x1a, 0x2b, 0x3c, 0x4d] => Order { big: true },
            other => return Err(Malformed::unknown("pcapng.order", u32::from_le_bytes(other))),
        };
        Ok(())
    }

    fn interface(&mut self, mut body: Reader<'_>) -> Result<(), Malformed> {
        if self.interfaces.len() >= INTERFACES_MAX {
            return Err(Malformed::new("pcapng.interfaces", Problem::TooMuch(INTERFACES_MAX + 1)));
        }
        let link = LinkType::new(self.order.u16(body.array("pcapng.link_type")?).into());
        body.take("pcapng.interface", 6)?;
        let mut clock = 1_000_000;
        while !body.is_empty() {
            let option = self.order.u16(body.array("pcapng.option")?);
            let length = usize::from(self.order.u16(body.array("pcapng.option")?));
            let value = body.take("pcapng.option", length.next_multiple_of(4))?;
            match (option, value.first()) {
                (0, _) => break,
                (CLOCK, Some(resolution)) => clock = units(*resolution)?,
                _ => {}
            }
        }
        self.interfaces.push(Interface { link, clock });
        Ok(())
    }

    fn packet(&mut self, mut body: Reader<'a>) -> Result<Result<Captured<'a>, CaptureError>, Malformed> {
        let mut number = |field| Ok(self.order.u32(body.array(field)?));
        let id = number("pcapng.interface")?;
        let (high, low) = (number("pcapng.time")?, number("pcapng.time")?);
        let (captured, whole) = (number("pcapng.captured_length")?, number("pcapng.length")?);
        let data = body.take("pcapng.data", length(captured))?;
        let interface = self.interfaces.get(length(id)).ok_or(Malformed::unknown("pcapng.interface", id))?;
        let ticks = (u64::from(high) << 32) | u64::from(low);
        let seconds = Duration::from_secs(ticks / interface.clock);
        let part = u128::from(ticks % interface.clock) * 1_000_000_000 / u128::from(interface.clock);
        let at = seconds.saturating_add(Duration::from_nanos(u64::try_from(part).unwrap_or(0)));
        Ok(interface.link.and_then(|link| link.frame(Some(at), data, length(whole))))
    }

    /// A packet without a time, of the first interface.
    fn simple_packet(&self, mut body: Reader<'a>) -> Result<Result<Captured<'a>, CaptureError>, Malformed> {
        let whole = length(self.order.u32(body.array("pcapng.length")?));
        let interface = self.interfaces.first().ok_or(Malformed::unknown("pcapng.interface", 0u8))?;
        let data = body.rest();
        let data = data.get(..whole).unwrap_or(data);
        Ok(interface.link.and_then(|link| link.frame(None, data, whole)))
    }
}

/// Units in a second: a power of ten, or of two where the high bit says so.
fn units(resolution: u8) -> Result<u64, Malformed> {
    let exponent = u32::from(resolution & 0x7f);
    let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(exponent).ok_or(Malformed::unknown("pcapng.resolution", resolution))
}
