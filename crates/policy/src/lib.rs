//! Who may do what. A [`Permit`] is the answer, and nobody else can make one.
//!
//! The rules are fixed: a device speaks for itself, a gateway also forwards for things of its own
//! tenant, an application reads and addresses devices of its own tenant, a token does what its scopes say.
//! Everything else is denied.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use thingward_model::assurance::UnknownWord;
use thingward_model::{DeviceName, Principal, Role, TenantName};

/// Publishing readings of one device.
pub enum PublishReadings {}
/// Forwarding messages of things behind a gateway.
pub enum Forward {}
/// Reading readings of a tenant.
pub enum ReadReadings {}
/// Looking at the members of a tenant.
pub enum ReadDevices {}
/// Enrolling, releasing and revoking members of a tenant.
pub enum ManageDevices {}
/// Withdrawing and restoring a tenant's key.
pub enum ManageKeys {}
/// Reading a tenant's audit log.
pub enum ReadLog {}
/// Making tenants and tokens.
pub enum ManageTenants {}

/// Proof that `A` was allowed inside one tenant. Only this crate makes one. Who holds it has its tenant from it, and
/// from nowhere else: [`PublishReadings`] and [`Forward`] go along to what they guard, the handlers of the API hold
/// theirs while they work.
#[must_use]
#[derive(Debug)]
pub struct Permit<A> {
    tenant: TenantName,
    action: PhantomData<fn() -> A>,
}

impl<A> Permit<A> {
    const fn new(tenant: TenantName) -> Self {
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
    /// The rule that did not hold, for the one who asked.
    pub reason: &'static str,
}

/// Whether `who` may publish readings of `device`.
///
/// # Errors
///
/// [`Denied`] unless it is the device itself.
pub fn publish_readings(who: &Principal, device: &DeviceName) -> Result<Permit<PublishReadings>, Denied> {
    match who.role {
        Role::Device | Role::Gateway if who.name == *device => Ok(Permit::new(who.tenant)),
        Role::Device | Role::Gateway => Err(Denied { reason: "a device publishes its own streams only" }),
        Role::Application => Err(Denied { reason: "an application has no streams" }),
    }
}

/// Whether `who` may forward for things behind it.
///
/// # Errors
///
/// [`Denied`] unless it is a gateway.
pub fn forward(who: &Principal) -> Result<Permit<Forward>, Denied> {
    match who.role {
        Role::Gateway => Ok(Permit::new(who.tenant)),
        Role::Device | Role::Application => Err(Denied { reason: "only a gateway forwards for others" }),
    }
}

impl Permit<Forward> {
    /// The permission that a forwarded thing's own publication has: a gateway carries things of its tenant.
    pub const fn for_child(&self) -> Permit<PublishReadings> {
        Permit::new(self.tenant)
    }
}

/// One thing that a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Query, follow and export readings.
    ReadReadings,
    /// List devices, gateways, applications and findings.
    ReadDevices,
    /// Claim, release and revoke them; issue claim codes; trust makers.
    ManageDevices,
    /// Withdraw and restore keys.
    ManageKeys,
    /// Read and prove the audit log.
    ReadLog,
    /// Make tenants and tokens.
    ManageTenants,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 6] = [
        Self::ReadReadings,
        Self::ReadDevices,
        Self::ManageDevices,
        Self::ManageKeys,
        Self::ReadLog,
        Self::ManageTenants,
    ];

    /// The word that CLI, API and registry use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadReadings => "readings:read",
            Self::ReadDevices => "devices:read",
            Self::ManageDevices => "devices:manage",
            Self::ManageKeys => "keys:manage",
            Self::ReadLog => "log:read",
            Self::ManageTenants => "tenants:manage",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let wanted = "readings:read, devices:read, devices:manage, keys:manage, log:read, tenants:manage";
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or(UnknownWord { wanted })
    }
}

/// Someone who calls the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Whoever can open the administration socket: file permissions are the credential.
    Operator,
    /// A token, for one tenant or all, with these scopes.
    Token {
        /// `None`: every tenant.
        tenant: Option<TenantName>,
        /// What it may do.
        scopes: Vec<Scope>,
    },
}

/// An action that needs a scope.
pub trait Scoped {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! scoped {
    ($($action:ident),*) => { $(impl Scoped for $action { const SCOPE: Scope = Scope::$action; })* };
}
scoped!(ReadReadings, ReadDevices, ManageDevices, ManageKeys, ReadLog, ManageTenants);

/// Whether `caller` may do `A` in `tenant`.
///
/// # Errors
///
/// [`Denied`] when the scope is missing or the tenant is another.
pub fn call<A: Scoped>(caller: &Caller, tenant: TenantName) -> Result<Permit<A>, Denied> {
    match caller {
        Caller::Operator => Ok(Permit::new(tenant)),
        Caller::Token { tenant: bound, .. } if bound.is_some_and(|t| t != tenant) => {
            Err(Denied { reason: "the token is for another tenant" })
        }
        Caller::Token { scopes, .. } if scopes.contains(&A::SCOPE) => Ok(Permit::new(tenant)),
        Caller::Token { .. } => Err(Denied { reason: "the token lacks the scope" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(role: Role) -> Principal {
        Principal { tenant: "acme".parse().unwrap(), role, name: "one".parse().unwrap() }
    }

    #[test]
    fn a_device_publishes_for_itself_and_nobody_else() {
        let (own, other) = ("one".parse().unwrap(), "two".parse().unwrap());
        assert!(publish_readings(&who(Role::Device), &own).is_ok());
        assert!(publish_readings(&who(Role::Device), &other).is_err());
        assert!(publish_readings(&who(Role::Gateway), &other).is_err());
        assert!(publish_readings(&who(Role::Application), &own).is_err());
    }

    #[test]
    fn only_a_gateway_forwards_and_only_inside_its_tenant() {
        assert!(forward(&who(Role::Device)).is_err());
        let permit = forward(&who(Role::Gateway)).unwrap().for_child();
        assert_eq!(permit.tenant().as_str(), "acme");
    }

    #[test]
    fn a_token_does_what_its_scopes_say_in_its_tenant() {
        let (acme, other) = ("acme".parse().unwrap(), "other".parse().unwrap());
        let token = Caller::Token { tenant: Some(acme), scopes: vec![Scope::ReadReadings] };
        assert!(call::<ReadReadings>(&token, acme).is_ok());
        assert!(call::<ReadReadings>(&token, other).is_err());
        assert!(call::<ManageKeys>(&token, acme).is_err());
        assert!(call::<ManageKeys>(&Caller::Operator, other).is_ok());
    }
}
