//! Keys and secrets in a TPM 2.0, by the few commands that the product needs of the TCG's library specification.
//!
//! What the TPM makes is kept by whoever asked, encrypted by the TPM; nothing is stored inside it. The wire between the
//! processor and a TPM chip is not protected: sessions are neither salted nor encrypted.

mod connection;
mod error;
mod evidence;
mod key;
mod pcrs;
mod tpm;
mod wire;

pub use error::TpmError;
pub use evidence::{EvidenceError, TpmEvidence};
pub use key::TpmKey;
pub use pcrs::{PcrSelection, PcrSelectionError, PcrValues};
pub use tpm::{Blob, Tpm};
