//! What the service tells a member about itself and its tenant.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use thingward_crypto::{RecipientSecretKey, Signer};
use thingward_model::clock::now;
use thingward_model::{GroupName, Principal, Role};
use thingward_seal::approval::Approver;
use thingward_store::StoreError;
use thingward_store::registry::{GrantAudience, LIST_MAX};

use crate::enrolment::Refusal;
use crate::shared::Shared;
use crate::sign_in::approver_of;

/// See the module.
#[derive(Serialize)]
pub(crate) struct Membership {
    tenant: String,
    role: &'static str,
    name: String,
    trust_domain: String,
    mqtt_port: u16,
    /// Said to those who came over CoAP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) https_port: Option<u16>,
    recipients: Recipients,
    /// DER SubjectPublicKeyInfo, base64.
    command_key: String,
    /// As `command_key`: Ed25519.
    grant_key: String,
    /// For a device: what of its grants is taken back, signed, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_revocation: Option<String>,
    /// The classes of a device that grants were issued for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<Class>,
    approvers: Vec<ApproverView>,
    time: String,
}

/// A passkey whose approval of sensitive commands counts.
#[derive(Serialize)]
struct ApproverView {
    actor: String,
    /// Base64url without padding, as browsers write it.
    credential_id: String,
    /// As `command_key`.
    key: String,
    rp_id: String,
    origins: Vec<String>,
}

impl From<Approver> for ApproverView {
    fn from(approver: Approver) -> Self {
        Self {
            actor: approver.actor,
            credential_id: URL_SAFE_NO_PAD.encode(approver.credential_id),
            key: STANDARD.encode(approver.key.to_spki()),
            rp_id: approver.rp_id,
            origins: approver.origins,
        }
    }
}

#[derive(Serialize)]
struct Class {
    name: String,
    /// What is taken back of its grants, signed, base64.
    grant_revocation: String,
}

impl From<(GroupName, Vec<u8>)> for Class {
    fn from((name, revocation): (GroupName, Vec<u8>)) -> Self {
        Self { name: name.to_string(), grant_revocation: STANDARD.encode(revocation) }
    }
}

#[derive(Serialize)]
struct Recipients {
    service: String,
    customer: Option<String>,
}

impl Membership {
    /// What `who` needs to know.
    ///
    /// # Errors
    ///
    /// [`Refusal::Store`] when it is not to be had.
    pub(crate) async fn of(shared: &Shared, who: Principal) -> Result<Self, Refusal> {
        let (store, ca) = (&shared.store, shared.authority.ca());
        let tenant = store.registry().tenant(&who.tenant).await?;
        let keys = store.keys().get(&who.tenant)?;
        let secret = RecipientSecretKey::from_bytes(*keys.newest().recipient());
        let service =
            secret.public_key().map_err(|_| StoreError::Corrupt { what: "recipient key".to_owned() })?;
        let passkeys = store.registry().passkeys(&who.tenant, LIST_MAX).await?;
        let console = &shared.settings.console;
        let (grant_revocation, classes) = match who.role {
            Role::Device => {
                let own = shared.revocation(who.tenant, GrantAudience::Device(who.name)).await?;
                (Some(STANDARD.encode(own)), shared.classes_of(who.tenant, &who.name).await?)
            }
            Role::Gateway | Role::Application => (None, Vec::new()),
        };
        Ok(Self {
            tenant: who.tenant.to_string(),
            role: who.role.as_str(),
            name: who.name.to_string(),
            trust_domain: ca.trust_domain().to_owned(),
            mqtt_port: shared.mqtt.port(),
            https_port: None,
            recipients: Recipients {
                service: STANDARD.encode(service.as_bytes()),
                customer: tenant.customer_public_key.map(|key| STANDARD.encode(key)),
            },
            command_key: STANDARD.encode(shared.command_key.to_spki()),
            grant_key: STANDARD.encode(shared.grant_key.public_key().to_spki()),
            grant_revocation,
            classes: classes.into_iter().map(Class::from).collect(),
            approvers: passkeys.iter().map(|passkey| approver_of(console, passkey).into()).collect(),
            time: now().to_string(),
        })
    }
}
