//! Users of locks and all that opens for them, the successor of User Code: CC, "User Credential".

use super::Value;
use super::field::{Field, SizedMask, SizedText};
use super::key_locker::{KeyLockerTypes, Occupied};
use super::user_code::{Secret, SizedSecret};
use crate::ParseError;
use crate::bytes::{Reader, bits, mask};

bit_fields! {
    /// What a lock can do with users; encodings of names as bits: ASCII, extended ASCII, UTF-16.
    UserFeatures {
        supports_user_schedule: bool = 7, 1,
        supports_all_users_checksum: bool = 6, 1,
        supports_user_checksum: bool = 5, 1,
        name_encodings: u8 = 2, 3,
    }
}

/// Numbers in one byte of bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteMask(pub Vec<u8>);

impl Field for ByteMask {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        reader.u8().map(|byte| Self(bits(&[byte], 0)))
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(mask(&self.0, 0, 1).first());
    }
    fn value(&self) -> Value {
        self.0.value()
    }
}

/// What a lock takes of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialType {
    /// 1 PIN, 2 password, 3 RFID, 4 BLE, 5 NFC, 6 UWB, 7 and on biometric.
    pub credential_type: u8,
    /// Whether the lock reads it itself.
    pub supports_learn: bool,
    /// How many.
    pub slots: u16,
    /// Shortest and longest, in bytes.
    pub length: [u8; 2],
    /// Seconds for reading it, and steps.
    pub learn: [u8; 2],
    /// Longest hash of it, in bytes.
    pub max_hash_length: u8,
}

/// What a lock takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialTypes(pub Vec<CredentialType>);

impl Field for CredentialTypes {
    /// Lists of one field each, all of the same length.
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let count = usize::from(reader.u8()?);
        let types = reader.take(count)?;
        let learns = reader.take(count)?;
        let (slots, _) = reader.take(count * 2)?.as_chunks::<2>();
        let [shortest, longest, timeouts, steps, hashes] = {
            let mut list = || reader.take(count);
            [list()?, list()?, list()?, list()?, list()?]
        };
        let lengths = shortest.iter().zip(longest).map(|(shortest, longest)| [*shortest, *longest]);
        let learning = timeouts.iter().zip(steps).map(|(timeout, steps)| [*timeout, *steps]);
        let all = types.iter().zip(learns).zip(slots).zip(lengths.zip(learning)).zip(hashes);
        Ok(Self(
            all.map(|((((kind, learns), slots), (length, learn)), hash)| CredentialType {
                credential_type: *kind,
                supports_learn: learns & 0x80 != 0,
                slots: u16::from_be_bytes(*slots),
                length,
                learn,
                max_hash_length: *hash,
            })
            .collect(),
        ))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let all = self.0.get(..255).unwrap_or(&self.0);
        out.push(u8::try_from(all.len()).unwrap_or(u8::MAX));
        out.extend(all.iter().map(|kind| kind.credential_type));
        out.extend(all.iter().map(|kind| u8::from(kind.supports_learn) << 7));
        out.extend(all.iter().flat_map(|kind| kind.slots.to_be_bytes()));
        for at in 0..2 {
            out.extend(all.iter().filter_map(|kind| kind.length.get(at)));
        }
        for at in 0..2 {
            out.extend(all.iter().filter_map(|kind| kind.learn.get(at)));
        }
        out.extend(all.iter().map(|kind| kind.max_hash_length));
    }

    fn value(&self) -> Value {
        let kinds = self.0.iter().map(|kind| {
            let [shortest, longest] = kind.length;
            Value::Record(vec![
                ("credential_type", kind.credential_type.into()),
                ("supports_credential_learn", kind.supports_learn.into()),
                ("number_of_credential_slots", kind.slots.into()),
                ("min_credential_length", shortest.into()),
                ("max_credential_length", longest.into()),
                ("max_credential_hash_length", kind.max_hash_length.into()),
            ])
        });
        kinds.collect::<Vec<_>>().into()
    }
}

bit_fields! {
    /// What a lock can do with what opens it.
    CredentialFeatures {
        supports_credential_checksum: bool = 7, 1,
        supports_admin_code: bool = 6, 1,
        supports_admin_code_deactivation: bool = 5, 1,
    }
}

bit_fields! {
    /// 0 adds, 1 changes, 2 deletes.
    Operation { operation_type: u8 = 0, 2 }
}

bit_fields! {
    /// Whether a user may come in.
    Active { active: bool = 0, 1 }
}

bit_fields! {
    /// 0 ASCII, 1 extended ASCII, 2 UTF-16.
    NameEncoding { name_encoding: u8 = 0, 3 }
}

