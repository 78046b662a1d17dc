use std::fs;
use std::path::{Path, PathBuf};

use thingward_crypto::{SignatureAlgorithm, Signer};
use thingward_model::{Role, Timestamp};
use thingward_pki::{InitialIdentity, LeafIdentity, PkiError, SigningRequest, ca, cms, est, tls};

use super::{TRUST_DOMAIN, authority, key, leaf, now};

fn vectors(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors").join(folder);
    if !path.exists() {
        println!("skipped: the shared vectors are not here ({folder})");
        return None;
    }
    Some(path)
}

#[test]
fn a_request_becomes_a_certificate_that_names_the_member_and_comes_back_over_est() {
    let ca = authority();
    let key = key(SignatureAlgorithm::EcdsaP256);
    let csr = SigningRequest::create(&"ignored-name".parse().unwrap(), &key).unwrap();
    let request = est::decode_request(est::encode_request(&csr).as_bytes()).unwrap();
    assert_eq!(&request.key, key.public_key());
    let issued = ca.issue(&leaf(Role::Device, "meter-1"), &request.key, now()).unwrap();
    let body = est::encode_certificates(std::slice::from_ref(&issued.der)).unwrap();
    let back = est::decode_certificates(body.as_bytes()).unwrap();
    assert_eq!(back, std::slice::from_ref(&issued.der));
    let identity = LeafIdentity::from_verified(&back[0], TRUST_DOMAIN).unwrap();
    assert_eq!(identity.principal.to_string(), "/tenant/acme/device/meter-1");
    assert_eq!((identity.serial, &identity.key), (issued.serial, key.public_key()));
    assert!(LeafIdentity::from_verified(&back[0], "other.test").is_err());
}

#[test]
fn every_flipped_bit_of_a_request_is_refused() {
    let csr = SigningRequest::create(&"m".parse().unwrap(), &key(SignatureAlgorithm::EcdsaP256)).unwrap();
    for bit in 0..csr.len() * 8 {
        let mut bent = csr.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        assert!(SigningRequest::from_der(&bent).is_err(), "bit {bit}");
    }
    for cut in 0..csr.len() {
        assert!(SigningRequest::from_der(&csr[..cut]).is_err(), "cut to {cut} bytes");
    }
}

#[test]
fn a_request_too_large_or_not_base64_is_refused_by_name() {
    assert!(matches!(est::decode_request(&vec![b'M'; 1 << 20]), Err(PkiError::TooLarge { .. })));
    assert!(matches!(est::decode_request(b"!!"), Err(PkiError::Malformed { .. })));
    assert!(matches!(est::decode_request(b""), Err(PkiError::Malformed { .. })));
}

#[test]
fn the_messages_of_rfc_7030_are_read() {
    let Some(folder) = vectors("est") else { return };
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("rfc7030_messages.json")).unwrap()).unwrap();
    let case = json["cases"].as_array().unwrap().iter().find(|c| c["id"] == "cacertsResponse").unwrap();
    let certificates = est::decode_certificates(case["base64"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(certificates.len(), 4);
}

#[test]
fn a_published_idevid_is_accepted_from_its_maker_and_from_nobody_else() {
    let Some(folder) = vectors("est/idevid") else { return };
    let read = |name: &str| {
        ca::certificates_from_pem(&fs::read_to_string(folder.join(name)).unwrap()).unwrap().remove(0)
    };
    let (device, maker, owner) =
        (read("idevid_00-D0-E5-F2-00-02.crt"), read("vendor.crt"), read("ownerca_secp384r1.crt"));
    let chain = [device.clone().into()];
    let then = Timestamp::parse_rfc3339("2021-06-01T00:00:00Z").unwrap();
    tls::verify_client_chain(&chain, &[maker], then).unwrap();
    assert!(tls::verify_client_chain(&chain, &[owner], then).is_err());
    assert_eq!(InitialIdentity::from_verified(&device).unwrap().serial_number, "00-D0-E5-F2-00-02");
}

#[test]
fn a_certs_only_message_that_is_cut_or_empty_is_refused() {
    let ca = authority();
    let message = cms::encode(&[ca.root_der().unwrap(), ca.issuing_der().unwrap()]).unwrap();
    assert_eq!(cms::decode(&message).unwrap().len(), 2);
    for cut in 0..message.len() {
        assert!(cms::decode(&message[..cut]).is_err(), "cut to {cut} bytes");
    }
    assert!(cms::decode(&cms::encode(&[]).unwrap()).is_err());
}

#[test]
fn a_client_chain_is_accepted_only_from_its_own_authority_and_in_its_time() {
    let (ours, theirs) = (authority(), authority());
    let issued = ours.issue(&leaf(Role::Device, "m"), key(SignatureAlgorithm::EcdsaP256).public_key(), now());
    let chain = [issued.unwrap().der.into(), ours.issuing_der().unwrap().into()];
    let anchor = |ca: &thingward_pki::CertificateAuthority| [ca.root_der().unwrap()];
    assert!(tls::verify_client_chain(&chain, &anchor(&ours), now()).is_ok());
    assert!(tls::verify_client_chain(&chain, &anchor(&theirs), now()).is_err());
    let later = Timestamp::from_seconds(now().as_seconds() + 31 * 86_400);
    assert!(tls::verify_client_chain(&chain, &anchor(&ours), later).is_err());
    assert!(tls::verify_client_chain(&[], &anchor(&ours), now()).is_err());
    assert!(
        InitialIdentity::from_verified(chain[0].as_ref()).is_err(),
        "an LDevID has no serial number here"
    );
}

#[test]
fn pem_texts_give_back_their_certificates() {
    let ca = authority();
    let ders = [ca.root_der().unwrap(), ca.issuing_der().unwrap()];
    let pem: String = ders.iter().map(|d| ca::certificate_pem(d).unwrap()).collect();
    assert_eq!(ca::certificates_from_pem(&pem).unwrap(), ders);
    assert!(ca::certificates_from_pem("nothing").is_err());
}
