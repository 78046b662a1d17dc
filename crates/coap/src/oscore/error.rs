//! What can go wrong, by who has to act.

use super::HeaderError;
use crate::message::WriteError;

/// Why there is no security context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    #[error("an identifier is longer than the algorithm's nonce allows")]
    IdTooLong,
    #[error("the ID context is longer than 240 bytes")]
    IdContextTooLong,
    /// RFC 8613 §3.3: both would use the same nonces with keys that are the same.
    #[error("both endpoints have the same identifier")]
    SameId,
    #[error("the master secret is empty or longer than 64 bytes")]
    MasterSecretLength,
    #[error("key derivation failed")]
    Derivation,
}

/// Why a message was not protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtectError {
    /// More numbers have to be set aside first: [`super::Context::set_aside`].
    #[error("no sequence number is set aside")]
    NothingSetAside,
    /// RFC 8613 §7.2.1: the context must not be used any more.
    #[error("the sequence numbers are used up")]
    Exhausted,
    /// RFC 8613 §4.1.3.3: it has to be split into its parts first, for all but host and port are to be encrypted.
    #[error("the message has a Proxy-Uri")]
    ProxyUri,
    #[error("encryption failed")]
    Encryption,
    #[error("a request was to be protected as a response, or the other way round")]
    WrongClass,
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnprotectError {
    #[error("the message is not protected")]
    NotProtected,
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Of another key's, or a request without a Partial IV: RFC 8613 §8.2.
    #[error("the message is not for this context")]
    OtherContext,
    /// RFC 8613 §7.4: it was seen, or is too old to know.
    #[error("the message is a replay")]
    Replay,
    /// Deliberately without detail.
    #[error("decryption failed")]
    Decryption,
    /// It was decrypted, and is not what RFC 8613 §5.3 says.
    #[error("the plaintext is not a message")]
    Plaintext,
    #[error(transparent)]
    Write(#[from] WriteError),
}
