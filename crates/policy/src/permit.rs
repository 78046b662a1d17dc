//! The answer yes, as a value that only this crate makes; and the answer no.

use std::marker::PhantomData;

use thingward_model::TenantName;

/// Proof that `A` was allowed inside one tenant. Who holds it has its tenant from it, and from nowhere else: the calls
/// that do things take it as an argument.
///
/// A function that takes one can be called by whoever was allowed to:
///
/// ```
/// use thingward_policy::{ManageKeys, Permit};
/// fn withdraw_key(permit: &Permit<ManageKeys>) {}
/// fn handler(permit: Permit<ManageKeys>) {
///     withdraw_key(&permit);
/// }
/// ```
///
/// Not with a permit for something else:
///
/// ```compile_fail,E0308
/// use thingward_policy::{ManageKeys, Permit, ReadDevices};
/// fn withdraw_key(permit: &Permit<ManageKeys>) {}
/// fn handler(permit: Permit<ReadDevices>) {
///     withdraw_key(&permit);
/// }
/// ```
///
/// And not with one that the caller made:
///
/// ```compile_fail,E0451
/// use thingward_policy::{ManageKeys, Permit};
/// fn withdraw_key(permit: &Permit<ManageKeys>) {}
/// fn handler() {
///     withdraw_key(&Permit { tenant: "acme".parse().unwrap(), action: std::marker::PhantomData });
/// }
/// ```
///
/// ```compile_fail,E0624
/// use thingward_policy::{ManageKeys, Permit};
/// fn handler() -> Permit<ManageKeys> {
///     Permit::new("acme".parse().unwrap())
/// }
/// ```
#[must_use]
#[derive(Debug)]
pub struct Permit<A> {
    tenant: TenantName,
    action: PhantomData<fn() -> A>,
}

impl<A> Permit<A> {
    pub(crate) const fn new(tenant: TenantName) -> Self {
        Self { tenant, action: PhantomData }
    }

    /// The tenant that the permission is for.
    #[must_use]
    pub const fn tenant(&self) -> &TenantName {
        &self.tenant
    }
}

/// The answer is no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not permitted: {reason}")]
pub struct Denied {
    /// Why, for the one who asked. Names no policy: who may read those has them explained.
    pub reason: &'static str,
}
