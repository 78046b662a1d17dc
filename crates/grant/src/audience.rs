//! For whom grants and revocations are.

use thingward_model::{NameRef, name};

use crate::FormatError;
use crate::cbor::{Reader, Writer};

/// For whom a grant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience<'a> {
    /// One device.
    Device(NameRef<'a, name::Device>),
    /// All devices of a class, which is a group of the tenant.
    Class(NameRef<'a, name::Group>),
}

const DEVICE_PREFIX: &str = "device/";
const CLASS_PREFIX: &str = "class/";

impl<'a> Audience<'a> {
    /// `device/` or `class/` and the name, as in a SPIFFE ID; names have no slash.
    pub(crate) fn write(&self, e: &mut Writer<'_>) -> Result<(), FormatError> {
        let (prefix, name) = match self {
            Self::Device(name) => (DEVICE_PREFIX, name.as_str()),
            Self::Class(name) => (CLASS_PREFIX, name.as_str()),
        };
        let len = prefix.len().saturating_add(name.len());
        e.str_len(len)?.raw(prefix.as_bytes())?.raw(name.as_bytes())?;
        Ok(())
    }

    pub(crate) fn read(r: &mut Reader<'a>) -> Result<Self, FormatError> {
        let text = r.str()?;
        if let Some(name) = text.strip_prefix(DEVICE_PREFIX) {
            return NameRef::new(name).map(Self::Device).map_err(|_| FormatError::Malformed);
        }
        let name = text.strip_prefix(CLASS_PREFIX).ok_or(FormatError::Malformed)?;
        NameRef::new(name).map(Self::Class).map_err(|_| FormatError::Malformed)
    }
}
