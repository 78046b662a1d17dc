//! What members prove of themselves: where their key is, what they run, how their machine was started.
//!
//! The first evidence of a key is what later evidence is held against. Nobody vouches for the first.

use thingward_attest::{AttestError, Claims, ROOM_BYTES};
use thingward_crypto::VerifyingKey;
use thingward_model::Timestamp;
use thingward_pki::LeafIdentity;
use thingward_store::StoreError;
use thingward_store::registry::{Attestation, KeptEvidence};
use thingward_tpm::{EvidenceError, TpmEvidence};

use crate::audit::Deed;
use crate::shared::Shared;

/// Shortest time between two evidences that differ: each is an entry in the tenant's log.
const CHANGE_MICROS: i64 = 60 * 1_000_000;

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

    /// Where the key is.
    #[must_use]
    pub const fn keys(&self) -> &'static str {
        if self.tpm.is_some() { "tpm" } else { "file" }
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
    let known = registry.attestation(&tenant, &name).await?.filter(|known| known.key == member.key);
    let latest = KeptEvidence { token: token.to_vec(), at: now };
    let mut deed = Some(deed(member, &attested));
    if let Some(known) = &known {
        let tpm = |attested: &Attested| attested.tpm.as_ref().map(|tpm| tpm.attestation_key);
        if tpm(&Attested::of_kept(&known.first, &known.key)?) != tpm(&attested) {
            return Err(EvidenceRefusal::OtherPlace);
        }
        let before = Attested::of_kept(&known.latest, &known.key)?;
        if before == attested {
            deed = None;
        } else if now.micros_since(known.latest.at) < CHANGE_MICROS {
            return Err(EvidenceRefusal::TooOften);
        }
        let numbers: Vec<String> = attested.changed_pcrs(&before).iter().map(u8::to_string).collect();
        deed = deed.map(|deed| deed.with("changed_pcrs", numbers.join(",")));
    }
    if let Some(deed) = deed {
        shared.record(tenant, deed).await?;
    }
    let first = known.map_or_else(|| latest.clone(), |known| known.first);
    let attestation = Attestation { key: member.key.clone(), first, latest };
    Ok(registry.set_attestation(&tenant, &name, &attestation).await?)
}

/// On the word of the service, which has the token.
fn deed(member: &LeafIdentity, attested: &Attested) -> Deed {
    let who = format!("{}/{}", member.principal.role, member.principal.name);
    let deed = Deed::new("service".to_owned(), "device.attest", who);
    deed.with("keys", attested.keys()).with("software", attested.software.as_str())
}
