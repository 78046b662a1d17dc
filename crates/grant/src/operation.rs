//! What somebody asks a device to do: an action with its arguments.

use thingward_model::{NameRef, name};

use crate::FormatError;
use crate::cbor::{self, Reader, comes_before};
use crate::scope::{
    BOUNDS_MAX, TEXT_BYTES_MAX, Value, at_most, read_text, read_value, write_map, write_value,
};

/// Largest operation in bytes: an action, and arguments of greatest number and length.
pub const OPERATION_BYTES_MAX: usize = 1 + 65 + 1 + BOUNDS_MAX * 2 * (2 + TEXT_BYTES_MAX);

/// An action and its arguments, in their one encoding: `[action, {* parameter => value}]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation<'a> {
    action: NameRef<'a, name::Action>,
    arguments: usize,
    bytes: &'a [u8],
}

impl<'a> Operation<'a> {
    /// Writes an operation to the front of `out`; arguments may come in any order. The empty name is an input that is
    /// no map.
    ///
    /// # Errors
    ///
    /// [`FormatError::Malformed`] when an argument comes twice, [`FormatError::TooLarge`],
    /// [`FormatError::BufferTooSmall`] below [`OPERATION_BYTES_MAX`] bytes.
    pub fn write(
        action: NameRef<'_, name::Action>,
        arguments: &[(&str, Value<'_>)],
        out: &'a mut [u8],
    ) -> Result<Self, FormatError> {
        let bytes = cbor::written(out, |e| {
            e.array(2)?.str(action.as_str())?;
            write_map(e, arguments, write_value)
        })?;
        let mut r = Reader::new(bytes);
        Self::read(&mut r)
    }

    /// Reads one operation, leaving `r` behind it.
    pub(crate) fn read(r: &mut Reader<'a>) -> Result<Self, FormatError> {
        let start = r.position();
        if r.array()? != 2 {
            return Err(FormatError::Malformed);
        }
        let action = r.name()?;
        let arguments = at_most(r.map()?, BOUNDS_MAX)?;
        let mut last = None;
        for _ in 0..arguments {
            let name = read_text(r)?;
            if last.is_some_and(|last| !comes_before(last, name)) {
                return Err(FormatError::Malformed);
            }
            read_value(r)?;
            last = Some(name);
        }
        Ok(Self { action, arguments, bytes: r.since(start)? })
    }

    /// What shall be done.
    #[must_use]
    pub const fn action(&self) -> NameRef<'a, name::Action> {
        self.action
    }

    /// The encoding.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The argument of this name; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`FormatError`] never, in practice: the bytes were read before.
    pub fn argument(&self, name: &str) -> Result<Option<Value<'a>>, FormatError> {
        let mut found = None;
        self.each_argument(|key, value| {
            if key == name {
                found = Some(value);
            }
        })?;
        Ok(found)
    }

    /// Shows `see` the arguments, in the order of their encoding.
    ///
    /// # Errors
    ///
    /// As [`Self::argument`].
    pub fn each_argument(&self, mut see: impl FnMut(&'a str, Value<'a>)) -> Result<(), FormatError> {
        let mut r = Reader::new(self.bytes);
        r.array()?;
        r.str()?;
        for _ in 0..r.map()? {
            see(read_text(&mut r)?, read_value(&mut r)?);
        }
        Ok(())
    }

    pub(crate) const fn arguments_len(&self) -> usize {
        self.arguments
    }
}
