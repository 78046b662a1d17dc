//! A device that is too small for an operating system, whole: identity, reading chain, commands, grants and time as one
//! state machine without I/O, and the serial link over which a gateway drives it.
//!
//! [`Device`] takes what came over the link, a reading, the time that has gone by, or an alarm of its casing; it writes to
//! [`Flash`] before it answers. What the thing itself can do is a [`Thing`]. Keys are a [`KeyStore`]'s; on chips they are
//! derived from a secret of the device and the measured firmware ([`Dice`]).
//!
//! Whether a command may begin is decided by [`Judge`], and whether a use of a grant may, by [`UseJudge`]: for hosts too, the
//! Linux agent is another shell around them. Decisions that a fault should not turn are [`Verdict`]s.
//!
//! [`link`] is the wire, for both ends; `docs/wire/serial.md` has its bytes. Everything here is free of allocation.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod link;

mod book;
mod clock;
mod device;
mod judge;
mod keys;
mod permit;
mod random;
mod request;
mod spool;
mod store;
mod thing;
mod verdict;

pub use {
    device::{Device, RecordError, StartError},
    judge::{Authentic, Authenticated, Good, Judge, Judged},
    keys::{DeviceSecret, Dice, KeyStore, Measurement, Purpose},
    permit::{NONCE_MICROS, UseJudge, revocation},
    store::{Flash, FlashError, LAYOUT_BYTES_MIN},
    thing::{Argument, Call, Thing},
    verdict::Verdict,
};

// Not under Miri, where a key exchange takes minutes.
#[cfg(test)]
#[cfg(not(miri))]
mod tests;
