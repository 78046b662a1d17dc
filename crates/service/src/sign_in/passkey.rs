//! What pages send of passkeys, and what they are asked with: the JSON forms of WebAuthn Level 3 §5.1.8 to §5.1.10.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::Encoder;
use serde::{Deserialize, Serialize};
use thingward_crypto::{SignatureAlgorithm, VerifyingKey};
use thingward_seal::approval::{
    ApprovalError, Approver, Registered, claimed_challenge, verify_assertion, verify_registration,
};
use thingward_seal::command::Approval;
use thingward_store::registry::{Passkey, User, UserId};
use utoipa::ToSchema;

use super::challenge::CHALLENGE_SECONDS;
use crate::settings::ConsoleSettings;

/// Longest part that is looked at, in bytes of base64url.
const PART_MAX: usize = 16 * 1024;

/// What an authenticator is asked for a new passkey: PublicKeyCredentialCreationOptionsJSON.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreationOptions {
    rp: RelyingParty,
    user: UserEntity,
    challenge: String,
    pub_key_cred_params: Vec<Parameter>,
    timeout: u32,
    exclude_credentials: Vec<Descriptor>,
    authenticator_selection: Selection,
    attestation: String,
}

/// What an authenticator is asked to sign: PublicKeyCredentialRequestOptionsJSON.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestOptions {
    challenge: String,
    timeout: u32,
    rp_id: String,
    allow_credentials: Vec<Descriptor>,
    user_verification: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct RelyingParty {
    id: String,
    name: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UserEntity {
    id: String,
    name: String,
    display_name: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Parameter {
    r#type: String,
    alg: i64,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Descriptor {
    r#type: String,
    id: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Selection {
    resident_key: String,
    require_resident_key: bool,
    user_verification: String,
}

fn public_key() -> String {
    "public-key".to_owned()
}

fn descriptors(passkeys: &[Passkey]) -> Vec<Descriptor> {
    let descriptor =
        |p: &Passkey| Descriptor { r#type: public_key(), id: URL_SAFE_NO_PAD.encode(&p.credential_id) };
    passkeys.iter().map(descriptor).collect()
}

impl CreationOptions {
    /// For a person with this id, who has these already. Without a name the page asks for one.
    pub(crate) fn new(
        site: &ConsoleSettings,
        id: &UserId,
        name: Option<&User>,
        known: &[Passkey],
        challenge: &[u8],
    ) -> Self {
        let name = name.map_or_else(String::new, |user| user.name.to_string());
        let required = || "required".to_owned();
        Self {
            rp: RelyingParty { id: site.rp_id().to_owned(), name: "Thingward".to_owned() },
            user: UserEntity {
                id: URL_SAFE_NO_PAD.encode(user_handle(id)),
                display_name: name.clone(),
                name,
            },
            challenge: URL_SAFE_NO_PAD.encode(challenge),
            pub_key_cred_params: [SignatureAlgorithm::EcdsaP256, SignatureAlgorithm::Ed25519]
                .map(|algorithm| Parameter { r#type: public_key(), alg: algorithm.cose_id() })
                .into(),
            timeout: CHALLENGE_SECONDS * 1000,
            exclude_credentials: descriptors(known),
            authenticator_selection: Selection {
                resident_key: required(),
                require_resident_key: true,
                user_verification: required(),
            },
            attestation: "none".to_owned(),
        }
    }
}

impl RequestOptions {
    /// One of these has to sign; whichever the user has, when there are none.
    pub(crate) fn new(site: &ConsoleSettings, allowed: &[Passkey], challenge: &[u8]) -> Self {
        Self {
            challenge: URL_SAFE_NO_PAD.encode(challenge),
            timeout: CHALLENGE_SECONDS * 1000,
            rp_id: site.rp_id().to_owned(),
            allow_credentials: descriptors(allowed),
            user_verification: "required".to_owned(),
        }
    }
}

/// What an authenticator keeps of whose a passkey is: §5.4.3. It says nothing about the person.
pub(crate) fn user_handle(id: &UserId) -> Vec<u8> {
    id.to_string().into_bytes()
}

/// A new passkey as a page sends it: RegistrationResponseJSON. Unknown members are left alone, as the standard adds some.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Registration {
    /// Base64url, without padding, as everything here.
    id: String,
    /// What the authenticator said.
    response: RegistrationJson,
}

/// A signature of a passkey as a page sends it: AuthenticationResponseJSON.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct AssertionResponse {
    /// Base64url, without padding, as everything here.
    id: String,
    /// What the authenticator said.
    response: AssertionJson,
}

/// AuthenticatorAttestationResponseJSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RegistrationJson {
    #[serde(rename = "clientDataJSON")]
    client_data_json: String,
    attestation_object: String,
}

/// AuthenticatorAssertionResponseJSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AssertionJson {
    #[serde(rename = "clientDataJSON")]
    client_data_json: String,
    authenticator_data: String,
    signature: String,
    user_handle: Option<String>,
}

fn part(text: &str) -> Result<Vec<u8>, ApprovalError> {
    let fits = text.len() <= PART_MAX;
    fits.then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten().ok_or(ApprovalError::ClientData)
}

impl Registration {
    /// The challenge that it answers, on nobody's word.
    pub(crate) fn claimed_challenge(&self) -> Result<Vec<u8>, ApprovalError> {
        claimed_challenge(&part(&self.response.client_data_json)?)
    }

    /// The passkey that it registers.
    pub(crate) fn verify(
        &self,
        site: &ConsoleSettings,
        challenge: &[u8],
    ) -> Result<Registered, ApprovalError> {
        let registered = verify_registration(
            &part(&self.response.client_data_json)?,
            &part(&self.response.attestation_object)?,
            challenge,
            site.rp_id(),
            &site.origins,
        )?;
        if registered.credential_id == part(&self.id)? {
            Ok(registered)
        } else {
            Err(ApprovalError::UnknownCredential)
        }
    }
}

/// A signature of a passkey, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assertion {
    /// Names the passkey.
    pub(crate) credential_id: Vec<u8>,
    client_data_json: Vec<u8>,
    authenticator_data: Vec<u8>,
    signature: Vec<u8>,
    /// Whose the authenticator says it is.
    pub(crate) user_handle: Option<Vec<u8>>,
}

impl TryFrom<&AssertionResponse> for Assertion {
    type Error = ApprovalError;

    fn try_from(sent: &AssertionResponse) -> Result<Self, ApprovalError> {
        Ok(Self {
            credential_id: part(&sent.id)?,
            client_data_json: part(&sent.response.client_data_json)?,
            authenticator_data: part(&sent.response.authenticator_data)?,
            signature: part(&sent.response.signature)?,
            user_handle: sent.response.user_handle.as_deref().map(part).transpose()?,
        })
    }
}

impl Assertion {
    /// The challenge that it answers, on nobody's word.
    pub(crate) fn claimed_challenge(&self) -> Result<Vec<u8>, ApprovalError> {
        claimed_challenge(&self.client_data_json)
    }

    /// As commands carry it.
    pub(crate) fn approval(&self) -> Approval<'_> {
        Approval {
            credential_id: &self.credential_id,
            authenticator_data: &self.authenticator_data,
            client_data_json: &self.client_data_json,
            signature: &self.signature,
        }
    }

    /// Whether the passkey with this key signed `challenge`.
    pub(crate) fn verify(
        &self,
        site: &ConsoleSettings,
        key: &VerifyingKey,
        challenge: &[u8],
    ) -> Result<(), ApprovalError> {
        verify_assertion(
            &self.approval(),
            challenge,
            &approver(site, String::new(), &self.credential_id, key),
        )
    }

    /// As the audit log keeps it: `[credential id, authenticator data, client data, signature]`, as in
    /// `docs/wire/commands.cddl`.
    pub(crate) fn evidence(&self) -> Vec<u8> {
        let mut e = Encoder::new(Vec::new());
        let parts = [&self.credential_id, &self.authenticator_data, &self.client_data_json, &self.signature];
        // Writing into memory does not fail.
        let _ = e.array(4).and_then(|e| parts.into_iter().try_for_each(|part| e.bytes(part)?.ok()));
        e.into_writer()
    }
}

fn approver(site: &ConsoleSettings, actor: String, credential_id: &[u8], key: &VerifyingKey) -> Approver {
    Approver {
        actor,
        credential_id: credential_id.to_vec(),
        key: key.clone(),
        rp_id: site.rp_id().to_owned(),
        origins: site.origins.clone(),
    }
}

/// What devices have to know of a passkey to check approvals with it.
pub(crate) fn approver_of(site: &ConsoleSettings, passkey: &Passkey) -> Approver {
    approver(site, format!("user/{}", passkey.user.0), &passkey.credential_id, &passkey.key)
}
