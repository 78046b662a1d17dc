//! Who is it? Certificate profiles, the CA, enrolment for both ends, revocation, and TLS roles from identities.
//!
//! Bytes and `now` go in, bytes come out: HTTP and sockets are the programs' business. Profiles are written
//! down in `docs/wire/certificates.md`; enrolment is EST (RFC 7030), identities are IEEE 802.1AR DevIDs.

pub mod ca;
pub mod cms;
mod crl;
pub mod csr;
pub mod est;
pub mod identity;
mod members;
pub mod profile;
pub mod proof;
mod signer;
pub mod tls;

pub use ca::{CertificateAuthority, Issued, Revoked};
pub use crl::Crl;
pub use csr::SigningRequest;
pub use identity::{InitialIdentity, LeafIdentity};
pub use profile::{Lifetimes, Profile};

use thingward_crypto::CryptoError;

/// Why a certificate operation did not work. Each variant names who has to act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// The peer sent something that is not the DER or base64 it should be.
    #[error("{what} is malformed")]
    Malformed {
        /// What should have been there.
        what: &'static str,
    },
    /// The peer sent something larger than the bound.
    #[error("{what} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The bound in bytes.
        limit_bytes: usize,
    },
    /// The peer's key has an algorithm that no profile allows.
    #[error("key algorithm is not allowed; use ECDSA P-256 or Ed25519")]
    KeyAlgorithm,
    /// A signature does not verify: the peer does not hold the key, or bytes were changed.
    #[error("signature does not verify")]
    Signature,
    /// The chain does not end in an accepted authority, or is not valid now.
    #[error("certificate is not accepted: {0}")]
    Untrusted(rustls::Error),
    /// TLS refused its configuration.
    #[error("TLS configuration: {0}")]
    Tls(rustls::Error),
    /// Our own key or encoder failed.
    #[error("signing key does not work")]
    Signer,
}

impl From<CryptoError> for PkiError {
    fn from(_: CryptoError) -> Self {
        Self::Signer
    }
}
