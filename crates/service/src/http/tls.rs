//! What the HTTPS listener shows and trusts, replaced while it runs.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use thingward_crypto::SoftwareKey;
use thingward_pki::PkiError;
use thingward_pki::tls::{ALPN_HTTP, Credentials, open_server_config};
use thingward_store::StoreError;
use thingward_store::registry::{LIST_MAX, Registry};

/// The service's certificate chain, leaf first, and its key.
struct Own {
    chain: Vec<Vec<u8>>,
    key: SoftwareKey,
}

/// The TLS configuration of the HTTPS listener: the service's certificate, and as client authorities the
/// installation's root and every maker that some tenant trusts.
pub struct OpenTls {
    root: Vec<u8>,
    registry: Registry,
    own: RwLock<Own>,
    current: RwLock<Arc<ServerConfig>>,
    change: tokio::sync::Mutex<()>,
}

/// Why the configuration did not change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenTlsError {
    /// The makers cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Certificates and key do not fit together.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

impl OpenTls {
    /// # Errors
    ///
    /// [`OpenTlsError`].
    pub async fn new(
        registry: Registry,
        root: Vec<u8>,
        chain: Vec<Vec<u8>>,
        key: SoftwareKey,
    ) -> Result<Self, OpenTlsError> {
        let own = Own { chain, key };
        let current = RwLock::new(configuration(&registry, &root, &own).await?);
        Ok(Self { root, registry, own: RwLock::new(own), current, change: tokio::sync::Mutex::default() })
    }

    /// For the next handshake.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows another certificate from the next handshake on.
    ///
    /// # Errors
    ///
    /// [`OpenTlsError`]; the old one stays then.
    pub async fn set_certificate(&self, chain: Vec<Vec<u8>>, key: SoftwareKey) -> Result<(), OpenTlsError> {
        let _turn = self.change.lock().await;
        let own = Own { chain, key };
        let next = configuration(&self.registry, &self.root, &own).await?;
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = own;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// Reads again which makers are trusted.
    ///
    /// # Errors
    ///
    /// [`OpenTlsError`]; the old ones stay then.
    pub async fn makers_changed(&self) -> Result<(), OpenTlsError> {
        let _turn = self.change.lock().await;
        let anchors = anchors(&self.registry, &self.root).await?;
        let next = {
            let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
            open_server_config(&anchors, Credentials::new(&own.chain, &own.key)?, ALPN_HTTP)?
        };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}

async fn configuration(
    registry: &Registry,
    root: &[u8],
    own: &Own,
) -> Result<Arc<ServerConfig>, OpenTlsError> {
    let anchors = anchors(registry, root).await?;
    Ok(open_server_config(&anchors, Credentials::new(&own.chain, &own.key)?, ALPN_HTTP)?)
}

async fn anchors(registry: &Registry, root: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut anchors = vec![root.to_vec()];
    let mut last = None;
    loop {
        let after = last.as_ref().map(|(tenant, name): &(_, String)| (tenant, name.as_str()));
        let page = registry.makers(after, LIST_MAX).await?;
        let Some(end) = page.last() else { break };
        last = Some((end.tenant, end.name.clone()));
        anchors.extend(page.into_iter().flat_map(|m| m.certificates));
    }
    anchors.sort_unstable();
    anchors.dedup();
    Ok(anchors)
}
