//! What a browser keeps for us: RFC 6265bis. The prefix binds each to this host and to a secure way there.

use axum::http::{HeaderMap, HeaderValue, header};
use zeroize::Zeroizing;

/// The secret of a session.
pub(super) const SESSION: &str = "__Host-thingward";
/// What a sign-in at a provider began with.
pub(super) const PENDING: &str = "__Host-thingward-sign-in";
/// Longest value that is looked at, in bytes.
const VALUE_BYTES_MAX: usize = 2048;

/// Which requests a browser sends it with.
#[derive(Debug, Clone, Copy)]
pub(super) enum SameSite {
    /// Those of our own pages.
    Strict,
    /// Also a link from another site that leads here: the way back from a provider.
    Lax,
}

/// The one value of this name.
pub(super) fn read(headers: &HeaderMap, name: &str) -> Option<Zeroizing<String>> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = pairs
        .flat_map(|pairs| pairs.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(known, _)| *known == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) if value.len() <= VALUE_BYTES_MAX => Some(Zeroizing::new(value.to_owned())),
        _ => None,
    }
}

/// `Set-Cookie` for a value of ours, for so many seconds; zero takes it away.
pub(super) fn set(name: &str, value: &str, same_site: SameSite, seconds: i64) -> Option<HeaderValue> {
    let same_site = match same_site {
        SameSite::Strict => "Strict",
        SameSite::Lax => "Lax",
    };
    let text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite={same_site}; Max-Age={seconds}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (header::COOKIE, HeaderValue::from_str(v).unwrap())).collect()
    }

    #[test]
    fn a_cookie_is_read_when_there_is_one_of_its_name() {
        let value = |values: &[&str]| read(&headers(values), "a").map(|v| v.as_str().to_owned());
        assert_eq!(value(&["b=1; a=2"]).as_deref(), Some("2"));
        assert_eq!(value(&["b=1", "a=2=3"]).as_deref(), Some("2=3"));
        assert_eq!(value(&["a=1; a=2"]), None, "of two, one could be planted");
        assert_eq!(value(&["a=1", "a=2"]), None);
        assert_eq!(value(&["aa=1; b"]), None);
        assert_eq!(value(&[&format!("a={}", "x".repeat(3000))]), None);
    }
}
