//! Whether a user's passkey approved exactly this command: the steps of WebAuthn Level 3 §7.2 that a verifier takes who
//! started no ceremony itself. Whoever did, checks sign-ins with the same steps, and new passkeys with those of §7.1.
//!
//! The signature counter is not looked at: whoever has a passkey that was copied could approve either way, and synced
//! passkeys do not count.

use std::string::String;
use std::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::Decoder;
use minicbor::data::Type;
use serde::Deserialize;
use thingward_crypto::sign::p256_signature_from_der;
use thingward_crypto::{SignatureAlgorithm, VerifyingKey, sha256};

use crate::FormatError;
use crate::command::{Approval, VerifiedCommand, digest};

mod registration;

pub use registration::{Registered, verify_registration};

/// A passkey of somebody whose approval counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    /// Whose it is: the actor of the commands that it may approve.
    pub actor: String,
    /// Names the passkey.
    pub credential_id: Vec<u8>,
    /// Its public key.
    pub key: VerifyingKey,
    /// The relying party that it was made for, as `console.example`.
    pub rp_id: String,
    /// Where it may be asked, as `https://console.example`.
    pub origins: Vec<String>,
}

/// Why an approval does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApprovalError {
    /// No approver of the command's actor has this passkey.
    UnknownCredential,
    /// The client data are not those of an assertion.
    ClientData,
    /// It approves something else.
    OtherChallenge,
    /// It was given at another origin, or inside a page of one.
    Origin,
    /// The authenticator data cannot be read.
    AuthenticatorData,
    /// It was made for another relying party.
    RelyingParty,
    /// Nobody touched the authenticator.
    UserNotPresent,
    /// The authenticator did not check who touches it.
    UserNotVerified,
    /// The signature is not that of the passkey.
    Signature,
}

impl core::fmt::Display for ApprovalError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::UnknownCredential => "the passkey is none of the actor's that this device knows",
            Self::ClientData => "the client data are not those of an assertion",
            Self::OtherChallenge => "it approves something else",
            Self::Origin => "it was given at another origin",
            Self::AuthenticatorData => "the authenticator data cannot be read",
            Self::RelyingParty => "it was made for another relying party",
            Self::UserNotPresent => "nobody touched the authenticator",
            Self::UserNotVerified => "the authenticator did not verify the user",
            Self::Signature => "the signature is not that of the passkey",
        })
    }
}

impl core::error::Error for ApprovalError {}

/// Whether the approval of `command` is one of its actor, with a passkey of `approvers`, over exactly this command.
///
/// # Errors
///
/// [`ApprovalError`]; [`ApprovalError::UnknownCredential`] also when there is no approval.
pub fn verify_approval(command: &VerifiedCommand<'_>, approvers: &[Approver]) -> Result<(), ApprovalError> {
    let approval = command.approval.as_ref().ok_or(ApprovalError::UnknownCredential)?;
    let is_his =
        |a: &&Approver| a.actor == command.command.actor && a.credential_id == approval.credential_id;
    let approver = approvers.iter().find(is_his).ok_or(ApprovalError::UnknownCredential)?;
    verify_assertion(approval, &digest(command.canonical), approver)
}

/// What a page asked an authenticator for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ceremony {
    Create,
    Get,
}

impl Ceremony {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "webauthn.create",
            Self::Get => "webauthn.get",
        }
    }
}

/// The members of CollectedClientData that are checked: WebAuthn Level 3 §5.8.1. There may be others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    top_origin: Option<String>,
}

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKUP_STATE: u8 = 1 << 4;
const ATTESTED_DATA: u8 = 1 << 6;
const EXTENSIONS: u8 = 1 << 7;
/// Hash of the relying party, flags and counter: §6.1.
const AUTHENTICATOR_DATA_BYTES_MIN: usize = 37;

/// Whether `approval` is an assertion by the approver's passkey over `challenge`, with the user verified.
///
/// # Errors
///
/// [`ApprovalError`].
pub fn verify_assertion(
    approval: &Approval<'_>,
    challenge: &[u8],
    approver: &Approver,
) -> Result<(), ApprovalError> {
    if approval.credential_id != approver.credential_id {
        return Err(ApprovalError::UnknownCredential);
    }
    check_client_data(approval.client_data_json, Ceremony::Get, challenge, &approver.origins)?;
    check_signature(approval, &approver.key, Some(&approver.rp_id))
}

/// The challenge over which the passkey with this key made an assertion, with the user verified, on whichever page: for
/// those who read it in a log long after and know of the passkey only its key.
///
/// # Errors
///
/// [`ApprovalError`].
pub fn verify_recorded(approval: &Approval<'_>, key: &VerifyingKey) -> Result<Vec<u8>, ApprovalError> {
    let data = client_data(approval.client_data_json, Ceremony::Get)?;
    check_signature(approval, key, None)?;
    URL_SAFE_NO_PAD.decode(data.challenge).map_err(|_| ApprovalError::ClientData)
}

fn check_signature(
    approval: &Approval<'_>,
    key: &VerifyingKey,
    rp_id: Option<&str>,
) -> Result<(), ApprovalError> {
    let parts = authenticator_data(approval.authenticator_data, rp_id)?;
    if (parts.has_credential || parts.has_extensions) == parts.rest.is_empty() {
        return Err(ApprovalError::AuthenticatorData);
    }
    let message = [approval.authenticator_data, &sha256(&[approval.client_data_json])].concat();
    let signature = match key.algorithm() {
        SignatureAlgorithm::EcdsaP256 => p256_signature_from_der(approval.signature).ok(),
        SignatureAlgorithm::Ed25519 => approval.signature.try_into().ok(),
    };
    let signature = signature.ok_or(ApprovalError::Signature)?;
    key.verify(&message, &signature).map_err(|_| ApprovalError::Signature)
}

