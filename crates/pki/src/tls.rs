//! TLS 1.3 roles from identities: who a client talks to, and whom a listener lets in.
//!
//! Hybrid X25519MLKEM768 comes first in key exchange. Our own clients do not look at host names: they demand
//! the SPIFFE ID of the service, or of a gateway of their own tenant, so that no other holder of a certificate
//! from the same root can stand in the middle.

use std::sync::Arc;

use der::Decode;
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    AlwaysResolvesServerRawPublicKeys, NoClientAuth, ParsedCertificate, WebPkiClientVerifier,
};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use thingward_crypto::{Digest, Signer, SoftwareKey, VerifyingKey, sha256};
use thingward_model::{TenantName, Timestamp};
use x509_cert::Certificate;

use crate::PkiError;
use crate::identity::{Server, spiffe_id};
use crate::members::MemberVerifier;
use crate::signer::TlsKey;

/// The application protocol of MQTT over TLS: RFC 7301 registry.
pub const ALPN_MQTT: &[u8] = b"mqtt";
/// The application protocol of HTTP/1.1.
pub const ALPN_HTTP: &[u8] = b"http/1.1";

/// A certificate chain and its key, for either end of a connection.
pub struct Credentials(Arc<CertifiedKey>);

impl Credentials {
    /// Leaf first, then the issuing certificate.
    ///
    /// # Errors
    ///
    /// [`PkiError::Signer`] when the key does not encode, [`PkiError::Tls`] when it is not that of the leaf.
    pub fn new(chain: &[Vec<u8>], key: &SoftwareKey) -> Result<Self, PkiError> {
        let key = PrivateKeyDer::Pkcs8(key.to_pkcs8()?.to_vec().into());
        Self::of(chain, provider().key_provider.load_private_key(key).map_err(PkiError::Tls)?)
    }

    /// As [`Self::new`], with a key that may be in hardware.
    ///
    /// # Errors
    ///
    /// [`PkiError::Tls`] when the key is not that of the leaf.
    pub fn with_signer(chain: &[Vec<u8>], key: Arc<dyn Signer + Send + Sync>) -> Result<Self, PkiError> {
        Self::of(chain, Arc::new(TlsKey(key)))
    }

    fn of(chain: &[Vec<u8>], key: Arc<dyn SigningKey>) -> Result<Self, PkiError> {
        let key = CertifiedKey::new(chain.iter().cloned().map(CertificateDer::from).collect(), key);
        key.keys_match().map_err(PkiError::Tls)?;
        Ok(Self(Arc::new(key)))
    }
}

/// Whom a client lets stand at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedServer {
    /// The service of the installation.
    Service,
    /// The service, or a gateway of this tenant.
    ServiceOrGatewayOf(TenantName),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn roots(anchors: &[Vec<u8>]) -> Result<RootCertStore, PkiError> {
    let mut store = RootCertStore::empty();
    for der in anchors {
        store.add(CertificateDer::from(der.clone())).map_err(PkiError::Tls)?;
    }
    Ok(store)
}

/// Whether TLS can use a certificate as an authority: it reads more of it than a parser does.
///
/// # Errors
///
/// [`PkiError::Tls`] says what it does not take.
pub fn check_anchor(der: &[u8]) -> Result<(), PkiError> {
    roots(&[der.to_vec()]).map(drop)
}

/// A client of the installation with this root; `credentials` where it has some.
///
/// # Errors
///
/// [`PkiError::Tls`] when root, chain and key do not fit together.
pub fn client_config(
    root: &[u8],
    trust_domain: &str,
    expected: ExpectedServer,
    credentials: Option<Credentials>,
    alpn: &[u8],
) -> Result<Arc<ClientConfig>, PkiError> {
    let identity =
        Identity { roots: roots(&[root.to_vec()])?, trust_domain: trust_domain.to_owned(), expected };
    let builder = client_builder(Accept::Member(identity))?;
    let mut config = match credentials {
        Some(Credentials(key)) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Arc::new(config))
}

/// A client that knows no root yet and will check what it learns against a fingerprint: RFC 7030 §4.1.1,
/// bootstrap by an out-of-band fingerprint. Only for fetching CA certificates.
///
/// # Errors
///
/// [`PkiError::Tls`] when the provider does not speak TLS 1.3.
pub fn dangerous_bootstrap_config() -> Result<Arc<ClientConfig>, PkiError> {
    let mut config = client_builder(Accept::Anyone)?.with_no_client_auth();
    config.alpn_protocols = vec![ALPN_HTTP.to_vec()];
    Ok(Arc::new(config))
}

