//! What members prove of themselves: where their key is, what they run, how their machine was started.
//!
//! The first evidence of a key is what later evidence is held against, until somebody accepts what came later. Nobody
//! vouches for the first.
//!
//! Firmware that was changed has another key, with which it is nobody. When its part says that it runs there, its evidence is
//! kept, and whoever accepts that lets it be the member again ([`accepted_since`]).

use thingward_attest::{AttestError, Claims, Endorsement, ROOM_BYTES, Root};
use thingward_crypto::{VerifyingKey, sha256};
use thingward_model::{DeviceName, Principal, TenantName, Timestamp};
use thingward_store::StoreError;
use thingward_store::registry::{Attestation, KeptEvidence};
use thingward_tpm::{EvidenceError, TpmEvidence};

use crate::audit::Deed;
use crate::shared::Shared;

/// Shortest time between two evidences that differ: each is an entry in the tenant's log.
const CHANGE_MICROS: i64 = 60 * 1_000_000;
/// The finding that evidence is not what it was.
const CHANGED: &str = "evidence-changed";
/// Bytes of the hash that names evidence.
const ID_BYTES: usize = 16;

/// Why evidence is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceRefusal {
    /// The token does not hold.
    #[error("{0}")]
    Token(#[from] AttestError),
    /// What the TPM says in it does not hold.
    #[error("{0}")]
    Tpm(#[from] EvidenceError),
    /// Another TPM than the first time, or none any more, says where the key is.
    #[error("the key was in another place when it was first attested")]
    OtherPlace,
    /// It is signed with another key than the member's, and no part says that it is the member's part.
    #[error("it is not of the member, nor of other firmware on its part")]
    Stranger,
    /// What it says changed within a minute.
    #[error("what is attested changes too often; wait a minute")]
    TooOften,
    /// The store refused.
    #[error("the service cannot answer now")]
    Store(#[from] StoreError),
}

/// Who brings evidence.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Whom it is about.
    pub principal: Principal,
    /// Who signed it.
    pub key: VerifyingKey,
    /// Whether that is the member's key.
    pub is_member: bool,
}

/// What proves where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It is in this TPM.
    Tpm(TpmEvidence),
    /// This firmware on this part has it.
    Firmware(Endorsement),
}

/// What evidence says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// Name and version of the software, as the device says.
    pub software: String,
    /// `None` for a key in a file.
    pub proof: Option<Proof>,
}

impl Attested {
    /// What a kept token says.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when it is none that was verified.
    pub fn of_kept(kept: &KeptEvidence) -> Result<Self, StoreError> {
        let read = || -> Result<Self, EvidenceRefusal> {
            let claims = Claims::from_verified(&kept.token, &kept.key)?;
            Ok(Self::new(&claims, TpmEvidence::read)?)
        };
        read().map_err(|_| StoreError::Corrupt { what: "kept evidence".to_owned() })
    }

    fn new(
        claims: &Claims<'_>,
        of_tpm: impl FnOnce(&[u8]) -> Result<TpmEvidence, EvidenceError>,
    ) -> Result<Self, EvidenceError> {
        let proof = match claims.root {
            None => None,
            Some(Root::Tpm(said)) => Some(Proof::Tpm(of_tpm(said)?)),
            Some(Root::Firmware(said)) => Some(Proof::Firmware(said)),
        };
        Ok(Self { software: format!("{} {}", claims.software, claims.version), proof })
    }

