//! A running service.

use thingward_model::{DeviceName, TenantName};
use thingward_store::StoreError;
use thingward_store::registry::{PrincipalState, Revocation, RevocationReason};

use crate::shared::{Shared, now};

impl Shared {
    /// Revokes every certificate of a member and ends its sessions; `release` also gives its name up.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub async fn revoke_member(
        &self,
        tenant: TenantName,
        name: DeviceName,
        reason: RevocationReason,
        release: bool,
    ) -> Result<(), StoreError> {
        let registry = self.store.registry();
        for certificate in registry.certificates(&tenant, &name).await? {
            let revocation = Revocation { serial: certificate.serial.clone(), time: now(), reason };
            registry.revoke(&revocation).await?;
            self.directory.revoke_serial(certificate.serial.as_bytes());
        }
        if release {
            let from = registry.principal(&tenant, &name).await?.state;
            registry.change_state(&tenant, &name, from, PrincipalState::Released).await?;
            self.directory.released(&tenant, &name);
        }
        self.core.cut_member(tenant, name, release).await;
        Ok(())
    }
}
