//! The certificate authority of the installation, with its keys where the operator wants them.

use std::sync::{Arc, PoisonError, RwLock};

use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{SignatureAlgorithm, SoftwareKey, VerifyingKey, system_rng};
use thingward_model::{Principal, Timestamp};
use thingward_pki::ca::SharedSigner;
use thingward_pki::tls::Credentials;
use thingward_pki::{CertificateAuthority, Issued, PkiError, Profile, Revoked};
use thingward_store::keys::Pkcs11Signer;
use thingward_store::registry::{
    Certificate, Hardware, KeyId, LIST_MAX, NewPrincipal, PrincipalKey, PrincipalState, Registry, Serial,
};
use thingward_store::{Store, StoreError};

use crate::directory::Directory;
use crate::settings::{AuthorityKeys, ServiceSettings};

const ROOT_CERTIFICATE: &str = "ca/root.der";
const ISSUING_CERTIFICATE: &str = "ca/issuing.der";
const ISSUING_KEY: &str = "ca/issuing.key";
const ROOT_KEY: &str = "ca/root.key";
const TRUST_DOMAIN: &str = "ca/trust-domain";

/// Why the authority could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A key, certificate or request is wrong.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The registry refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys are not where the settings say.
    #[error("keys of the certificate authority: {0}")]
    Keys(String),
    /// The trust domain is another than at the first start.
    #[error("trust domain is `{made}` since the first start, not `{configured}`")]
    TrustDomain {
        /// What it was made with.
        made: String,
        /// What the settings say.
        configured: String,
    },
}

/// Issues and revokes.
pub struct Authority {
    ca: CertificateAuthority,
    crl: RwLock<Arc<Vec<u8>>>,
}

impl Authority {
    /// Loads the authority, or makes it at the first start.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`].
    pub async fn open(
        settings: &ServiceSettings,
        registry: &Registry,
        sealing_key: &SealingKey,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let trust_domain = settings.trust_domain.as_str();
        if let Some(made) = registry.metadata(TRUST_DOMAIN).await?
            && made != trust_domain.as_bytes()
        {
            let made = String::from_utf8_lossy(&made).into_owned();
            return Err(AuthorityError::TrustDomain { made, configured: trust_domain.to_owned() });
        }
        let root = registry.metadata(ROOT_CERTIFICATE).await?;
        let issuing = registry.metadata(ISSUING_CERTIFICATE).await?;
        let ca = match (root, issuing) {
            (Some(root), Some(issuing)) => {
                let signer = signer(settings, registry, sealing_key, ISSUING_KEY).await?;
                CertificateAuthority::load(trust_domain, settings.lifetimes, &root, &issuing, signer)?
            }
            _ => {
                let root = signer(settings, registry, sealing_key, ROOT_KEY).await?;
                let issuing = signer(settings, registry, sealing_key, ISSUING_KEY).await?;
                let ca = CertificateAuthority::create(
                    trust_domain,
                    settings.lifetimes,
                    root.as_ref(),
                    issuing,
                    now,
                )?;
                registry.set_metadata(TRUST_DOMAIN, trust_domain.as_bytes()).await?;
                registry.set_metadata(ISSUING_CERTIFICATE, &ca.issuing_der()?).await?;
                registry.set_metadata(ROOT_CERTIFICATE, &ca.root_der()?).await?;
                ca
            }
        };
        let authority = Self { ca, crl: RwLock::default() };
        authority.sign_crl(registry, now).await?;
        Ok(authority)
    }

    /// The authority itself.
    #[must_use]
    pub const fn ca(&self) -> &CertificateAuthority {
        &self.ca
    }

