//! A new passkey: the steps of WebAuthn Level 3 §7.1 for a relying party that asks for no attestation.
//!
//! The attestation statement is not looked at: whatever it says, the passkey is as good as the ceremony that it was made
//! in.

use std::string::String;
use std::vec::Vec;

use minicbor::Decoder;
use thingward_crypto::VerifyingKey;

use super::{ApprovalError, Ceremony, authenticator_data, check_client_data, key_from_cose};

/// Bytes of the authenticator's model in front of the credential id: §6.5.1.
const AAGUID_BYTES: usize = 16;
/// Longest credential id, in bytes: §5.8.3.
const CREDENTIAL_ID_BYTES_MAX: usize = 1023;

/// A passkey that an authenticator made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Names it.
    pub credential_id: Vec<u8>,
    /// Its public key.
    pub key: VerifyingKey,
}

/// What a page got from `navigator.credentials.create`, for `challenge`, as `rp_id` at one of `origins`, with the user
/// verified.
///
/// # Errors
///
/// [`ApprovalError`]; [`ApprovalError::UnknownCredential`] for a key of an algorithm that we do not take.
pub fn verify_registration(
    client_data_json: &[u8],
    attestation_object: &[u8],
    challenge: &[u8],
    rp_id: &str,
    origins: &[String],
) -> Result<Registered, ApprovalError> {
    check_client_data(client_data_json, Ceremony::Create, challenge, origins)?;
    let data = authenticator_data_of(attestation_object).ok_or(ApprovalError::AuthenticatorData)?;
    let parts = authenticator_data(data, Some(rp_id))?;
    if !parts.has_credential {
        return Err(ApprovalError::AuthenticatorData);
    }
    let (len, rest) = parts
        .rest
        .get(AAGUID_BYTES..)
        .and_then(<[u8]>::split_first_chunk::<2>)
        .ok_or(ApprovalError::AuthenticatorData)?;
    let len = usize::from(u16::from_be_bytes(*len));
    let (credential_id, rest) = rest.split_at_checked(len).ok_or(ApprovalError::AuthenticatorData)?;
    if credential_id.is_empty() || len > CREDENTIAL_ID_BYTES_MAX {
        return Err(ApprovalError::AuthenticatorData);
    }
    let (key, taken) = key_from_cose(rest).map_err(|_| ApprovalError::UnknownCredential)?;
    if parts.has_extensions == (taken == rest.len()) {
        return Err(ApprovalError::AuthenticatorData);
    }
    Ok(Registered { credential_id: credential_id.to_vec(), key })
}

/// `authData` of `{ "fmt": …, "attStmt": …, "authData": … }`: §6.5.4. Each member once, in any order.
fn authenticator_data_of(attestation_object: &[u8]) -> Option<&[u8]> {
    let mut d = Decoder::new(attestation_object);
    let (mut data, mut seen) = (None, 0);
    for _ in 0..d.map().ok()?? {
        match d.str().ok()? {
            "fmt" => drop(d.str().ok()?),
            "attStmt" => d.skip().ok()?,
            "authData" if data.is_none() => data = Some(d.bytes().ok()?),
            _ => return None,
        }
        seen += 1;
    }
    data.filter(|_| seen == 3 && d.position() == attestation_object.len())
}
