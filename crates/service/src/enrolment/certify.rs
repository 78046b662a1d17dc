//! The last step of every way in: the certificate, and everything that is known of it.

use std::time::Duration;

use thingward_model::{DeviceName, Principal, Timestamp};
use thingward_pki::{Issued, Profile, SigningRequest};
use thingward_store::StoreError;
use thingward_store::registry::{Hardware, Joining, NewPrincipal, PrincipalKey, PrincipalState, Serial};

use super::Refusal;
use crate::audit::Deed;
use crate::shared::{MembershipTurn, Shared};

/// Most certificates that a member takes by itself within [`CERTIFICATES_WINDOW`], or within a certificate's
/// lifetime where that is shorter. An agent takes two in a lifetime, and asks ten times when answers are lost.
pub const CERTIFICATES_MAX: u64 = 24;
/// See [`CERTIFICATES_MAX`].
const CERTIFICATES_WINDOW: Duration = Duration::from_secs(86_400);

/// What someone who enrols is to the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not enrolled: the name must be free, or claimed.
    New,
    /// The member itself, with its certificate or its hardware.
    Member,
}

/// Someone whose enrolment was decided.
pub(super) struct Holder<'a> {
    pub(super) standing: Standing,
    pub(super) principal: Principal,
    pub(super) hardware: Option<&'a Hardware>,
    /// The gateway that has its key, for a thing of a radio.
    pub(super) keeper: Option<DeviceName>,
    /// The claim code that is used up for it.
    pub(super) claim_code: Option<&'a str>,
}

impl Holder<'_> {
    /// A member that takes its next certificate.
    pub(super) const fn member(principal: Principal) -> Self {
        Self { standing: Standing::Member, principal, hardware: None, keeper: None, claim_code: None }
    }
}

/// Issues a certificate and records it. `turn` is held since before the enrolment was decided: nothing else changes
/// who is a member meanwhile.
///
/// # Errors
///
/// [`Refusal::NameInUse`], [`Refusal::Revoked`], [`Refusal::TooManyCertificates`], or what the registry says; no
/// certificate left then.
pub(super) async fn certify(
    shared: &Shared,
    _turn: &MembershipTurn<'_>,
    holder: Holder<'_>,
    request: &SigningRequest,
    now: Timestamp,
) -> Result<Issued, Refusal> {
    let key = &request.key;
    let Holder { standing, principal, hardware, keeper, claim_code } = holder;
    let (registry, tenant, name) = (shared.store.registry(), &principal.tenant, &principal.name);
    let state = match registry.principal(tenant, name).await {
        Ok(known) => Some(known.state),
        Err(StoreError::NotFound { .. }) => None,
        Err(e) => return Err(e.into()),
    };
    match (standing, state) {
        (Standing::Member, Some(PrincipalState::Enrolled)) => not_too_often(shared, &principal, now).await?,
        (Standing::Member, _) => return Err(Refusal::Revoked),
        (Standing::New, Some(PrincipalState::Enrolled)) => {
            return Err(Refusal::NameInUse { name: name.to_string() });
        }
        (Standing::New, Some(PrincipalState::Claimed | PrincipalState::Released) | None) => {}
    }
    let action = if state == Some(PrincipalState::Enrolled) { "device.renew" } else { "device.enrol" };
    let deed = Deed::new(format!("{}/{name}", principal.role), action, format!("{}/{name}", principal.role));
    let mut deed = deed.with("key", base16ct::lower::encode_string(&key.id()));
    if let Some(Hardware { serial, .. }) = hardware {
        deed = deed.with("serial", serial.as_str());
    }
    if let Some(gateway) = keeper {
        deed = deed.with("keeper", gateway.as_str());
    }
    shared.record(*tenant, Deed { evidence: Some(request.der.clone()), ..deed }).await?;
    let serial_number = hardware.map(|h| h.serial.clone());
    let profile = Profile::Leaf { principal, serial_number };
    let issued = shared.authority.ca().issue(&profile, key, now).map_err(|_| Refusal::Authority)?;
    let new =
        NewPrincipal { principal, state: PrincipalState::Enrolled, hardware: hardware.cloned(), keeper };
    let joining = match state {
        Some(PrincipalState::Enrolled) => Joining::Member,
        Some(PrincipalState::Claimed) => Joining::Claimed,
        Some(PrincipalState::Released) | None => Joining::New(&new),
    };
    let serial = Serial::new(&issued.serial)?;
    let (not_before, not_after) = (issued.not_before, issued.not_after);
    let entry =
        PrincipalKey { id: key.id(), spki: key.to_spki(), serial, not_before, not_after, revoked: None };
    registry.enrol(&principal, joining, &entry, claim_code, now).await?;
    if let Some(gateway) = keeper {
        // Before it is a member: nothing of it is ever believed as if the key were its own.
        shared.directory.kept(*tenant, *name, gateway);
    }
    shared.directory.enrolled(*tenant, *name, principal.role, key);
    Ok(issued)
}

/// A member may take a certificate when it likes, but not without end: each is kept for ever.
async fn not_too_often(shared: &Shared, who: &Principal, now: Timestamp) -> Result<(), Refusal> {
    let lifetime = shared.authority.ca().lifetimes().leaf;
    // What was issued within the window ends at most that long before what is issued now.
    let rest = lifetime.saturating_sub(CERTIFICATES_WINDOW);
    let end = now.plus_micros(i64::try_from(rest.as_micros()).unwrap_or(i64::MAX));
    let recent = shared.store.registry().certificates_ending_after(&who.tenant, &who.name, end).await?;
    if recent < CERTIFICATES_MAX { Ok(()) } else { Err(Refusal::TooManyCertificates) }
}
