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
    /// The shared database cannot hold the registry as it is, or cannot be reached. The operator can change that.
    #[error("`{place}` cannot be used: {problem}")]
    PlaceUnusable {
        /// The place, without its password.
        place: String,
        /// What is wrong.
        problem: PlaceProblem,
    },
    /// Another node leads with a newer term. This one's calls have no effect any more.
    #[error("another node leads with a newer term")]
    Superseded,
    /// The registry takes no changes here: it is a follower's, or the database's user may not change it. The leader may.
    #[error("{what}: the registry can only be read here")]
    ReadOnly {
        /// What was being done.
        what: &'static str,
    },
    /// The database refused. A restart may help; a bug is likely.
    #[error("{what}: {source}")]
    Database {
        /// What was being done.
        what: &'static str,
        /// The refusal.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a shared database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceProblem {
    /// No connection comes about, or not with TLS as it has to be.
    #[error("it cannot be reached: {0}")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its TLS is older than 1.3.
    #[error("it does not speak TLS 1.3")]
    OldTls,
    /// It does not know the user, or not by this password.
    #[error("it refuses this user and password")]
    LoginRefused,
    /// The server has no such database.
    #[error("there is no such database")]
    NoDatabase,
    /// The server is too old.
    #[error("it is older than PostgreSQL 15")]
    Version,
    /// Lists would come in another order than everywhere else.
    #[error(
        "its text is not UTF-8 in the order of bytes; make the database with `TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`"
    )]
    Order,
    /// Its tables are another user's: leaders could not end each other.
    #[error("its tables belong to another user; the leader is one user on all nodes")]
    NotOwner,
    /// It is a replica, or its user may only read.
    #[error("it can only be read")]
    ReadOnly,
    /// Only a part of a service was moved to it.
    #[error("a move to it did not end; move again, to a new database and with another `nats_prefix`")]
    HalfMoved,
    /// No leader has brought it up to date for this build.
    #[error("no leader has brought it up to date for this build yet")]
    Behind,
    /// An earlier leader may still change it.
    #[error("the sessions of an earlier leader do not end")]
    LeaderStays,
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
