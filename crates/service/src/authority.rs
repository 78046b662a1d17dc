//! The certificate authority of the installation, with its keys where the operator wants them.

use std::sync::{Arc, PoisonError, RwLock};

use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, system_rng};
use thingward_model::Timestamp;
use thingward_pkcs11::{KeyName, Token, TokenSigner};
use thingward_pki::ca::SharedSigner;
use thingward_pki::tls::Credentials;
use thingward_pki::{CertificateAuthority, PkiError, Profile, Revoked};
use thingward_store::StoreError;
use thingward_store::registry::{LIST_MAX, Registry};

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

/// What the key of the service's certificate signs with.
pub(crate) const SERVICE_KEY: SignatureAlgorithm = SignatureAlgorithm::EcdsaP256;

/// What the service shows of itself.
pub struct ServiceIdentity {
    /// Its key.
    pub key: SoftwareKey,
    /// Its certificate, then the issuing one, in DER.
    pub chain: [Vec<u8>; 2],
    /// When the certificate ends.
    pub not_after: Timestamp,
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

    /// The authority as another node made it. Its CRL is for this process alone, and has no number that others go by.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`].
    pub async fn follow(
        settings: &ServiceSettings,
        registry: &Registry,
        sealing_key: &SealingKey,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let not_made = StoreError::NotFound { what: "certificate authority" };
        let root = registry.metadata(ROOT_CERTIFICATE).await?.ok_or(not_made)?;
        let issuing = registry.metadata(ISSUING_CERTIFICATE).await?.unwrap_or_default();
        let signer = signer(settings, registry, sealing_key, ISSUING_KEY).await?;
        let trust_domain = settings.trust_domain.as_str();
        let ca = CertificateAuthority::load(trust_domain, settings.lifetimes, &root, &issuing, signer)?;
        let authority = Self { ca, crl: RwLock::default() };
        let revoked = authority.revoked(registry, now).await?;
        authority.put_crl(0, &revoked, now)?;
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

    /// Signs a new CRL over the revocations in the registry.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`].
    pub async fn sign_crl(&self, registry: &Registry, now: Timestamp) -> Result<(), AuthorityError> {
        let revoked = self.revoked(registry, now).await?;
        self.put_crl(registry.next_crl_number().await?, &revoked, now)
    }

    /// What a CRL has. A certificate that is over stays in it for the lifetime of one more CRL: RFC 5280 §3.3.
    async fn revoked(&self, registry: &Registry, now: Timestamp) -> Result<Vec<Revoked>, AuthorityError> {
        let crl_micros = i64::try_from(self.ca.lifetimes().crl.as_micros()).unwrap_or(i64::MAX);
        let over = now.plus_micros(-crl_micros);
        let mut revoked = Vec::new();
        let mut after = None;
        loop {
            let page = registry.revocations(over, after.as_ref(), LIST_MAX).await?;
            let Some(last) = page.last() else { return Ok(revoked) };
            after = Some(last.serial.clone());
            revoked.extend(page.iter().map(|r| Revoked { serial: r.serial.as_bytes().to_vec(), at: r.time }));
        }
    }

    fn put_crl(&self, number: u64, revoked: &[Revoked], now: Timestamp) -> Result<(), AuthorityError> {
        let crl = self.ca.crl(number, revoked, now)?;
        *self.crl.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(crl);
        Ok(())
    }

    /// As [`Self::service_identity`], for TLS.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`].
    pub fn service_credentials(
        &self,
        settings: &ServiceSettings,
        now: Timestamp,
    ) -> Result<(Credentials, Timestamp), AuthorityError> {
        let ServiceIdentity { key, chain, not_after } = self.service_identity(settings, now)?;
        Ok((Credentials::new(&chain, &key)?, not_after))
    }

    /// A certificate of the service itself, with its key in memory only.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`].
    pub fn service_identity(
        &self,
        settings: &ServiceSettings,
        now: Timestamp,
    ) -> Result<ServiceIdentity, AuthorityError> {
        let key = SoftwareKey::generate(SERVICE_KEY, &mut system_rng());
        let profile =
            Profile::Service { names: settings.names.clone(), addresses: settings.addresses.clone() };
        let issued = self.ca.issue(&profile, key.public_key(), now)?;
        let chain = [issued.der, self.ca.issuing_der()?];
        Ok(ServiceIdentity { key, chain, not_after: issued.not_after })
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
        AuthorityKeys::Sealed => {
            let make = || SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng());
            Ok(Box::new(sealed_key(registry, sealing_key, name, make).await?))
        }
        AuthorityKeys::Token(reference) => {
            let reference = reference.clone();
            let name = name.trim_start_matches("ca/").trim_end_matches(".key");
            let name = KeyName::labelled(format!("{}-{name}", reference.object));
            let open = move || TokenSigner::open_or_make(Token::open(&reference)?, name);
            let signer = tokio::task::spawn_blocking(open).await;
            let signer = signer.map_err(|e| AuthorityError::Keys(e.to_string()))?;
            Ok(Box::new(signer.map_err(|e| AuthorityError::Keys(e.to_string()))?))
        }
    }
}

/// The key of this name that the registry holds, if it does.
///
/// # Errors
///
/// [`AuthorityError`].
pub(crate) async fn sealed_key_as_it_is(
    registry: &Registry,
    sealing_key: &SealingKey,
    name: &str,
) -> Result<Option<SoftwareKey>, AuthorityError> {
    let broken = |_| AuthorityError::Keys(format!("`{name}` does not open under this sealing key"));
    let Some(sealed) = registry.metadata(name).await? else { return Ok(None) };
    let pkcs8 = sealing_key.open(name.as_bytes(), &sealed).map_err(broken)?;
    SoftwareKey::from_pkcs8(&pkcs8).map(Some).map_err(broken)
}

/// The key that is sealed under this name in the registry; made when there is none.
pub(crate) async fn sealed_key(
    registry: &Registry,
    sealing_key: &SealingKey,
    name: &str,
    make: impl FnOnce() -> SoftwareKey,
) -> Result<SoftwareKey, AuthorityError> {
    if let Some(key) = sealed_key_as_it_is(registry, sealing_key, name).await? {
        return Ok(key);
    }
    let broken = |_| AuthorityError::Keys(format!("`{name}` cannot be sealed"));
    let key = make();
    let sealed = sealing_key.seal(name.as_bytes(), &key.to_pkcs8().map_err(broken)?).map_err(broken)?;
    registry.add_metadata(name, &sealed).await?;
    Ok(key)
}
