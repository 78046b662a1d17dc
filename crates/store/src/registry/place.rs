//! Where a PostgreSQL database is.

use std::fmt;
use std::str::FromStr;

use sqlx::any::AnyConnectOptions;

use crate::error::StoreError;

/// Longest wait for another's lock, and longest pause within a transaction before the server ends it: a node that the network
/// cut off holds nobody up. What is done is on the disks of the server and of its synchronous standbys, whatever server,
/// database or role say of `synchronous_commit`.
const SESSION: [(&str, &str); 3] = [
    ("options[lock_timeout]", "10s"),
    ("options[idle_in_transaction_session_timeout]", "30s"),
    ("options[synchronous_commit]", "on"),
];

/// A PostgreSQL database, and who we are to it:
/// `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslrootcert=FILE`.
///
/// With `HOST` on a network it is TLS with a certificate for this name, from a CA that is publicly known or in `FILE`, which is
/// PEM. `sslmode=disable` is for the machine's own address. An absolute path in place of `HOST`, with `/` as `%2F`, is the folder
/// of a Unix socket. Without a password PostgreSQL's password file is looked into (documentation of PostgreSQL 15, 34.16).
#[derive(Clone)]
pub struct PostgresPlace(AnyConnectOptions);

impl FromStr for PostgresPlace {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let wrong = || StoreError::Invalid {
            what: "a place of PostgreSQL is postgres://USER:PASSWORD@HOST:PORT/DATABASE, with sslrootcert=FILE where its CA \
                   is not publicly known, and sslmode=disable at most for this machine's own address",
        };
        let mut options: AnyConnectOptions = text.parse().map_err(|_| wrong())?;
        let url = &mut options.database_url;
        let host = url.host_str().unwrap_or_default().to_owned();
        let named = !host.is_empty() && !url.username().is_empty() && url.path().len() > 1;
        if !named || !matches!(url.scheme(), "postgres" | "postgresql") || url.fragment().is_some() {
            return Err(wrong());
        }
        let is_socket = host.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("%2f"));
        let is_here = matches!(host.as_str(), "localhost" | "127.0.0.1");
        let (mut mode, mut roots) = (if is_socket { "disable" } else { "verify-full" }, None);
        for (key, value) in url.query_pairs() {
            match (&*key, &*value) {
                ("sslmode", "disable") if is_here => mode = "disable",
                ("sslmode", "verify-full") if !is_socket => {}
                ("sslrootcert", file) if !is_socket => roots = Some(file.to_owned()),
                _ => return Err(wrong()),
            }
        }
        url.query_pairs_mut().clear().append_pair("sslmode", mode).extend_pairs(SESSION);
        url.query_pairs_mut().extend_pairs(roots.map(|file| ("sslrootcert", file)));
        Ok(Self(options))
    }
}

impl PostgresPlace {
    /// How to connect under this name, which the server knows the session by.
    pub(super) fn named(&self, application: &str) -> AnyConnectOptions {
        let mut options = self.0.clone();
        options.database_url.query_pairs_mut().append_pair("application_name", application);
        options
    }

    /// Like [`Self::named`], to read only.
    pub(super) fn read_only(&self, application: &str) -> AnyConnectOptions {
        let mut options = self.named(application);
        options.database_url.query_pairs_mut().append_pair("options[default_transaction_read_only]", "on");
        options
    }
}

/// Without the password.
impl fmt::Display for PostgresPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.0.database_url;
        write!(f, "postgres://{}@{}", url.username(), url.host_str().unwrap_or_default())?;
        url.port().map_or(Ok(()), |port| write!(f, ":{port}"))?;
        f.write_str(url.path())
    }
}

/// Without the password.
impl fmt::Debug for PostgresPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresPlace({self})")
    }
}
