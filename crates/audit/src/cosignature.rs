//! A witness's word that it saw a checkpoint continue all that it saw before: C2SP tlog-cosignature.

use std::string::String;

use thingward_crypto::Signer;
use thingward_crypto::sign::SIGNATURE_BYTES;

use crate::note::{NamedKey, NoteError, SignedNote};

/// The key of a witness: Ed25519 over the time and the text.
pub type WitnessKey = NamedKey<4>;

/// Signs a checkpoint's text at a time in seconds since 1970. Returns the signature line.
///
/// # Errors
///
/// [`NoteError::Key`] for a name that cannot be in a note or a key that is not Ed25519, [`NoteError::Signer`].
pub fn cosign(text: &str, seconds: u64, name: &str, witness: &impl Signer) -> Result<String, NoteError> {
    let key = WitnessKey::new(name, witness.public_key())?;
    let signature = witness.sign(message(text, seconds).as_bytes()).map_err(|_| NoteError::Signer)?;
    Ok(key.line(&[&seconds.to_be_bytes()[..], &signature].concat()))
}

/// When a witness signed the checkpoint, in seconds since 1970.
///
/// # Errors
///
/// [`NoteError::Unsigned`], [`NoteError::Signature`].
pub fn verify_cosignature(note: &SignedNote, witness: &WitnessKey) -> Result<u64, NoteError> {
    let blob = note.signature_of(witness)?;
    let (time, signature) = blob.split_first_chunk::<8>().ok_or(NoteError::Signature)?;
    let signature: &[u8; SIGNATURE_BYTES] = signature.try_into().map_err(|_| NoteError::Signature)?;
    let seconds = u64::from_be_bytes(*time);
    if i64::try_from(seconds).is_err() {
        return Err(NoteError::Signature);
    }
    let message = message(note.text_unverified(), seconds);
    witness.verifying().verify(message.as_bytes(), signature).map_err(|_| NoteError::Signature)?;
    Ok(seconds)
}

fn message(text: &str, seconds: u64) -> String {
    std::format!("cosignature/v1\ntime {seconds}\n{text}")
}
