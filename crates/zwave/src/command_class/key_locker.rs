//! Keys that a lock keeps for others: CC, "User Credential", key locker.

use super::Value;
use super::field::Field;
use crate::ParseError;
use crate::bytes::Reader;

/// What a lock keeps for others, of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLockerType {
    /// 1 is a DESFire application.
    pub entry_type: u8,
    /// How many, and of how many bytes at least and at most.
    pub slots_and_length: [u16; 3],
}

/// What a lock keeps for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLockerTypes(pub Vec<KeyLockerType>);

impl Field for KeyLockerTypes {
    /// Lists of one field each, all of the same length.
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let count = usize::from(reader.u8()?);
        let types = reader.take(count)?;
        let mut list = || reader.take(count * 2).map(|list| list.as_chunks::<2>().0);
        let [slots, shortest, longest] = [list()?, list()?, list()?];
        let lists = slots.iter().zip(shortest).zip(longest);
        let all = types.iter().zip(lists).map(|(kind, ((slots, shortest), longest))| KeyLockerType {
            entry_type: *kind,
            slots_and_length: [*slots, *shortest, *longest].map(u16::from_be_bytes),
        });
        Ok(Self(all.collect()))
    }
    fn write(&self, out: &mut Vec<u8>) {
        let all = self.0.get(..255).unwrap_or(&self.0);
        out.push(u8::try_from(all.len()).unwrap_or(u8::MAX));
        out.extend(all.iter().map(|kind| kind.entry_type));
        for at in 0..3 {
            let numbers = all.iter().filter_map(|kind| kind.slots_and_length.get(at));
            out.extend(numbers.flat_map(|number| number.to_be_bytes()));
        }
    }
    fn value(&self) -> Value {
        let kinds = self.0.iter().map(|kind| {
            let [slots, shortest, longest] = kind.slots_and_length;
            Value::Record(vec![
                ("entry_type", kind.entry_type.into()),
                ("number_of_entry_slots", slots.into()),
                ("min_entry_data_length", shortest.into()),
                ("max_entry_data_length", longest.into()),
            ])
        });
        kinds.collect::<Vec<_>>().into()
    }
}

bit_fields! {
    /// Whether something is kept there.
    Occupied { occupied: bool = 0, 1 }
}
