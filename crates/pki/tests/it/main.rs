//! The authority against what nobody here wrote: OpenSSL, GnuTLS, rustls, and published vectors.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod enrolment;
mod handshake;
mod peers;

use thingward_crypto::{SignatureAlgorithm, SoftwareKey, system_rng};
use thingward_model::{Principal, Role, Timestamp};
use thingward_pki::{CertificateAuthority, Lifetimes, Profile};

const TRUST_DOMAIN: &str = "thingward.test";

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_seconds(since.as_secs().try_into().unwrap())
}

fn key(algorithm: SignatureAlgorithm) -> SoftwareKey {
    SoftwareKey::generate(algorithm, &mut system_rng())
}

fn authority() -> CertificateAuthority {
    let (root, issuing) = (key(SignatureAlgorithm::EcdsaP256), key(SignatureAlgorithm::EcdsaP256));
    CertificateAuthority::create(TRUST_DOMAIN, Lifetimes::default(), &root, Box::new(issuing), now()).unwrap()
}

fn leaf(role: Role, name: &str) -> Profile {
    let principal = Principal { tenant: "acme".parse().unwrap(), role, name: name.parse().unwrap() };
    Profile::Leaf { principal, serial_number: None }
}

fn service() -> Profile {
    Profile::Service { names: vec!["localhost".to_owned()], addresses: vec!["127.0.0.1".parse().unwrap()] }
}
