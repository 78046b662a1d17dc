//! Which raw key is whose, on disk: a file for each member.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use thingward_agent::disk::create_private_dir;
use thingward_crypto::sealed::write_private;
use thingward_ingress::coap::{RawKey, Record};
use thingward_model::DeviceName;
use thingward_pki::{LeafIdentity, ca};

#[derive(Serialize, Deserialize)]
struct File {
    /// Hex.
    raw_key: String,
    /// PEM: the member's certificate, then the issuing one.
    certificate: String,
}

/// See the module. Clones are the same.
#[derive(Clone)]
pub(super) struct Shelf {
    folder: PathBuf,
    /// Whose file has a key.
    names: Arc<Mutex<HashMap<RawKey, DeviceName>>>,
}

impl Shelf {
    /// Reads what is there.
    pub(super) fn open(folder: PathBuf, trust_domain: &str) -> io::Result<(Self, Vec<Record>)> {
        create_private_dir(&folder)?;
        let mut known = Vec::new();
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "json") {
                known.push(read(&path, trust_domain)?);
            }
        }
        let names = known.iter().filter_map(|record| Some((record.key?, record.who().name))).collect();
        Ok((Self { folder, names: Arc::new(Mutex::new(names)) }, known))
    }

    /// Keeps it, whole or not at all, in the place of what was known under its name, or of its key; without a key there is nothing
    /// to keep. Blocks on the disk.
    pub(super) fn keep(&self, record: &Record, chain: &[Vec<u8>]) -> io::Result<()> {
        let Some(key) = record.key else { return Ok(()) };
        let certificate: Result<String, _> = chain.iter().map(|der| ca::certificate_pem(der)).collect();
        let file = File {
            raw_key: base16ct::lower::encode_string(&key),
            certificate: certificate.map_err(io::Error::other)?,
        };
        let name = record.who().name;
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = names.get(&key).filter(|other| **other != name) {
            self.remove(other);
        }
        write_private(&self.path(&name), &serde_json::to_vec_pretty(&file)?)?;
        names.retain(|_, other| *other != name);
        names.insert(key, name);
        Ok(())
    }

    /// Forgets whose this key is. Blocks on the disk.
    pub(super) fn forget(&self, key: &RawKey) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.remove(key) {
            self.remove(&name);
        }
    }

    fn remove(&self, name: &DeviceName) {
        match std::fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(thing = %name, %error, "what was known of a former thing is still there");
            }
            _ => {}
        }
    }

    fn path(&self, name: &DeviceName) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

fn read(path: &Path, trust_domain: &str) -> io::Result<Record> {
    let text = std::fs::read(path)?;
    let read = || {
        let file: File = serde_json::from_slice(&text).ok()?;
        let chain = ca::certificates_from_pem(&file.certificate).ok()?;
        let leaf = LeafIdentity::from_verified(chain.first()?, trust_domain).ok()?;
        let mut key = [0; 32];
        let len = base16ct::lower::decode(&file.raw_key, &mut key).ok()?.len();
        (len == key.len()).then(|| Record::new(Some(key), &leaf))
    };
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display()));
    read().ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, system_rng};
    use thingward_model::clock::now;
    use thingward_model::{Principal, Role};
    use thingward_pki::{CertificateAuthority, Lifetimes, Profile};

    use super::*;

    const TRUST_DOMAIN: &str = "thingward.test";

    fn record(raw: u8, name: &str) -> (Record, Vec<Vec<u8>>) {
        let key = || SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng());
        let lifetimes = Lifetimes::default();
        let authority =
            CertificateAuthority::create(TRUST_DOMAIN, lifetimes, &key(), Box::new(key()), now()).unwrap();
        let principal =
            Principal { tenant: "acme".parse().unwrap(), role: Role::Device, name: name.parse().unwrap() };
        let profile = Profile::Leaf { principal, serial_number: None };
        let issued = authority.issue(&profile, key().public_key(), now()).unwrap();
        let leaf = LeafIdentity::from_verified(&issued.der, TRUST_DOMAIN).unwrap();
        (Record::new(Some([raw; 32]), &leaf), vec![issued.der, authority.issuing_der().unwrap()])
    }

    #[test]
    fn a_member_is_known_by_its_key_after_a_restart_and_has_one_key_and_a_key_one_member() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Shelf::open(folder.path().join("coap"), TRUST_DOMAIN).unwrap();
        let (shelf, _) = open();
        for (raw, name) in [(1, "mill-1"), (2, "mill-2"), (3, "mill-1"), (2, "mill-3")] {
            let (record, chain) = record(raw, name);
            shelf.keep(&record, &chain).unwrap();
        }
        let known = || {
            let all =
                open().1.into_iter().map(|record| (record.key.unwrap()[0], record.who().name.to_string()));
            all.collect::<std::collections::BTreeMap<_, _>>()
        };
        assert_eq!(known(), [(2, "mill-3".to_owned()), (3, "mill-1".to_owned())].into());
        shelf.forget(&[1; 32]);
        shelf.forget(&[2; 32]);
        assert_eq!(known(), [(3, "mill-1".to_owned())].into());
    }
}
