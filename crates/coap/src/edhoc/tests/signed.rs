//! Signatures and certificates. What stands for a certificate here is any bytes: nobody here reads one.

use super::*;

const METHODS: [Method; 4] = [Method::SignSign, Method::SignStatic, Method::StaticSign, Method::StaticStatic];
const SUITES: [Suite; 4] = [Suite::Zero, Suite::One, Suite::Two, Suite::Three];

/// One end, with both kinds of keys for a suite.
struct End {
    signer: SoftwareKey,
    dh: DhKey,
    certificates: Vec<Vec<u8>>,
}

impl End {
    fn new(suite: Suite, seed: u8) -> Self {
        Self {
            signer: SoftwareKey::from_seed(suite.signature(), &[seed; 32]).unwrap(),
            dh: DhKey::ephemeral(suite.curve(), |bytes| bytes.fill(seed)),
            certificates: [[seed; 300].to_vec(), [0xca; 280].to_vec()].to_vec(),
        }
    }

    fn key(&self, proof: Proof) -> OwnKey<'_> {
        match proof {
            Proof::Signature => OwnKey::Signature(&self.signer),
            Proof::StaticDh => OwnKey::Static(&self.dh),
        }
    }

    fn credential(&self, proof: Proof) -> Credential {
        match proof {
            Proof::Signature => {
                Credential::chain(&self.certificates, self.signer.public_key().clone()).unwrap()
            }
            Proof::StaticDh => Credential {
                id: CredentialId::Kid(id(&[0x21])),
                key: PublicKey::Static { curve: self.dh.curve(), public: self.dh.public() },
                bytes: [0x43, 1, 2, 3].to_vec(),
            },
        }
    }
}

struct Run {
    method: Method,
    suite: Suite,
    initiator: End,
    responder: End,
}

impl Run {
    fn new(method: Method, suite: Suite) -> Self {
        Self { method, suite, initiator: End::new(suite, 6), responder: End::new(suite, 5) }
    }

    fn begun(&self) -> Initiator {
        let x = DhKey::ephemeral(self.suite.curve(), |bytes| bytes.fill(3));
        Initiator::start((self.method, self.suite), x, id(&[0x37]), &[])
    }

    fn answered(&self) -> Responder {
        self.answered_as(&self.responder.credential(self.method.responder())).unwrap()
    }

    fn answered_as(&self, own: &Credential) -> Result<Responder, EdhocError> {
        let message_1 = Message1::read(self.begun().message_1(), |_| Suites::of(self.suite.signature()))?;
        let y = DhKey::ephemeral(self.suite.curve(), |bytes| bytes.fill(4));
        Responder::answer(&message_1, y, id(&[0x27]), self.responder.key(self.method.responder()), own)
    }

    fn named(&self, message_2: &[u8], peer: &Credential) -> Result<(Vec<u8>, Session), EdhocError> {
        let (own, key) =
            (self.initiator.credential(self.method.initiator()), self.initiator.key(self.method.initiator()));
        self.begun().read(message_2)?.finish(peer, key, &own)
    }
}

#[test]
fn every_method_and_suite_leads_both_ends_to_the_same_keys() {
    for (method, suite) in METHODS.into_iter().flat_map(|method| SUITES.map(|suite| (method, suite))) {
        let run = Run::new(method, suite);
        let answer = run.answered();
        let peer = run.responder.credential(method.responder());
        let named = run.begun().read(answer.message_2()).unwrap();
        assert_eq!(named.id(), &peer.id, "{method:?} {suite:?}");
        let (message_3, ours) = run.named(answer.message_2(), &peer).unwrap();
        let named = answer.read(&message_3).unwrap();
        let peer = run.initiator.credential(method.initiator());
        assert_eq!(named.id(), &peer.id, "{method:?} {suite:?}");
        let theirs = named.finish(&peer).unwrap();
        ours.check_message_4(&theirs.message_4().unwrap()).unwrap();
        assert_eq!(ours.export(0x8000), theirs.export(0x8000), "{method:?} {suite:?}");
        assert_eq!(ours.oscore().unwrap().0.expose(), theirs.oscore().unwrap().0.expose());
    }
}

