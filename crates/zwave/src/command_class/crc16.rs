//! A checksum around a command: CC, "CRC-16 Encapsulation".

use super::Value;
use super::field::Field;
use crate::ParseError;
use crate::bytes::Reader;

const HEADER: [u8; 2] = [Crc16::CLASS, 0x01];

/// CRC-CCITT over the parts: polynomial 0x1021, start 0x1d0f.
pub(crate) fn crc(parts: &[&[u8]]) -> u16 {
    parts.iter().flat_map(|part| part.iter()).fold(0x1d0f, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            let carry = crc & 0x8000 != 0;
            let shifted = crc << 1;
            if carry { shifted ^ 0x1021 } else { shifted }
        })
    })
}

/// A command whose checksum was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked(pub Vec<u8>);

impl Field for Checked {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let (command, sum) = reader.rest().split_last_chunk().ok_or(ParseError::Truncated)?;
        if crc(&[&HEADER, command]) != u16::from_be_bytes(*sum) {
            return Err(ParseError::Checksum);
        }
        Ok(Self(command.to_vec()))
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(&self.0);
        out.extend(crc(&[&HEADER, &self.0]).to_be_bytes());
    }
    fn value(&self) -> Value {
        Value::Bytes(self.0.clone())
    }
}

command_class! {
    /// A command with a checksum, of things that sent none on the radio: class 0x56.
    Crc16 = 0x56 {
        Encapsulation = 0x01 { encapsulated: Checked },
    }
}
