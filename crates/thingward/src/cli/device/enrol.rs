//! `device enrol`: a device becomes a member.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use thingward_agent::claim::Claim;
use thingward_agent::coap::member;
use thingward_agent::enrol::{Anchor, Credential, InitialCredential, enrol};
use thingward_agent::home::Home;
use thingward_agent::http::HTTPS_PORT;
use thingward_agent::key_store::KeyStoreReference;
use thingward_agent::uplink::Route;
use thingward_crypto::sealed::read_private;
use thingward_crypto::{SignatureAlgorithm, SoftwareKey};
use thingward_model::TenantName;

use super::{At, home_failure, show_identity};
use crate::api;
use crate::cli::Global;
use crate::failure::Failure;

/// The algorithm of the device's own key.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum KeyAlgorithm {
    P256,
    Ed25519,
}

/// Give this device its identity.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("credential").required(true).args(["claim_file", "claim", "certificate"]))]
pub(in crate::cli) struct Enrol {
    #[command(flatten)]
    at: At,
    /// The service, as https://host:8443, or a gateway's relay to it; or either over CoAP, as coap://host.
    service: String,
    /// The claim from `device claim`. Other users of this machine can see it here; --claim-file hides it.
    #[arg(long)]
    claim: Option<String>,
    /// A file with the claim.
    #[arg(long, value_name = "FILE")]
    claim_file: Option<PathBuf>,
    /// The certificate that the maker put here, and those between it and the maker's root, PEM.
    #[arg(long, value_name = "FILE", requires_all = ["key", "tenant", "root"])]
    certificate: Option<PathBuf>,
    /// Its private key, PKCS#8 in PEM or DER.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The owner to be.
    #[arg(long)]
    tenant: Option<TenantName>,
    /// The installation's root: a PEM file, or its fingerprint.
    #[arg(long)]
    root: Option<String>,
    /// The algorithm of the new key.
    #[arg(long, value_enum, default_value_t = KeyAlgorithm::P256)]
    algorithm: KeyAlgorithm,
    /// Where the home has its keys from now on: file; tpm:/dev/tpmrm0?pcrs=7, where the home opens only while these
    /// registers say that the machine was started as now; or on a token,
    /// pkcs11:token=LABEL;object=LABEL?module-path=/usr/lib/module.so&pin-source=/etc/thingward/pin [default: file].
    #[arg(long, value_name = "PLACE")]
    keys: Option<KeyStoreReference>,
}

impl Enrol {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let algorithm = match self.algorithm {
            KeyAlgorithm::P256 => SignatureAlgorithm::EcdsaP256,
            KeyAlgorithm::Ed25519 => SignatureAlgorithm::Ed25519,
        };
        let credential = self.credential()?;
        let home = match &self.keys {
            Some(keys) => Home::open_in(&self.at.home(global)?, keys).map_err(home_failure)?,
            None => self.at.open(global)?,
        };
        let identity = match (Route::parse(&self.service, HTTPS_PORT), &credential) {
            (Ok(Route::Coap(gateway)), Credential::Claim(claim)) => {
                member::enrol(&home, &gateway, claim, algorithm).await
            }
            (Ok(Route::Coap(_)), Credential::Initial(_)) => {
                return Err(Failure::Usage("over CoAP a device is enrolled with a claim".to_owned()));
            }
            _ => enrol(&home, &api::endpoint(&self.service)?, &credential, algorithm).await,
        };
        let identity = identity.map_err(Failure::of)?;
        show_identity(global, &home, &identity.membership.principal().to_string());
        Ok(())
    }

    fn credential(&self) -> Result<Credential, Failure> {
        let parse = |text: &str| {
            text.parse::<Claim>().map(Credential::Claim).map_err(|e| Failure::Usage(e.to_string()))
        };
        if let Some(claim) = &self.claim {
            return parse(claim);
        }
        if let Some(file) = &self.claim_file {
            return parse(&std::fs::read_to_string(file).map_err(Failure::file(file))?);
        }
        let (Some(certificate), Some(key), Some(tenant), Some(root)) =
            (&self.certificate, &self.key, self.tenant, &self.root)
        else {
            return Err(Failure::Usage("--certificate needs --key, --tenant and --root".to_owned()));
        };
        let key = private_key(key)?;
        let root = match root.parse() {
            Ok(fingerprint) => Anchor::Fingerprint(fingerprint),
            Err(_) => Anchor::Certificate(pem(Path::new(root))?.swap_remove(0)),
        };
        let chain = pem(certificate)?;
        Ok(Credential::Initial(Box::new(InitialCredential { chain, key, tenant, root })))
    }
}

/// The private key of a file, in PEM or DER.
fn private_key(file: &Path) -> Result<SoftwareKey, Failure> {
    let secret = read_private(file).map_err(Failure::file(file))?;
    let key = match std::str::from_utf8(&secret) {
        Ok(pem) if pem.starts_with("-----BEGIN") => SoftwareKey::from_pkcs8_pem(pem),
        _ => SoftwareKey::from_pkcs8(&secret),
    };
    key.map_err(|_| {
        let file = file.display();
        Failure::Failed(format!(
            "{file} is no P-256 or Ed25519 key in PKCS#8; `openssl pkcs8 -topk8 -nocrypt -in {file}` makes one"
        ))
    })
}

/// The certificates of a file; at least one.
fn pem(file: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let text = std::fs::read_to_string(file).map_err(Failure::file(file))?;
    let all = thingward_pki::ca::certificates_from_pem(&text);
    all.map_err(|e| Failure::Failed(format!("{}: {e}", file.display())))
}
