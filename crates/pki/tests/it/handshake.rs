use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use thingward_crypto::{SignatureAlgorithm, Signer};
use thingward_model::{Role, Timestamp};
use thingward_pki::tls::{
    ALPN_MQTT, Credentials, ExpectedServer, client_config, member_server_config, open_server_config,
};
use thingward_pki::{CertificateAuthority, PkiError, Profile, Revoked};

use super::{TRUST_DOMAIN, authority, key, leaf, now, service};

/// Both ends in memory until neither has more to say.
fn shake(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Result<ServerConnection, rustls::Error> {
    let mut client = ClientConnection::new(client, "localhost".try_into().unwrap())?;
    let mut server = ServerConnection::new(server)?;
    for _ in 0..8 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        if !bytes.is_empty() {
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!server.is_handshaking() && !client.is_handshaking());
    Ok(server)
}

fn credentials(ca: &CertificateAuthority, profile: &Profile) -> (Credentials, Vec<u8>) {
    let key = key(SignatureAlgorithm::EcdsaP256);
    let issued = ca.issue(profile, key.public_key(), now()).unwrap();
    let chain = [issued.der, ca.issuing_der().unwrap()];
    (Credentials::new(&chain, &key).unwrap(), issued.serial)
}

fn client(
    ca: &CertificateAuthority,
    expected: ExpectedServer,
    own: Option<Credentials>,
) -> Arc<ClientConfig> {
    client_config(&ca.root_der().unwrap(), TRUST_DOMAIN, expected, own, ALPN_MQTT).unwrap()
}

fn listener(ca: &CertificateAuthority, profile: &Profile, revoked: &[Revoked]) -> Arc<ServerConfig> {
    let crl = ca.crl(1, revoked, now()).unwrap();
    member_server_config(&ca.root_der().unwrap(), &crl, credentials(ca, profile).0, ALPN_MQTT).unwrap()
}

#[test]
fn a_member_gets_in_with_a_hybrid_key_exchange() {
    let ca = authority();
    let (own, _) = credentials(&ca, &leaf(Role::Device, "meter-1"));
    let server =
        shake(client(&ca, ExpectedServer::Service, Some(own)), listener(&ca, &service(), &[])).unwrap();
    let group = server.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(server.peer_certificates().unwrap().len(), 2);
}

#[test]
fn a_revoked_member_a_stranger_and_nobody_stay_outside() {
    let (ca, other) = (authority(), authority());
    let (own, serial) = credentials(&ca, &leaf(Role::Device, "meter-1"));
    let revoked = listener(&ca, &service(), &[Revoked { serial, at: now() }]);
    let refused = shake(client(&ca, ExpectedServer::Service, Some(own)), revoked).unwrap_err();
    assert!(refused.to_string().contains("evoked"), "{refused}");
    let (foreign, _) = credentials(&other, &leaf(Role::Device, "meter-1"));
    assert!(
        shake(client(&ca, ExpectedServer::Service, Some(foreign)), listener(&ca, &service(), &[])).is_err()
    );
    assert!(shake(client(&ca, ExpectedServer::Service, None), listener(&ca, &service(), &[])).is_err());
}

#[test]
fn a_listener_takes_the_crl_of_its_own_authority_only_and_lets_nobody_in_when_that_is_over() {
    let (ca, other) = (authority(), authority());
    let listener = |crl: &[u8]| {
        member_server_config(&ca.root_der().unwrap(), crl, credentials(&ca, &service()).0, ALPN_MQTT)
    };
    assert!(matches!(listener(&other.crl(1, &[], now()).unwrap()), Err(PkiError::Signature)));
    assert!(matches!(listener(b"no CRL"), Err(PkiError::Malformed { .. })));
    let mut changed = ca.crl(1, &[Revoked { serial: vec![7; 16], at: now() }], now()).unwrap();
    let serial = changed.windows(16).position(|bytes| bytes == [7; 16]).unwrap();
    changed[serial] = 8;
    assert!(matches!(listener(&changed), Err(PkiError::Signature)));

    let long_ago = Timestamp::from_seconds(now().as_seconds() - 366 * 86_400);
    let over = listener(&ca.crl(1, &[], long_ago).unwrap()).unwrap();
    let (own, _) = credentials(&ca, &leaf(Role::Device, "meter-1"));
    let refused = shake(client(&ca, ExpectedServer::Service, Some(own)), over).unwrap_err();
    assert!(refused.to_string().contains("revocation list expired"), "{refused}");
}

#[test]
fn a_listener_takes_no_issuing_certificate_that_its_root_did_not_sign() {
    let (ca, other) = (authority(), authority());
    let crl = ca.crl(1, &[], now()).unwrap();
    let listener =
        member_server_config(&other.root_der().unwrap(), &crl, credentials(&ca, &service()).0, ALPN_MQTT);
    assert!(matches!(listener, Err(PkiError::Signature)));
}

#[test]
fn a_client_takes_no_other_member_for_the_service() {
    let ca = authority();
    let own = || Some(credentials(&ca, &leaf(Role::Device, "meter-1")).0);
    let gateway = || listener(&ca, &leaf(Role::Gateway, "hall-1"), &[]);
    assert!(shake(client(&ca, ExpectedServer::Service, own()), gateway()).is_err());
    let tenant = |name: &str| ExpectedServer::ServiceOrGatewayOf(name.parse().unwrap());
    assert!(shake(client(&ca, tenant("acme"), own()), gateway()).is_ok());
    assert!(shake(client(&ca, tenant("other"), own()), gateway()).is_err());
    let device = listener(&ca, &leaf(Role::Device, "meter-2"), &[]);
    assert!(shake(client(&ca, tenant("acme"), own()), device).is_err());
}

#[test]
fn the_open_listener_takes_clients_without_a_certificate() {
    let ca = authority();
    let server =
        open_server_config(&[ca.root_der().unwrap()], credentials(&ca, &service()).0, ALPN_MQTT).unwrap();
    let server = shake(client(&ca, ExpectedServer::Service, None), server).unwrap();
    assert!(server.peer_certificates().is_none());
}

#[test]
fn the_open_listener_has_room_for_more_makers_than_a_handshake_can_name() {
    let ca = authority();
    let anchors = vec![ca.root_der().unwrap(); 3000];
    let server = open_server_config(&anchors, credentials(&ca, &service()).0, ALPN_MQTT).unwrap();
    let own = credentials(&ca, &leaf(Role::Device, "meter-1")).0;
    let server = shake(client(&ca, ExpectedServer::Service, Some(own)), server).unwrap();
    assert!(server.peer_certificates().is_some());
}
