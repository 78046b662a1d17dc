//! What the nodes of one service share, as files and addresses say it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thingward_cluster::depot::NatsDepot;
use thingward_cluster::nats::{Nats, Place};
use thingward_cluster::s3;
pub use thingward_cluster::s3::BucketUrl;
use thingward_crypto::sealed::read_private;
pub use thingward_ingress::Network;
use thingward_store::Depot;
use thingward_store::registry::PostgresPlace;
use zeroize::Zeroizing;

use crate::service::{StartError, io_error};

/// What the nodes of one service share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleSettings {
    /// What this node is called: no two are called alike.
    pub node: String,
    /// The file with the key that everything is sealed under. The same on all nodes; only its owner may read it.
    pub key_file: PathBuf,
    /// The NATS servers, as `tls://HOST:PORT`, or `nats://HOST:PORT` on this machine.
    pub nats: Vec<String>,
    /// Who issues their certificates, in PEM; who is publicly known does not count.
    pub nats_ca_file: Option<PathBuf>,
    /// `USER:PASSWORD` for them; only its owner may read it.
    pub nats_credentials_file: Option<PathBuf>,
    /// On how many of them everything is.
    pub nats_replicas: usize,
    /// What streams and subjects of this installation begin with, and names in its bucket.
    pub nats_prefix: String,
    /// Bytes of the journal from which on a snapshot takes its place.
    pub journal_bytes: u64,
    /// Where segments of history and tiles of logs are.
    pub objects: Objects,
    /// The file with the place of the registry, as [`PostgresPlace`] has it; only its owner may read it.
    pub postgres_file: PathBuf,
    /// The port at which clients reach MQTT, through the load balancer.
    pub mqtt_port: u16,
    /// Whose connections begin with where their client is: the load balancers.
    pub balancers: Vec<Network>,
}

/// Where segments of history and tiles of logs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objects {
    /// With the journal, in NATS.
    Nats,
    /// In a store that speaks S3.
    S3 {
        /// Which one.
        bucket: BucketUrl,
        /// `ACCESS_KEY:SECRET_KEY` for it; only its owner may read it.
        credentials_file: PathBuf,
        /// Who issues its certificate, in PEM; without it those whom the system trusts.
        ca_file: Option<PathBuf>,
    },
}

impl ScaleSettings {
    /// All files of all nodes.
    pub(super) async fn depot(&self, nats: &Nats) -> Result<Arc<dyn Depot>, StartError> {
        let (bucket, credentials, ca) = match &self.objects {
            Objects::Nats => return Ok(Arc::new(NatsDepot::open(nats).await?)),
            Objects::S3 { bucket, credentials_file, ca_file } => {
                (bucket, credentials_file, ca_file.as_deref())
            }
        };
        let tls = match ca {
            _ if !bucket.is_tls() => None,
            Some(ca) => Some(client_config(ca).map_err(in_file(ca))?),
            None => Some(system_client_config().map_err(io_error("the system's certificates".to_owned()))?),
        };
        let login = login(credentials, "ACCESS_KEY:SECRET_KEY").map_err(in_file(credentials))?;
        let place = s3::Place {
            bucket: bucket.clone(),
            login: s3::Login { access_key: login.0, secret_key: login.1 },
            tls,
            prefix: self.nats_prefix.clone(),
            patience: s3::Patience::default(),
        };
        Ok(Arc::new(s3::S3Depot::open(&place).await?))
    }

    pub(super) fn nats(&self) -> Result<Place, StartError> {
        let tls =
            self.nats_ca_file.as_deref().map(|ca| client_config(ca).map_err(in_file(ca))).transpose()?;
        let login = self
            .nats_credentials_file
            .as_deref()
            .map(|file| login(file, "USER:PASSWORD").map_err(in_file(file)));
        Ok(Place {
            servers: self.nats.clone(),
            tls,
            login: login.transpose()?,
            prefix: self.nats_prefix.clone(),
            replicas: self.nats_replicas,
        })
    }

    pub(super) fn postgres(&self) -> Result<PostgresPlace, StartError> {
        let file = self.postgres_file.as_path();
        let text = secret(file).map_err(in_file(file))?;
        Ok(text.trim_end().parse()?)
    }
}

fn in_file(file: &Path) -> impl FnOnce(io::Error) -> StartError {
    io_error(file.display().to_string())
}

fn secret(file: &Path) -> io::Result<Zeroizing<String>> {
    let text = std::str::from_utf8(&read_private(file)?).map(|text| Zeroizing::new(text.to_owned()));
    text.map_err(io::Error::other)
}

fn login(file: &Path, form: &str) -> io::Result<(String, Zeroizing<String>)> {
    let text = secret(file)?;
    let parts =
        text.trim_end().split_once(':').filter(|(name, secret)| !name.is_empty() && !secret.is_empty());
    let (name, secret) = parts.ok_or_else(|| io::Error::other(format!("write {form}")))?;
    Ok((name.to_owned(), Zeroizing::new(secret.to_owned())))
}

fn client_config(ca: &Path) -> io::Result<Arc<ClientConfig>> {
    let pem = std::fs::read(ca)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    trusting(roots)
}

/// Trusts whom the system trusts.
fn system_client_config() -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    // One that webpki does not read vouches for nobody then.
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(io::Error::other("there are none; say whose count by `objects_ca_file`"));
    }
    trusting(roots)
}

fn trusting(roots: RootCertStore) -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let config = config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}