/// The challenge that a page's client data answer, on nobody's word: for whoever has to find out which it was.
///
/// # Errors
///
/// [`ApprovalError::ClientData`].
pub fn claimed_challenge(client_data_json: &[u8]) -> Result<Vec<u8>, ApprovalError> {
    let data: ClientData = serde_json::from_slice(client_data_json).map_err(|_| ApprovalError::ClientData)?;
    URL_SAFE_NO_PAD.decode(data.challenge).map_err(|_| ApprovalError::ClientData)
}

fn check_client_data(
    json: &[u8],
    ceremony: Ceremony,
    challenge: &[u8],
    origins: &[String],
) -> Result<(), ApprovalError> {
    let data = client_data(json, ceremony)?;
    if data.challenge != URL_SAFE_NO_PAD.encode(challenge) {
        Err(ApprovalError::OtherChallenge)
    } else if data.cross_origin || data.top_origin.is_some() || !origins.contains(&data.origin) {
        Err(ApprovalError::Origin)
    } else {
        Ok(())
    }
}

fn client_data(json: &[u8], ceremony: Ceremony) -> Result<ClientData, ApprovalError> {
    let data: ClientData = serde_json::from_slice(json).map_err(|_| ApprovalError::ClientData)?;
    if data.r#type == ceremony.as_str() { Ok(data) } else { Err(ApprovalError::ClientData) }
}

/// What stands behind the head of authenticator data that are right so far.
struct AuthenticatorData<'a> {
    rest: &'a [u8],
    has_credential: bool,
    has_extensions: bool,
}

fn authenticator_data<'a>(
    data: &'a [u8],
    rp_id: Option<&str>,
) -> Result<AuthenticatorData<'a>, ApprovalError> {
    let Some((head, rest)) = data.split_at_checked(AUTHENTICATOR_DATA_BYTES_MIN) else {
        return Err(ApprovalError::AuthenticatorData);
    };
    let (hash, flags) = (head.get(..32).unwrap_or_default(), head.get(32).copied().unwrap_or_default());
    let has = |flag: u8| flags & flag != 0;
    if has(BACKUP_STATE) && !has(BACKUP_ELIGIBLE) {
        Err(ApprovalError::AuthenticatorData)
    } else if rp_id.is_some_and(|rp_id| hash != sha256(&[rp_id.as_bytes()])) {
        Err(ApprovalError::RelyingParty)
    } else if !has(USER_PRESENT) {
        Err(ApprovalError::UserNotPresent)
    } else if !has(USER_VERIFIED) {
        Err(ApprovalError::UserNotVerified)
    } else {
        Ok(AuthenticatorData { rest, has_credential: has(ATTESTED_DATA), has_extensions: has(EXTENSIONS) })
    }
}

/// Labels of a COSE_Key and the values that are taken: RFC 9053 §7.
mod cose_key {
    pub(super) const KEY_TYPE: i64 = 1;
    pub(super) const ALGORITHM: i64 = 3;
    pub(super) const CURVE: i64 = -1;
    pub(super) const X: i64 = -2;
    pub(super) const Y: i64 = -3;
    pub(super) const OKP: i64 = 1;
    pub(super) const EC2: i64 = 2;
    pub(super) const P256: i64 = 1;
    pub(super) const ED25519: i64 = 6;
}

/// Reads the COSE_Key of a passkey: ES256 or EdDSA with Ed25519. Gives also the bytes that it takes, for a key that
/// stands in front of something else.
///
/// # Errors
///
/// [`FormatError::UnknownVersion`] for a key of another kind, [`FormatError::Malformed`], [`FormatError::Crypto`] for
/// a point that is none.
pub fn key_from_cose(bytes: &[u8]) -> Result<(VerifyingKey, usize), FormatError> {
    let mut d = Decoder::new(bytes);
    let len = d.map()?.ok_or(FormatError::Malformed)?;
    let (mut kind, mut algorithm, mut curve) = (None, None, None);
    let (mut x, mut y) = (None, None);
    for _ in 0..len {
        match d.i64()? {
            cose_key::KEY_TYPE => kind = Some(d.i64()?),
            cose_key::ALGORITHM => algorithm = Some(d.i64()?),
            cose_key::CURVE => curve = Some(d.i64()?),
            cose_key::X => x = Some(d.bytes()?),
            cose_key::Y if d.datatype()? == Type::Bytes => y = Some(d.bytes()?),
            _ => d.skip()?,
        }
    }
    let algorithm =
        algorithm.and_then(SignatureAlgorithm::from_cose_id).ok_or(FormatError::UnknownVersion)?;
    let key = match (kind, algorithm, curve, x, y) {
        (Some(cose_key::EC2), SignatureAlgorithm::EcdsaP256, Some(cose_key::P256), Some(x), Some(y)) => {
            VerifyingKey::from_p256(coordinate(x)?, coordinate(y)?)?
        }
        (Some(cose_key::OKP), SignatureAlgorithm::Ed25519, Some(cose_key::ED25519), Some(x), None) => {
            VerifyingKey::from_ed25519(coordinate(x)?)?
        }
        _ => return Err(FormatError::UnknownVersion),
    };
    Ok((key, d.position()))
}

fn coordinate(bytes: &[u8]) -> Result<&[u8; 32], FormatError> {
    bytes.try_into().map_err(|_| FormatError::Malformed)
}

#[cfg(test)]
mod tests;
