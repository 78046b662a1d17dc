//! What the tests share: a certificate for this machine, and what an operator says about a provider on it.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, system_rng};
use thingward_model::clock::now;
use thingward_oidc::{ProviderName, Settings};
use thingward_pki::ca::{CertificateAuthority, certificate_pem};
use thingward_pki::profile::{Lifetimes, Profile};
use thingward_policy::UserRole;

pub(crate) const CLIENT_ID: &str = "thing ward";
pub(crate) const CLIENT_SECRET: &str = "a+secret/with:signs=";
pub(crate) const REDIRECT: &str = "https://localhost:1/api/v1/sign-in/oidc/corp/callback";

/// A folder with `roots.pem`, and a certificate for `localhost` from that authority.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    /// Leaf first.
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key: SoftwareKey,
}

impl Place {
    pub(crate) fn new() -> Self {
        let [root, issuing, key] =
            [(); 3].map(|()| SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng()));
        let ca =
            CertificateAuthority::create("t.test", Lifetimes::default(), &root, Box::new(issuing), now())
                .unwrap();
        let profile = Profile::Service { names: vec!["localhost".to_owned()], addresses: Vec::new() };
        let leaf = ca.issue(&profile, key.public_key(), now()).unwrap().der;
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder, chain: vec![leaf, ca.issuing_der().unwrap()], key };
        std::fs::write(place.roots(), certificate_pem(&ca.root_der().unwrap()).unwrap()).unwrap();
        let secret =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(place.path().join("secret"));
        writeln!(secret.unwrap(), "{CLIENT_SECRET}").unwrap();
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn roots(&self) -> PathBuf {
        self.path().join("roots.pem")
    }

    /// The key of the certificate, as programs of others read it.
    pub(crate) fn key_pem(&self) -> String {
        let lines = STANDARD.encode(self.key.to_pkcs8().unwrap());
        format!("-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n")
    }

    /// What an operator says about the provider at this port.
    pub(crate) fn settings(&self, port: u16) -> Settings {
        let roles = [("admins", UserRole::Administrator), ("readers", UserRole::Viewer)];
        Settings {
            id: ProviderName::new("corp").unwrap(),
            name: "Corp".to_owned(),
            issuer: format!("https://localhost:{port}").parse().unwrap(),
            client_id: CLIENT_ID.to_owned(),
            client_secret_file: self.path().join("secret"),
            tenant: "acme".parse().unwrap(),
            roots: self.roots(),
            scopes: vec!["profile".to_owned()],
            roles_claim: "groups".to_owned(),
            roles: roles.map(|(text, role)| (text.to_owned(), role)).into_iter().collect::<BTreeMap<_, _>>(),
            name_claim: "preferred_username".to_owned(),
        }
    }
}
