use crate::report::Format;

/// Why a structure in a format of ours gave no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It ends before what its format says is in it.
    #[error("{0:?}: too short")]
    TooShort(Format),
    /// The controller gave only a part of the advertisement.
    #[error("the advertisement is not complete")]
    Incomplete,
    /// A version of the format that there is not, or that nobody sends any more.
    #[error("{0:?}: version {1} is not known")]
    Version(Format, u8),
    /// MiBeacon from a mesh device, which has another layout.
    #[error("mesh devices are not supported")]
    Mesh,
    /// The device names another address than the one that it sends from.
    #[error("the address in the data is not the sender's")]
    AddressMismatch,
    /// It is encrypted, and the device's key is not known.
    #[error("encrypted, and there is no key for the device")]
    KeyMissing,
    /// The device's key is for another encryption: with a check, or without.
    #[error("encrypted in another way than the device's key is for")]
    KeyKind,
    /// The key is another, or the bytes were changed.
    #[error("does not open with the device's key")]
    WrongKey,
    /// The same advertisement again, as devices send each of them several times.
    #[error("counter {counter} again")]
    Repeated {
        /// Its counter.
        counter: u32,
    },
    /// An earlier advertisement comes after a later one.
    #[error("counter {counter} after {last}: replayed")]
    Replayed {
        /// The counter it came with.
        counter: u32,
        /// The highest that was taken.
        last: u32,
    },
    /// In the open, from an address whose device encrypts.
    #[error("in the open, although the device has a key")]
    Downgraded,
}
