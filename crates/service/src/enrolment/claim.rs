//! Claim codes: how a thing without a trusted maker enrols.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Duration;

use base16ct::lower::encode_string as hex;
use rand_core::Rng;
use thingward_crypto::{sha256, system_rng};
use thingward_model::{Principal, Role, TenantName, Timestamp};
use thingward_pki::profile::gateway_host;
use thingward_pki::{Issued, SigningRequest};
use thingward_store::StoreError;
use thingward_store::registry::{Claim, NewPrincipal, PrincipalState};

use super::certify::{Holder, Standing, certify};
use super::{Refusal, base32};
use crate::shared::Shared;

/// Random bytes of a code.
const CODE_BYTES: usize = 16;
/// Characters of a code.
const CODE_CHARS: usize = 26;
/// Bytes of the root's hash that a claim shows.
const FINGERPRINT_BYTES: usize = 16;

/// A claim to make.
#[derive(Debug, Clone, Copy)]
pub struct NewClaim {
    /// Who its bearer becomes.
    pub principal: Principal,
    /// How long it works.
    pub lifetime: Duration,
}

/// A claim as its bearer gets it. Nothing here keeps the code.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// `CODE.FINGERPRINT`.
    pub text: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// How a claim names the root: the first 16 bytes of SHA-256 over its DER, in hexadecimal.
#[must_use]
pub fn fingerprint(root_der: &[u8]) -> String {
    hex(sha256(&[root_der]).get(..FINGERPRINT_BYTES).unwrap_or_default())
}

/// Makes a claim code for a name that nobody has now. Older codes of the name end.
///
/// # Errors
///
/// [`Refusal::NameInUse`] when a thing is enrolled under the name, [`Refusal::GatewayName`] when its certificate could
/// not have it, else what the registry says.
pub async fn create_claim(shared: &Shared, new: &NewClaim, now: Timestamp) -> Result<Claimed, Refusal> {
    let _turn = shared.membership.lock().await;
    let (registry, principal) = (shared.store.registry(), new.principal);
    let trust_domain = shared.authority.ca().trust_domain();
    if principal.role == Role::Gateway && gateway_host(&principal, trust_domain).is_none() {
        return Err(Refusal::GatewayName);
    }
    let waits = match registry.principal(&principal.tenant, &principal.name).await {
        Ok(known) if known.state == PrincipalState::Enrolled => {
            return Err(Refusal::NameInUse { name: principal.name.to_string() });
        }
        Ok(known) => known.state == PrincipalState::Claimed && known.principal.role == principal.role,
        Err(StoreError::NotFound { .. }) => false,
        Err(e) => return Err(e.into()),
    };
    if !waits {
        let state = PrincipalState::Claimed;
        let claimed = NewPrincipal { principal, state, hardware: None, keeper: None };
        registry.add_principal(&claimed, now).await?;
    }
    let mut bytes = [0; CODE_BYTES];
    system_rng().fill_bytes(&mut bytes);
    let code = base32(&bytes);
    let expires = now.plus_micros(i64::try_from(new.lifetime.as_micros()).unwrap_or(i64::MAX));
    registry.add_claim_code(&code, &Claim { principal }, expires).await?;
    let root = shared.authority.ca().root_der().map_err(|_| Refusal::Authority)?;
    Ok(Claimed { text: format!("{code}.{}", fingerprint(&root)), expires })
}

/// Whose claims are taken in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admits {
    /// Everybody's.
    All,
    /// Those of devices.
    Devices,
    /// Those of one tenant's devices.
    DevicesOf(TenantName),
}

impl Admits {
    fn check(self, who: &Principal) -> Result<(), Refusal> {
        match self {
            Self::DevicesOf(tenant) if tenant != who.tenant => Err(Refusal::OtherTenant),
            Self::Devices | Self::DevicesOf(_) if who.role != Role::Device => {
                Err(Refusal::OtherRole { role: who.role })
            }
            Self::All | Self::Devices | Self::DevicesOf(_) => Ok(()),
        }
    }
}

/// Uses a claim code up for a certificate, shown from `from`: after too many wrong ones none is looked at. Whose answer was
/// lost shows the code again, with the same key, and is enrolled still.
///
/// # Errors
///
/// [`Refusal::TooManyGuesses`], [`Refusal::WrongCode`], [`Refusal::OtherRole`] or [`Refusal::OtherTenant`] where such claims
/// are not taken, which leaves the code as it was, or that the name was taken meanwhile.
pub async fn enrol_with_claim(
    shared: &Shared,
    (code, from): (&str, IpAddr),
    admits: Admits,
    request: &SigningRequest,
    now: Timestamp,
) -> Result<Issued, Refusal> {
    let guesses = || shared.guesses.lock().unwrap_or_else(PoisonError::into_inner);
    if !guesses().allows(from, now) {
        return Err(Refusal::TooManyGuesses);
    }
    let enrolled = with_code(shared, code, admits, request, now).await;
    if matches!(enrolled, Err(Refusal::WrongCode)) {
        guesses().wrong(from, now);
        tracing::info!(address = %from, "a wrong claim code was shown");
    }
    enrolled
}

async fn with_code(
    shared: &Shared,
    code: &str,
    admits: Admits,
    request: &SigningRequest,
    now: Timestamp,
) -> Result<Issued, Refusal> {
    // What cannot be a code costs no look-up. People type small letters too.
    if code.len() != CODE_CHARS {
        return Err(Refusal::WrongCode);
    }
    let turn = shared.membership.lock().await;
    let code = code.to_ascii_uppercase();
    let registry = shared.store.registry();
    let known = |e| match e {
        StoreError::NotFound { .. } => Refusal::WrongCode,
        other => other.into(),
    };
    let shown = registry.claim(&code, now).await.map_err(known)?;
    let principal = shown.claim.principal;
    if shown.is_used && !has_key(shared, &principal, request, now).await? {
        return Err(Refusal::WrongCode);
    }
    admits.check(&principal)?;
    let holder = if shown.is_used {
        Holder::member(principal)
    } else {
        let claim_code = Some(code.as_str());
        Holder { standing: Standing::New, principal, hardware: None, keeper: None, claim_code }
    };
    certify(shared, &turn, holder, request, now).await
}

/// Whether it is the member's own key that asks.
async fn has_key(
    shared: &Shared,
    who: &Principal,
    request: &SigningRequest,
    now: Timestamp,
) -> Result<bool, Refusal> {
    let keys = shared.store.registry().keys(&who.tenant, &who.name).await?;
    let spki = request.key.to_spki();
    Ok(keys.iter().any(|key| key.spki == spki && key.revoked.is_none() && now < key.not_after))
}
