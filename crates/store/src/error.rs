//! Why the store did not do something, by who has to act.

use std::io;
use std::path::PathBuf;

use thingward_model::TenantName;

/// Why an operation of the store failed.
///
/// No text here contains a key, a reading or a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The tenant's key was withdrawn. The tenant can restore it.
    #[error("the key of tenant `{tenant}` is withdrawn")]
    KeyWithdrawn {
        /// Whose key.
        tenant: TenantName,
    },
    /// The customer's key cannot be reached or used as configured. The operator can change that.
    #[error("key `{reference}` cannot be used: {problem}")]
    KeyUnusable {
        /// The reference as configured, without secrets.
        reference: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The customer's key is there but is not the one that this was wrapped or sealed under.
    #[error("{what} does not open under this key")]
    WrongKey {
        /// What was to be opened.
        what: &'static str,
    },
    /// Stored bytes are not what was written. An operator restores from a backup.
    #[error("{what} is damaged")]
    Corrupt {
        /// What is damaged, with its name.
        what: String,
    },
    /// There is no room left on the disk. An operator makes some.
    #[error("no space is left to write {what}")]
    Full {
        /// What was being written.
        what: &'static str,
    },
    /// Other users of the machine may look into the data directory. The operator closes it.
    #[error("`{}` is open to other users; run `chmod 700 {}`", path.display(), path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
    },
    /// The disk or the file system failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The failure.
        source: io::Error,
    },
    /// A caller asked for more than one answer may hold. A narrower question works.
    #[error("more than {max} {what}; narrow the question")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// What was named is not there.
    #[error("{what} not found")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
    },
    /// What is there contradicts the request.
    #[error("{what}")]
    Conflict {
        /// The contradiction.
        what: &'static str,
    },
    /// An argument has no meaning.
    #[error("{what}")]
    Invalid {
        /// The rule that the argument breaks.
        what: &'static str,
    },
    /// The embedded database refused. A restart may help; a bug is likely.
    #[error("{what}: {source}")]
    Database {
        /// What was being done.
        what: &'static str,
        /// The refusal.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// An I/O failure while doing `what`; a full disk is told apart.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::from_io(what, source)
    }

    pub(crate) fn from_io(what: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { what },
            _ => Self::Io { what: what.to_owned(), source },
        }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    pub(crate) fn database(
        what: &'static str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Database { what, source: Box::new(source) }
    }
}