    /// Where the key is, as far as something proves it.
    #[must_use]
    pub const fn keys(&self) -> &'static str {
        match self.proof {
            None => "unproven",
            Some(Proof::Tpm(_)) => "tpm",
            Some(Proof::Firmware(_)) => "dice",
        }
    }

    /// The key, of a TPM or a part, that says where the device's key is.
    fn place(&self) -> Option<[u8; 32]> {
        self.proof.as_ref().map(|proof| match proof {
            Proof::Tpm(tpm) => tpm.attestation_key,
            Proof::Firmware(said) => said.part,
        })
    }

    /// The measured firmware, in hexadecimal digits.
    #[must_use]
    pub fn firmware(&self) -> Option<String> {
        match &self.proof {
            Some(Proof::Firmware(said)) => Some(base16ct::lower::encode_string(&said.firmware)),
            Some(Proof::Tpm(_)) | None => None,
        }
    }

    /// In words, how it was started otherwise than `earlier`.
    fn otherwise(&self, earlier: &Self) -> Option<String> {
        let pcrs = self.changed_pcrs(earlier);
        let firmware = self.firmware().filter(|now| earlier.firmware().is_some_and(|then| then != *now));
        match firmware {
            Some(firmware) => Some(format!("other firmware: {firmware}")),
            None => (!pcrs.is_empty()).then(|| format!("started otherwise: PCR {}", numbers(&pcrs))),
        }
    }

    /// The registers that differ from `earlier`.
    #[must_use]
    pub fn changed_pcrs(&self, earlier: &Self) -> Vec<u8> {
        let (Some(Proof::Tpm(now)), Some(Proof::Tpm(then))) = (&self.proof, &earlier.proof) else {
            return Vec::new();
        };
        let changed = now.pcrs.iter().filter(|(number, value)| then.pcrs.get(number) != Some(value));
        changed.map(|(number, _)| *number).collect()
    }
}

/// Takes evidence that answers a nonce which `is_asked` knows. What differs from the evidence before is in the log.
///
/// # Errors
///
/// [`EvidenceRefusal`].
pub async fn receive(
    shared: &Shared,
    who: &Witness,
    token: &[u8],
    is_asked: impl FnOnce(&[u8]) -> bool,
    now: Timestamp,
) -> Result<(), EvidenceRefusal> {
    let claims = Claims::verify(token, &who.key, is_asked, &mut vec![0; ROOM_BYTES])?;
    let attested = Attested::new(&claims, |said| TpmEvidence::verify(said, &who.key, claims.nonce))?;
    let (tenant, name) = (who.principal.tenant, who.principal.name);

    let _turn = shared.membership.lock().await;
    let registry = shared.store.registry();
    let known = registry.attestation(&tenant, &name).await?;
    let history = known.map(|known| History::of(known, &attested, who)).transpose()?;
    if !who.is_member && !history.as_ref().is_some_and(|history| history.is_same_part) {
        return Err(EvidenceRefusal::Stranger);
    }
    if let Some(suspicion) = history.as_ref().and_then(|history| history.suspicion.clone()) {
        shared.core.note_device(tenant, name, CHANGED, suspicion).await;
    }
    let latest = KeptEvidence { key: who.key.clone(), token: token.to_vec(), at: now };
    let mut deed = Some(deed(&who.principal, &attested));
    if let Some(History { known, before, is_same_key, .. }) = &history {
        if *is_same_key && before.place() != attested.place() {
            return Err(EvidenceRefusal::OtherPlace);
        }
        if *is_same_key && *before == attested {
            deed = None;
        } else if (*is_same_key || is_pending(known)) && now.micros_since(known.latest.at) < CHANGE_MICROS {
            return Err(EvidenceRefusal::TooOften);
        } else if *is_same_key {
            deed = deed.map(|deed| deed.with("changed_pcrs", numbers(&attested.changed_pcrs(before))));
        }
    }
    if let Some(deed) = deed {
        shared.record(tenant, deed).await?;
    }
    // A new key of a member, after a new enrolment, begins anew.
    let stays = history.filter(|history| history.is_same_key || !who.is_member);
    let reference = stays.map_or_else(|| latest.clone(), |history| history.known.reference);
    Ok(registry.set_attestation(&tenant, &name, &Attestation { reference, latest }).await?)
}

/// Whether the newest evidence is of firmware that nobody accepted.
fn is_pending(known: &Attestation) -> bool {
    known.latest.key != known.reference.key
}

