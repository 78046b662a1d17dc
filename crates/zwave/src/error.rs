//! Why bytes are not what their place asks for.

/// Why a frame or command was refused. Nothing of it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Ends before its last field.
    #[error("ends before its last field")]
    Truncated,
    /// Goes on after its last field.
    #[error("goes on after its last field")]
    Leftover,
    /// Longer than its layer allows.
    #[error("longer than its layer allows")]
    TooLong,
    /// A field has a value that its specification reserves.
    #[error("{field} has the reserved value {value}")]
    Reserved {
        /// The field, in the words of the specification.
        field: &'static str,
        /// What it was.
        value: u32,
    },
    /// A checksum over the bytes is another.
    #[error("the checksum is another")]
    Checksum,
    /// Not of the command class or function that was asked to read it.
    #[error("not of this kind")]
    Kind,
    /// Encapsulated more often than anything in use is.
    #[error("encapsulated too often")]
    TooDeep,
    /// Text that is not in its encoding.
    #[error("text is not in its encoding")]
    Text,
}
