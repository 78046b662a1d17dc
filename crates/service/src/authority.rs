//! Who issues certificates.

use std::sync::{Arc, PoisonError, RwLock};

use thingward_crypto::VerifyingKey;
use thingward_model::{Principal, Timestamp};
use thingward_pki::{CertificateAuthority, Issued, PkiError, Profile};
use thingward_store::registry::{
    Certificate, Hardware, KeyId, NewPrincipal, PrincipalKey, PrincipalState, Serial,
};
use thingward_store::{Store, StoreError};

use crate::directory::Directory;

/// Why a certificate was not issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    /// The registry refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority's key failed.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

/// Issues certificates and keeps the current CRL.
pub struct Authority {
    ca: CertificateAuthority,
    crl: RwLock<Arc<Vec<u8>>>,
}

impl Authority {
    /// An authority with its first CRL.
    #[must_use]
    pub fn new(ca: CertificateAuthority, crl: Vec<u8>) -> Self {
        Self { ca, crl: RwLock::new(Arc::new(crl)) }
    }

    /// The certificates and the issuing key.
    #[must_use]
    pub const fn ca(&self) -> &CertificateAuthority {
        &self.ca
    }

    /// The current CRL in DER.
    #[must_use]
    pub fn crl(&self) -> Arc<Vec<u8>> {
        Arc::clone(&self.crl.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Issues a certificate and notes it durably.
    ///
    /// # Errors
    ///
    /// [`EnrolError`].
    pub async fn enrol(
        &self,
        store: &Store,
        directory: &Directory,
        principal: Principal,
        hardware: Option<Hardware>,
        key: &VerifyingKey,
        now: Timestamp,
    ) -> Result<Issued, EnrolError> {
        let (tenant, name) = (&principal.tenant, &principal.name);
        let serial_number = hardware.as_ref().map(|h| h.serial.clone());
        let issued = self.ca.issue(&Profile::Leaf { principal, serial_number }, key, now)?;
        let registry = store.registry();
        let (claimed, enrolled) = (PrincipalState::Claimed, PrincipalState::Enrolled);
        match registry.principal(tenant, name).await.map(|e| e.state) {
            Ok(PrincipalState::Enrolled) => {}
            Ok(PrincipalState::Claimed) => registry.change_state(tenant, name, claimed, enrolled).await?,
            Ok(PrincipalState::Released) | Err(StoreError::NotFound { .. }) => {
                registry.add_principal(&NewPrincipal { principal, state: enrolled, hardware }, now).await?;
            }
            Err(e) => return Err(e.into()),
        }
        let serial = Serial::new(&issued.serial)?;
        let (not_before, not_after) = (issued.not_before, issued.not_after);
        let certificate = Certificate { serial: serial.clone(), holder: principal, not_before, not_after };
        registry.add_certificate(&certificate).await?;
        let (id, spki) = (KeyId::new(key.id()), key.to_spki());
        let key_entry = PrincipalKey { id, spki, serial, not_before, not_after, revoked: None };
        registry.add_key(tenant, name, &key_entry).await?;
        directory.enrolled(*tenant, *name, principal.role, key.clone());
        Ok(issued)
    }
}
