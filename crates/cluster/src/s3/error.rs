//! What is wrong with an object store, and whether it may pass by itself.

use std::io;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::{DATE, HeaderMap};
use thiserror::Error;

/// A signature of another time than this around a store's own is refused (SigV4: 15 minutes), less what is uncertain.
const SKEW_MAX: Duration = Duration::from_secs(14 * 60);

/// An object store does not do what is needed. No text here contains a key or a signature.
#[derive(Debug, Error)]
#[error("the bucket {bucket}: {problem}")]
pub struct S3Error {
    /// The URL of the bucket.
    pub(super) bucket: String,
    /// What is wrong.
    #[source]
    pub problem: Problem,
}

/// What is wrong with an object store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// No connection comes about, or not with TLS as it has to be.
    #[error("it cannot be reached: {0}")]
    Unreachable(#[source] io::Error),
    /// Nothing came for so long.
    #[error("it does not answer in {} ms", .0.as_millis())]
    Silent(Duration),
    /// The connection ended in the middle, or what came is not HTTP.
    #[error("the connection to it ended: {0}")]
    Cut(#[source] io::Error),
    /// The store has no such bucket.
    #[error("there is no such bucket")]
    NoBucket,
    /// The store knows no such access key.
    #[error("it does not know this access key")]
    UnknownKey,
    /// The signature is not the one it expects.
    #[error("it expects another signature: the secret key or the region is wrong")]
    WrongSecret,
    /// The access key may not do this.
    #[error("it denies access: this access key needs to get, put and list objects")]
    Denied,
    /// Its clock and this machine's are too far apart for signatures.
    #[error("its clock and the one of this machine are {} s apart", .0.as_secs())]
    Skewed(Duration),
    /// It wants the request to go elsewhere.
    #[error("the bucket is in another region or at another address than this")]
    Elsewhere,
    /// It refuses for another reason.
    #[error("it refuses: {status} {code}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The error's code, as S3 defines it; empty when it says none.
        code: String,
    },
    /// It fails, or is asked too much.
    #[error("it fails: {status} {code}")]
    Failing {
        /// The status.
        status: StatusCode,
        /// The error's code, as S3 defines it; empty when it says none.
        code: String,
    },
    /// Somebody else put an object there at the same time.
    #[error("somebody else puts the same file")]
    Contended,
    /// Another object than the one that was to be put is there.
    #[error("another file is there under this name")]
    Another,
    /// What came back is not what was put.
    #[error("what came back is not what was put")]
    Damaged,
    /// A file is longer than one that can be put at once.
    #[error("a file is longer than 5 GiB")]
    TooLong,
    /// There is no such object.
    #[error("there is no such file")]
    Missing,
    /// This machine's disk fails.
    #[error("a file on this machine: {0}")]
    Disk(#[source] io::Error),
}

impl Problem {
    /// Whether asking again may help.
    pub(super) const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Silent(_) | Self::Cut(_) | Self::Contended | Self::Damaged => true,
            Self::Failing { status, .. } => status.as_u16() != 501,
            _ => false,
        }
    }

    /// What an answer that is no success means: its status, its head, and its body's `<Code>` where it has one.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, code: &str, now: SystemTime) -> Self {
        let code = code.to_owned();
        match (status.as_u16(), code.as_str()) {
            (_, "NoSuchBucket") => Self::NoBucket,
            (_, "RequestTimeTooSkewed") => Self::Skewed(skew(headers, now).unwrap_or(SKEW_MAX)),
            (_, "InvalidAccessKeyId") => Self::UnknownKey,
            (_, "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed")
            | (300..=399, _) => Self::Elsewhere,
            (404, _) => Self::Missing,
            (403, code) => match (skew(headers, now), code) {
                (Some(skew), _) if skew > SKEW_MAX => Self::Skewed(skew),
                (_, "SignatureDoesNotMatch") => Self::WrongSecret,
                _ => Self::Denied,
            },
            (409 | 412, _) => Self::Contended,
            // What was sent did not arrive, or not as it was.
            (400, "RequestTimeout" | "BadDigest" | "XAmzContentChecksumMismatch" | "IncompleteBody") => {
                Self::Failing { status, code }
            }
            (408 | 429 | 500..=599, _) => Self::Failing { status, code },
            _ => Self::Refused { status, code },
        }
    }
}

/// How far the store's clock is from this machine's.
fn skew(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let theirs = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(theirs.duration_since(now).unwrap_or_else(|e| e.duration()))
}

/// The code of an error, as S3 writes it in XML: letters and digits, else nothing.
pub(super) fn code_in(body: &[u8]) -> &str {
    let text = str::from_utf8(body).unwrap_or_default();
    let inside = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let code = inside.map_or("", |(code, _)| code);
    if code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric()) { code } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_what_stands_between_its_tags_and_nothing_strange() {
        assert_eq!(code_in(b"<?xml?><Error><Code>NoSuchKey</Code><Key>x</Key></Error>"), "NoSuchKey");
        for bad in [&b""[..], b"<Code>", b"</Code><Code>", b"<Code>a\nb</Code>", b"<Code>\xff</Code>"] {
            assert_eq!(code_in(bad), "");
        }
        assert_eq!(code_in(format!("<Code>{}</Code>", "a".repeat(65)).as_bytes()), "");
    }

    #[test]
    fn a_refusal_says_what_to_change() {
        let of = |status: u16, code: &str, date: SystemTime| {
            let date = httpdate::fmt_http_date(date).parse().unwrap();
            let headers = HeaderMap::from_iter([(DATE, date)]);
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
            Problem::of(StatusCode::from_u16(status).unwrap(), &headers, code, now).to_string()
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let hour = Duration::from_secs(3600);
        for date in [now - hour, now + hour] {
            assert!(of(403, "AccessDenied", date).contains("3600 s apart"));
        }
        assert!(of(403, "AccessDenied", now).contains("denies access"));
        assert!(of(403, "SignatureDoesNotMatch", now).contains("secret key or the region"));
        assert!(of(403, "InvalidAccessKeyId", now).contains("access key"));
        assert!(of(404, "NoSuchBucket", now).contains("no such bucket"));
        assert!(of(404, "NoSuchKey", now).contains("no such file"));
        assert!(of(301, "PermanentRedirect", now).contains("region"));
        assert!(of(418, "", now).contains("refuses: 418"));
    }
}
