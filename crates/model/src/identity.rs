//! Who someone is: a role and a name inside one tenant, as a SPIFFE ID in a certificate.

use core::fmt;
use core::str::FromStr;

use crate::assurance::UnknownWord;
use crate::name::{DeviceName, TenantName};

/// What a certificate's holder is to its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A thing that publishes its own streams.
    Device,
    /// A device that also carries messages of others.
    Gateway,
    /// A program of the tenant that reads streams and addresses devices.
    Application,
}

impl Role {
    /// The word that certificates, CLI and API use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Gateway => "gateway",
            Self::Application => "application",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Device, Self::Gateway, Self::Application]
            .into_iter()
            .find(|r| r.as_str() == text)
            .ok_or(UnknownWord { wanted: "device, gateway, application" })
    }
}

/// Someone inside one tenant. Comes from a verified certificate, never from a payload or a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    /// The tenant that the certificate was issued for.
    pub tenant: TenantName,
    /// What the holder is to the tenant.
    pub role: Role,
    /// The holder's name, unique in the tenant over all roles.
    pub name: DeviceName,
}

/// Shown as the path of its SPIFFE ID: `/tenant/acme/device/meter-1`.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/tenant/{}/{}/{}", self.tenant, self.role, self.name)
    }
}

impl Principal {
    /// Reads the principal from a SPIFFE ID `spiffe://<trust domain>/tenant/<tenant>/<role>/<name>`.
    ///
    /// `None` when the text has another form or names another trust domain.
    #[must_use]
    pub fn from_spiffe_id(uri: &str, trust_domain: &str) -> Option<Self> {
        let path = uri.strip_prefix("spiffe://")?.strip_prefix(trust_domain)?;
        let mut parts = path.strip_prefix("/tenant/")?.split('/');
        let principal = Self {
            tenant: parts.next()?.parse().ok()?,
            role: parts.next()?.parse().ok()?,
            name: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(principal)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;

    use super::*;

    #[test]
    fn a_principal_comes_back_from_its_spiffe_id() {
        let id = "spiffe://thingward.local/tenant/acme/device/meter-1";
        let p = Principal::from_spiffe_id(id, "thingward.local").unwrap();
        assert_eq!((p.tenant.as_str(), p.role, p.name.as_str()), ("acme", Role::Device, "meter-1"));
        assert_eq!(format!("spiffe://thingward.local{p}"), id);
    }

    #[test]
    fn another_form_or_trust_domain_is_nobody() {
        for uri in [
            "spiffe://thingward.local.evil/tenant/acme/device/meter-1",
            "spiffe://other/tenant/acme/device/meter-1",
            "spiffe://thingward.local/tenant/acme/device/meter-1/x",
            "spiffe://thingward.local/tenant/acme/device/",
            "spiffe://thingward.local/tenant/acme/root/meter-1",
            "https://thingward.local/tenant/acme/device/meter-1",
        ] {
            assert_eq!(Principal::from_spiffe_id(uri, "thingward.local"), None, "{uri}");
        }
    }
}
