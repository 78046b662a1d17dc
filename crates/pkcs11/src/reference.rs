//! Which key on which token, as a PKCS#11 URI (RFC 7512).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Keys on a token, as text: `pkcs11:token=…;object=…?module-path=…&pin-source=…`. The parts of the URI that we need, all
/// of them required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenReference {
    /// Label of the token.
    pub token: String,
    /// Label of the key, or what the labels of keys begin with.
    pub object: String,
    /// The vendor's library.
    pub module_path: PathBuf,
    /// File with the user PIN.
    pub pin_source: PathBuf,
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// It does not start with `pkcs11:`.
    #[error("does not start with `pkcs11:`")]
    UnknownScheme,
    /// A path does not start with `/`.
    #[error("`{0}` is not an absolute path")]
    RelativePath(String),
    /// A `%` that two hexadecimal digits do not follow, or bytes that are no UTF-8.
    #[error("`{0}` is not percent-encoded text")]
    BadEncoding(String),
    /// A part that is no `name=value`.
    #[error("`{0}` is not of the form name=value")]
    NoValue(String),
    /// An attribute that has no meaning here.
    #[error("attribute `{0}` is not one of token, object, module-path, pin-source")]
    UnknownAttribute(String),
    /// An attribute occurs twice.
    #[error("attribute `{0}` occurs twice")]
    Duplicate(&'static str),
    /// A required attribute is not there.
    #[error("attribute `{0}` is missing")]
    Missing(&'static str),
}

impl FromStr for TokenReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let text = text.strip_prefix("pkcs11:").ok_or(ReferenceError::UnknownScheme)?;
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut token, mut object, mut module, mut pin) = (None, None, None, None);
        for part in path.split(';').filter(|p| !p.is_empty()) {
            match attribute(part)? {
                ("token", value) => set(&mut token, "token", value)?,
                ("object", value) => set(&mut object, "object", value)?,
                (name, _) => return Err(ReferenceError::UnknownAttribute(name.to_owned())),
            }
        }
        for part in query.split('&').filter(|p| !p.is_empty()) {
            match attribute(part)? {
                ("module-path", value) => set(&mut module, "module-path", value)?,
                ("pin-source", value) => set(&mut pin, "pin-source", value)?,
                (name, _) => return Err(ReferenceError::UnknownAttribute(name.to_owned())),
            }
        }
        let pin = pin.ok_or(ReferenceError::Missing("pin-source"))?;
        Ok(Self {
            token: token.ok_or(ReferenceError::Missing("token"))?,
            object: object.ok_or(ReferenceError::Missing("object"))?,
            module_path: absolute(&module.ok_or(ReferenceError::Missing("module-path"))?)?,
            pin_source: absolute(pin.strip_prefix("file:").unwrap_or(&pin))?,
        })
    }
}

impl fmt::Display for TokenReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "pkcs11:token={};object={}?module-path={}&pin-source={}",
            encode(&self.token),
            encode(&self.object),
            encode(&self.module_path.to_string_lossy()),
            encode(&self.pin_source.to_string_lossy()),
        )
    }
}

/// Percent-encodes all but what URIs allow everywhere, and slashes: RFC 3986, §2.1.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/') {
            encoded.push(char::from(b));
        } else {
            encoded.push_str(&format!("%{b:02X}"));
        }
    }
    encoded
}

fn absolute(path: &str) -> Result<PathBuf, ReferenceError> {
    if path.starts_with('/') {
        Ok(PathBuf::from(path))
    } else {
        Err(ReferenceError::RelativePath(path.to_owned()))
    }
}

fn attribute(part: &str) -> Result<(&str, String), ReferenceError> {
    let (name, value) = part.split_once('=').ok_or_else(|| ReferenceError::NoValue(part.to_owned()))?;
    Ok((name, decode(value)?))
}

fn set(slot: &mut Option<String>, name: &'static str, value: String) -> Result<(), ReferenceError> {
    if slot.replace(value).is_some() { Err(ReferenceError::Duplicate(name)) } else { Ok(()) }
}

/// Percent-decoding: RFC 3986, §2.1.
///
/// # Errors
///
/// [`ReferenceError::BadEncoding`].
pub fn decode(text: &str) -> Result<String, ReferenceError> {
    let bad = || ReferenceError::BadEncoding(text.to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_first_chunk::<2>().ok_or_else(bad)?;
        let digits = std::str::from_utf8(digits).map_err(|_| bad())?;
        if !digits.bytes().all(|d| d.is_ascii_hexdigit()) {
            return Err(bad());
        }
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad())?);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<&str, ReferenceError>) {
        let got = text.parse::<TokenReference>();
        let shown = got.clone().map(|r| r.to_string());
        assert_eq!(shown, want.map(str::to_owned), "{text}");
        if let Ok(reference) = got {
            assert_eq!(reference.to_string().parse(), Ok(reference), "{text}");
        }
    }

    #[test]
    fn a_reference_names_a_key_on_a_token() {
        let whole = "pkcs11:token=acme;object=kek?module-path=/usr/lib/p11.so&pin-source=/etc/pin";
        check(whole, Ok(whole));
        check(
            "pkcs11:object=my%20key;token=acme?pin-source=file:/etc/pin&module-path=/usr/lib/p11.so",
            Ok("pkcs11:token=acme;object=my%20key?module-path=/usr/lib/p11.so&pin-source=/etc/pin"),
        );
    }

    #[test]
    fn a_text_that_is_no_reference_is_told_why() {
        use ReferenceError as E;
        check("", Err(E::UnknownScheme));
        check("file:/etc/customer.key", Err(E::UnknownScheme));
        check("pkcs11:token=a%2", Err(E::BadEncoding("a%2".into())));
        check("pkcs11:token=a%+1", Err(E::BadEncoding("a%+1".into())));
        check("pkcs11:token=%ff", Err(E::BadEncoding("%ff".into())));
        check("pkcs11:token", Err(E::NoValue("token".into())));
        check("pkcs11:token=a;token=b", Err(E::Duplicate("token")));
        check("pkcs11:slot-id=1", Err(E::UnknownAttribute("slot-id".into())));
        check("pkcs11:token=a?pin-value=1234", Err(E::UnknownAttribute("pin-value".into())));
        check("pkcs11:token=a;object=b?module-path=/m", Err(E::Missing("pin-source")));
        check("pkcs11:token=a;object=b?pin-source=/p", Err(E::Missing("module-path")));
        check("pkcs11:object=b?module-path=/m&pin-source=/p", Err(E::Missing("token")));
        check("pkcs11:token=a?module-path=/m&pin-source=/p", Err(E::Missing("object")));
        check("pkcs11:token=a;object=b?module-path=m&pin-source=/p", Err(E::RelativePath("m".into())));
    }
}