bit_fields! {
    /// Whether the lock says what opens it.
    ReadBack { credential_read_back: bool = 7, 1 }
}

group! {
    /// A user.
    User {
        user_type: u8,
        active: Active,
        credential_rule: u8,
        expiring_timeout_minutes: u16,
        name_encoding: NameEncoding,
        user_name: SizedText,
    }
}

group! {
    /// Where something that opens a lock is kept.
    Slot {
        credential_type: u8,
        credential_slot: u16,
    }
}

group! {
    /// What is next in a lock.
    NextSlot {
        next_credential_type: u8,
        next_credential_slot: u16,
    }
}

/// A code, and what became of what was asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminPin {
    /// 1 is as asked for, 4 is an answer.
    pub operation_result: u8,
    /// Up to 15 digits.
    pub pin_code: Secret,
}

impl Field for AdminPin {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let head = reader.u8()?;
        let pin = reader.take((head & 0x0f).into())?;
        Ok(Self { operation_result: head >> 4, pin_code: Secret(pin.to_vec().into()) })
    }
    fn write(&self, out: &mut Vec<u8>) {
        let pin = self.pin_code.0.get(..15).unwrap_or(&self.pin_code.0);
        out.push(self.operation_result << 4 | u8::try_from(pin.len()).unwrap_or(0));
        out.extend(pin);
    }
    fn value(&self) -> Value {
        self.pin_code.value()
    }
    fn values(&self, _: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push(("operation_result", self.operation_result.into()));
        out.push(("pin_code", self.pin_code.value()));
    }
}

command_class! {
    /// Users and what opens for them: class 0x83.
    UserCredential = 0x83 {
        UserCapabilitiesGet = 0x01 {},
        UserCapabilitiesReport = 0x02 {
            number_of_supported_users: u16,
            supported_credential_rules: ByteMask,
            max_user_name_length: u8,
            features: UserFeatures,
            supported_user_types: SizedMask<0, 8, 2>,
        },
        CredentialCapabilitiesGet = 0x03 {},
        CredentialCapabilitiesReport = 0x04 {
            features: CredentialFeatures,
            credential_types: CredentialTypes,
        },
        /// Without a user: deletes one.
        UserSet = 0x05 { operation: Operation, user_id: u16, user: Option<User> },
        UserGet = 0x06 { user_id: u16 },
        UserReport = 0x07 {
            report_type: u8,
            next_user_id: u16,
            modifier_type: u8,
            modifier_node_id: u16,
            user_id: u16,
            user: User,
        },
        /// Without data: deletes one.
        CredentialSet = 0x0a {
            user_id: u16,
            slot: Slot,
            operation: Operation,
            credential_data: Option<SizedSecret<8>>,
        },
        CredentialGet = 0x0b { user_id: u16, slot: Slot },
        CredentialReport = 0x0c {
            report_type: u8,
            user_id: u16,
            slot: Slot,
            read_back: ReadBack,
            credential_data: SizedSecret<8>,
            modifier_type: u8,
            modifier_node_id: u16,
            next: Option<NextSlot>,
        },
        CredentialLearnStart = 0x0d { user_id: u16, slot: Slot, operation: Operation, learn_timeout: u8 },
        CredentialLearnCancel = 0x0e {},
        CredentialLearnReport = 0x0f { learn_status: u8, user_id: u16, slot: Slot, steps_remaining: u8 },
        AssociationSet = 0x10 { slot: Slot, destination_user_id: u16 },
        AssociationReport = 0x11 { slot: Slot, destination_user_id: u16, status: u8 },
        AllUsersChecksumGet = 0x14 {},
        AllUsersChecksumReport = 0x15 { checksum: u16 },
        UserChecksumGet = 0x16 { user_id: u16 },
        UserChecksumReport = 0x17 { user_id: u16, checksum: u16 },
        CredentialChecksumGet = 0x18 { credential_type: u8 },
        CredentialChecksumReport = 0x19 { credential_type: u8, checksum: u16 },
        AdminPinCodeSet = 0x1a { pin_code: SizedSecret<4> },
        AdminPinCodeGet = 0x1b {},
        AdminPinCodeReport = 0x1c { pin: AdminPin },
        KeyLockerCapabilitiesGet = 0x1d {},
        KeyLockerCapabilitiesReport = 0x1e { key_locker_capabilities: KeyLockerTypes },
        KeyLockerEntryGet = 0x20 { entry_type: u8, entry_slot: u16 },
        KeyLockerEntryReport = 0x21 { occupied: Occupied, entry_type: u8, entry_slot: u16 },
    }
}
