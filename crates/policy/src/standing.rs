//! What a gateway decides by while it is by itself: its tenant's policies and what they are about, signed by the service.
//!
//! People do not ask gateways, so that nothing is said of them: policies whose scope they are stay at the service. Among members are
//! the gateway, its things and applications.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thingward_audit::entry::EntryError;
use thingward_audit::sign1;
use thingward_crypto::{Signer, VerifyingKey};
use thingward_model::{ActionName, DeviceName, FieldName, GroupName, Role, TenantName, Timestamp};

use crate::policies::Policies;
use crate::resource::Categories;
use crate::source::{PolicyFile, Problems, Source};
use crate::subject::UserRole;
use crate::world::{Member, Operation, World};

/// What separates these signatures from all others: the external data of the Sig_structure.
const CONTEXT: &[u8] = b"thingward standing policy";
const FORM: u8 = 1;
/// Largest one, in bytes.
pub const STANDING_BYTES_MAX: usize = 2 << 20;

/// Policies for a gateway to go by until it hears of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Of which tenant.
    pub tenant: TenantName,
    /// For which gateway.
    pub gateway: DeviceName,
    /// Which version of the tenant's policies; 0 while it has none of its own.
    pub version: u64,
    /// When it was right. One that is older is not taken in the place of it.
    pub issued: Timestamp,
    /// The tenant's own policies, as far as they can have a say there.
    pub files: Vec<PolicyFile>,
    /// What they are about, as far as the gateway has to do with it.
    pub world: World,
}

