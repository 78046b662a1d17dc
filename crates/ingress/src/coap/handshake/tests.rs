use std::cell::RefCell;

use thingward_coap::edhoc::{Initiator, Suite, Thumbprint};
use thingward_crypto::{Signer, SoftwareKey};
use thingward_model::{Principal, Role, Timestamp};
use thingward_pki::{CertificateAuthority, Lifetimes, Profile};

use super::*;

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

fn handshakes() -> Handshakes {
    let key = DhKey::new(&[5; 32]).unwrap();
    let own = Credential::claims_set("gateway", &key).unwrap();
    Handshakes::new(key, own, SignatureAlgorithm::EcdsaP256)
}

/// Nobody's.
const ANCHOR: Anchor<'static> = (&[], "thingward.test");

fn answer(
    ours: &mut Handshakes,
    now: Instant,
    address: SocketAddr,
    message_1: &[u8],
    is_taken: impl Fn(&[u8]) -> bool,
) -> Vec<u8> {
    match ours.begin(now, address, message_1, is_taken).unwrap() {
        Begun::Answered(message_2) => message_2,
        Begun::ToBeSigned(..) => panic!("a signature is wanted"),
    }
}

fn free(_: &[u8]) -> bool {
    false
}

fn begun() -> Initiator {
    Initiator::start(
        (Method::StaticStatic, Suite::Two),
        DhKey::new(&[9; 32]).unwrap(),
        Identifier::new(&[0]).unwrap(),
        &[],
    )
}

#[test]
fn an_identifier_that_a_context_has_is_drawn_again() {
    let (mut ours, drawn) = (handshakes(), RefCell::new(Vec::new()));
    let is_taken = |bytes: &[u8]| {
        drawn.borrow_mut().push(bytes.to_vec());
        drawn.borrow().len() < 3
    };
    answer(&mut ours, Instant::now(), address(1, 7), begun().message_1(), is_taken);
    assert_eq!(drawn.borrow().len(), 3);
    assert_eq!(ours.open[0].responder.identifier().as_bytes(), drawn.borrow()[2]);
}

#[test]
fn a_handshake_ends_with_the_key_of_who_began_it_and_once() {
    let (mut ours, now, peer) = (handshakes(), Instant::now(), address(1, 7));
    let begun = begun();
    let message_2 = answer(&mut ours, now, peer, begun.message_1(), free);
    let named = begun.read(&message_2).unwrap();
    let raw = DhKey::new(&[6; 32]).unwrap();
    let own = Credential::claims_set("", &raw).unwrap();
    let gateway = ours.own.clone();
    let (message_3, session) = named.finish(&gateway, OwnKey::Static(&raw), &own).unwrap();
    let payload = [session.responder().to_cbor(), message_3].concat();
    assert!(ours.finish(address(1, 8), &payload, ANCHOR).is_none());
    let (theirs, shown) = ours.finish(peer, &payload, ANCHOR).unwrap().unwrap();
    assert!(matches!(shown, Shown::Raw(key) if key == raw.public()));
    assert_eq!(theirs.export(0x8000), session.export(0x8000));
    assert!(ours.finish(peer, &payload, ANCHOR).is_none());
}

#[test]
fn what_is_open_is_bounded_and_forgotten() {
    let (mut ours, now) = (handshakes(), Instant::now());
    for port in 0..40 {
        answer(&mut ours, now, address(1, port), begun().message_1(), free);
    }
    assert_eq!(ours.open.len(), OPEN_OF_PLACE_MAX);
    for host in 0..1100_u16 {
        let [high, low] = host.to_be_bytes();
        let far = SocketAddr::from(([198, 18, high, low], 1));
        answer(&mut ours, now, far, begun().message_1(), free);
    }
    assert_eq!(ours.open.len(), OPEN_MAX);
    answer(&mut ours, now + LIFE, address(1, 1), begun().message_1(), free);
    assert_eq!(ours.open.len(), 1);
}

const TRUST_DOMAIN: &str = "thingward.test";

fn p256(seed: u8) -> SoftwareKey {
    SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[seed; 32]).unwrap()
}

/// An installation, since a while.
fn authority(since: Timestamp) -> CertificateAuthority {
    let keys = (p256(1), Box::new(p256(2)));
    CertificateAuthority::create(TRUST_DOMAIN, Lifetimes::default(), &keys.0, keys.1, since).unwrap()
}

fn ago(days: i64) -> Timestamp {
    now().plus_micros(-days * 86_400_000_000)
}

fn leaf(role: Role) -> Profile {
    let (tenant, name) = ("acme".parse().unwrap(), "mill-1".parse().unwrap());
    Profile::Leaf { principal: Principal { tenant, role, name }, serial_number: None }
}

/// The certificate of this profile for this key since then, and the issuing one.
fn chain(of: &CertificateAuthority, profile: &Profile, key: &SoftwareKey, since: Timestamp) -> Vec<Vec<u8>> {
    vec![of.issue(profile, key.public_key(), since).unwrap().der, of.issuing_der().unwrap()]
}

