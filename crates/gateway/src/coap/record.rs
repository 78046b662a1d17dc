//! Which raw key is whose: what a gateway keeps of members that speak CoAP.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thingward_agent::disk::create_private_dir;
use thingward_crypto::sealed::write_private;
use thingward_model::DeviceName;
use thingward_pki::{LeafIdentity, ca};

/// The x-coordinate of a key on P-256.
pub(super) type RawKey = [u8; 32];

/// Most members that one gateway knows.
pub(super) const MEMBERS_MAX: usize = 1024;

/// A member, and the raw key that it showed.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) key: RawKey,
    /// Its certificate, then the issuing one, in DER.
    pub(super) chain: Vec<Vec<u8>>,
    /// What the certificate says.
    pub(super) leaf: LeafIdentity,
}

impl Record {
    pub(super) const fn name(&self) -> DeviceName {
        self.leaf.principal.name
    }
}

#[derive(Serialize, Deserialize)]
struct File {
    /// Hex.
    raw_key: String,
    /// PEM.
    certificate: String,
}

/// All of them, each in a file.
pub(super) struct Book {
    folder: PathBuf,
    members: HashMap<RawKey, Arc<Record>>,
}

impl Book {
    /// Reads what is there.
    pub(super) fn open(folder: PathBuf, trust_domain: &str) -> io::Result<Self> {
        create_private_dir(&folder)?;
        let mut members = HashMap::new();
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "json") {
                let record = read(&path, trust_domain)?;
                members.insert(record.key, Arc::new(record));
            }
        }
        Ok(Self { folder, members })
    }

    pub(super) fn find(&self, key: &RawKey) -> Option<Arc<Record>> {
        self.members.get(key).cloned()
    }

    /// Whether one more may be known, whatever it is called.
    pub(super) fn has_room(&self) -> bool {
        self.members.len() < MEMBERS_MAX
    }

    /// Whether this one may be known.
    pub(super) fn has_room_for(&self, name: &DeviceName) -> bool {
        self.has_room() || self.members.values().any(|record| record.name() == *name)
    }

    /// Keeps it, whole or not at all, in the place of what was known under its name, or of its key.
    pub(super) fn keep(&mut self, record: Record) -> io::Result<Arc<Record>> {
        let certificate: Result<String, _> =
            record.chain.iter().map(|der| ca::certificate_pem(der)).collect();
        let file = File {
            raw_key: base16ct::lower::encode_string(&record.key),
            certificate: certificate.map_err(io::Error::other)?,
        };
        let name = record.name();
        if let Some(before) = self.find(&record.key).filter(|before| before.name() != name) {
            self.forget(&before.name());
        }
        write_private(&self.path(&name), &serde_json::to_vec_pretty(&file)?)?;
        self.members.retain(|_, other| other.name() != name);
        let record = Arc::new(record);
        self.members.insert(record.key, Arc::clone(&record));
        Ok(record)
    }

    /// Forgets one that is no member any more.
    pub(super) fn forget(&mut self, name: &DeviceName) {
        self.members.retain(|_, record| record.name() != *name);
        match std::fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(thing = %name, %error, "what was known of a revoked thing is still there");
            }
            _ => {}
        }
    }

    /// Those whose certificate is one of these.
    pub(super) fn with_serials(&self, serials: &BTreeSet<Vec<u8>>) -> Vec<DeviceName> {
        let revoked = self.members.values().filter(|record| serials.contains(&record.leaf.serial));
        revoked.map(|record| record.name()).collect()
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
        (len == key.len()).then_some(Record { key, chain, leaf })
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

    fn record(raw: u8, name: &str) -> Record {
        let key = || SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng());
        let lifetimes = Lifetimes::default();
        let authority =
            CertificateAuthority::create(TRUST_DOMAIN, lifetimes, &key(), Box::new(key()), now()).unwrap();
        let principal =
            Principal { tenant: "acme".parse().unwrap(), role: Role::Device, name: name.parse().unwrap() };
        let profile = Profile::Leaf { principal, serial_number: None };
        let issued = authority.issue(&profile, key().public_key(), now()).unwrap();
        let leaf = LeafIdentity::from_verified(&issued.der, TRUST_DOMAIN).unwrap();
        Record { key: [raw; 32], chain: vec![issued.der, authority.issuing_der().unwrap()], leaf }
    }

    #[test]
    fn a_member_is_known_by_its_key_after_a_restart_and_has_one_key_and_a_key_one_member() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Book::open(folder.path().join("coap"), TRUST_DOMAIN).unwrap();
        let mut book = open();
        for (raw, name) in [(1, "mill-1"), (2, "mill-2"), (3, "mill-1"), (2, "mill-3")] {
            book.keep(record(raw, name)).unwrap();
        }
        for book in [&book, &open()] {
            let named = |raw: u8| book.find(&[raw; 32]).map(|record| record.name().to_string());
            assert_eq!([1, 2, 3].map(named), [None, Some("mill-3".to_owned()), Some("mill-1".to_owned())]);
        }
        let serial = book.find(&[2; 32]).unwrap().leaf.serial.clone();
        let revoked = book.with_serials(&BTreeSet::from([serial]));
        assert_eq!(revoked, ["mill-3".parse().unwrap()]);
        book.forget(&revoked[0]);
        assert!(open().find(&[2; 32]).is_none() && open().find(&[3; 32]).is_some());
    }
}
