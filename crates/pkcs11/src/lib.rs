//! Keys on a PKCS#11 token, which they never leave: one that signs, and one that other keys are encrypted under.
//!
//! ```text
//! reference  which token, as a URI (RFC 7512)      token   library, sessions, PIN, objects by name
//! signer     an ECDSA P-256 key                    secret  an AES key
//! ```

mod error;
mod reference;
mod secret;
mod signer;
mod token;

pub use error::TokenError;
pub use reference::{ReferenceError, TokenReference, decode, encode};
pub use secret::SecretKey;
pub use signer::TokenSigner;
pub use token::{KeyName, Token};

#[cfg(test)]
mod tests;
