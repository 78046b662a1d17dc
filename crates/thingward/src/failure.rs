//! Why a command did not do its work, and with which exit code it says so.

use std::fmt;

/// Why a command did not do its work. Each variant is one exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was tried and failed.
    Failed(String),
    /// The command line has no meaning.
    Usage(String),
    /// What was named is not there.
    NotFound(String),
    /// Not with this token, or not while the key is withdrawn.
    NotPermitted(String),
    /// The service or the agent does not answer.
    Unreachable(String),
    /// What was verified is whole, and shows that somebody kept something to themselves.
    Gaps(String),
    /// The configuration has no meaning. One line for each problem.
    Configuration(Vec<String>),
}

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed
  2   the command line has no meaning
  3   not found
  4   not permitted, or the tenant's key is withdrawn
  5   service or agent out of reach
  6   the log is verified, and accounts of a gateway are missing in it
  64  the configuration has no meaning; nothing was started";

impl Failure {
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::NotPermitted(_) => 4,
            Self::Unreachable(_) => 5,
            Self::Gaps(_) => 6,
            Self::Configuration(_) => 64,
        }
    }

    /// A word for programs.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Usage(_) => "usage",
            Self::NotFound(_) => "not-found",
            Self::NotPermitted(_) => "not-permitted",
            Self::Unreachable(_) => "unreachable",
            Self::Gaps(_) => "gaps",
            Self::Configuration(_) => "configuration",
        }
    }

    /// Something failed, with its cause.
    pub(crate) fn of(e: impl fmt::Display) -> Self {
        Self::Failed(e.to_string())
    }

    /// Doing `what` with a file failed.
    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |e| match e.kind() {
            std::io::ErrorKind::NotFound => Self::NotFound(format!("{path}: {e}")),
            std::io::ErrorKind::PermissionDenied => Self::NotPermitted(format!("{path}: {e}")),
            _ => Self::Failed(format!("{path}: {e}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text)
            | Self::Usage(text)
            | Self::NotFound(text)
            | Self::NotPermitted(text)
            | Self::Unreachable(text)
            | Self::Gaps(text) => f.write_str(text),
            Self::Configuration(lines) => f.write_str(&lines.join("\n")),
        }
    }
}
