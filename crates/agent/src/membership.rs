//! What the service tells a member about itself, and how it is kept.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use thingward_crypto::{RecipientPublicKey, VerifyingKey};
use thingward_grant::REVOCATION_BYTES_MAX;
use thingward_model::{Confidentiality, DeviceName, GroupName, Principal, Role, TenantName};
use thingward_seal::approval::Approver;

use crate::grants::is_issuer_key;
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
    /// The key that commands to this member are signed with. Without one it takes none.
    pub command_key: Option<VerifyingKey>,
    /// The Ed25519 key that grants are issued with. Without one it takes none.
    pub grant_key: Option<VerifyingKey>,
    /// What of its grants is taken back, signed.
    pub grant_revocation: Option<Vec<u8>>,
    /// The classes that it is in, for which grants were issued.
    pub classes: Vec<Class>,
    /// The passkeys whose approval of sensitive commands counts.
    pub approvers: Vec<Approver>,
}

/// A class that a device is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its name: that of a group of the tenant.
    pub name: GroupName,
    /// What of its grants is taken back, signed.
    pub grant_revocation: Vec<u8>,
}

/// Most classes that a device is in.
pub const CLASSES_MAX: usize = 64;
/// Most passkeys that a member keeps.
pub const APPROVERS_MAX: usize = 1024;

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
    /// DER SubjectPublicKeyInfo, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command_key: Option<String>,
    /// As `command_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grant_key: Option<String>,
    /// Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grant_revocation: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    classes: Vec<WireClass>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    approvers: Vec<WireApprover>,
    /// Where the service takes HTTPS, when it says so over CoAP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    https_port: Option<u16>,
    /// Only in the file, and from gateways: the service does not know by what name it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Recipients {
    service: String,
    customer: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WireClass {
    name: String,
    /// Base64.
    grant_revocation: String,
}

impl WireClass {
    fn of(class: &Class) -> Self {
        Self { name: class.name.to_string(), grant_revocation: STANDARD.encode(&class.grant_revocation) }
    }

    fn class(&self) -> Option<Class> {
        Some(Class { name: self.name.parse().ok()?, grant_revocation: revocation(&self.grant_revocation)? })
    }
}

#[derive(Serialize, Deserialize)]
struct WireApprover {
    actor: String,
    /// Base64url without padding, as browsers write it.
    credential_id: String,
    /// As `command_key`.
    key: String,
    rp_id: String,
    origins: Vec<String>,
}

impl WireApprover {
    fn of(approver: &Approver) -> Self {
        Self {
            actor: approver.actor.clone(),
            credential_id: URL_SAFE_NO_PAD.encode(&approver.credential_id),
            key: STANDARD.encode(approver.key.to_spki()),
            rp_id: approver.rp_id.clone(),
            origins: approver.origins.clone(),
        }
    }

    fn approver(&self) -> Option<Approver> {
        Some(Approver {
            actor: self.actor.clone(),
            credential_id: URL_SAFE_NO_PAD.decode(&self.credential_id).ok()?,
            key: verifying_key(&self.key)?,
            rp_id: self.rp_id.clone(),
            origins: self.origins.clone(),
        })
    }
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

    /// Reads what came over CoAP. A gateway says where the service is; the service itself is at the host of `near`.
    ///
    /// # Errors
    ///
    /// [`MembershipError`].
    pub fn from_coap(json: &[u8], near: &Endpoint) -> Result<Self, MembershipError> {
        let wire: Wire = serde_json::from_slice(json)?;
        let service = match (&wire.service, wire.https_port) {
            (Some(said), _) => said.parse().map_err(|_| MembershipError::Field("service"))?,
            (None, port) => Endpoint { host: near.host.clone(), port: port.unwrap_or(near.port) },
        };
        Self::from_wire(&wire, service)
    }

