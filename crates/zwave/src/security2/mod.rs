//! Security 2: CC, "Security 2 (S2) Command Class".
//!
//! [`key_derivation`] makes keys of keys, [`Span`] and [`Mpan`] the nonces that both ends draw in step, [`message`] is the
//! frame, and [`Security2`] does it for all peers of a node: it refuses what was seen already and says when the nonces
//! of two ends have come apart.

mod aes128;
mod ctr_drbg;
pub mod key_derivation;
pub mod message;
mod mpan;
mod multicast;
mod peer;
mod session;
mod span;

pub use aes128::cmac;
pub(crate) use aes128::encrypt_block;
pub use ctr_drbg::CtrDrbg;
pub use key_derivation::{KeyPair, NetworkKeys, TemporaryKeys};
pub use message::{Addresses, Destination, Extension, MessageError, Sealed, TEXT_MAX};
pub use mpan::Mpan;
pub use multicast::{GroupId, MulticastError};
pub use peer::SPAN_LOOKAHEAD;
pub use session::{KeySlot, Opened, SealError, Security2, Unopened};
pub use span::{EntropyInput, Span};