/// What is known of a member that brings new evidence.
struct History {
    known: Attestation,
    /// What its newest evidence says.
    before: Attested,
    /// Whether the newest is signed with the same key.
    is_same_key: bool,
    /// Whether a part says it that said the same of what is accepted.
    is_same_part: bool,
    /// What its owner should look at, in words.
    suspicion: Option<String>,
}

impl History {
    fn of(known: Attestation, attested: &Attested, who: &Witness) -> Result<Self, StoreError> {
        let before = Attested::of_kept(&known.latest)?;
        let reference = Attested::of_kept(&known.reference)?;
        let is_same_key = known.latest.key == who.key;
        let suspicion = if before.place() != attested.place() && (before.proof.is_some() || is_same_key) {
            let place = match (&attested.proof, &before.proof) {
                (None, Some(Proof::Firmware(_))) => "no part",
                (None, _) => "no TPM",
                (Some(Proof::Tpm(_)), _) => "another TPM",
                (Some(Proof::Firmware(_)), _) => "another part",
            };
            Some(format!("the key is in {place}, says new evidence"))
        } else {
            attested.otherwise(&reference).filter(|_| attested.otherwise(&before).is_some())
        };
        let is_firmware = matches!(attested.proof, Some(Proof::Firmware(_)));
        let is_same_part = is_firmware && reference.place() == attested.place();
        Ok(Self { known, before, is_same_key, is_same_part, suspicion })
    }
}

fn numbers(pcrs: &[u8]) -> String {
    pcrs.iter().map(u8::to_string).collect::<Vec<_>>().join(",")
}

/// Names evidence.
#[must_use]
pub fn evidence_id(kept: &KeptEvidence) -> String {
    let hash = sha256(&[&kept.token]);
    base16ct::lower::encode_string(hash.get(..ID_BYTES).unwrap_or_default())
}

/// Makes the newest evidence of a member what later one is held against, when it is this.
///
/// # Errors
///
/// [`StoreError::NotFound`] when there is none, [`StoreError::Conflict`] when it is another.
pub async fn accept(
    shared: &Shared,
    (tenant, name): (TenantName, DeviceName),
    evidence: &str,
    deed: Deed,
) -> Result<(), StoreError> {
    let _turn = shared.membership.lock().await;
    let registry = shared.store.registry();
    let known = registry.attestation(&tenant, &name).await?;
    let known = known.ok_or(StoreError::NotFound { what: "evidence" })?;
    if evidence_id(&known.latest) != evidence {
        return Err(StoreError::Conflict { what: "newer evidence came; look at that first" });
    }
    shared.record(tenant, deed).await?;
    let reference = known.latest.clone();
    registry.set_attestation(&tenant, &name, &Attestation { reference, ..known }).await
}

/// Whether the firmware with this key on a member's part was accepted after the member had its `newest` certificate.
///
/// # Errors
///
/// [`StoreError::Database`] or [`StoreError::Corrupt`].
pub async fn accepted_since(
    shared: &Shared,
    (tenant, name): (&TenantName, &DeviceName),
    key: &VerifyingKey,
    newest: Timestamp,
) -> Result<bool, StoreError> {
    let Some(known) = shared.store.registry().attestation(tenant, name).await? else { return Ok(false) };
    let is_firmware = Attested::of_kept(&known.reference)?.firmware().is_some();
    Ok(is_firmware && known.reference.key == *key && known.reference.at > newest)
}

/// On the word of the service, which has the token.
fn deed(who: &Principal, attested: &Attested) -> Deed {
    let who = format!("{}/{}", who.role, who.name);
    let deed = Deed::new("service".to_owned(), "device.attest", who);
    let deed = deed.with("keys", attested.keys()).with("software", attested.software.as_str());
    match attested.firmware() {
        Some(firmware) => deed.with("firmware", firmware),
        None => deed,
    }
}