#[test]
fn lengths_are_those_of_the_suite() {
    // A byte for C_R or none, a kid, and then the head and bytes of the MAC or the signature.
    for (suite, mac) in [(Suite::Zero, 8), (Suite::One, 16), (Suite::Two, 8), (Suite::Three, 16)] {
        let run = Run::new(Method::StaticStatic, suite);
        let answer = run.answered();
        assert_eq!(answer.message_2().len(), 2 + 32 + 2 + 1 + mac, "{suite:?}");
        let peer = run.responder.credential(Proof::StaticDh);
        let (message_3, _) = run.named(answer.message_2(), &peer).unwrap();
        let text = 1 + 1 + mac + mac;
        assert_eq!(message_3.len(), text + if text < 24 { 1 } else { 2 }, "{suite:?}");
    }
}

#[test]
fn a_certificate_that_the_other_end_has_goes_by_its_hash() {
    let run = Run::new(Method::SignSign, Suite::Two);
    let signer = &run.responder.signer;
    let own = Credential::thumbprint(&[9; 300], signer.public_key().clone());
    let answer = run.answered_as(&own).unwrap();
    assert!(answer.message_2().len() < 128);
    let named = run.begun().read(answer.message_2()).unwrap();
    let CredentialId::Thumbprint(thumbprint) = named.id() else { panic!("no x5t") };
    assert!(thumbprint.is_of(&[9; 300]) && !thumbprint.is_of(&[9; 299]));
    let (message_3, ours) = run.named(answer.message_2(), &own).unwrap();
    let theirs = answer.read(&message_3).unwrap();
    let theirs = theirs.finish(&run.initiator.credential(Proof::Signature)).unwrap();
    assert_eq!(ours.export(0x8000), theirs.export(0x8000));
    // The whole hash is another name of the same certificate.
    let hash = thingward_crypto::sha256(&[&[9; 300]]);
    let whole = Credential { id: CredentialId::Thumbprint(Thumbprint::Sha256(hash)), ..own };
    let answer = run.answered_as(&whole).unwrap();
    assert!(run.named(answer.message_2(), &whole).is_ok());
}

#[test]
fn who_signs_is_nobody_else_and_no_byte_of_it_is_another() {
    let run = Run::new(Method::SignSign, Suite::Two);
    let (signs, other) =
        (run.responder.credential(Proof::Signature), run.initiator.credential(Proof::Signature));
    let good = run.answered().message_2().to_vec();
    // The certificate of one with the key of another, and the other way round.
    let mixed = [
        Credential { key: other.key.clone(), ..signs.clone() },
        Credential { bytes: other.bytes.clone(), ..signs.clone() },
        Credential { id: other.id.clone(), ..signs.clone() },
    ];
    for peer in mixed {
        assert_eq!(run.named(&good, &peer).err(), Some(EdhocError::NotAuthentic));
    }
    let (message_3, _) = run.named(&good, &signs).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(run.named(&bad, &signs).is_err(), "byte {at} of message 2");
        assert!(run.named(&good[..at], &signs).is_err(), "message 2 cut to {at}");
    }
    for at in 0..message_3.len() {
        let mut bad = message_3.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(run.answered().read(&bad).is_err(), "byte {at} of message 3");
        assert!(run.answered().read(&message_3[..at]).is_err(), "message 3 cut to {at}");
    }
    // Message 3 is not bound to the certificate by its encryption, but by what is signed.
    let stranger = Credential { key: signs.key.clone(), ..other.clone() };
    let named = |peer: &Credential| run.answered().read(&message_3).unwrap().finish(peer).err();
    assert_eq!(named(&stranger), Some(EdhocError::NotAuthentic));
    assert_eq!(named(&other), None);
}