    fn from_wire(wire: &Wire, service: Endpoint) -> Result<Self, MembershipError> {
        let field = MembershipError::Field;
        let customer = wire.recipients.customer.as_deref();
        if wire.approvers.len() > APPROVERS_MAX {
            return Err(field("list of approvers"));
        }
        if wire.classes.len() > CLASSES_MAX {
            return Err(field("list of classes"));
        }
        let classes = wire.classes.iter().map(|class| class.class().ok_or(field("class")));
        let approvers = wire.approvers.iter().map(|a| a.approver().ok_or(field("approver")));
        let key = |text: &Option<String>, name| {
            text.as_deref().map(|text| verifying_key(text).ok_or(field(name))).transpose()
        };
        let grant_key = key(&wire.grant_key, "grant key")?;
        if grant_key.as_ref().is_some_and(|key| !is_issuer_key(key)) {
            return Err(field("grant key"));
        }
        let taken_back = wire.grant_revocation.as_deref();
        let taken_back = taken_back.map(|text| revocation(text).ok_or(field("revocation of grants")));
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
            command_key: key(&wire.command_key, "command key")?,
            grant_key,
            grant_revocation: taken_back.transpose()?,
            classes: classes.collect::<Result<_, _>>()?,
            approvers: approvers.collect::<Result<_, _>>()?,
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
            command_key: self.command_key.as_ref().map(|key| STANDARD.encode(key.to_spki())),
            grant_key: self.grant_key.as_ref().map(|key| STANDARD.encode(key.to_spki())),
            grant_revocation: self.grant_revocation.as_ref().map(|bytes| STANDARD.encode(bytes)),
            classes: self.classes.iter().map(WireClass::of).collect(),
            approvers: self.approvers.iter().map(WireApprover::of).collect(),
            https_port: None,
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

fn revocation(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok().filter(|bytes| bytes.len() <= REVOCATION_BYTES_MAX)
}

fn verifying_key(text: &str) -> Option<VerifyingKey> {
    VerifyingKey::from_spki(&STANDARD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};

    use super::*;

    fn answer() -> Value {
        let key = |seed| SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[seed; 32]).unwrap();
        let ed25519 = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[3; 32]).unwrap();
        let spki = |seed| STANDARD.encode(key(seed).public_key().to_spki());
        json!({
            "tenant": "acme", "role": "device", "name": "meter-1", "trust_domain": "thingward.test",
            "mqtt_port": 8883, "recipients": {"service": STANDARD.encode([9; 32]), "customer": null},
            "command_key": spki(1),
            "grant_key": STANDARD.encode(ed25519.public_key().to_spki()),
            "grant_revocation": STANDARD.encode([7; 120]),
            "classes": [{"name": "meters", "grant_revocation": STANDARD.encode([8; 120])}],
            "approvers": [{
                "actor": "user:01h", "credential_id": "AQI", "key": spki(2),
                "rp_id": "console.example", "origins": ["https://console.example"],
            }],
        })
    }

    fn read(answer: &Value) -> Result<Membership, MembershipError> {
        let service = "localhost:8443".parse().unwrap();
        Membership::from_answer(answer.to_string().as_bytes(), &service)
    }

    #[test]
    fn whom_commands_and_approvals_are_taken_from_is_kept_with_the_rest() {
        let membership = read(&answer()).unwrap();
        assert_eq!(Membership::from_json(membership.to_json().as_bytes()).unwrap(), membership);
        assert_eq!(membership.approvers[0].credential_id, [1, 2]);
        assert_eq!(membership.classes[0].grant_revocation, [8; 120]);
        let mut older = answer();
        older.as_object_mut().unwrap().remove("command_key");
        older.as_object_mut().unwrap().remove("grant_key");
        older.as_object_mut().unwrap().remove("grant_revocation");
        older.as_object_mut().unwrap().remove("classes");
        older.as_object_mut().unwrap().remove("approvers");
        let older = read(&older).unwrap();
        assert!(older.command_key.is_none() && older.grant_key.is_none() && older.approvers.is_empty());
    }

    #[test]
    fn a_key_that_is_none_is_no_membership() {
        let of_p256 = answer()["command_key"].clone();
        let none = json!(STANDARD.encode([7; 91]));
        let too_long = json!(STANDARD.encode([7; REVOCATION_BYTES_MAX + 1]));
        for (pointer, value, word) in [
            ("/command_key", &none, "command key"),
            ("/grant_key", &none, "grant key"),
            ("/grant_key", &of_p256, "grant key"),
            ("/grant_revocation", &too_long, "revocation of grants"),
            ("/classes/0/grant_revocation", &too_long, "class"),
            ("/classes/0/name", &json!("a b"), "class"),
            ("/classes", &json!(vec![answer()["classes"][0].clone(); CLASSES_MAX + 1]), "list of classes"),
            ("/approvers/0/key", &none, "approver"),
        ] {
            let mut wrong = answer();
            *wrong.pointer_mut(pointer).unwrap() = value.clone();
            let error = read(&wrong).unwrap_err().to_string();
            assert_eq!(error, format!("membership has no usable {word}"));
        }
    }
}
