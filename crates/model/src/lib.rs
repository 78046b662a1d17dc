//! The words that device, gateway and service share: names, time, limits, readings, assurance.
//!
//! No allocation, no I/O and no cryptography, so that the same types serve an 8-bit chip and a service.
//! Formats with a standard use it: readings are SenML (RFC 8428), identities are SPIFFE IDs.

#![no_std]

#[cfg(feature = "std")]
extern crate std;

pub mod assurance;
pub mod cbor;
#[cfg(feature = "std")]
pub mod clock;
#[cfg(feature = "std")]
pub mod description;
pub mod identity;
pub mod limits;
mod link;
pub mod name;
mod number;
pub mod senml;
mod text;
pub mod time;

pub use assurance::{Assurance, Confidentiality};
pub use identity::{Principal, Role};
pub use link::Link;
pub use name::{
    ActionName, DeviceName, FieldName, GroupName, Name, NameError, NameRef, StreamName, TenantName, UserName,
};
pub use number::Shortest;
pub use senml::{Reading, SenmlError, Value};

pub use time::Timestamp;
