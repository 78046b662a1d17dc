//! A provider, as an operator describes it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thingward_crypto::sealed::read_private;
use thingward_model::TenantName;
use thingward_policy::UserRole;
use url::Url;
use zeroize::Zeroizing;

/// The certificates that a Debian system trusts.
pub const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The claim that says in which groups somebody is, when nothing is said.
pub const ROLES_CLAIM: &str = "groups";
/// The claim with the name of somebody, when nothing is said.
pub const NAME_CLAIM: &str = "preferred_username";
/// Longest secret, in bytes.
const SECRET_BYTES_MAX: usize = 1024;
/// Longest issuer, in bytes.
const ISSUER_BYTES_MAX: usize = 512;

/// Kind of [`ProviderName`].
pub enum ProviderKind {}

impl thingward_model::name::Kind for ProviderKind {
    const WORD: &'static str = "provider";
}

/// What an installation calls a provider; it is in the URL that the provider sends people back to.
pub type ProviderName = thingward_model::Name<ProviderKind>;

/// A provider that may sign in people of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name in URLs.
    pub id: ProviderName,
    /// The name that people see.
    pub name: String,
    /// Who issues its tokens.
    pub issuer: Issuer,
    /// What it calls us.
    pub client_id: String,
    /// The file with the secret by which it knows us; only its owner may read it.
    pub client_secret_file: PathBuf,
    /// Whose people it signs in.
    pub tenant: TenantName,
    /// PEM file of the authorities that its certificate may be from.
    pub roots: PathBuf,
    /// What we ask for besides `openid`.
    pub scopes: Vec<String>,
    /// The claim whose texts decide about roles: a name, or a JSON pointer such as `/realm_access/roles`.
    pub roles_claim: String,
    /// What each of these texts stands for here. Others stand for nothing.
    pub roles: BTreeMap<String, UserRole>,
    /// The claim with the name of somebody; as [`Self::roles_claim`].
    pub name_claim: String,
}

/// Why a provider cannot be used as it is described.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No secret can be read.
    #[error("client_secret_file: {0}")]
    Secret(io::Error),
    /// No authority can be read.
    #[error("roots: {0}")]
    Roots(io::Error),
}

/// How a provider knows us. Wiped from memory when it is dropped, and never shown.
pub(crate) struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    /// A line break at the end of the file is not part of it. Errors name the file.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let bytes = read_private(path).map_err(|e| match e.get_ref() {
            Some(_) => e,
            None => io::Error::new(e.kind(), format!("{}: {e}", path.display())),
        })?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default().trim_end_matches(['\r', '\n']);
        if (1..=SECRET_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(Zeroizing::new(text.to_owned())));
        }
        let text = format!("{} has no secret of 1 to 1024 visible ASCII characters", path.display());
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// Who issues tokens: an `https` URL without query and fragment, compared letter by letter as the standard wants.
#[derive(Clone, PartialEq, Eq)]
pub struct Issuer {
    /// As it was written: a parser would add a slash, and then it were another issuer.
    text: String,
    discovery: Url,
}

/// A text is no issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an issuer: https://HOST[:PORT][/PATH]")]
pub struct NoIssuer;

impl FromStr for Issuer {
    type Err = NoIssuer;

    fn from_str(text: &str) -> Result<Self, NoIssuer> {
        if text.len() > ISSUER_BYTES_MAX || https(text).is_none() || text.contains(['?', '#']) {
            return Err(NoIssuer);
        }
        // OpenID Connect Discovery 1.0 §4.1: without the slash at the end.
        let discovery = format!("{}/.well-known/openid-configuration", text.trim_end_matches('/'));
        Ok(Self { text: text.to_owned(), discovery: https(&discovery).ok_or(NoIssuer)? })
    }
}

impl Issuer {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where its configuration is.
    pub(crate) const fn discovery(&self) -> &Url {
        &self.discovery
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// A URL that we would ask: `https`, a host, and no name or password in it.
pub(crate) fn https(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (text.starts_with("https://") && url.has_host() && plain).then_some(url)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_issuer_stays_as_it_was_written() {
        for (text, discovery) in [
            ("https://id.example.com", "https://id.example.com/.well-known/openid-configuration"),
            ("https://id.example.com/", "https://id.example.com/.well-known/openid-configuration"),
            ("https://id.example.com:8/a/b", "https://id.example.com:8/a/b/.well-known/openid-configuration"),
        ] {
            let issuer: Issuer = text.parse().unwrap();
            assert_eq!((issuer.as_str(), issuer.discovery().as_str()), (text, discovery));
        }
        for wrong in [
            "",
            "id.example.com",
            "http://id.example.com",
            "https://",
            "https://a:b@id.example.com",
            "https://id.example.com?x",
            "https://id.example.com#x",
        ] {
            assert_eq!(wrong.parse::<Issuer>(), Err(NoIssuer), "{wrong}");
        }
    }

    #[test]
    fn a_secret_comes_from_a_file_that_only_its_owner_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let read = |text: &str, mode: u32| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            ClientSecret::read(&path).map(|secret| secret.expose().to_owned()).map_err(|e| e.kind())
        };
        assert_eq!(read("a+b/c=\n", 0o600), Ok("a+b/c=".to_owned()));
        assert_eq!(read("a", 0o640), Err(io::ErrorKind::PermissionDenied));
        let missing = ClientSecret::read(&folder.path().join("none")).err().unwrap();
        assert!(missing.to_string().contains("/none: "), "{missing}");
        for wrong in ["", "\n", "a b", "a\nb", &"a".repeat(1025)] {
            assert_eq!(read(wrong, 0o600), Err(io::ErrorKind::InvalidData), "{wrong}");
        }
    }
}
