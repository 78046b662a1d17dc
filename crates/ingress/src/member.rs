//! Someone with a verified certificate, as the broker's gates know them.

use bytes::Bytes;
use minicbor::{Decoder, Encoder};
use thingward_model::{Link, Principal, Timestamp};
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
    /// What it came over.
    pub link: Link,
}

impl Member {
    /// The member that a certificate names whose chain was verified; `None` when it names nobody of the domain.
    #[must_use]
    pub fn from_verified(leaf: &[u8], trust_domain: &str) -> Option<Self> {
        Some(Self::new(&LeafIdentity::from_verified(leaf, trust_domain).ok()?, Link::MutualTls))
    }

    /// The member with this certificate, over this link.
    #[must_use]
    pub fn new(leaf: &LeafIdentity, link: Link) -> Self {
        Self { principal: leaf.principal, serial: leaf.serial.clone(), not_after: leaf.not_after, link }
    }

    /// `[tenant, role, name, serial, not after in microseconds, link]`
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut e = Encoder::new(Vec::new());
        let p = &self.principal;
        let written = e.array(6).and_then(|e| {
            e.str(p.tenant.as_str())?.str(p.role.as_str())?.str(p.name.as_str())?;
            e.bytes(&self.serial)?.i64(self.not_after.as_micros())?.u8(self.link.code())
        });
        debug_assert!(written.is_ok(), "writing to memory cannot fail");
        e.into_writer().into()
    }

    /// Reverses [`Self::encode`]. Sessions from before there were links are of TLS.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        let parts = d.array().ok()?.filter(|parts| matches!(parts, 5 | 6))?;
        let tenant = d.str().ok()?.parse().ok()?;
        let role = d.str().ok()?.parse().ok()?;
        let name = d.str().ok()?.parse().ok()?;
        let serial = d.bytes().ok()?.to_vec();
        let not_after = Timestamp::from_micros(d.i64().ok()?);
        let link = if parts == 5 { Link::MutualTls } else { Link::from_code(d.u8().ok()?)? };
        Some(Self { principal: Principal { tenant, role, name }, serial, not_after, link })
    }
}
