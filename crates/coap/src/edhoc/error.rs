//! What ends a session. The other endpoint is told nothing of the reason but which suites are taken.

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EdhocError {
    /// Not the CBOR that RFC 9528 §5 and §3.3 say.
    #[error("the message is not well-formed")]
    Malformed,
    #[error("the method is not 3")]
    Method,
    /// It is answered with [`super::Responder::WRONG_SUITE`]: RFC 9528 §6.3.
    #[error("the selected cipher suite is not 2")]
    Suite,
    /// RFC 9528 §9.2.
    #[error("a public key is not a point of the curve")]
    PublicKey,
    /// RFC 9528 §3.8.
    #[error("the message has critical data that is not known")]
    CriticalData,
    /// Deliberately without detail.
    #[error("the message is not authentic")]
    NotAuthentic,
}
