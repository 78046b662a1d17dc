//! Ed25519 (RFC 8032) for chips, and X25519 (RFC 7748) beside it.
//!
//! Crates for this curve take seconds on an ATmega, do not fit, or come out wrong there, and on a Cortex-M take four times
//! the flash and stack. This one has kernels in AVR assembly for what takes the time; elsewhere the same code runs on words
//! of 32 bits, where tests compare it with others. Signing takes as long for one key and message as for any other of the same length. Verifying does not: what
//! it works on is public.
//!
//! On AVR all of it shares one scratch area: do not sign in an interrupt handler.

#![no_std]

mod comb;
mod curve;
mod field;
mod point;
mod scalar;
mod sha512;
mod sign;
mod verify;
pub mod x25519;

pub use sign::SigningKey;
pub use verify::PublicKey;

/// Length of a signature in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// A key or signature is not good. Without detail on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;
