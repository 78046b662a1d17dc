//! The installation's certificate authority: a root that signs the issuing authority, which signs the rest.

use std::time::Duration;

use der::asn1::GeneralizedTime;
use der::{Decode, DecodePem, EncodePem, pem::LineEnding};
use rand_core::Rng;
use thingward_crypto::{Signer, VerifyingKey, system_rng};
use thingward_model::Timestamp;
use x509_cert::Certificate;
use x509_cert::builder::{CertificateBuilder, CrlBuilder};
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::RevokedCert;
use x509_cert::ext::pkix::CrlNumber;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::{Time, Validity};

use crate::PkiError;
use crate::profile::{Issue, Lifetimes, Profile, to_der};
use crate::signer::build;

/// How far back a certificate's validity starts, for things whose clock is a little behind.
const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// Random serial numbers: RFC 5280 §4.1.2.2 allows 20 octets, the first bit clear.
const SERIAL_BYTES: usize = 16;

/// Written into the certificate of a witness.
const WITNESS_LIFETIME: Duration = Duration::from_secs(7_300 * 86_400);

/// A signer that threads share.
pub type SharedSigner = Box<dyn Signer + Send + Sync>;

/// A certificate that the authority made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub der: Vec<u8>,
    /// Its serial number.
    pub serial: Vec<u8>,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid to.
    pub not_after: Timestamp,
}

/// An entry of a CRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Serial number of the certificate.
    pub serial: Vec<u8>,
    /// When.
    pub at: Timestamp,
}

/// Root and issuing authority of one installation.
pub struct CertificateAuthority {
    trust_domain: String,
    lifetimes: Lifetimes,
    root: Certificate,
    issuing: Certificate,
    issuing_signer: SharedSigner,
}

impl CertificateAuthority {
    /// Makes a new authority. The root's signer is used here only; keep its key apart if you can.
    ///
    /// # Errors
    ///
    /// [`PkiError::Signer`] when a signer fails.
    pub fn create(
        trust_domain: &str,
        lifetimes: Lifetimes,
        root_signer: &dyn Signer,
        issuing_signer: SharedSigner,
        now: Timestamp,
    ) -> Result<Self, PkiError> {
        let make = |profile: &Profile, key: &VerifyingKey, issuer: Option<&Name>, lifetime| {
            certificate(Issue { profile, trust_domain, issuer }, key, root_signer, now, lifetime)
        };
        let root = make(&Profile::Root, root_signer.public_key(), None, lifetimes.root)?;
        let issuer = root.tbs_certificate().subject().clone();
        let issuing = make(&Profile::Issuing, issuing_signer.public_key(), Some(&issuer), lifetimes.issuing)?;
        Ok(Self { trust_domain: trust_domain.to_owned(), lifetimes, root, issuing, issuing_signer })
    }

    /// The authority with certificates made before.
    ///
    /// # Errors
    ///
    /// [`PkiError::Malformed`] when they are no certificates, [`PkiError::Signer`] when the signer holds another
    /// key than the issuing certificate names.
    pub fn load(
        trust_domain: &str,
        lifetimes: Lifetimes,
        root_der: &[u8],
        issuing_der: &[u8],
        issuing_signer: SharedSigner,
    ) -> Result<Self, PkiError> {
        let read =
            |der| Certificate::from_der(der).map_err(|_| PkiError::Malformed { what: "CA certificate" });
        let (root, issuing) = (read(root_der)?, read(issuing_der)?);
        let named = to_der(issuing.tbs_certificate().subject_public_key_info())?;
        if named != issuing_signer.public_key().to_spki() {
            return Err(PkiError::Signer);
        }
        Ok(Self { trust_domain: trust_domain.to_owned(), lifetimes, root, issuing, issuing_signer })
    }

    /// The name after `spiffe://` in every identity.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// How long its certificates and CRLs live.
    #[must_use]
    pub const fn lifetimes(&self) -> &Lifetimes {
        &self.lifetimes
    }

    /// The root certificate in DER.
    ///
    /// # Errors
    ///
    /// [`PkiError::Signer`] never, in practice: the encoder's own failure.
    pub fn root_der(&self) -> Result<Vec<u8>, PkiError> {
        to_der(&self.root)
    }

    /// The issuing certificate in DER.
    ///
    /// # Errors
    ///
    /// As [`Self::root_der`].
    pub fn issuing_der(&self) -> Result<Vec<u8>, PkiError> {
        to_der(&self.issuing)
    }

