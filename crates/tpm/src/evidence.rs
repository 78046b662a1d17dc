//! What a TPM says about a key and how its machine was started, and whether that holds.
//!
//! An attestation key, which signs only what the TPM itself made, certifies the key and quotes registers. That the
//! attestation key is one of a TPM, nobody vouches for: what it says is worth what the first time was worth.

use thingward_crypto::{Digest, SIGNATURE_BYTES, Signer, VerifyingKey, sha256};

use crate::TpmError;
use crate::connection::{Auth, Command};
use crate::key::{ECC, ECDSA, NULL, P256, TpmKey, signature, verifying_key};
use crate::pcrs::{PcrSelection, PcrValues, SHA256};
use crate::tpm::{BORN_INSIDE, FIXED, RESTRICTED, SIGN};
use crate::wire::{Reader, Writer};

const CERTIFY: Command = Command("Certify", 0x148, 0);
const QUOTE: Command = Command("Quote", 0x158, 0);

/// `TPM_GENERATED_VALUE`: no key that is restricted signs a message of others that begins with it.
const GENERATED: u32 = 0xFF54_4347;
const ATTEST_CERTIFY: u16 = 0x8017;
const ATTEST_QUOTE: u16 = 0x8018;

/// Why what a TPM says does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// It is not of the form.
    #[error("what the TPM says is malformed")]
    Malformed,
    /// The attestation key is not one that signs only what the TPM made.
    #[error("the attestation key is not restricted to what the TPM makes")]
    AttestationKey,
    /// The key could be copied out of the TPM, or was made elsewhere.
    #[error("the device's key is not fixed to its TPM")]
    Key,
    /// A signature is not the attestation key's.
    #[error("a statement is not signed with the attestation key")]
    Signature,
    /// A statement is of another kind, of another time, or about another key.
    #[error("a statement is about something else")]
    Statement,
    /// The values of the registers are not those that were quoted.
    #[error("the PCRs are not those that were quoted")]
    Pcrs,
}

impl From<TpmError> for EvidenceError {
    fn from(_: TpmError) -> Self {
        Self::Malformed
    }
}

/// What a TPM says, once it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TpmEvidence {
    /// Names the TPM: SHA-256 of the attestation key, which is always the same in the same TPM.
    pub attestation_key: Digest,
    /// The registers.
    pub pcrs: PcrValues,
}

impl TpmKey {
    /// What the TPM says about this key, in answer to `nonce`.
    ///
    /// # Errors
    ///
    /// [`TpmError`].
    pub fn evidence(&self, nonce: &[u8]) -> Result<Vec<u8>, TpmError> {
        let template = public(FIXED | BORN_INSIDE | RESTRICTED | SIGN);
        let (handle, attestation_key) = self.tpm.create_primary(&template)?;
        let evidence = self.attest(handle, &attestation_key, nonce);
        self.tpm.flush(handle);
        evidence
    }

    fn attest(&self, handle: u32, attestation_key: &[u8], nonce: &[u8]) -> Result<Vec<u8>, TpmError> {
        let qualifying = qualifying(nonce, self.public_key());
        let selection = PcrSelection::BOOT;
        let asked = || Writer::default().sized(&qualifying).u16(NULL);
        let auth = Auth::Passwords([self.password.as_ref(), &[]]);
        let certified = self.tpm.run(CERTIFY, &[self.handle, handle], auth, &asked())?;
        let quoted = self.tpm.run(QUOTE, &[handle], Auth::Password(&[]), &selection.write(asked()))?;
        let mut out = Writer::default().sized(attestation_key).sized(&self.encoded);
        for statement in [certified, quoted] {
            let mut reader = Reader(&statement.parameters);
            out = out.sized(reader.sized()?).bytes(&signature(&mut reader)?);
        }
        for value in self.tpm.pcrs(selection)?.values() {
            out = out.bytes(value);
        }
        Ok(out.as_bytes().to_vec())
    }
}

