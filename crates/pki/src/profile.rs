//! What each kind of certificate says. `docs/wire/certificates.md` is the prose for operators.

use std::net::IpAddr;
use std::time::Duration;

use der::asn1::Utf8StringRef;
use der::asn1::{Ia5String, OctetString};
use der::{Decode, Encode};
use thingward_model::{Principal, Role};
use x509_cert::builder::Result;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// X.520 serialNumber: where 802.1AR §8.6 puts a device's serial number.
pub(crate) const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");

/// How long certificates live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Devices, gateways and applications.
    pub leaf: Duration,
    /// The service's own, renewed at start and while it runs.
    pub service: Duration,
    /// The issuing authority.
    pub issuing: Duration,
    /// The root authority.
    pub root: Duration,
    /// Time to the next CRL at the latest.
    pub crl: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Lifetimes {
    /// 30 days for those that renew themselves over a network that may be away for weeks, 7 for the service.
    fn default() -> Self {
        Self { leaf: DAY * 30, service: DAY * 7, issuing: DAY * 3_650, root: DAY * 7_300, crl: DAY * 2 }
    }
}

/// What a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Profile {
    /// The root authority of an installation.
    Root,
    /// The authority that signs everything but itself.
    Issuing,
    /// The service's listeners.
    Service {
        /// DNS names that clients use.
        names: Vec<String>,
        /// Addresses that clients use.
        addresses: Vec<IpAddr>,
    },
    /// A device, gateway or application of a tenant: an LDevID of 802.1AR.
    Leaf {
        /// Whom it names.
        principal: Principal,
        /// The maker's serial number, when the device showed an IDevID.
        serial_number: Option<String>,
    },
    /// A witness of audit logs: signed by itself, known by its fingerprint.
    Witness {
        /// What it is called, as `witness.example.com/w1`.
        name: String,
    },
}

/// A profile with what it needs to become a certificate.
pub(crate) struct Issue<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) trust_domain: &'a str,
    pub(crate) issuer: Option<&'a Name>,
}

impl BuilderProfile for Issue<'_> {
    fn get_issuer(&self, subject: &Name) -> Name {
        self.issuer.unwrap_or(subject).clone()
    }

    fn get_subject(&self) -> Name {
        let mut parts = Vec::new();
        match self.profile {
            Profile::Root => parts.push((COMMON_NAME, format!("{} root", self.trust_domain))),
            Profile::Issuing => parts.push((COMMON_NAME, format!("{} issuing", self.trust_domain))),
            Profile::Service { .. } => parts.push((COMMON_NAME, format!("{} service", self.trust_domain))),
            Profile::Witness { name } => parts.push((COMMON_NAME, name.clone())),
            Profile::Leaf { principal, serial_number } => {
                parts.push((ORGANIZATION, principal.tenant.to_string()));
                parts.push((COMMON_NAME, principal.name.to_string()));
                if let Some(serial) = serial_number {
                    parts.push((SERIAL_NUMBER, serial.clone()));
                }
            }
        }
        distinguished_name(&parts)
    }

    fn build_extensions(
        &self,
        spk: SubjectPublicKeyInfoRef<'_>,
        issuer_spk: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> Result<Vec<Extension>> {
        let mut extensions = Extensions { subject: tbs.subject().clone(), list: Vec::new() };
        extensions.add(&SubjectKeyIdentifier::try_from(spk)?)?;
        extensions.add(&AuthorityKeyIdentifier {
            key_identifier: Some(SubjectKeyIdentifier::try_from(issuer_spk)?.0),
            ..AuthorityKeyIdentifier::default()
        })?;
        let is_authority = matches!(self.profile, Profile::Root | Profile::Issuing);
        let path_len_constraint = match self.profile {
            Profile::Root => Some(1),
            Profile::Issuing => Some(0),
            Profile::Service { .. } | Profile::Leaf { .. } | Profile::Witness { .. } => None,
        };
        extensions.add(&BasicConstraints { ca: is_authority, path_len_constraint })?;
        let usage = if is_authority {
            KeyUsages::KeyCertSign | KeyUsages::CRLSign
        } else {
            KeyUsages::DigitalSignature.into()
        };
        extensions.add(&KeyUsage(usage))?;
        let purposes = self.extended_usages();
        if !purposes.is_empty() {
            extensions.add(&ExtendedKeyUsage(purposes))?;
            extensions.add(&SubjectAltName(self.alternative_names()?))?;
        }
        Ok(extensions.list)
    }
}

