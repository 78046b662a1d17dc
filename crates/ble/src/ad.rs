//! The structures that an advertisement is made of (Core Specification Supplement, Part A; Core 5.4, Vol 3 Part C
//! §11).

/// Service data with a UUID of 16 bits.
pub const SERVICE_DATA_16: u8 = 0x16;
/// Data of a maker, behind the company's id.
pub const MANUFACTURER: u8 = 0xff;

/// One structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Structure<'a> {
    /// What is in it.
    pub kind: u8,
    /// That.
    pub data: &'a [u8],
}

impl<'a> Structure<'a> {
    /// A UUID of 16 bits or the id of a company in front of the data, and what follows.
    pub fn tagged(self) -> Option<(u16, &'a [u8])> {
        let (tag, rest) = self.data.split_first_chunk::<2>()?;
        Some((u16::from_le_bytes(*tag), rest))
    }
}

/// The structures of an advertisement. It ends at a length of zero, behind which there is nothing but zeros, and
/// before a structure that is cut off.
#[derive(Debug, Clone)]
pub struct Structures<'a>(&'a [u8]);

impl<'a> Structures<'a> {
    /// Of an advertisement's data.
    pub const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }
}

impl<'a> Iterator for Structures<'a> {
    type Item = Structure<'a>;

    fn next(&mut self) -> Option<Structure<'a>> {
        let (len, rest) = self.0.split_first()?;
        let (structure, rest) = rest.split_at_checked(usize::from(*len))?;
        let (kind, data) = structure.split_first()?;
        self.0 = rest;
        Some(Structure { kind: *kind, data })
    }
}