#[test]
fn a_key_that_does_not_fit_the_method_or_the_suite_is_refused_at_both_ends() {
    let run = Run::new(Method::SignSign, Suite::Two);
    let answer = run.answered();
    let of = |algorithm| SoftwareKey::from_seed(algorithm, &[5; 32]).unwrap();
    let ed25519 = of(SignatureAlgorithm::Ed25519);
    let message_1 = read(run.begun().message_1()).unwrap();
    let own = run.responder.credential(Proof::Signature);
    let answered =
        |key: OwnKey<'_>| Responder::answer(&message_1, key_on_p256(4), id(&[0x27]), key, &own).err();
    assert_eq!(answered(OwnKey::Signature(&ed25519)), Some(EdhocError::Credential));
    assert_eq!(answered(OwnKey::Static(&run.responder.dh)), Some(EdhocError::Credential));
    for peer in [
        Credential { id: own.id.clone(), ..run.responder.credential(Proof::StaticDh) },
        Credential::chain(&run.responder.certificates, ed25519.public_key().clone()).unwrap(),
    ] {
        assert_eq!(run.named(answer.message_2(), &peer).err(), Some(EdhocError::Credential));
    }
    let x25519 = DhKey::x25519(&[4; 32]);
    let other_curve =
        Responder::answer(&message_1, x25519, id(&[0x27]), OwnKey::Signature(&run.responder.signer), &own);
    assert_eq!(other_curve.err(), Some(EdhocError::PublicKey));
    let x25519 = DhKey::x25519(&[4; 32]);
    assert_eq!(Credential::claims_set("", &x25519), Err(EdhocError::Credential));
}

fn key_on_p256(seed: u8) -> DhKey {
    key(&[seed; 32])
}

#[test]
fn a_method_that_is_not_taken_and_a_chain_that_is_too_long_are_refused() {
    let run = Run::new(Method::SignSign, Suite::Two);
    let none = |method| if method == Method::StaticStatic { Suites::P256 } else { Suites::NONE };
    assert_eq!(Message1::read(run.begun().message_1(), none).err(), Some(EdhocError::Method));
    let key = run.initiator.signer.public_key().clone();
    let of = |count| Credential::chain(&std::vec![std::vec![1]; count], key.clone()).map(|c| c.id);
    for count in 1..=4 {
        let id = of(count).unwrap();
        let mut written = Vec::new();
        id.write(&mut written);
        let mut rest = written.as_slice();
        assert_eq!(CredentialId::read(&mut rest), Ok(id));
        assert!(rest.is_empty());
        for at in 1..written.len() {
            assert!(CredentialId::read(&mut &written[..at]).is_err(), "{count} cut to {at}");
        }
    }
    for count in [0, 5, 100] {
        assert_eq!(of(count), Err(EdhocError::ChainTooLong));
    }
    let five = [&[0xa1, 0x18, 33, 0x85][..], &[0x41, 1].repeat(5)].concat();
    assert_eq!(CredentialId::read(&mut five.as_slice()), Err(EdhocError::ChainTooLong));
    // RFC 9360 has one certificate alone without an array around it.
    let one = [0xa1, 0x18, 33, 0x81, 0x41, 1];
    assert_eq!(CredentialId::read(&mut one.as_slice()), Err(EdhocError::Malformed));
    // SHA-512 is known to nobody here.
    let other_hash = [0xa1, 0x18, 34, 0x82, 0x38, 43, 0x41, 1];
    assert_eq!(CredentialId::read(&mut other_hash.as_slice()), Err(EdhocError::UnknownCredential));
    assert_eq!(EdhocError::UnknownCredential.message(), [3, 0xf5]);
    assert_eq!(error_text(&EdhocError::UnknownCredential.message()), None);
    let said = EdhocError::ChainTooLong.message();
    assert_eq!(error_text(&said), Some("the chain of certificates is too long"));
    assert_eq!(error_text(&[&said[..], &[0]].concat()), None);
}
