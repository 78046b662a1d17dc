//! What a thing is: CC, "Version", "Manufacturer Specific", "Z-Wave Plus Info", "Node Naming and Location", "Language",
//! "Powerlevel", "Device Reset Locally".

use super::Value;
use super::field::{Bytes, Counted, Field};
use crate::ParseError;
use crate::bytes::Reader;

group! {
    /// A version of software, major then minor.
    Release {
        major: u8,
        minor: u8,
    }
}

group! {
    /// From version 2 on: the hardware's version, and further software.
    Hardware {
        hardware_version: u8,
        further: Option<Counted<Release, 8>>,
    }
}

bit_fields! {
    /// What it tells of its versions.
    Capabilities {
        supports_zwave_software_get: bool = 2, 1,
        supports_command_class_get: bool = 1, 1,
        supports_get: bool = 0, 1,
    }
}

group! {
    /// Versions of three numbers each, with the numbers of their builds.
    Software {
        sdk_version: [u8; 3],
        application_framework_api_version: [u8; 3],
        application_framework_build_number: u16,
        host_interface_version: [u8; 3],
        host_interface_build_number: u16,
        zwave_protocol_version: [u8; 3],
        zwave_protocol_build_number: u16,
        application_version: [u8; 3],
        application_build_number: u16,
    }
}

command_class! {
    /// Versions of a thing and of its command classes: class 0x86.
    Version = 0x86 {
        Get = 0x11 {},
        Report = 0x12 {
            library_type: u8,
            protocol_version: u8,
            protocol_sub_version: u8,
            firmware_version: u8,
            firmware_sub_version: u8,
            hardware: Option<Hardware>,
        },
        CommandClassGet = 0x13 { requested_class: u8 },
        CommandClassReport = 0x14 { requested_class: u8, class_version: u8 },
        CapabilitiesGet = 0x15 {},
        CapabilitiesReport = 0x16 { capabilities: Capabilities },
        ZWaveSoftwareGet = 0x17 {},
        ZWaveSoftwareReport = 0x18 { software: Software },
    }
}

/// A name of the one thing that it is, as its maker gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceId {
    /// 0 text, 1 bytes.
    pub format: u8,
    /// Up to 31 bytes.
    pub id: Vec<u8>,
}

impl Field for DeviceId {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let head = reader.u8()?;
        Ok(Self { format: head >> 5, id: reader.take((head & 0x1f).into())?.to_vec() })
    }
    fn write(&self, out: &mut Vec<u8>) {
        let id = self.id.get(..31).unwrap_or(&self.id);
        out.push(self.format << 5 | u8::try_from(id.len()).unwrap_or(0));
        out.extend(id);
    }
    fn value(&self) -> Value {
        Value::Bytes(self.id.clone())
    }
}

command_class! {
    /// Who made it and what: class 0x72.
    ManufacturerSpecific = 0x72 {
        Get = 0x04 {},
        Report = 0x05 { manufacturer_id: u16, product_type: u16, product_id: u16 },
        /// 0 asks for the maker's choice, 1 for the serial number.
        DeviceSpecificGet = 0x06 { device_id_type: u8 },
        DeviceSpecificReport = 0x07 { device_id_type: u8, device_id: DeviceId },
    }
}

command_class! {
    /// What part it plays: class 0x5e.
    ZWavePlusInfo = 0x5e {
        Get = 0x01 {},
        Report = 0x02 {
            zwave_plus_version: u8,
            role_type: u8,
            node_type: u8,
            installer_icon: u16,
            user_icon: u16,
        },
    }
}

bit_fields! {
    /// 0 ASCII, 1 extended ASCII, 2 UTF-16.
    CharacterSet { character_set: u8 = 0, 3 }
}

command_class! {
    /// What somebody calls it, and where it is: class 0x77. At most 16 bytes; some things send more.
    NodeNaming = 0x77 {
        NameSet = 0x01 { character_set: CharacterSet, name: Bytes },
        NameGet = 0x02 {},
        NameReport = 0x03 { character_set: CharacterSet, name: Bytes },
        LocationSet = 0x04 { character_set: CharacterSet, location: Bytes },
        LocationGet = 0x05 {},
        LocationReport = 0x06 { character_set: CharacterSet, location: Bytes },
    }
}

command_class! {
    /// The language it speaks, ISO 639-2, and the country, ISO 3166-1: class 0x89.
    Language = 0x89 {
        Set = 0x01 { language: [u8; 3], country: Option<[u8; 2]> },
        Get = 0x02 {},
        Report = 0x03 { language: [u8; 3], country: Option<[u8; 2]> },
    }
}

command_class! {
    /// How far it is heard: class 0x73.
    Powerlevel = 0x73 {
        Set = 0x01 { powerlevel: u8, timeout: u8 },
        Get = 0x02 {},
        Report = 0x03 { powerlevel: u8, timeout: u8 },
        TestNodeSet = 0x04 { test_node: u8, powerlevel: u8, test_frames: u16 },
        TestNodeGet = 0x05 {},
        TestNodeReport = 0x06 { test_node: u8, status: u8, acknowledged_frames: u16 },
    }
}

command_class! {
    /// It forgets its network: class 0x5a.
    DeviceResetLocally = 0x5a {
        Notification = 0x01 {},
    }
}
