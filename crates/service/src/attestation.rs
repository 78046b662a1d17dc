//! What members prove of themselves: where their key is, what they run, how their machine was started.
//!
//! The first evidence of a key is what later evidence is held against, until somebody accepts what came later. Nobody
//! vouches for the first.
//!
//! Firmware that was changed has another key, with which it is nobody. When its part says that it runs there, its evidence is
//! kept, and whoever accepts that lets it be the member again ([`may_renew`]).

use thingward_attest::{AttestError, Claims, Endorsement, ROOM_BYTES, Root};
use thingward_crypto::{VerifyingKey, sha256};
use thingward_model::{DeviceName, Principal, TenantName, Timestamp, clock};
use thingward_store::StoreError;
use thingward_store::registry::{Attestation, KeptEvidence, PrincipalKey, Serial};
use thingward_tpm::{EvidenceError, TpmEvidence};

use crate::audit::Deed;
use crate::enrolment::Refusal;
use crate::shared::Shared;
use crate::sign_in::Purpose;

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
    /// It is of a thing whose key is its gateway's: there is no part, and nothing to prove.
    #[error("the key of this thing is its gateway's, of which this proves nothing")]
    Kept,
    /// What it says changed within a minute.
    #[error("what is attested changes too often; wait a minute")]
    TooOften,
    /// The store refused.
    #[error("the service cannot answer now")]
    Store(#[from] StoreError),
}

/// The certificates that a member got last: one, or those of one second.
pub struct Newest(Vec<PrincipalKey>);

impl Newest {
    /// Of all keys that the member ever had; `None` when nothing of it counts any more. Only for whoever holds
    /// [`Shared::membership`]: else it may be another one already.
    #[must_use]
    pub fn of(keys: Vec<PrincipalKey>) -> Option<Self> {
        let at = keys.first()?.not_before;
        let newest = keys.into_iter().take_while(|key| key.not_before == at);
        let newest: Vec<_> = newest.filter(|key| key.revoked.is_none()).collect();
        (!newest.is_empty()).then_some(Self(newest))
    }

    /// Whether one of them is for this key.
    #[must_use]
    pub fn is_for(&self, key: &VerifyingKey) -> bool {
        let spki = key.to_spki();
        self.0.iter().any(|newest| newest.spki == spki)
    }

    /// The serial number of one of them, when none is for this key.
    fn other_than(&self, key: &VerifyingKey) -> Option<Serial> {
        self.0.first().filter(|_| !self.is_for(key)).map(|newest| newest.serial.clone())
    }

    /// Whether what is known is of the member as it is now, and not of a part that was replaced since.
    #[must_use]
    pub fn is_known_by(&self, known: &Attestation) -> bool {
        self.is_for(&known.reference.key) || self.is_for(&known.latest.key) || self.is_replaced_by(known)
    }