struct Extensions {
    subject: Name,
    list: Vec<Extension>,
}

impl Extensions {
    fn add<E>(&mut self, extension: E) -> Result<()>
    where
        E: ToExtension<Error = der::Error>,
    {
        let encoded = extension.to_extension(&self.subject, &self.list)?;
        self.list.push(encoded);
        Ok(())
    }
}

impl Issue<'_> {
    fn extended_usages(&self) -> Vec<ObjectIdentifier> {
        match self.profile {
            Profile::Root | Profile::Issuing => Vec::new(),
            Profile::Service { .. } | Profile::Witness { .. } => vec![SERVER_AUTH],
            Profile::Leaf { principal, .. } => match principal.role {
                Role::Device | Role::Application => vec![CLIENT_AUTH],
                Role::Gateway => vec![CLIENT_AUTH, SERVER_AUTH],
            },
        }
    }

    fn alternative_names(&self) -> Result<GeneralNames> {
        let uri = |path: String| -> Result<GeneralName> {
            let id = format!("spiffe://{}{path}", self.trust_domain);
            Ok(GeneralName::UniformResourceIdentifier(Ia5String::new(&id)?))
        };
        Ok(match self.profile {
            Profile::Root | Profile::Issuing => GeneralNames::new(),
            Profile::Service { names, addresses } => {
                let mut all = vec![uri("/service".to_owned())?];
                for name in names {
                    all.push(GeneralName::DnsName(Ia5String::new(name)?));
                }
                for address in addresses {
                    all.push(GeneralName::IpAddress(OctetString::new(octets(*address))?));
                }
                all
            }
            Profile::Witness { name } => {
                let host = name.split('/').next().unwrap_or_default();
                vec![GeneralName::DnsName(Ia5String::new(host)?)]
            }
            Profile::Leaf { principal, .. } => {
                let mut all = vec![uri(principal.to_string())?];
                // Never a name of the gateway's choice: things of other tenants trust the same root.
                let host = gateway_host(principal, self.trust_domain);
                if let Some(host) = host.filter(|_| principal.role == Role::Gateway) {
                    all.push(GeneralName::DnsName(Ia5String::new(&host)?));
                }
                all
            }
        })
    }
}

/// The DNS name in a gateway's certificate, for standard clients behind it. `None` when the name of the gateway or of
/// its tenant is no host name label: letters of one case, digits and hyphens. With others, two gateways could have
/// one name.
#[must_use]
pub fn gateway_host(gateway: &Principal, trust_domain: &str) -> Option<String> {
    let (name, tenant) = (gateway.name.as_str(), gateway.tenant.as_str());
    let is_label = |text: &str| {
        text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) && !text.ends_with('-')
    };
    (is_label(name) && is_label(tenant)).then(|| format!("{name}.{tenant}.gateway.{trust_domain}"))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

/// A name of these attributes, one per relative name. An attribute that cannot be encoded is left out; ours
/// are names and printable serial numbers, which always can.
pub(crate) fn distinguished_name(parts: &[(ObjectIdentifier, String)]) -> Name {
    let rdns = parts.iter().filter_map(|(oid, text)| {
        let value = der::Any::encode_from(&Utf8StringRef::new(text).ok()?).ok()?;
        let attribute = x509_cert::attr::AttributeTypeAndValue { oid: *oid, value };
        RelativeDistinguishedName::try_from(vec![attribute]).ok()
    });
    // The builder takes a `Name`, which is made from attributes only by decoding them.
    RdnSequence::from(rdns.collect::<Vec<_>>())
        .to_der()
        .and_then(|der| Name::from_der(&der))
        .unwrap_or_default()
}

/// DER of anything that always encodes.
pub(crate) fn to_der(value: &impl Encode) -> std::result::Result<Vec<u8>, crate::PkiError> {
    value.to_der().map_err(|_| crate::PkiError::Signer)
}
