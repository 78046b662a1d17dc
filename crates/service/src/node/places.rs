//! What the nodes of one service share, as files and addresses say it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thingward_cluster::nats::Place;
use thingward_crypto::sealed::read_private;
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
    /// What streams and subjects of this installation begin with.
    pub nats_prefix: String,
    /// Bytes of the journal from which on a snapshot takes its place.
    pub journal_bytes: u64,
    /// The file with the place of the registry, as [`PostgresPlace`] has it; only its owner may read it.
    pub postgres_file: PathBuf,
    /// The port at which clients reach MQTT, through the load balancer.
    pub mqtt_port: u16,
}

impl ScaleSettings {
    pub(super) fn nats(&self) -> Result<Place, StartError> {
        let tls =
            self.nats_ca_file.as_deref().map(|ca| client_config(ca).map_err(in_file(ca))).transpose()?;
        let login = self.nats_credentials_file.as_deref().map(|file| login(file).map_err(in_file(file)));
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

fn login(file: &Path) -> io::Result<(String, Zeroizing<String>)> {
    let text = secret(file)?;
    let (user, password) =
        text.trim_end().split_once(':').ok_or_else(|| io::Error::other("write USER:PASSWORD"))?;
    Ok((user.to_owned(), Zeroizing::new(password.to_owned())))
}

fn client_config(ca: &Path) -> io::Result<Arc<ClientConfig>> {
    let pem = std::fs::read(ca)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let config = config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}
