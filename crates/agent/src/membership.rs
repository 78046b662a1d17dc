//! What the service tells a member about itself, and how it is kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thingward_crypto::RecipientPublicKey;
use thingward_model::{Confidentiality, DeviceName, Principal, Role, TenantName};

use crate::http::Endpoint;

/// A membership in a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The tenant.
    pub tenant: TenantName,
    /// What the member is.
    pub role: Role,
    /// Its name.
    pub name: DeviceName,
    /// The name after `spiffe://` in every identity of the installation.
    pub trust_domain: String,
    /// Where the service takes MQTT, on the host of [`Self::service`].
    pub mqtt_port: u16,
    /// The service, as it was reached at enrolment.
    pub service: Endpoint,
    /// For whom readings are sealed that the service may open.
    pub service_recipient: RecipientPublicKey,
    /// For whom readings are sealed that only the customer opens, when the customer has set a key.
    pub customer_recipient: Option<RecipientPublicKey>,
}

/// Why bytes are no membership.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Not the JSON that was expected.
    #[error("not a membership: {0}")]
    Json(#[from] serde_json::Error),
    /// A field has a value that cannot be.
    #[error("membership has no usable {0}")]
    Field(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Wire {
    tenant: String,
    role: String,
    name: String,
    trust_domain: String,
    mqtt_port: u16,
    recipients: Recipients,
    /// Only in the file: the service does not know by what name it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Recipients {
    service: String,
    customer: Option<String>,
}

impl Membership {
    /// Reads the answer of the service at `service`.
    ///
    /// # Errors
    ///
    /// [`MembershipError`].
    pub fn from_answer(json: &[u8], service: &Endpoint) -> Result<Self, MembershipError> {
        Self::from_wire(&serde_json::from_slice(json)?, service.clone())
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    ///
    /// [`MembershipError`].
    pub fn from_json(json: &[u8]) -> Result<Self, MembershipError> {
        let wire: Wire = serde_json::from_slice(json)?;
        let service = wire.service.as_deref().and_then(|s| s.parse().ok());
        Self::from_wire(&wire, service.ok_or(MembershipError::Field("service"))?)
    }

    fn from_wire(wire: &Wire, service: Endpoint) -> Result<Self, MembershipError> {
        let field = MembershipError::Field;
        let customer = wire.recipients.customer.as_deref();
        Ok(Self {
            tenant: wire.tenant.parse().map_err(|_| field("tenant"))?,
            role: wire.role.parse().map_err(|_| field("role"))?,
            name: wire.name.parse().map_err(|_| field("name"))?,
            trust_domain: Some(wire.trust_domain.clone())
                .filter(|t| !t.is_empty())
                .ok_or(field("trust domain"))?,
            mqtt_port: wire.mqtt_port,
            service,
            service_recipient: recipient(&wire.recipients.service).ok_or(field("service key"))?,
            customer_recipient: customer
                .map(|text| recipient(text).ok_or(field("customer key")))
                .transpose()?,
        })
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let wire = Wire {
            tenant: self.tenant.to_string(),
            role: self.role.to_string(),
            name: self.name.to_string(),
            trust_domain: self.trust_domain.clone(),
            mqtt_port: self.mqtt_port,
            recipients: Recipients {
                service: STANDARD.encode(self.service_recipient.as_bytes()),
                customer: self.customer_recipient.as_ref().map(|r| STANDARD.encode(r.as_bytes())),
            },
            service: Some(self.service.to_string()),
        };
        // Strings and numbers always encode.
        serde_json::to_string_pretty(&wire).unwrap_or_default()
    }

    /// Who the member is.
    #[must_use]
    pub const fn principal(&self) -> Principal {
        Principal { tenant: self.tenant, role: self.role, name: self.name }
    }

    /// For whom a stream of this confidentiality is sealed; `None` when the customer has set no key.
    #[must_use]
    pub fn recipient(&self, confidentiality: Confidentiality) -> Option<RecipientPublicKey> {
        match confidentiality {
            Confidentiality::Service => Some(self.service_recipient),
            Confidentiality::Customer => self.customer_recipient,
        }
    }

    /// Where the service takes MQTT.
    #[must_use]
    pub fn mqtt_endpoint(&self) -> Endpoint {
        Endpoint { host: self.service.host.clone(), port: self.mqtt_port }
    }
}

fn recipient(text: &str) -> Option<RecipientPublicKey> {
    let bytes: [u8; 32] = STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(RecipientPublicKey::from_bytes(bytes))
}