impl TpmEvidence {
    /// What the TPM says about `key`, in answer to `nonce`.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`].
    pub fn verify(evidence: &[u8], key: &VerifyingKey, nonce: &[u8]) -> Result<Self, EvidenceError> {
        let mut reader = Reader(evidence);
        let (attestation_key, certified_key) = (reader.sized()?, reader.sized()?);
        let signer = is(attestation_key, FIXED | BORN_INSIDE | RESTRICTED | SIGN)
            .ok_or(EvidenceError::AttestationKey)?;
        let certified = is(certified_key, FIXED | BORN_INSIDE | SIGN).ok_or(EvidenceError::Key)?;
        if certified != *key {
            return Err(EvidenceError::Statement);
        }
        let qualifying = qualifying(nonce, key);
        let mut certify = statement(&mut reader, &signer, ATTEST_CERTIFY, &qualifying)?;
        let name = Writer::default().u16(SHA256).bytes(&sha256(&[certified_key]));
        if certify.sized()? != name.as_bytes() {
            return Err(EvidenceError::Statement);
        }
        let mut quote = statement(&mut reader, &signer, ATTEST_QUOTE, &qualifying)?;
        let selection = PcrSelection::BOOT.write(Writer::default());
        let is_boot = quote.bytes(selection.as_bytes().len())? == selection.as_bytes();
        let Self { pcrs, .. } = Self::read(evidence)?;
        let values: Vec<&[u8]> = pcrs.values().map(<[u8; 32]>::as_slice).collect();
        if !is_boot || quote.sized()? != sha256(&values) {
            return Err(EvidenceError::Pcrs);
        }
        Ok(Self { attestation_key: sha256(&[attestation_key]), pcrs })
    }

    /// What evidence says that was verified before.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Malformed`].
    pub fn read(evidence: &[u8]) -> Result<Self, EvidenceError> {
        let mut reader = Reader(evidence);
        let attestation_key = sha256(&[reader.sized()?]);
        let _key = reader.sized()?;
        for _ in 0..2 {
            let _statement = (reader.sized()?, reader.bytes(SIGNATURE_BYTES)?);
        }
        let mut pcrs = PcrValues::new();
        for number in PcrSelection::BOOT.numbers() {
            let value = reader.bytes(32)?.try_into().map_err(|_| EvidenceError::Malformed)?;
            pcrs.insert(number, value);
        }
        if reader.0.is_empty() { Ok(Self { attestation_key, pcrs }) } else { Err(EvidenceError::Malformed) }
    }
}

/// What statements answer: this nonce, for this key.
fn qualifying(nonce: &[u8], key: &VerifyingKey) -> Digest {
    sha256(&[nonce, &key.to_spki()])
}

/// `TPMT_PUBLIC` of a P-256 key that signs, without its coordinates.
pub(crate) fn public(attributes: u32) -> Writer {
    let public = Writer::default().u16(ECC).u16(SHA256).u32(attributes).sized(&[]);
    public.u16(NULL).u16(ECDSA).u16(SHA256).u16(P256).u16(NULL).sized(&[]).sized(&[])
}

/// The key, when it has exactly these attributes and no policy.
fn is(encoded: &[u8], attributes: u32) -> Option<VerifyingKey> {
    let template = public(attributes);
    // All but the two empty coordinates.
    let head = template.as_bytes().split_last_chunk::<4>()?.0;
    if encoded.starts_with(head) { verifying_key(encoded).ok() } else { None }
}

/// What a signed statement is about, behind all that statements have in common: `TPMS_ATTEST`, part 2, 10.12.12.
fn statement<'a>(
    reader: &mut Reader<'a>,
    signer: &VerifyingKey,
    kind: u16,
    qualifying: &Digest,
) -> Result<Reader<'a>, EvidenceError> {
    let (signed, signature) = (reader.sized()?, reader.bytes(SIGNATURE_BYTES)?);
    let signature = signature.try_into().map_err(|_| EvidenceError::Malformed)?;
    signer.verify(signed, signature).map_err(|_| EvidenceError::Signature)?;
    let mut body = Reader(signed);
    let head = (body.u32()?, body.u16()?);
    let _signer = body.sized()?;
    if head != (GENERATED, kind) || body.sized()? != qualifying {
        return Err(EvidenceError::Statement);
    }
    // Clock, counters of resets and restarts, whether the clock is safe, and the firmware's version.
    let _rest = body.bytes(17 + 8)?;
    Ok(body)
}