    /// The latest CRL in DER.
    #[must_use]
    pub fn crl(&self) -> Arc<Vec<u8>> {
        Arc::clone(&self.crl.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Signs a new CRL over all revocations in the registry.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`].
    pub async fn sign_crl(&self, registry: &Registry, now: Timestamp) -> Result<(), AuthorityError> {
        let mut revoked = Vec::new();
        let mut after = None;
        loop {
            let page = registry.revocations(after.as_ref(), LIST_MAX).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.serial.clone());
            revoked.extend(page.iter().map(|r| Revoked { serial: r.serial.as_bytes().to_vec(), at: r.time }));
        }
        let number = registry.next_crl_number().await?;
        let crl = self.ca.crl(number, &revoked, now)?;
        *self.crl.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(crl);
        Ok(())
    }

    /// Issues a certificate to a member whose enrolment was decided, and records it.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`]; no certificate left then.
    pub async fn enrol(
        &self,
        store: &Store,
        directory: &Directory,
        principal: Principal,
        hardware: Option<&Hardware>,
        key: &VerifyingKey,
        now: Timestamp,
    ) -> Result<Issued, AuthorityError> {
        let serial_number = hardware.map(|h| h.serial.clone());
        let issued = self.ca.issue(&Profile::Leaf { principal, serial_number }, key, now)?;
        let registry = store.registry();
        let (tenant, name) = (&principal.tenant, &principal.name);
        let (claimed, enrolled) = (PrincipalState::Claimed, PrincipalState::Enrolled);
        match registry.principal(tenant, name).await.map(|e| e.state) {
            Ok(PrincipalState::Enrolled) => {}
            Ok(PrincipalState::Claimed) => registry.change_state(tenant, name, claimed, enrolled).await?,
            Ok(PrincipalState::Released) | Err(StoreError::NotFound { .. }) => {
                let new = NewPrincipal { principal, state: enrolled, hardware: hardware.cloned() };
                registry.add_principal(&new, now).await?;
            }
            Err(e) => return Err(e.into()),
        }
        let serial = Serial::new(&issued.serial)?;
        let certificate = Certificate {
            serial: serial.clone(),
            holder: principal,
            not_before: issued.not_before,
            not_after: issued.not_after,
        };
        registry.add_certificate(&certificate).await?;
        let entry = PrincipalKey {
            id: KeyId::new(key.id()),
            spki: key.to_spki(),
            serial,
            not_before: issued.not_before,
            not_after: issued.not_after,
            revoked: None,
        };
        registry.add_key(tenant, name, &entry).await?;
        directory.enrolled(principal.tenant, principal.name, principal.role, key.clone());
        Ok(issued)
    }

    /// A certificate of the service itself, with its key in memory only.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`].
    pub fn service_credentials(
        &self,
        settings: &ServiceSettings,
        now: Timestamp,
    ) -> Result<(Credentials, Timestamp), AuthorityError> {
        use thingward_crypto::Signer;
        let key = SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng());
        let profile =
            Profile::Service { names: settings.names.clone(), addresses: settings.addresses.clone() };
        let issued = self.ca.issue(&profile, key.public_key(), now)?;
        let chain = [issued.der, self.ca.issuing_der()?];
        Ok((Credentials::new(&chain, &key)?, issued.not_after))
    }
}

/// The signer of this name; made when there is none.
async fn signer(
    settings: &ServiceSettings,
    registry: &Registry,
    sealing_key: &SealingKey,
    name: &str,
) -> Result<SharedSigner, AuthorityError> {
    match &settings.authority_keys {
        AuthorityKeys::Sealed => sealed_signer(registry, sealing_key, name).await,
        AuthorityKeys::Pkcs11(reference) => {
            let reference = reference.clone();
            let name = name.trim_start_matches("ca/").trim_end_matches(".key").to_owned();
            let open = move || Pkcs11Signer::open_or_create(&reference, &name);
            let signer = tokio::task::spawn_blocking(open).await;
            Ok(Box::new(signer.map_err(|e| AuthorityError::Keys(e.to_string()))??))
        }
    }
}

async fn sealed_signer(
    registry: &Registry,
    sealing_key: &SealingKey,
    name: &str,
) -> Result<SharedSigner, AuthorityError> {
    let broken = |_| AuthorityError::Keys(format!("`{name}` does not open under this sealing key"));
    if let Some(sealed) = registry.metadata(name).await? {
        let pkcs8 = sealing_key.open(name.as_bytes(), &sealed).map_err(broken)?;
        return Ok(Box::new(SoftwareKey::from_pkcs8(&pkcs8).map_err(broken)?));
    }
    let key = SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng());
    let sealed = sealing_key.seal(name.as_bytes(), &key.to_pkcs8().map_err(broken)?).map_err(broken)?;
    registry.add_metadata(name, &sealed).await?;
    Ok(Box::new(key))
}
