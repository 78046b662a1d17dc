//! A cursor that cannot leave its bytes.

use crate::ParseError;

/// Reads fields, most significant byte first, from one frame or command.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], ParseError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(ParseError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(ParseError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Everything that is left.
    pub(crate) const fn rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    pub(crate) fn u8(&mut self) -> Result<u8, ParseError> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, ParseError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ParseError> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next byte, if there is one: a field that came with a later version.
    pub(crate) fn optional(&mut self) -> Option<u8> {
        self.u8().ok()
    }

    /// That nothing is left. Command classes do not ask for it: later versions append fields.
    pub(crate) const fn finish(&self) -> Result<(), ParseError> {
        if self.is_empty() { Ok(()) } else { Err(ParseError::Leftover) }
    }
}

/// The numbers of the bits that are set, from `first` for the lowest bit of the first byte.
pub(crate) fn bits(mask: &[u8], first: u8) -> Vec<u8> {
    let numbered =
        (u16::from(first)..).zip(mask.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1)));
    numbered.filter(|(_, set)| *set == 1).filter_map(|(number, _)| u8::try_from(number).ok()).collect()
}

/// The shortest mask with these bits set, of `least` bytes or more.
pub(crate) fn mask(numbers: &[u8], first: u8, least: usize) -> Vec<u8> {
    let mut mask = vec![0; least];
    for bit in numbers.iter().filter_map(|number| number.checked_sub(first)) {
        let byte = usize::from(bit / 8);
        if mask.len() <= byte {
            mask.resize(byte + 1, 0);
        }
        if let Some(byte) = mask.get_mut(byte) {
            *byte |= 1 << (bit % 8);
        }
    }
    mask
}