/// What becomes of somebody who shows `own`, proves it with `key`, and is held against this root.
fn shown(root: &[u8], key: &SoftwareKey, own: &Credential) -> Result<Shown, String> {
    let (mut ours, now, peer) = (handshakes(), Instant::now(), address(1, 7));
    // The raw key at this end needs no certificate of it, and nothing else differs.
    let ephemeral = DhKey::new(&[9; 32]).unwrap();
    let suite = (Method::SignStatic, Suite::Two);
    let begun = Initiator::start(suite, ephemeral, Identifier::new(&[0]).unwrap(), &[]);
    let message_2 = answer(&mut ours, now, peer, begun.message_1(), free);
    let gateway = ours.own.clone();
    let named = begun.read(&message_2).unwrap();
    let (message_3, session) = named.finish(&gateway, OwnKey::Signature(key), own).unwrap();
    let payload = [session.responder().to_cbor(), message_3].concat();
    let finished = ours.finish(peer, &payload, (root, TRUST_DOMAIN)).unwrap();
    finished.map(|(_, shown)| shown).map_err(|error| {
        assert_eq!(error.message()[0], if error.to_string() == UNKNOWN { 3 } else { 1 });
        error.to_string()
    })
}

const UNKNOWN: &str = "the credential is not known";

#[test]
fn a_certificate_of_the_installation_says_who_it_is() {
    let (authority, key) = (authority(ago(40)), p256(3));
    let chain = chain(&authority, &leaf(Role::Device), &key, ago(1));
    let own = Credential::chain(&chain, key.public_key().clone()).unwrap();
    let Ok(Shown::Certificate(leaf)) = shown(&authority.root_der().unwrap(), &key, &own) else {
        panic!("nobody is there")
    };
    assert_eq!(leaf.principal.name.as_str(), "mill-1");
}

#[test]
fn who_shows_a_certificate_that_is_not_good_is_told_what_is_wrong_with_it() {
    let (authority, key) = (authority(ago(40)), p256(3));
    let other = CertificateAuthority::create(
        TRUST_DOMAIN,
        Lifetimes::default(),
        &p256(7),
        Box::new(p256(8)),
        ago(40),
    );
    let root = authority.root_der().unwrap();
    let service = Profile::Service { names: vec!["localhost".to_owned()], addresses: Vec::new() };
    let refused = |chain: &[Vec<u8>], key: &SoftwareKey| {
        let own = Credential::chain(chain, key.public_key().clone()).unwrap();
        shown(&root, key, &own).unwrap_err()
    };
    let good = chain(&authority, &leaf(Role::Device), &key, ago(1));
    for (chain, wrong) in [
        (chain(&authority, &leaf(Role::Device), &key, ago(31)), "Expired"),
        (chain(&authority, &leaf(Role::Device), &key, ago(-1)), "NotValidYet"),
        (chain(&other.unwrap(), &leaf(Role::Device), &key, ago(1)), "BadSignature"),
        (chain(&authority, &service, &key, ago(1)), "extendedKeyUsage"),
        (vec![good[0].clone()], "UnknownIssuer"),
        (vec![vec![0x30; 400]], "BadEncoding"),
    ] {
        let said = refused(&chain, &key);
        let spaced = said.replace(' ', "").to_lowercase();
        assert!(spaced.contains(&wrong.to_lowercase()), "{wrong}: {said}");
    }
    // The certificate of somebody else is known to everybody who heard it: its key is not.
    let own = Credential::chain(&good, key.public_key().clone()).unwrap();
    assert_eq!(shown(&root, &p256(4), &own).unwrap_err(), "the message is not authentic");
}

#[test]
fn a_name_that_says_nothing_here_is_refused_as_such() {
    let (authority, key) = (authority(ago(40)), p256(3));
    let root = authority.root_der().unwrap();
    let chain = chain(&authority, &leaf(Role::Device), &key, ago(1));
    let own = Credential::chain(&chain, key.public_key().clone()).unwrap();
    let thumbprint = Credential { id: CredentialId::Thumbprint(Thumbprint::of(&chain[0])), ..own.clone() };
    let kid = Credential { id: CredentialId::Kid(Identifier::new(&[5]).unwrap()), ..own };
    for own in [thumbprint, kid] {
        assert_eq!(shown(&root, &key, &own).unwrap_err(), UNKNOWN);
    }
}

#[test]
fn what_is_taken_with_a_method_follows_from_the_keys_that_there_are() {
    let of = |signs| Handshakes { signs, ..handshakes() };
    let methods = [Method::SignSign, Method::SignStatic, Method::StaticSign, Method::StaticStatic];
    let suites = |signs| methods.map(|method| of(signs).suites(method));
    let (p256, curve25519) = (Suites::P256, Suites::CURVE25519);
    assert_eq!(suites(SignatureAlgorithm::EcdsaP256), [p256; 4]);
    assert_eq!(suites(SignatureAlgorithm::Ed25519), [curve25519, p256, Suites::NONE, p256]);
}
