//! The device role under Linux: a shell around the device core.

pub mod disk;
pub mod spool;
pub mod stream;
