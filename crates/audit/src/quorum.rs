//! How many witnesses it takes for a checkpoint to be believed.

use std::string::String;
use std::vec::Vec;

use crate::cosignature::{WitnessKey, verify_cosignature};
use crate::note::{NoteError, SignedNote};

/// Most witnesses: their signatures and the log's fit into a note.
pub const WITNESSES_MAX: usize = 32;

/// Some witnesses, and how many of them have to have co-signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quorum {
    witnesses: Vec<WitnessKey>,
    wanted: usize,
}

/// Why witnesses make no quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuorumError {
    /// One key counts once, whatever its names.
    #[error("two of the witnesses have the same key")]
    SameKey,
    /// More are wanted than there are.
    #[error("{wanted} co-signatures are wanted, and there are {witnesses} witnesses")]
    TooFew {
        /// How many there are.
        witnesses: usize,
        /// How many are wanted.
        wanted: usize,
    },
    /// More than [`WITNESSES_MAX`].
    #[error("there may be 32 witnesses")]
    TooMany,
}

/// Too few witnesses co-signed a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{has} of the witnesses co-signed it, and {wanted} have to")]
pub struct QuorumMissing {
    /// How many did.
    pub has: usize,
    /// How many have to.
    pub wanted: usize,
}

/// A witness that co-signed a checkpoint, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// Its name.
    pub witness: String,
    /// By its clock, in seconds since 1970.
    pub seconds: u64,
}

impl Quorum {
    /// `wanted` of these witnesses; with none of either, every checkpoint is believed on the log's word.
    ///
    /// # Errors
    ///
    /// [`QuorumError`].
    pub fn new(witnesses: Vec<WitnessKey>, wanted: usize) -> Result<Self, QuorumError> {
        if witnesses.len() > WITNESSES_MAX {
            return Err(QuorumError::TooMany);
        }
        let (mut rest, mut same) = (witnesses.as_slice(), false);
        while let Some((first, others)) = rest.split_first() {
            same |= others.iter().any(|other| other.verifying() == first.verifying());
            rest = others;
        }
        if same {
            return Err(QuorumError::SameKey);
        }
        if wanted > witnesses.len() {
            return Err(QuorumError::TooFew { witnesses: witnesses.len(), wanted });
        }
        Ok(Self { witnesses, wanted })
    }

    /// Who may co-sign.
    #[must_use]
    pub fn witnesses(&self) -> &[WitnessKey] {
        &self.witnesses
    }

    /// How many have to.
    #[must_use]
    pub const fn wanted(&self) -> usize {
        self.wanted
    }

    /// Who co-signed the checkpoint. Signatures of others, and such as do not verify, count for nothing.
    ///
    /// # Errors
    ///
    /// [`QuorumMissing`].
    pub fn check(&self, note: &SignedNote) -> Result<Vec<Witnessed>, QuorumMissing> {
        let of = |key: &WitnessKey| {
            let seconds = verify_cosignature(note, key).ok()?;
            Some(Witnessed { witness: key.name().into(), seconds })
        };
        let all: Vec<Witnessed> = self.witnesses.iter().filter_map(of).collect();
        let (has, wanted) = (all.len(), self.wanted);
        if has < wanted { Err(QuorumMissing { has, wanted }) } else { Ok(all) }
    }
}

/// Takes the line of `witness` out of what it answered to the signed checkpoint `note`, after verifying it. What else
/// is in the answer is left out.
///
/// # Errors
///
/// [`NoteError`].
pub fn cosignature_line(note: &str, answer: &str, witness: &WitnessKey) -> Result<String, NoteError> {
    let both = SignedNote::parse(&std::format!("{note}{answer}"))?;
    verify_cosignature(&both, witness)?;
    Ok(witness.line(both.signature_of(witness)?))
}