    /// Issues a certificate for the holder of `key`, who must have proved to hold it.
    ///
    /// # Errors
    ///
    /// [`PkiError::Signer`] when the signer fails.
    pub fn issue(&self, profile: &Profile, key: &VerifyingKey, now: Timestamp) -> Result<Issued, PkiError> {
        let lifetime = match profile {
            Profile::Service { .. } => self.lifetimes.service,
            Profile::Leaf { .. } => self.lifetimes.leaf,
            Profile::Root | Profile::Issuing | Profile::Witness { .. } => return Err(PkiError::Signer),
        };
        let issue = Issue {
            profile,
            trust_domain: &self.trust_domain,
            issuer: Some(self.issuing.tbs_certificate().subject()),
        };
        let certificate = certificate(issue, key, self.issuing_signer.as_ref(), now, lifetime)?;
        let tbs = certificate.tbs_certificate();
        Ok(Issued {
            der: to_der(&certificate)?,
            serial: tbs.serial_number().as_bytes().to_vec(),
            not_before: timestamp(tbs.validity().not_before),
            not_after: timestamp(tbs.validity().not_after),
        })
    }

    /// Signs a CRL with these entries. `number` must grow with each.
    ///
    /// # Errors
    ///
    /// [`PkiError::Signer`] when the signer fails.
    pub fn crl(&self, number: u64, revoked: &[Revoked], now: Timestamp) -> Result<Vec<u8>, PkiError> {
        let number = CrlNumber::try_from(number).map_err(|_| PkiError::Signer)?;
        let next = now.plus_micros(micros(self.lifetimes.crl));
        let entries = revoked.iter().map(|r| {
            Ok(RevokedCert {
                serial_number: SerialNumber::<Rfc5280>::new(&r.serial)?,
                revocation_date: x509_time(r.at)?,
                crl_entry_extensions: None,
            })
        });
        let entries: Vec<_> = entries.collect::<der::Result<_>>().map_err(|_| PkiError::Signer)?;
        let time = x509_time(now).map_err(|_| PkiError::Signer)?;
        let next = x509_time(next).map_err(|_| PkiError::Signer)?;
        let mut builder = CrlBuilder::new_with_this_update(&self.issuing, number, time)
            .map_err(|_| PkiError::Signer)?
            .with_next_update(Some(next));
        if !entries.is_empty() {
            builder = builder.with_certificates(entries.into_iter());
        }
        to_der(&build(builder, self.issuing_signer.as_ref())?)
    }
}

/// The certificate of a witness, signed by itself, in DER. Nobody asks how long it is valid: who knows its fingerprint
/// trusts it until told otherwise.
///
/// # Errors
///
/// [`PkiError::Signer`] when the signer fails, or the name is not ASCII.
pub fn witness_certificate(name: &str, signer: &dyn Signer, now: Timestamp) -> Result<Vec<u8>, PkiError> {
    let profile = Profile::Witness { name: name.to_owned() };
    let issue = Issue { profile: &profile, trust_domain: "", issuer: None };
    to_der(&certificate(issue, signer.public_key(), signer, now, WITNESS_LIFETIME)?)
}

fn certificate(
    issue: Issue<'_>,
    key: &VerifyingKey,
    signer: &dyn Signer,
    now: Timestamp,
    lifetime: Duration,
) -> Result<Certificate, PkiError> {
    let mut serial = [0; SERIAL_BYTES];
    system_rng().fill_bytes(&mut serial);
    // A first byte from 0x40 to 0x7f: positive, and never shortened by a leading zero.
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    let make = || -> Result<_, x509_cert::builder::Error> {
        let validity = Validity::new(
            x509_time(now.plus_micros(-micros(CLOCK_SKEW)))?,
            x509_time(now.plus_micros(micros(lifetime)))?,
        );
        let key = SubjectPublicKeyInfoOwned::from_der(&key.to_spki())?;
        CertificateBuilder::new(issue, SerialNumber::new(&serial)?, validity, key)
    };
    build(make().map_err(|_| PkiError::Signer)?, signer)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn x509_time(time: Timestamp) -> der::Result<Time> {
    let seconds = u64::try_from(time.as_seconds()).unwrap_or_default();
    Ok(Time::GeneralTime(GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))?))
}

pub(crate) fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}

/// PEM of a certificate in DER.
///
/// # Errors
///
/// [`PkiError::Malformed`] when it is none.
pub fn certificate_pem(der: &[u8]) -> Result<String, PkiError> {
    let malformed = |_| PkiError::Malformed { what: "certificate" };
    Certificate::from_der(der).map_err(malformed)?.to_pem(LineEnding::LF).map_err(malformed)
}

/// All certificates of a PEM text, in DER. At least one.
///
/// # Errors
///
/// [`PkiError::Malformed`] when there is none, or one is broken.
pub fn certificates_from_pem(pem: &str) -> Result<Vec<Vec<u8>>, PkiError> {
    const END: &str = "-----END CERTIFICATE-----";
    let malformed = || PkiError::Malformed { what: "PEM certificate" };
    let mut all = Vec::new();
    let mut rest = pem;
    while let Some(start) = rest.find("-----BEGIN CERTIFICATE-----") {
        let end = rest.find(END).ok_or_else(malformed)? + END.len();
        let block = rest.get(start..end).ok_or_else(malformed)?;
        all.push(to_der(&Certificate::from_pem(block).map_err(|_| malformed())?)?);
        rest = rest.get(end..).unwrap_or_default();
    }
    if all.is_empty() { Err(malformed()) } else { Ok(all) }
}
