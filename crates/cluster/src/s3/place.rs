//! Which bucket, and how the store knows this node.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rusty_s3::{Bucket, Credentials, UrlStyle};
use thiserror::Error;
use url::{Host, Url};
use zeroize::Zeroizing;

/// Where buckets are of which nobody said where.
const REGION: &str = "us-east-1";
/// Slower than this, in bytes per second, nothing is carried.
const SLOWEST: u64 = 256 * 1024;

/// A bucket of a store that speaks S3, with its path as MinIO and others take it: `https://HOST[:PORT]/BUCKET?region=REGION`.
/// Without TLS on this machine only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUrl(pub(super) Bucket);

/// It is not the URL of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not https://HOST/BUCKET?region=REGION, or http:// on this machine")]
pub struct BadBucketUrl;

impl BucketUrl {
    /// Whether the store is asked over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.base_url().scheme() == "https"
    }
}

impl FromStr for BucketUrl {
    type Err = BadBucketUrl;

    fn from_str(text: &str) -> Result<Self, BadBucketUrl> {
        let mut url = Url::parse(text).map_err(|_| BadBucketUrl)?;
        let is_here = match url.host().ok_or(BadBucketUrl)? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let is_right = url.scheme() == "https" || (url.scheme() == "http" && is_here);
        let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let name = url.path().trim_start_matches('/').to_owned();
        let region = match url.query() {
            None => REGION.to_owned(),
            Some(query) => query.strip_prefix("region=").ok_or(BadBucketUrl)?.to_owned(),
        };
        if !is_right || !is_bare || !is_name(&name) || !is_name(&region) {
            return Err(BadBucketUrl);
        }
        url.set_path("/");
        url.set_query(None);
        Bucket::new(url, UrlStyle::Path, name, region).map(Self).map_err(|_| BadBucketUrl)
    }
}

fn is_name(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    (3..=63).contains(&text.len()) && text.bytes().all(is_plain) && !text.starts_with('.')
}

/// An access key and its secret key.
#[derive(Clone)]
pub struct Login {
    /// Which key: no secret.
    pub access_key: String,
    /// What signs.
    pub secret_key: Zeroizing<String>,
}

impl Login {
    /// The library zeroizes its copy of the secret too.
    pub(super) fn credentials(&self) -> Credentials {
        Credentials::new(self.access_key.as_str(), self.secret_key.as_str())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

/// How long a store is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often something is tried: once at least.
    pub tries: u32,
    /// Between the first two tries; after each it is twice as long.
    pub pause: Duration,
    /// How long a connection, an answer's head and each next piece of it may take.
    pub quiet: Duration,
}

impl Patience {
    /// How long so many bytes may be on their way.
    pub(super) const fn for_bytes(&self, bytes: u64) -> Duration {
        self.quiet.saturating_add(Duration::from_secs(bytes / SLOWEST))
    }
}

impl Default for Patience {
    /// Longer than what a store needs to have another of its servers answer.
    fn default() -> Self {
        Self { tries: 5, pause: Duration::from_millis(250), quiet: Duration::from_secs(15) }
    }
}

/// Where the files of an installation are.
#[derive(Clone)]
pub struct Place {
    /// The bucket.
    pub bucket: BucketUrl,
    /// How the store knows this node.
    pub login: Login,
    /// TLS to it, where its URL says so.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// What names of this installation begin with.
    pub prefix: String,
    /// How long it is waited for.
    pub patience: Patience,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_named_over_tls_or_on_this_machine() {
        for (good, region) in [
            ("https://s3.example/files?region=eu-1", "eu-1"),
            ("https://s3.example:9000/files", REGION),
            ("http://127.0.0.1:9000/files", REGION),
            ("http://[::1]:9000/files.of-town?region=x_1", "x_1"),
        ] {
            let bucket: BucketUrl = good.parse().unwrap();
            assert_eq!(bucket.0.region(), region, "{good}");
            assert_eq!(bucket.is_tls(), good.starts_with("https"), "{good}");
        }
        for bad in [
            "http://s3.example/files",
            "https://key:secret@s3.example/files",
            "https://key@s3.example/files",
            "https://s3.example",
            "https://s3.example/",
            "https://s3.example/a/b",
            "https://s3.example/files/",
            "https://s3.example/..%2Fx",
            "https://s3.example/files?region=",
            "https://s3.example/files?region=eu-1&x=y",
            "https://s3.example/files?zone=eu-1",
            "https://s3.example/files#x",
            "s3://files",
            "files",
            "",
        ] {
            assert_eq!(bad.parse::<BucketUrl>(), Err(BadBucketUrl), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let login = Login { access_key: "key".to_owned(), secret_key: Zeroizing::new("secret".to_owned()) };
        assert!(!format!("{login:?} {:?}", login.credentials()).contains("secret"));
    }
}
