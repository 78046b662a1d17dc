//! What members prove of themselves: where their key is, what they run, how their machine was started.
//!
//! The first evidence of a key is what later evidence is held against, until somebody accepts what came later. Nobody
//! vouches for the first.

use thingward_attest::{AttestError, Claims, ROOM_BYTES};
use thingward_crypto::{VerifyingKey, sha256};
use thingward_model::{DeviceName, TenantName, Timestamp};
use thingward_pki::LeafIdentity;
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
    /// What it says changed within a minute.
    #[error("what is attested changes too often; wait a minute")]
    TooOften,
    /// The store refused.
    #[error("the service cannot answer now")]
    Store(#[from] StoreError),
}

/// What evidence says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// Name and version of the software, as the device says.
    pub software: String,
    /// What the TPM says that the key is in; `None` for a key in a file.
    pub tpm: Option<TpmEvidence>,
}

impl Attested {
    /// What a kept token says.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when it is none that was verified.
    pub fn of_kept(kept: &KeptEvidence, key: &VerifyingKey) -> Result<Self, StoreError> {
        let read = || -> Result<Self, EvidenceRefusal> {
            let claims = Claims::from_verified(&kept.token, key)?;
            let tpm = claims.tpm.map(TpmEvidence::read).transpose()?;
            Ok(Self::new(&claims, tpm))
        };
        read().map_err(|_| StoreError::Corrupt { what: "kept evidence".to_owned() })
    }

    fn new(claims: &Claims<'_>, tpm: Option<TpmEvidence>) -> Self {
        Self { software: format!("{} {}", claims.software, claims.version), tpm }
    }

    /// Where the key is, as far as something proves it.
    #[must_use]
    pub const fn keys(&self) -> &'static str {
        if self.tpm.is_some() { "tpm" } else { "unproven" }
    }

    /// The key in the TPM that says where the device's key is.
    fn place(&self) -> Option<[u8; 32]> {
        self.tpm.as_ref().map(|tpm| tpm.attestation_key)
    }

    /// The registers that differ from `earlier`.
    #[must_use]
    pub fn changed_pcrs(&self, earlier: &Self) -> Vec<u8> {
        let (Some(now), Some(then)) = (&self.tpm, &earlier.tpm) else { return Vec::new() };
        let changed = now.pcrs.iter().filter(|(number, value)| then.pcrs.get(number) != Some(value));
        changed.map(|(number, _)| *number).collect()
    }
}

/// Takes evidence of a member, whose nonce `is_asked` knows. What differs from the evidence before is in the log.
///
/// # Errors
///
/// [`EvidenceRefusal`].
pub async fn receive(
    shared: &Shared,
    member: &LeafIdentity,
    token: &[u8],
    is_asked: impl FnOnce(&[u8]) -> bool,
    now: Timestamp,
) -> Result<(), EvidenceRefusal> {
    let claims = Claims::verify(token, &member.key, is_asked, &mut vec![0; ROOM_BYTES])?;
    let tpm = claims.tpm.map(|tpm| TpmEvidence::verify(tpm, &member.key, claims.nonce)).transpose()?;
    let attested = Attested::new(&claims, tpm);
    let (tenant, name) = (member.principal.tenant, member.principal.name);

    let _turn = shared.membership.lock().await;
    let registry = shared.store.registry();
    let known = registry.attestation(&tenant, &name).await?;
    let history = known.map(|known| History::of(known, &attested, &member.key)).transpose()?;
    if let Some(suspicion) = history.as_ref().and_then(|history| history.suspicion.clone()) {
        shared.core.note_device(tenant, name, CHANGED, suspicion).await;
    }
    let latest = KeptEvidence { token: token.to_vec(), at: now };
    let mut deed = Some(deed(member, &attested));
    let known = history.filter(|history| history.known.key == member.key);
    if let Some(History { known, before, .. }) = &known {
        if before.place() != attested.place() {
            return Err(EvidenceRefusal::OtherPlace);
        }
        if *before == attested {
            deed = None;
        } else if now.micros_since(known.latest.at) < CHANGE_MICROS {
            return Err(EvidenceRefusal::TooOften);
        }
        deed = deed.map(|deed| deed.with("changed_pcrs", numbers(&attested.changed_pcrs(before))));
    }
    if let Some(deed) = deed {
        shared.record(tenant, deed).await?;
    }
    let reference = known.map_or_else(|| latest.clone(), |history| history.known.reference);
    let attestation = Attestation { key: member.key.clone(), reference, latest };
    Ok(registry.set_attestation(&tenant, &name, &attestation).await?)
}

/// What is known of a member that brings new evidence.
struct History {
    known: Attestation,
    /// What its newest evidence says.
    before: Attested,
    /// What its owner should look at, in words.
    suspicion: Option<String>,
}

impl History {
    fn of(known: Attestation, attested: &Attested, key: &VerifyingKey) -> Result<Self, StoreError> {
        let before = Attested::of_kept(&known.latest, &known.key)?;
        let reference = Attested::of_kept(&known.reference, &known.key)?;
        let suspicion = if before.place() != attested.place() && (before.tpm.is_some() || known.key == *key) {
            let place = |tpm: bool| if tpm { "another TPM" } else { "no TPM" };
            Some(format!("the key is in {}, says new evidence", place(attested.tpm.is_some())))
        } else {
            let pcrs = attested.changed_pcrs(&reference);
            let is_news = !pcrs.is_empty() && !attested.changed_pcrs(&before).is_empty();
            is_news.then(|| format!("started otherwise: PCR {}", numbers(&pcrs)))
        };
        Ok(Self { known, before, suspicion })
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

/// On the word of the service, which has the token.
fn deed(member: &LeafIdentity, attested: &Attested) -> Deed {
    let who = format!("{}/{}", member.principal.role, member.principal.name);
    let deed = Deed::new("service".to_owned(), "device.attest", who);
    deed.with("keys", attested.keys()).with("software", attested.software.as_str())
}