    /// Whether this evidence was accepted as that of the firmware which the member has now in their place.
    #[must_use]
    pub fn is_replaced_by(&self, known: &Attestation) -> bool {
        known.in_place_of.as_ref().is_some_and(|serial| self.0.iter().any(|newest| newest.serial == *serial))
    }
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
    /// What a kept token says; `None` when this version does not read it.
    #[must_use]
    pub fn of_kept(kept: &KeptEvidence) -> Option<Self> {
        let claims = Claims::from_verified(&kept.token, &kept.key).ok()?;
        Self::new(&claims, TpmEvidence::read).ok()
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

/// What a member's evidence has to answer, within five minutes.
///
/// # Errors
///
/// [`Refusal::Authority`] never, in practice.
pub(crate) fn question(shared: &Shared, about: &Principal) -> Result<Vec<u8>, Refusal> {
    let nonce = shared.challenges.make(Purpose::Evidence(&about.to_string()), b"", clock::now());
    nonce.map_err(|_| Refusal::Authority)
}

/// Takes evidence that answers a [`question`] that nothing answered yet.
///
/// # Errors
///
/// [`EvidenceRefusal`].
pub(crate) async fn answer(
    shared: &Shared,
    who: (&Principal, &VerifyingKey),
    token: &[u8],
) -> Result<(), EvidenceRefusal> {
    let (about, time) = (who.0.to_string(), clock::now());
    let is_asked = |nonce: &[u8]| {
        let note = shared.challenges.note(Purpose::Evidence(&about), nonce, time);
        note.is_some() && shared.challenges.spend(nonce, time)
    };
    receive(shared, who, token, is_asked, time).await
}

/// Takes evidence that answers a nonce which `is_asked` knows. What differs from the evidence before is in the log.
///
/// # Errors
///
/// [`EvidenceRefusal`].
pub async fn receive(
    shared: &Shared,
    (who, key): (&Principal, &VerifyingKey),
    token: &[u8],
    is_asked: impl FnOnce(&[u8]) -> bool,
    now: Timestamp,
) -> Result<(), EvidenceRefusal> {
    let claims = Claims::verify(token, key, is_asked, &mut vec![0; ROOM_BYTES])?;
    let attested = Attested::new(&claims, |said| TpmEvidence::verify(said, key, claims.nonce))?;
    let (tenant, name) = (who.tenant, who.name);
    if shared.directory.keeper(&tenant, &name).is_some() {
        return Err(EvidenceRefusal::Kept);
    }

    let _turn = shared.membership.lock().await;
    let registry = shared.store.registry();
    let newest = Newest::of(registry.keys(&tenant, &name).await?).ok_or(EvidenceRefusal::Stranger)?;
    let known = registry.attestation(&tenant, &name).await?;
    let has_given_way = |known: &Attestation| newest.is_replaced_by(known) && known.reference.key != *key;
    let is_member = newest.is_for(key) && !known.as_ref().is_some_and(has_given_way);
    let history = known.and_then(|known| History::of(known, &attested, key, &newest));
    if !is_member && !history.as_ref().is_some_and(|history| history.is_same_part) {
        return Err(EvidenceRefusal::Stranger);
    }
    let mut deed = Some(deed(who, &attested));
    if let Some(History { known, before, is_same_key, suspicion, .. }) = &history {
        let (is_same, is_elsewhere) = (*before == attested, before.place() != attested.place());
        let is_soon = now.micros_since(known.latest.at) < CHANGE_MICROS;
        if is_soon && !is_same && !is_elsewhere && (*is_same_key || is_pending(known)) {
            return Err(EvidenceRefusal::TooOften);
        }
        if let Some(suspicion) = suspicion {
            shared.core.note_device(tenant, name, CHANGED, suspicion.clone()).await;
        }
        match (*is_same_key, is_same) {
            (true, false) if is_elsewhere => return Err(EvidenceRefusal::OtherPlace),
            // What waits for somebody to accept it keeps its name meanwhile.
            (true, true) if !is_member => return Ok(()),
            (true, true) => deed = None,
            (true, false) => {
                deed = deed.map(|deed| deed.with("changed_pcrs", numbers(&attested.changed_pcrs(before))));
            }
            (false, _) => {}
        }
    }
    if let Some(deed) = deed {
        shared.record(tenant, deed).await?;
    }
    let latest = KeptEvidence { key: key.clone(), token: token.to_vec(), at: now };
    let attestation = match history {
        Some(History { known, is_same_key, .. }) if is_same_key || !is_member => {
            Attestation { latest, ..known }
        }
        // A new key of a member, after a new enrolment, begins anew.
        _ => Attestation { reference: latest.clone(), latest, in_place_of: None },
    };
    Ok(registry.set_attestation(&tenant, &name, &attestation).await?)
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
    /// `None` when what was kept is not read by this version.
    fn of(known: Attestation, attested: &Attested, key: &VerifyingKey, newest: &Newest) -> Option<Self> {
        let before = Attested::of_kept(&known.latest)?;
        let reference = Attested::of_kept(&known.reference)?;
        let is_same_key = known.latest.key == *key;
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
        let is_same_part = newest.is_known_by(&known) && is_firmware && reference.place() == attested.place();
        Some(Self { known, before, is_same_key, is_same_part, suspicion })
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
    let nothing = StoreError::NotFound { what: "evidence" };
    let known = registry.attestation(&tenant, &name).await?.ok_or(nothing)?;
    let keys = registry.keys(&tenant, &name).await?;
    let newest = Newest::of(keys).filter(|newest| newest.is_known_by(&known));
    let newest = newest.ok_or(StoreError::NotFound { what: "evidence of what is there now" })?;
    if evidence_id(&known.latest) != evidence {
        return Err(StoreError::Conflict { what: "newer evidence came; look at that first" });
    }
    shared.record(tenant, deed).await?;
    let in_place_of = newest.other_than(&known.latest.key).or(known.in_place_of);
    let attestation = Attestation { reference: known.latest.clone(), latest: known.latest, in_place_of };
    registry.set_attestation(&tenant, &name, &attestation).await
}

/// Whether a member may renew with this key: one of its newest certificates is for it, or somebody accepted that the firmware
/// which has it is in the place of theirs.
///
/// # Errors
///
/// [`StoreError::Database`] or [`StoreError::Corrupt`].
pub async fn may_renew(shared: &Shared, who: &Principal, key: &VerifyingKey) -> Result<bool, StoreError> {
    let registry = shared.store.registry();
    let known = registry.attestation(&who.tenant, &who.name).await?;
    let keys = registry.keys(&who.tenant, &who.name).await?;
    if known.as_ref().is_some_and(|known| has_given_way(known, &keys, key)) {
        return Ok(false);
    }
    let Some(newest) = Newest::of(keys) else { return Ok(false) };
    let is_in_place = |known: &Attestation| known.reference.key == *key && newest.is_replaced_by(known);
    Ok(newest.is_for(key) || known.as_ref().is_some_and(is_in_place))
}

/// Whether other firmware was accepted in the place of that which has this key.
///
/// # Errors
///
/// [`StoreError::Database`] or [`StoreError::Corrupt`].
pub async fn gave_way(shared: &Shared, who: &Principal, key: &VerifyingKey) -> Result<bool, StoreError> {
    let registry = shared.store.registry();
    let Some(known) = registry.attestation(&who.tenant, &who.name).await? else { return Ok(false) };
    Ok(has_given_way(&known, &registry.keys(&who.tenant, &who.name).await?, key))
}

fn has_given_way(known: &Attestation, keys: &[PrincipalKey], key: &VerifyingKey) -> bool {
    let Some(serial) = &known.in_place_of else { return false };
    let spki = key.to_spki();
    known.reference.key != *key && keys.iter().any(|own| own.serial == *serial && own.spki == spki)
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
