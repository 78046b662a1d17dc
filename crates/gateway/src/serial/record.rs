//! What a gateway keeps of a chip.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thingward_agent::disk::create_private_dir;
use thingward_crypto::sealed::write_private;
use thingward_device::link::{JOIN_BYTES_MAX, Join};
use thingward_pki::{LeafIdentity, ca};

/// A chip that is enrolled, and has been told so.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Its certificate, then the issuing one, in DER.
    pub(super) chain: Vec<Vec<u8>>,
    /// What the certificate says.
    pub(super) leaf: LeafIdentity,
    /// What the chip was told.
    pub(super) join: Join,
    /// Names the claim that was spent for it, when one was.
    pub(super) claim: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct File {
    /// PEM.
    certificate: String,
    /// Base64.
    join: String,
    claim: Option<String>,
}

fn damaged(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display()))
}

impl Record {
    /// The one in this file; `None` when there is none.
    pub(super) fn load(path: &Path, trust_domain: &str) -> io::Result<Option<Self>> {
        let text = match std::fs::read(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let read = || {
            let file: File = serde_json::from_slice(&text).ok()?;
            let chain = ca::certificates_from_pem(&file.certificate).ok()?;
            let leaf = LeafIdentity::from_verified(chain.first()?, trust_domain).ok()?;
            let join = Join::read(&STANDARD.decode(&file.join).ok()?)?;
            Some(Self { chain, leaf, join, claim: file.claim })
        };
        read().map(Some).ok_or_else(|| damaged(path))
    }

    /// Keeps it, whole or not at all.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let certificate: Result<String, _> = self.chain.iter().map(|der| ca::certificate_pem(der)).collect();
        let mut join = [0; JOIN_BYTES_MAX];
        let len = self.join.write(&mut join).ok_or_else(|| damaged(path))?;
        let file = File {
            certificate: certificate.map_err(io::Error::other)?,
            join: STANDARD.encode(join.get(..len).unwrap_or_default()),
            claim: self.claim.clone(),
        };
        if let Some(folder) = path.parent() {
            create_private_dir(folder)?;
        }
        write_private(path, &serde_json::to_vec_pretty(&file)?)
    }
}
