//! Things of a gateway's radios: they have no key of their own, so their gateway keeps one for each, and enrols them while
//! somebody lets it.

use rustls::pki_types::CertificateDer;
use thingward_model::{DeviceName, Principal, Role, Timestamp};
use thingward_pki::{Issued, SigningRequest};
use thingward_store::StoreError;

use super::Refusal;
use super::certify::{Holder, Standing, certify};
use super::renewal::forwarder_of;
use crate::attestation::may_renew;
use crate::shared::Shared;

/// Most things that a gateway keeps.
pub const KEPT_MAX: u32 = 1000;

/// Gives a thing of a gateway's radio its first certificate, or one that it keeps already its next, for the same key.
///
/// A gateway chooses the names, so it gets none that means something already: none that somebody has or ever had in the
/// tenant.
///
/// # Errors
///
/// As [`super::child_of`], [`Refusal::NotAdmitted`], [`Refusal::NameInUse`], [`Refusal::TooManyKept`],
/// [`Refusal::TooManyCertificates`].
pub async fn enrol_child(
    shared: &Shared,
    chain: &[CertificateDer<'static>],
    device: &DeviceName,
    request: &SigningRequest,
    now: Timestamp,
) -> Result<Issued, Refusal> {
    let turn = shared.membership.lock().await;
    let Principal { tenant, name: gateway, .. } = forwarder_of(shared, chain, now)?;
    let principal = Principal { tenant, role: Role::Device, name: *device };
    let in_use = || Refusal::NameInUse { name: device.to_string() };
    let (registry, directory) = (shared.store.registry(), &shared.directory);
    let keeper = Some(gateway);
    match registry.principal(&tenant, device).await {
        // It asks again: the answer was lost.
        Ok(known) if known.keeper == keeper && directory.role(&tenant, device).is_some() => {
            if !may_renew(shared, &principal, &request.key).await? {
                return Err(in_use());
            }
            certify(shared, &turn, Holder { keeper, ..Holder::member(principal) }, request, now).await
        }
        Ok(_) => Err(in_use()),
        Err(StoreError::NotFound { .. }) => {
            directory.admission(&tenant, &gateway, now).ok_or(Refusal::NotAdmitted)?;
            let kept = registry.kept_by(&tenant, &gateway, None, KEPT_MAX).await?;
            if u32::try_from(kept.len()).is_ok_and(|kept| kept >= KEPT_MAX) {
                return Err(Refusal::TooManyKept { max: KEPT_MAX });
            }
            let new = Standing::New;
            let holder = Holder { standing: new, principal, hardware: None, keeper, claim_code: None };
            certify(shared, &turn, holder, request, now).await
        }
        Err(e) => Err(e.into()),
    }
}
