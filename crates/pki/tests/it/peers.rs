use std::fs;
use std::process::Command;

use thingward_crypto::{SignatureAlgorithm, Signer};
use thingward_model::Role;
use thingward_pki::ca::certificate_pem;
use thingward_pki::{Revoked, SigningRequest};

use super::{authority, key, leaf, now, service};

/// Runs a peer's command; `None`, said aloud, where it is not installed.
fn run(program: &str, args: &[&str]) -> Option<(bool, String)> {
    let Ok(output) = Command::new(program).args(args).output() else {
        println!("skipped: {program} is not installed");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), text.into_owned()))
}

#[test]
fn openssl_and_gnutls_accept_our_chains() {
    let dir = tempfile::tempdir().unwrap();
    let ca = authority();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let root = certificate_pem(&ca.root_der().unwrap()).unwrap();
    let issuing = certificate_pem(&ca.issuing_der().unwrap()).unwrap();
    fs::write(path("root.pem"), &root).unwrap();
    fs::write(path("issuing.pem"), &issuing).unwrap();
    let cases = [
        (service(), SignatureAlgorithm::EcdsaP256, "sslserver"),
        (leaf(Role::Device, "meter-1"), SignatureAlgorithm::EcdsaP256, "sslclient"),
        (leaf(Role::Device, "pump-1"), SignatureAlgorithm::Ed25519, "sslclient"),
        (leaf(Role::Gateway, "hall-1"), SignatureAlgorithm::EcdsaP256, "sslserver"),
    ];
    for (profile, algorithm, purpose) in cases {
        let key = key(algorithm);
        let issued = ca.issue(&profile, key.public_key(), now()).unwrap();
        let pem = certificate_pem(&issued.der).unwrap();
        fs::write(path("leaf.pem"), &pem).unwrap();
        fs::write(path("chain.pem"), format!("{pem}{issuing}{root}")).unwrap();
        let (root, issuing, leaf) = (path("root.pem"), path("issuing.pem"), path("leaf.pem"));
        let openssl =
            ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", &root, "-untrusted", &issuing, &leaf];
        if let Some((ok, text)) = run("openssl", &openssl) {
            assert!(ok, "OpenSSL on {profile:?}: {text}");
        }
        let chain = path("chain.pem");
        if let Some((ok, text)) = run("certtool", &["--verify-chain", "--infile", &chain]) {
            assert!(ok, "GnuTLS on {profile:?}: {text}");
        }
    }
}

#[test]
fn openssl_reads_our_crl_and_our_request() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let ca = authority();
    let issued =
        ca.issue(&leaf(Role::Device, "meter-1"), key(SignatureAlgorithm::EcdsaP256).public_key(), now());
    let crl = ca.crl(7, &[Revoked { serial: issued.unwrap().serial, at: now() }], now()).unwrap();
    fs::write(path("crl.der"), crl).unwrap();
    fs::write(path("issuing.pem"), certificate_pem(&ca.issuing_der().unwrap()).unwrap()).unwrap();
    let (file, ca_file) = (path("crl.der"), path("issuing.pem"));
    let args = ["crl", "-inform", "DER", "-in", &file, "-CAfile", &ca_file, "-noout", "-text"];
    if let Some((ok, text)) = run("openssl", &args) {
        assert!(ok && text.contains("verify OK") && text.contains("Serial Number:"), "{text}");
    }
    for algorithm in [SignatureAlgorithm::EcdsaP256, SignatureAlgorithm::Ed25519] {
        let csr = SigningRequest::create(&"meter-1".parse().unwrap(), &key(algorithm)).unwrap();
        assert!(SigningRequest::from_der(&csr).is_ok());
        fs::write(path("csr.der"), csr).unwrap();
        let file = path("csr.der");
        if let Some((ok, text)) =
            run("openssl", &["req", "-inform", "DER", "-in", &file, "-noout", "-verify"])
        {
            assert!(ok, "{text}");
        }
    }
}
