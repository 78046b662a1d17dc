//! What goes wrong with a TPM.

use std::io;
use std::path::PathBuf;

/// What goes wrong with a TPM.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TpmError {
    /// There is none at this place, or it may not be used.
    #[error("no TPM at {}: {source}", path.display())]
    Open {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The connection to it broke.
    #[error("the TPM does not answer: {0}")]
    Io(#[from] io::Error),
    /// Its answer cannot be read.
    #[error("the TPM gives an answer that TPM 2.0 does not have")]
    Malformed,
    /// It takes no authorisations, because too many were wrong.
    #[error(
        "the TPM is locked out after too many wrong authorisations; wait, or have its owner reset the lockout"
    )]
    LockedOut,
    /// A password that this program does not know protects the storage of its owner.
    #[error("the owner hierarchy of the TPM has a password; keys can be made only without one")]
    OwnerPassword,
    /// It did not make what it was given.
    #[error("it was made by another TPM, or this one was cleared since, or it is damaged")]
    Foreign,
    /// The PCRs are not what a secret was sealed to.
    #[error("the PCRs have other values than it was sealed to")]
    OtherPcrs,
    /// A loaded key is not there any more: somebody reset the TPM.
    #[error("the TPM has forgotten a loaded key: it was reset; start again")]
    HandleGone,
    /// Too much is loaded.
    #[error("the TPM has no room for another key or session")]
    Full,
    /// It has no such algorithm.
    #[error("the TPM has no {0}")]
    Unsupported(&'static str),
    /// Anything else that it says.
    #[error("the TPM refuses {command} with code {code:#05x}")]
    Refused {
        /// What it was to do.
        command: &'static str,
        /// `TPM_RC`, as the library specification lists them.
        code: u32,
    },
}

impl TpmError {
    /// What a response code other than success means: part 2, 6.6.
    pub(crate) fn of(command: &'static str, code: u32) -> Self {
        // A code of format one also says which handle, session or parameter it is about.
        let plain = if code & 0x080 == 0 { code } else { code & 0x0BF };
        match plain {
            0x921 => Self::LockedOut,
            0x0A2 | 0x08E if command == "CreatePrimary" => Self::OwnerPassword,
            0x09F => Self::Foreign,
            0x09D => Self::OtherPcrs,
            0x910..=0x916 | 0x08B => Self::HandleGone,
            0x902 | 0x903 | 0x905 => Self::Full,
            _ => Self::Refused { command, code },
        }
    }
}
