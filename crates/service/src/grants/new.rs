//! A grant to issue: whether a device opens what it says, its bytes, and what the log gets.

use base16ct::lower::encode_string as hex;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thingward_audit::actors::key_detail;
use thingward_crypto::{Signer, SoftwareKey, sha256};
use thingward_grant::opening::{self, OpeningError};
use thingward_grant::owned::{self, Beyond, OwnedPermission};
use thingward_grant::{
    Audience, FormatError, GRANT_BYTES_MAX, HolderKey, Origin, Reference, SCOPE_BYTES_MAX, Terms, public,
};
use thingward_model::description::ThingDescription;
use thingward_model::{TenantName, Timestamp};
use thingward_store::registry::{GrantAudience, GrantEntry, GrantId};

use crate::audit::Deed;

/// What is to be granted.
#[derive(Debug, Clone)]
pub(crate) struct NewGrant {
    pub(crate) id: GrantId,
    pub(crate) audience: GrantAudience,
    pub(crate) permissions: Vec<OwnedPermission>,
    pub(crate) holder: HolderKey,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) uses: Option<u32>,
    pub(crate) ground: Option<Ground>,
}

/// Why its holder has it.
#[derive(Debug, Clone)]
pub(crate) enum Ground {
    Payment(String),
    Reason(String),
}

/// Why a device does not open it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOpened {
    #[error(transparent)]
    Opening(#[from] OpeningError),
    #[error(transparent)]
    Beyond(#[from] Beyond),
}

impl NewGrant {
    /// Whether this description opens each of its operations.
    pub(crate) fn opened_by(&self, thing: &ThingDescription) -> Result<(), NotOpened> {
        let mut room = [0; SCOPE_BYTES_MAX];
        let opened = opening::opened(thing, &mut room)?;
        let opened = owned::read(&opened).map_err(OpeningError::Format)?;
        self.permissions.iter().try_for_each(|permission| Ok(permission.within(&opened)?))
    }

    /// The grant, signed.
    pub(crate) fn sign(
        &self,
        key: &SoftwareKey,
        tenant: TenantName,
        epoch: u32,
        issued: (Timestamp, String),
    ) -> Result<GrantEntry, FormatError> {
        let mut room = [0; SCOPE_BYTES_MAX];
        let scope = owned::write(&self.permissions, &mut room)?;
        let reference = self.ground.as_ref().map(|ground| match ground {
            Ground::Payment(text) => Reference::Payment(text),
            Ground::Reason(text) => Reference::Reason(text),
        });
        let origin = Origin { issuer: tenant.borrowed(), id: self.id, epoch, reference };
        let terms = Terms {
            audience: Some(said(&self.audience)),
            expires: self.expires,
            not_before: self.not_before,
            uses: self.uses,
            scope: Some(scope),
        };
        let mut bytes = vec![0; GRANT_BYTES_MAX];
        let len = public::issue(key, &origin, &terms, self.holder, &mut bytes)?;
        bytes.truncate(len);
        let (id, audience, expires, (issued, issued_by)) = (self.id, self.audience, self.expires, issued);
        Ok(GrantEntry { id, audience, bytes, epoch, issued, issued_by, expires, revoked: None })
    }

    /// What the log gets, and a caller signs: with the hash of the grant, so with all that it says.
    pub(crate) fn deed(&self, key: &SoftwareKey, entry: &GrantEntry) -> Deed {
        let actions: Vec<&str> = self.permissions.iter().map(|p| p.action.as_str()).collect();
        let (kind, name) = detail(&self.audience);
        let deed = Deed::new(entry.issued_by.clone(), "grant.issue", target(&entry.id))
            .with(kind, name)
            .with("actions", actions.join(" "))
            .with("holder", URL_SAFE_NO_PAD.encode(self.holder.to_bytes()))
            .with("epoch", entry.epoch.to_string())
            .with("issuer", key_detail(Signer::public_key(key)))
            .with("sha256", hex(&sha256(&[&entry.bytes])));
        let limits = [
            ("expires", self.expires.map(|t| t.to_string())),
            ("uses", self.uses.map(|uses| uses.to_string())),
        ];
        limits.into_iter().fold(deed, |deed, (name, limit)| match limit {
            Some(limit) => deed.with(name, limit),
            None => deed,
        })
    }
}

/// As grants and revocations say for whom they are.
pub(super) fn said(audience: &GrantAudience) -> Audience<'_> {
    match audience {
        GrantAudience::Device(name) => Audience::Device(name.borrowed()),
        GrantAudience::Class(name) => Audience::Class(name.borrowed()),
    }
}

/// The detail in which the log says for whom a grant is.
pub(super) fn detail(audience: &GrantAudience) -> (&'static str, String) {
    match audience {
        GrantAudience::Device(name) => ("device", name.to_string()),
        GrantAudience::Class(name) => ("class", name.to_string()),
    }
}

/// How the log names a grant.
pub(crate) fn target(id: &GrantId) -> String {
    format!("grant/{}", hex(id))
}
