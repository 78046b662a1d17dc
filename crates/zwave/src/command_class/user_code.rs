//! Codes that open locks, and what keeps them from being printed: CC, "User Code".

use zeroize::Zeroizing;

use super::Value;
use super::field::{Bytes, Counted, Field};
use crate::ParseError;
use crate::bytes::Reader;

/// What opens a lock, up to the end. Wiped when dropped; it says nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Field for Secret {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        Ok(Self(Zeroizing::new(reader.rest().to_vec())))
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.0.iter());
    }
    fn value(&self) -> Value {
        Value::Bytes(self.0.to_vec())
    }
}

/// The same after its length, which is in the lower bits of its byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizedSecret<const BITS: u32>(pub Secret);

impl<const BITS: u32> SizedSecret<BITS> {
    const MAX: u8 = u8::MAX >> (8 - BITS);
}

impl<const BITS: u32> Field for SizedSecret<BITS> {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let length = reader.u8()? & Self::MAX;
        let secret = reader.take(length.into())?;
        Ok(Self(Secret(Zeroizing::new(secret.to_vec()))))
    }
    fn write(&self, out: &mut Vec<u8>) {
        let secret = self.0.0.get(..Self::MAX.into()).unwrap_or(&self.0.0);
        out.push(u8::try_from(secret.len()).unwrap_or(Self::MAX));
        out.extend(secret);
    }
    fn value(&self) -> Value {
        self.0.value()
    }
}

group! {
    /// A user's code: status 0 is free, 1 in use.
    User {
        user_id: u16,
        user_id_status: u8,
        user_code: SizedSecret<4>,
    }
}

command_class! {
    /// Users and their codes: class 0x63.
    UserCode = 0x63 {
        Set = 0x01 { user_id: u8, user_id_status: u8, user_code: Secret },
        Get = 0x02 { user_id: u8 },
        Report = 0x03 { user_id: u8, user_id_status: u8, user_code: Secret },
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
        AdminCodeSet = 0x0e { admin_code: SizedSecret<4> },
        AdminCodeGet = 0x0f {},
        AdminCodeReport = 0x10 { admin_code: SizedSecret<4> },
        UserCodeChecksumGet = 0x11 {},
        UserCodeChecksumReport = 0x12 { user_code_checksum: u16 },
    }
}
