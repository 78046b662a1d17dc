//! ZNP: what a host and a coordinator of Texas Instruments tell each other over a serial line. Section numbers are those of
//! the Z-Stack Monitor and Test API (SWRA198).

use zeroize::Zeroizing;

use crate::Octets;
use crate::bytes::{Malformed, Problem, Reader};
use crate::layout::Record;
use crate::library;

/// The octet that a frame begins with.
const START: u8 = 0xfe;
/// Octets of the longest content: 2.1.2.
pub const DATA_BYTES_MAX: usize = 250;
/// Octets of the longest frame: start, length, command and checksum are around its content.
const FRAME_BYTES_MAX: usize = DATA_BYTES_MAX + 5;

/// A frame: 2.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZnpFrame {
    /// What it is: 0 poll, 1 request with an answer, 2 without, 3 answer.
    pub kind: u8,
    /// Which part of the coordinator.
    pub subsystem: u8,
    /// Which command.
    pub command: u8,
    /// Its fields, unread.
    pub data: Octets,
}

/// What is on the line, octet for octet, made to frames.
pub struct ZnpLine {
    /// Up to [`FRAME_BYTES_MAX`], which there is room for from the start: what grows leaves copies of keys behind.
    octets: Zeroizing<Vec<u8>>,
}

impl Default for ZnpLine {
    fn default() -> Self {
        Self { octets: Zeroizing::new(Vec::with_capacity(FRAME_BYTES_MAX)) }
    }
}

impl ZnpFrame {
    /// Reads a frame that is there as a whole.
    ///
    /// # Errors
    ///
    /// With what is cut short, too long or damaged.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        match reader.u8("znp.start")? {
            START => {}
            other => return Err(Malformed::unknown("znp.start", other)),
        }
        let checked = reader;
        let length = usize::from(reader.u8("znp.length")?);
        if length > DATA_BYTES_MAX {
            return Err(Malformed::new("znp.length", Problem::TooMuch(length)));
        }
        let (first, command) = (reader.u8("znp.command")?, reader.u8("znp.command")?);
        let data = reader.take("znp.data", length)?.to_vec().into();
        let found = u32::from(reader.u8("znp.fcs")?);
        reader.finish("znp.frame")?;
        let computed = u32::from(fcs(checked.peek(length + 3)));
        if found != computed {
            return Err(Malformed::new("znp.fcs", Problem::Checksum { found, computed }));
        }
        Ok(Self { kind: first >> 5, subsystem: first & 31, command, data })
    }

    /// The octets that are sent.
    ///
    /// # Errors
    ///
    /// With more content than a frame can carry.
    pub fn to_bytes(&self) -> Result<Octets, Malformed> {
        let length =
            u8::try_from(self.data.len()).ok().filter(|length| usize::from(*length) <= DATA_BYTES_MAX);
        let length = length.ok_or(Malformed::new("znp.data", Problem::TooMuch(self.data.len())))?;
        let mut out = Vec::with_capacity(FRAME_BYTES_MAX);
        out.extend([START, length, (self.kind << 5) | (self.subsystem & 31), self.command]);
        out.extend(self.data.iter());
        out.push(fcs(out.get(1..).unwrap_or_default()));
        Ok(out.into())
    }

    /// What it is called and its fields.
    ///
    /// # Errors
    ///
    /// With a command that no line of `data/znp.csv` has, and with fields that are cut short.
    pub fn fields(&self) -> Result<(&'static str, Record), Malformed> {
        let unknown = Malformed::unknown("znp.command", self.command);
        let info = library::znp(self.kind, self.subsystem, self.command).ok_or(unknown)?;
        let (record, _) = info.layout.read(&self.data)?;
        Ok((info.name, record))
    }

    /// A command of this kind and name.
    ///
    /// # Errors
    ///
    /// When no line has the name, and with fields that are missing or of another type.
    pub fn named(kind: u8, name: &str, record: &Record) -> Result<Self, Malformed> {
        let info = library::znp_named(kind, name).ok_or(Malformed::new("znp.name", Problem::Missing))?;
        let mut data = Vec::with_capacity(DATA_BYTES_MAX);
        info.layout.write(record, &mut data)?;
        Ok(Self { kind, subsystem: info.subsystem, command: info.command, data: data.into() })
    }
}

impl ZnpLine {
    /// Takes what came over the line: frames, and what was damaged. What is no frame is skipped to the next start, which may
    /// be within it.
    pub fn receive(&mut self, octets: &[u8]) -> Vec<Result<ZnpFrame, Malformed>> {
        let mut found = Vec::new();
        for octet in octets {
            self.octets.push(*octet);
            while let Some(read) = self.next() {
                found.extend(read);
            }
        }
        found
    }

    /// Reads what there is; `None` where more has to come first, and nothing inside where something was skipped.
    fn next(&mut self) -> Option<Option<Result<ZnpFrame, Malformed>>> {
        if *self.octets.first()? != START {
            let start = self.octets.iter().position(|octet| *octet == START);
            self.skip(start.unwrap_or(self.octets.len()));
            return Some(None);
        }
        let whole = usize::from(*self.octets.get(1)?) + 5;
        if whole <= FRAME_BYTES_MAX && self.octets.len() < whole {
            return None;
        }
        let read = ZnpFrame::read(self.octets.get(..whole).unwrap_or(&self.octets));
        self.skip(if read.is_ok() { whole } else { 1 });
        Some(Some(read))
    }

    fn skip(&mut self, count: usize) {
        let count = count.min(self.octets.len());
        self.octets.drain(..count);
    }
}

/// All octets, one laid over the other: 2.1.4.
fn fcs(octets: &[u8]) -> u8 {
    octets.iter().fold(0, |fcs, octet| fcs ^ octet)
}
