//! New software for a thing: CC, "Firmware Update Meta Data".

use super::Value;
use super::crc16::crc;
use super::field::{Bytes, Field};
use crate::ParseError;
use crate::bytes::Reader;

/// What can be replaced, from version 3 on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Whether the first can.
    pub upgradable: bool,
    /// Bytes of one fragment at most.
    pub max_fragment_size: u16,
    /// Numbers of further software.
    pub further: Vec<u16>,
    /// From version 5 on: the hardware's version.
    pub hardware_version: Option<u8>,
}

impl Field for Targets {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let [upgradable, count] = reader.array()?;
        let max_fragment_size = reader.u16()?;
        let further = (0..count).map(|_| reader.u16()).collect::<Result<_, _>>()?;
        Ok(Self {
            upgradable: upgradable != 0,
            max_fragment_size,
            further,
            hardware_version: reader.optional(),
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        let further = self.further.get(..255).unwrap_or(&self.further);
        out.extend([if self.upgradable { 0xff } else { 0 }, u8::try_from(further.len()).unwrap_or(u8::MAX)]);
        out.extend(self.max_fragment_size.to_be_bytes());
        out.extend(further.iter().flat_map(|number| number.to_be_bytes()));
        out.extend(self.hardware_version);
    }
    fn value(&self) -> Value {
        self.further.value()
    }
    fn values(&self, _: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push(("firmware_upgradable", self.upgradable.into()));
        out.push(("max_fragment_size", self.max_fragment_size.into()));
        out.push(("additional_firmware_ids", self.further.value()));
        self.hardware_version.values("hardware_version", out);
    }
}

group! {
    /// What is replaced, from version 3 on.
    Target {
        firmware_target: u8,
        fragment_size: u16,
        /// From version 4 on: bit 0 says that it is not started at once.
        flags: Option<u8>,
        hardware_version: Option<u8>,
    }
}

/// A fragment, with a checksum from version 2 on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Whether it is the last.
    pub is_last: bool,
    /// Counted from 1, in 15 bits.
    pub number: u16,
    /// Part of the software.
    pub data: Vec<u8>,
}

const HEADER: [u8; 2] = [FirmwareUpdate::CLASS, 0x06];

impl Field for Fragment {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let (body, sum) = reader.rest().split_last_chunk().ok_or(ParseError::Truncated)?;
        if crc(&[&HEADER, body]) != u16::from_be_bytes(*sum) {
            return Err(ParseError::Checksum);
        }
        let mut body = Reader::new(body);
        let head = body.u16()?;
        Ok(Self { is_last: head & 0x8000 != 0, number: head & 0x7fff, data: body.rest().to_vec() })
    }
    fn write(&self, out: &mut Vec<u8>) {
        let mut body = (u16::from(self.is_last) << 15 | self.number & 0x7fff).to_be_bytes().to_vec();
        body.extend(&self.data);
        out.extend(&body);
        out.extend(crc(&[&HEADER, &body]).to_be_bytes());
    }
    fn value(&self) -> Value {
        self.number.into()
    }
}

command_class! {
    /// Updates: class 0x7a.
    FirmwareUpdate = 0x7a {
        MetaDataGet = 0x01 {},
        MetaDataReport = 0x02 {
            manufacturer_id: u16,
            firmware_id: u16,
            checksum: u16,
            targets: Option<Targets>,
        },
        RequestGet = 0x03 { manufacturer_id: u16, firmware_id: u16, checksum: u16, target: Option<Target> },
        /// 0xff says that it may begin.
        RequestReport = 0x04 { status: u8, flags: Option<u8> },
        Get = 0x05 { number_of_reports: u8, report_number: u16 },
        Report = 0x06 { fragment: Fragment },
        /// 0xff says that it is done, from 0xfd on that it was right.
        StatusReport = 0x07 { status: u8, wait_time: Option<u16> },
        ActivationSet = 0x08 {
            manufacturer_id: u16,
            firmware_id: u16,
            checksum: u16,
            firmware_target: u8,
            further: Bytes,
        },
        ActivationReport = 0x09 {
            manufacturer_id: u16,
            firmware_id: u16,
            checksum: u16,
            firmware_target: u8,
            status: u8,
            further: Bytes,
        },
        PrepareGet = 0x0a {
            manufacturer_id: u16,
            firmware_id: u16,
            firmware_target: u8,
            fragment_size: u16,
            further: Bytes,
        },
        PrepareReport = 0x0b { status: u8, checksum: u16 },
    }
}
