//! The CRL at the gateway: fetched from the service, kept on disk, in effect for new and for live sessions.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thingward_agent::home::Identity;
use thingward_agent::http::HttpsClient;
use thingward_pki::PkiError;
use thingward_pki::ca::revoked_serials;
use thingward_pki::tls::{ALPN_HTTP, ExpectedServer};

const FILE: &str = "crl.der";
const PATH: &str = "/.well-known/thingward/crl";

/// A CRL and whom it names.
pub(crate) struct Crl {
    pub(crate) der: Vec<u8>,
    pub(crate) serials: BTreeSet<Vec<u8>>,
}

impl Crl {
    fn new(der: Vec<u8>) -> Result<Self, PkiError> {
        let serials = revoked_serials(&der)?.into_iter().collect();
        Ok(Self { der, serials })
    }
}

/// The service's latest, or the one on disk when the service is out of reach; `None` when there is neither.
pub(crate) async fn latest(identity: &Identity, home: &Path) -> Option<Crl> {
    match fetch(identity, home).await {
        Ok(crl) => Some(crl),
        Err(reason) => {
            tracing::warn!(%reason, "the CRL was not fetched");
            Crl::new(fs::read(path(home)).ok()?).ok()
        }
    }
}

async fn fetch(identity: &Identity, home: &Path) -> Result<Crl, String> {
    let tls = identity.tls(ExpectedServer::Service, ALPN_HTTP).map_err(|e| e.to_string())?;
    let client = HttpsClient::new(identity.membership.service.clone(), tls);
    let der = client.get(PATH).await.map_err(|e| e.to_string())?.to_vec();
    let crl = Crl::new(der).map_err(|e| e.to_string())?;
    keep(home, &crl.der).map_err(|e| e.to_string())?;
    Ok(crl)
}

fn keep(home: &Path, der: &[u8]) -> io::Result<()> {
    thingward_crypto::sealed::write_private(&path(home), der)
}

fn path(home: &Path) -> PathBuf {
    home.join(FILE)
}