/// A client of the one server whose certificate has this SHA-256. Neither its names nor its dates matter then.
///
/// # Errors
///
/// As [`dangerous_bootstrap_config`].
pub fn pinned_client_config(fingerprint: Digest, alpn: &[u8]) -> Result<Arc<ClientConfig>, PkiError> {
    let mut config = client_builder(Accept::Fingerprint(fingerprint))?.with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Arc::new(config))
}

/// A client of the one that holds this key, and has no certificate: RFC 7250.
///
/// # Errors
///
/// As [`dangerous_bootstrap_config`].
pub fn raw_key_client_config(server: &VerifyingKey, alpn: &[u8]) -> Result<Arc<ClientConfig>, PkiError> {
    let mut config = client_builder(Accept::RawKey(server.to_spki().into()))?.with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Arc::new(config))
}

fn client_builder(accept: Accept) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, PkiError> {
    let provider = provider();
    let verifier = ServerVerifier { algorithms: provider.signature_verification_algorithms, accept };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(PkiError::Tls)?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)))
}

/// A listener for members of the installation only, which the authority issued that issued `credentials`: `crl` is its,
/// and a handshake looks into it.
///
/// # Errors
///
/// [`PkiError`] when root, CRL, chain and key do not fit together.
pub fn member_server_config(
    root: &[u8],
    crl: &[u8],
    credentials: Credentials,
    alpn: &[u8],
) -> Result<Arc<ServerConfig>, PkiError> {
    let (_, issuing) = leaf_of(&credentials.0.cert)?;
    let issuing = issuing.first().ok_or(PkiError::Malformed { what: "issuing certificate" })?.to_vec();
    let issued = client_verifier(std::slice::from_ref(&issuing), true)?;
    let verifier = MemberVerifier::new(root, &issuing, crl, issued)?;
    server_config(Arc::new(verifier), credentials, alpn)
}

/// A listener for anyone: with no certificate, one of the installation, or one of these makers. What each may
/// do is decided behind it.
///
/// # Errors
///
/// As [`member_server_config`].
pub fn open_server_config(
    anchors: &[Vec<u8>],
    credentials: Credentials,
    alpn: &[u8],
) -> Result<Arc<ServerConfig>, PkiError> {
    server_config(client_verifier(anchors, false)?, credentials, alpn)
}

/// A listener that asks nobody for a certificate.
///
/// # Errors
///
/// [`PkiError::Tls`] when chain and key do not fit together.
pub fn anonymous_server_config(credentials: Credentials, alpn: &[u8]) -> Result<Arc<ServerConfig>, PkiError> {
    server_config(Arc::new(NoClientAuth), credentials, alpn)
}

/// A listener that shows its key and no certificate, to anyone: RFC 7250. Who they are is decided behind it.
///
/// # Errors
///
/// [`PkiError::Tls`] when the provider does not speak TLS 1.3.
pub fn raw_key_server_config(
    key: Arc<dyn Signer + Send + Sync>,
    alpn: &[u8],
) -> Result<Arc<ServerConfig>, PkiError> {
    let public = CertificateDer::from(key.public_key().to_spki());
    let shown = CertifiedKey::new(vec![public], Arc::new(TlsKey(key)));
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(PkiError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::new(shown))));
    Ok(finished(config, alpn))
}

fn client_verifier(anchors: &[Vec<u8>], mandatory: bool) -> Result<Arc<dyn ClientCertVerifier>, PkiError> {
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(anchors)?), provider());
    if !mandatory {
        // Without the names of the authorities: the makers of all tenants do not fit into the 64 KiB that
        // RFC 8446 §4.2.4 has for them, and are nobody else's business.
        builder = builder.allow_unauthenticated().clear_root_hint_subjects();
    }
    builder.build().map_err(|e| PkiError::Tls(Error::General(e.to_string())))
}

fn server_config(
    verifier: Arc<dyn ClientCertVerifier>,
    credentials: Credentials,
    alpn: &[u8],
) -> Result<Arc<ServerConfig>, PkiError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(PkiError::Tls)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(credentials.0)));
    Ok(finished(config, alpn))
}

