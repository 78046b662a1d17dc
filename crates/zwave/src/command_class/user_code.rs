//! Codes that open locks: CC, "User Code".

use super::Value;
use super::field::{Bytes, Counted, Field};
use crate::ParseError;
use crate::bytes::Reader;

/// A code of up to 15 bytes after its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(pub Vec<u8>);

impl Field for Code {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let length = reader.u8()? & 0x0f;
        reader.take(length.into()).map(|code| Self(code.to_vec()))
    }
    fn write(&self, out: &mut Vec<u8>) {
        let code = self.0.get(..15).unwrap_or(&self.0);
        out.push(u8::try_from(code.len()).unwrap_or(0));
        out.extend(code);
    }
    fn value(&self) -> Value {
        Value::Bytes(self.0.clone())
    }
}

group! {
    /// A user's code: status 0 is free, 1 in use.
    User {
        user_id: u16,
        user_id_status: u8,
        user_code: Code,
    }
}

command_class! {
    /// Users and their codes: class 0x63.
    UserCode = 0x63 {
        Set = 0x01 { user_id: u8, user_id_status: u8, user_code: Bytes },
        Get = 0x02 { user_id: u8 },
        Report = 0x03 { user_id: u8, user_id_status: u8, user_code: Bytes },
        UsersNumberGet = 0x04 {},
        UsersNumberReport = 0x05 { supported_users: u8, extended_supported_users: Option<u16> },
        CapabilitiesGet = 0x06 {},
        CapabilitiesReport = 0x07 { capabilities: Bytes },
        KeypadModeSet = 0x08 { keypad_mode: u8 },
        KeypadModeGet = 0x09 {},
        KeypadModeReport = 0x0a { keypad_mode: u8 },
        ExtendedUserCodeSet = 0x0b { user_codes: Counted<User, 8> },
        ExtendedUserCodeGet = 0x0c { user_id: u16, report_more: u8 },
        ExtendedUserCodeReport = 0x0d { user_codes: Counted<User, 8>, next_user_id: u16 },
        AdminCodeSet = 0x0e { admin_code: Code },
        AdminCodeGet = 0x0f {},
        AdminCodeReport = 0x10 { admin_code: Code },
        UserCodeChecksumGet = 0x11 {},
        UserCodeChecksumReport = 0x12 { user_code_checksum: u16 },
    }
}
