//! Someone with a verified certificate, as the broker's gates know them.

use bytes::Bytes;
use minicbor::{Decoder, Encoder};
use thingward_model::{Principal, Timestamp};
use thingward_pki::LeafIdentity;

/// A member of a tenant, from its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub principal: Principal,
    /// The certificate's serial number.
    pub serial: Vec<u8>,
    /// The certificate is good up to here.
    pub not_after: Timestamp,
}

impl Member {
    /// The member that a certificate names whose chain was verified; `None` when it names nobody of the domain.
    #[must_use]
    pub fn from_verified(leaf: &[u8], trust_domain: &str) -> Option<Self> {
        let identity = LeafIdentity::from_verified(leaf, trust_domain).ok()?;
        Some(Self { principal: identity.principal, serial: identity.serial, not_after: identity.not_after })
    }

    /// `[tenant, role, name, serial, not after in microseconds]`
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut e = Encoder::new(Vec::new());
        let p = &self.principal;
        let written = e.array(5).and_then(|e| {
            e.str(p.tenant.as_str())?.str(p.role.as_str())?.str(p.name.as_str())?;
            e.bytes(&self.serial)?.i64(self.not_after.as_micros())
        });
        debug_assert!(written.is_ok(), "writing to memory cannot fail");
        e.into_writer().into()
    }

    /// Reverses [`Self::encode`].
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        (d.array().ok()? == Some(5)).then_some(())?;
        let tenant = d.str().ok()?.parse().ok()?;
        let role = d.str().ok()?.parse().ok()?;
        let name = d.str().ok()?.parse().ok()?;
        let serial = d.bytes().ok()?.to_vec();
        let not_after = Timestamp::from_micros(d.i64().ok()?);
        Some(Self { principal: Principal { tenant, role, name }, serial, not_after })
    }
}