fn finished(mut config: ServerConfig, alpn: &[u8]) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![alpn.to_vec()];
    // A resumed session would outlive a revocation.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// Checks a client's chain against one set of authorities, outside a handshake: which maker is it of?
///
/// # Errors
///
/// [`PkiError::Untrusted`] when it does not lead to one of `anchors` or is not valid at `now`.
pub fn verify_client_chain(
    chain: &[CertificateDer<'_>],
    anchors: &[Vec<u8>],
    now: Timestamp,
) -> Result<(), PkiError> {
    let (leaf, intermediates) = leaf_of(chain)?;
    let verifier = client_verifier(anchors, true)?;
    verifier.verify_client_cert(leaf, intermediates, unix(now)).map(|_| ()).map_err(PkiError::Untrusted)
}

/// Checks the chain of somebody who answers, outside a handshake. Who it is says its certificate.
///
/// # Errors
///
/// [`PkiError::Untrusted`] when it does not lead to `root` or is not valid at `now`.
pub fn verify_server_chain(
    chain: &[CertificateDer<'_>],
    root: &[u8],
    now: Timestamp,
) -> Result<(), PkiError> {
    let (leaf, intermediates) = leaf_of(chain)?;
    let roots = roots(&[root.to_vec()])?;
    let parsed = ParsedCertificate::try_from(leaf).map_err(PkiError::Untrusted)?;
    let algorithms = provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, &roots, intermediates, unix(now), algorithms)
        .map_err(PkiError::Untrusted)
}

type Chain<'a, 'c> = (&'a CertificateDer<'c>, &'a [CertificateDer<'c>]);

fn leaf_of<'a, 'c>(chain: &'a [CertificateDer<'c>]) -> Result<Chain<'a, 'c>, PkiError> {
    chain.split_first().ok_or(PkiError::Untrusted(Error::NoCertificatesPresented))
}

pub(crate) fn unix(now: Timestamp) -> UnixTime {
    let seconds = u64::try_from(now.as_seconds()).unwrap_or_default();
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}

/// Whom a client demands at the other end.
#[derive(Debug)]
struct Identity {
    roots: RootCertStore,
    trust_domain: String,
    expected: ExpectedServer,
}

impl Identity {
    fn is_expected(&self, id: &str) -> bool {
        Server::from_spiffe_id(id, &self.trust_domain).is_some_and(|server| match self.expected {
            ExpectedServer::Service => server == Server::Service,
            ExpectedServer::ServiceOrGatewayOf(tenant) => server.is_of(tenant),
        })
    }
}

/// Which servers a client accepts.
#[derive(Debug)]
enum Accept {
    /// Any: what it says is checked otherwise.
    Anyone,
    /// A member of the installation.
    Member(Identity),
    /// The one whose certificate has this SHA-256.
    Fingerprint(Digest),
    /// The one with this key, which shows no certificate.
    RawKey(SubjectPublicKeyInfoDer<'static>),
}

/// Checks the handshake's signature always, and that the server is one of those that are accepted.
#[derive(Debug)]
struct ServerVerifier {
    algorithms: WebPkiSupportedAlgorithms,
    accept: Accept,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let identity = match &self.accept {
            Accept::Anyone => return Ok(ServerCertVerified::assertion()),
            Accept::Fingerprint(known) if sha256(&[leaf]) == *known => {
                return Ok(ServerCertVerified::assertion());
            }
            Accept::RawKey(known) if known.as_ref() == leaf.as_ref() => {
                return Ok(ServerCertVerified::assertion());
            }
            Accept::Fingerprint(_) | Accept::RawKey(_) => return Err(CertificateError::UnknownIssuer.into()),
            Accept::Member(identity) => identity,
        };
        let parsed = ParsedCertificate::try_from(leaf)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &identity.roots, intermediates, now, algorithms)?;
        let certificate = Certificate::from_der(leaf).map_err(|_| CertificateError::BadEncoding)?;
        match spiffe_id(&certificate) {
            Some(id) if identity.is_expected(&id) => Ok(ServerCertVerified::assertion()),
            _ => Err(CertificateError::NotValidForName.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.accept {
            Accept::RawKey(key) => verify_tls13_signature_with_raw_key(message, key, dss, &self.algorithms),
            _ => rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn requires_raw_public_keys(&self) -> bool {
        matches!(self.accept, Accept::RawKey(_))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
