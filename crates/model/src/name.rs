//! Names that people choose: tenants, devices, streams, fields.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::str::FromStr;

use crate::limits::NAME_BYTES_MAX;
use crate::text::from_utf8;

/// The name of one `K`: 1 to 63 characters of `A-Z a-z 0-9 . _ -`, starting with a letter or digit.
///
/// The alphabet is what SPIFFE path segments, SenML names and MQTT topic levels all accept, so a name needs
/// no escaping anywhere. Names of two kinds never compare, convert or mix.
pub struct Name<K> {
    bytes: [u8; NAME_BYTES_MAX],
    len: u8,
    kind: PhantomData<fn() -> K>,
}

/// A word for the kind of thing that a [`Name`] names, used in error texts.
pub trait Kind {
    /// What an error calls it, for example `device`.
    const WORD: &'static str;
}

/// Kind of [`TenantName`].
pub enum Tenant {}
/// Kind of [`DeviceName`].
pub enum Device {}
/// Kind of [`StreamName`].
pub enum Stream {}
/// Kind of [`FieldName`].
pub enum Field {}
/// Kind of [`UserName`].
pub enum User {}
/// Kind of [`GroupName`].
pub enum Group {}
/// Kind of [`ActionName`].
pub enum Action {}

impl Kind for Tenant {
    const WORD: &'static str = "tenant";
}
impl Kind for Device {
    const WORD: &'static str = "device";
}
impl Kind for Stream {
    const WORD: &'static str = "stream";
}
impl Kind for Field {
    const WORD: &'static str = "field";
}
impl Kind for User {
    const WORD: &'static str = "user";
}
impl Kind for Group {
    const WORD: &'static str = "group";
}
impl Kind for Action {
    const WORD: &'static str = "action";
}

/// A customer.
pub type TenantName = Name<Tenant>;
/// A device, gateway or application of a tenant.
pub type DeviceName = Name<Device>;
/// A named series of readings of a device.
pub type StreamName = Name<Stream>;
/// One of several values that a reading of a stream carries together.
pub type FieldName = Name<Field>;
/// A person.
pub type UserName = Name<User>;
/// Users, devices or both, and other groups.
pub type GroupName = Name<Group>;
/// Something that a device can be told to do.
pub type ActionName = Name<Action>;

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameError {
    /// The kind of name that was wanted.
    pub word: &'static str,
    /// What is wrong with the text.
    pub problem: NameProblem,
}

/// What is wrong with a text that should be a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameProblem {
    /// It has no characters.
    Empty,
    /// It has more than 63 bytes.
    TooLong,
    /// It does not start with a letter or digit.
    BadStart,
    /// It has a character outside `A-Z a-z 0-9 . _ -`.
    BadCharacter,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.problem {
            NameProblem::Empty => "is empty",
            NameProblem::TooLong => "is longer than 63 characters",
            NameProblem::BadStart => "does not start with a letter or digit",
            NameProblem::BadCharacter => "has a character outside A-Z a-z 0-9 . _ -",
        };
        write!(f, "{} name {problem}", self.word)
    }
}

impl core::error::Error for NameError {}

impl<K: Kind> Name<K> {
    /// # Errors
    ///
    /// [`NameError`] says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let mut bytes = [0; NAME_BYTES_MAX];
        match copy(text, &mut bytes) {
            Ok(len) => Ok(Self { bytes, len, kind: PhantomData }),
            Err(problem) => Err(NameError { word: K::WORD, problem }),
        }
    }
}

/// Copies a text that is a name of any kind. Once for all kinds: chips read names of many.
#[inline(never)]
fn copy(text: &str, bytes: &mut [u8; NAME_BYTES_MAX]) -> Result<u8, NameProblem> {
    check(text)?;
    let (Some(slot), Ok(len)) = (bytes.get_mut(..text.len()), u8::try_from(text.len())) else {
        return Err(NameProblem::TooLong);
    };
    slot.copy_from_slice(text.as_bytes());
    Ok(len)
}

#[inline(never)]
fn check(text: &str) -> Result<(), NameProblem> {
    let Some(first) = text.bytes().next() else { return Err(NameProblem::Empty) };
    if text.len() > NAME_BYTES_MAX {
        return Err(NameProblem::TooLong);
    }
    if !first.is_ascii_alphanumeric() {
        return Err(NameProblem::BadStart);
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err(NameProblem::BadCharacter);
    }
    Ok(())
}

impl<K> Name<K> {
    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The same as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The name where it lies.
    #[must_use]
    pub fn borrowed(&self) -> NameRef<'_, K> {
        NameRef { text: self.as_str(), kind: PhantomData }
    }
}

/// A [`Name`] where it lies, for chips, on which 64 bytes for each name that passes are many.
pub struct NameRef<'a, K> {
    text: &'a str,
    kind: PhantomData<fn() -> K>,
}

impl<'a, K: Kind> NameRef<'a, K> {
    /// # Errors
    ///
    /// [`NameError`] says which rule the text breaks.
    pub fn new(text: &'a str) -> Result<Self, NameError> {
        check(text).map_err(|problem| NameError { word: K::WORD, problem })?;
        Ok(Self { text, kind: PhantomData })
    }
}

impl<'a, K> NameRef<'a, K> {
    /// The text of the name.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }
}

impl<K> Clone for NameRef<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for NameRef<'_, K> {}
impl<K> PartialEq for NameRef<'_, K> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl<K> Eq for NameRef<'_, K> {}
impl<K> fmt::Display for NameRef<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text)
    }
}
impl<K> fmt::Debug for NameRef<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl<K> Clone for Name<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Name<K> {}
impl<K> PartialEq for Name<K> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}
impl<K> Eq for Name<K> {}
impl<K> PartialOrd for Name<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Name<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}
impl<K> Hash for Name<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}
impl<K> fmt::Display for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
impl<K> fmt::Debug for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl<K: Kind> FromStr for Name<K> {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<(), NameProblem>) {
        let got = DeviceName::new(text);
        assert_eq!(got.map(|_| ()).map_err(|e| e.problem), want, "{text:?}");
        if let Ok(name) = got {
            assert_eq!((name.as_str(), name.borrowed().as_str()), (text, text));
        }
    }

    #[test]
    fn a_name_is_1_to_63_plain_characters_that_start_with_a_letter_or_digit() {
        check("meter-1", Ok(()));
        check("7", Ok(()));
        check("Hall.2_north", Ok(()));
        check("", Err(NameProblem::Empty));
        check("-meter", Err(NameProblem::BadStart));
        check(".", Err(NameProblem::BadStart));
        check("a/b", Err(NameProblem::BadCharacter));
        check("a+", Err(NameProblem::BadCharacter));
        check("größe", Err(NameProblem::BadCharacter));
        check(&"x".repeat(63), Ok(()));
        check(&"x".repeat(64), Err(NameProblem::TooLong));
    }
}
