//! The key hierarchy: customer key → tenant key → keys of one use each.
//!
//! ```text
//! customer key   theirs: a file or a PKCS#11 token           never stored here
//!   └─ tenant key         256 random bits                    stored boxed under the customer key
//!        ├─ hot secret    → one key per chain                seals hot readings
//!        ├─ recipient                                       what devices seal `service` streams for
//!        └─ Parquet KEK   → one random key per segment       seals history
//! ```
//!
//! The Parquet KEK also goes into every segment, boxed under the customer key, so that the customer's own tools
//! open history with nothing but their key. Both boxes are `nonce(12) || ciphertext || tag(16)` of AES-256-GCM;
//! their associated data is the UTF-8 text `thingward/<tenant>/tenant-key/<key id as hex>` and, for the Parquet
//! KEK, the master key id `thingward/<tenant>`.

mod file;
mod pkcs11;
mod provider;
mod reference;
mod ring;
mod tenant;

pub use file::FileKek;
pub use pkcs11::TokenKek;
pub use provider::{KeyProvider, connect};
pub use reference::{KekReference, KekReferenceError};
pub use ring::{TenantKey, TenantKeyId, TenantKeyRing, WrappedTenantKey};
pub use tenant::TenantKeys;

pub(crate) use ring::master_key_id;

#[cfg(test)]
pub(crate) mod tests;
