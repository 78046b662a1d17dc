//! Platform configuration registers: what was started on this machine, by hashes that can only be extended.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thingward_crypto::{Digest, sha256};

use crate::wire::Writer;

/// How many registers a PC's TPM has.
const PCRS: u8 = 24;
/// `TPM_ALG_SHA256`.
pub(crate) const SHA256: u16 = 0x000B;
/// `TPM_CC_PolicyPCR`.
pub(crate) const POLICY_PCR: u32 = 0x0000_017F;

/// Some registers of the SHA-256 bank; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PcrSelection(u32);

/// The text names no registers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("PCRs are numbers from 0 to 23 with commas between them, as 0,2,7")]
pub struct PcrSelectionError;

impl PcrSelection {
    /// These registers; `None` when there is none, or one that TPMs do not have.
    pub fn new(numbers: impl IntoIterator<Item = u8>) -> Option<Self> {
        let bit = |mask: u32, number: u8| (number < PCRS).then(|| mask | 1 << number);
        numbers.into_iter().try_fold(0, bit).filter(|mask| *mask != 0).map(Self)
    }

    /// 0 to 7, in which firmware and boot loader measure what they start.
    pub(crate) const BOOT: Self = Self(0xFF);

    /// The numbers, ascending.
    pub fn numbers(self) -> impl Iterator<Item = u8> {
        (0..PCRS).filter(move |number| self.0 & 1 << number != 0)
    }

    /// `TPML_PCR_SELECTION` with one entry.
    pub(crate) fn write(self, writer: Writer) -> Writer {
        let [a, b, c, _] = self.0.to_le_bytes();
        writer.u32(1).u16(SHA256).u8(3).bytes(&[a, b, c])
    }
}

impl FromStr for PcrSelection {
    type Err = PcrSelectionError;

    fn from_str(text: &str) -> Result<Self, PcrSelectionError> {
        let numbers: Result<Vec<u8>, _> = text.split(',').map(str::parse).collect();
        numbers.ok().and_then(Self::new).ok_or(PcrSelectionError)
    }
}

impl fmt::Display for PcrSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.numbers().map(|number| number.to_string()).collect();
        f.write_str(&numbers.join(","))
    }
}

/// Registers and their values.
pub type PcrValues = BTreeMap<u8, Digest>;

/// The digest of the one policy that wants these values: part 3, `TPM2_PolicyPCR`.
pub(crate) fn policy(selection: PcrSelection, values: &PcrValues) -> Digest {
    let values: Vec<&[u8]> = values.values().map(<[u8; 32]>::as_slice).collect();
    let selection = selection.write(Writer::default());
    sha256(&[&[0; 32], &POLICY_PCR.to_be_bytes(), selection.as_bytes(), &sha256(&values)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_what_its_text_says_and_nothing_else_is_one() {
        let selection: PcrSelection = "7,0,23".parse().unwrap();
        assert_eq!(selection.to_string(), "0,7,23");
        for wrong in ["", "24", "7,", "-1", "7;8", "seven"] {
            assert_eq!(wrong.parse::<PcrSelection>(), Err(PcrSelectionError), "{wrong}");
        }
    }
}