/// Why bytes are no policies to go by.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StandingError {
    /// More than [`STANDING_BYTES_MAX`].
    #[error("the policies for the gateway are larger than {STANDING_BYTES_MAX} bytes")]
    TooLarge,
    /// Not signed by the service, or not for this.
    #[error("policies for a gateway: {0}")]
    Signature(#[from] EntryError),
    /// Not of the form that they have.
    #[error("policies for a gateway, of another form: {0}")]
    Json(#[from] serde_json::Error),
    /// A part has a value that cannot be.
    #[error("policies for a gateway without a usable {0}")]
    Field(&'static str),
    /// The policies do not pass the checks of this gateway.
    #[error("policies that this gateway cannot go by: {0}")]
    Problems(#[from] Problems),
}

impl Standing {
    /// Its bytes, signed.
    ///
    /// # Errors
    ///
    /// [`StandingError::TooLarge`], [`StandingError::Signature`] when the signer fails.
    pub fn sign(&self, signer: &impl Signer) -> Result<Vec<u8>, StandingError> {
        let signed = sign1::sign(CONTEXT, &serde_json::to_vec(&Wire::of(self))?, signer)?;
        if signed.len() > STANDING_BYTES_MAX { Err(StandingError::TooLarge) } else { Ok(signed) }
    }

    /// Reads what [`Self::sign`] wrote, on the word of `key`'s holder.
    ///
    /// # Errors
    ///
    /// [`StandingError`].
    pub fn verify(bytes: &[u8], key: &VerifyingKey) -> Result<Self, StandingError> {
        if bytes.len() > STANDING_BYTES_MAX {
            return Err(StandingError::TooLarge);
        }
        let payload = sign1::Signed::decode(bytes)?.verify(CONTEXT, key)?;
        serde_json::from_slice::<Wire>(payload)?.standing()
    }

    /// Whether both say the same of who may what, whenever.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        *self == Self { issued: self.issued, ..other.clone() }
    }

    /// Ready to decide.
    ///
    /// # Errors
    ///
    /// [`StandingError::Problems`]: what the policies forbid is not known then, and nothing may be decided by them.
    pub fn policies(&self) -> Result<Policies, StandingError> {
        Ok(Policies::new(self.tenant, Source::new(&self.files)?, self.world.clone())?)
    }
}

impl World {
    /// What is said of the members that are wanted, and of nobody else: no people.
    #[must_use]
    pub fn of_members(&self, is_wanted: impl Fn(&DeviceName, &Member) -> bool) -> Self {
        let wanted = self.members.iter().filter(|(name, member)| is_wanted(name, member));
        let members: BTreeMap<_, _> = wanted.map(|(name, member)| (*name, member.clone())).collect();
        let direct: BTreeSet<GroupName> = members.values().flat_map(|m| m.groups.iter().copied()).collect();
        let above = self.groups_above(&direct);
        let groups = self.groups.iter().filter(|(name, _)| above.contains(name));
        Self { users: BTreeMap::new(), members, groups: groups.map(|(n, g)| (*n, g.clone())).collect() }
    }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    form: u8,
    tenant: String,
    gateway: String,
    version: u64,
    /// Microseconds since 1970.
    issued: i64,
    files: Vec<WireFile>,
    members: BTreeMap<String, WireMember>,
    groups: BTreeMap<String, Vec<String>>,
}

#[derive(Serialize, Deserialize)]
struct WireFile {
    name: String,
    text: String,
}

#[derive(Serialize, Deserialize)]
struct WireMember {
    role: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    operations: BTreeMap<String, WireOperation>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, WireField>,
}

#[derive(Serialize, Deserialize)]
struct WireOperation {
    roles: Vec<String>,
    sensitive: bool,
}

#[derive(Serialize, Deserialize)]
struct WireField {
    location: bool,
    personal: bool,
}

fn texts<T: ToString>(all: impl IntoIterator<Item = T>) -> Vec<String> {
    all.into_iter().map(|one| one.to_string()).collect()
}

impl Wire {
    fn of(standing: &Standing) -> Self {
        let Standing { tenant, gateway, version, issued, files, world } = standing;
        let file = |file: &PolicyFile| WireFile { name: file.name.clone(), text: file.text.clone() };
        Self {
            form: FORM,
            tenant: tenant.to_string(),
            gateway: gateway.to_string(),
            version: *version,
            issued: issued.as_micros(),
            files: files.iter().map(file).collect(),
            members: world.members.iter().map(|(name, m)| (name.to_string(), WireMember::of(m))).collect(),
            groups: world.groups.iter().map(|(name, above)| (name.to_string(), texts(above))).collect(),
        }
    }

    fn standing(self) -> Result<Standing, StandingError> {
        if self.form != FORM {
            return Err(StandingError::Field("form"));
        }
        let file = |file: WireFile| PolicyFile { name: file.name, text: file.text };
        let members = self.members.iter().map(|(name, member)| Some((name.parse().ok()?, member.member()?)));
        let groups = self.groups.iter().map(|(name, above)| Some((name.parse().ok()?, parsed(above)?)));
        Ok(Standing {
            tenant: self.tenant.parse().map_err(|_| StandingError::Field("tenant"))?,
            gateway: self.gateway.parse().map_err(|_| StandingError::Field("gateway"))?,
            version: self.version,
            issued: Timestamp::from_micros(self.issued),
            world: World {
                users: BTreeMap::new(),
                members: members.collect::<Option<_>>().ok_or(StandingError::Field("member"))?,
                groups: groups.collect::<Option<_>>().ok_or(StandingError::Field("group"))?,
            },
            files: self.files.into_iter().map(file).collect(),
        })
    }
}

impl WireMember {
    fn of(member: &Member) -> Self {
        let operation = |operation: &Operation| WireOperation {
            roles: texts(&operation.roles),
            sensitive: operation.is_sensitive,
        };
        let field = |about: &Categories| WireField { location: about.location, personal: about.personal };
        Self {
            role: member.role.to_string(),
            groups: texts(&member.groups),
            operations: member.operations.iter().map(|(name, o)| (name.to_string(), operation(o))).collect(),
            fields: member.categories.iter().map(|(name, about)| (name.to_string(), field(about))).collect(),
        }
    }

    fn member(&self) -> Option<Member> {
        let operation = |(name, operation): (&String, &WireOperation)| -> Option<(ActionName, Operation)> {
            let roles: BTreeSet<UserRole> = parsed(&operation.roles)?;
            Some((name.parse().ok()?, Operation { roles, is_sensitive: operation.sensitive }))
        };
        let field = |(name, about): (&String, &WireField)| -> Option<(FieldName, Categories)> {
            Some((name.parse().ok()?, Categories { location: about.location, personal: about.personal }))
        };
        let role: Role = self.role.parse().ok()?;
        Some(Member {
            groups: parsed(&self.groups)?,
            operations: self.operations.iter().map(operation).collect::<Option<_>>()?,
            categories: self.fields.iter().map(field).collect::<Option<_>>()?,
            ..Member::new(role)
        })
    }
}

fn parsed<T: std::str::FromStr + Ord>(texts: &[String]) -> Option<BTreeSet<T>> {
    texts.iter().map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
