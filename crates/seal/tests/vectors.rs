//! The vectors in `docs/wire/vectors/chain.json`: made by this code, read back from the file, and checked against
//! `coset`, which shares no code with us.
//!
//! Set `THINGWARD_WRITE_VECTORS=1` to write the file anew. A changed byte is a changed wire format: readers of ten
//! years' devices must go on taking the old one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

use std::convert::Infallible;
use std::path::PathBuf;

use coset::{CoseEncrypt0, CoseSign1, TaggedCborSerializable};
use rand_core::{TryCryptoRng, TryRng};
use serde_json::{Value as Json, json};
use thingward_crypto::{
    AeadAlgorithm, AeadKey, RecipientSecretKey, SignatureAlgorithm, Signer, SoftwareKey, VerifyingKey, sha256,
};
use thingward_model::{Confidentiality, Link, Reading, Timestamp, Value};
use thingward_seal::envelope::{ENVELOPE_BYTES_MAX, SignedEnvelope};
use thingward_seal::statement::STATEMENT_BYTES_MAX;
use thingward_seal::verifier::verify_statement;
use thingward_seal::writer::Dropped;
use thingward_seal::{
    ChainState, ChainWriter, Earlier, Envelope, GapReason, Item, Items, NewChain, RecordKey, RecordVerdict,
    StatementKind, StatementVerdict, Subject,
};

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);
const STATEMENT_CONTEXT: &[u8] = b"thingward chain";
const ENVELOPE_CONTEXT: &[u8] = b"thingward envelope";

/// SHA-256 over a seed and a counter: the same bytes on every run.
struct CountingRng {
    seed: String,
    counter: u64,
}

impl CountingRng {
    fn new(seed: &str) -> Self {
        Self { seed: seed.to_owned(), counter: 0 }
    }
}

impl TryRng for CountingRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            let block = sha256(&[self.seed.as_bytes(), &self.counter.to_be_bytes()]);
            self.counter += 1;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for CountingRng {}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(value: &Json) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn signature_name(algorithm: SignatureAlgorithm) -> &'static str {
    match algorithm {
        SignatureAlgorithm::Ed25519 => "Ed25519",
        SignatureAlgorithm::EcdsaP256 => "ES256",
    }
}

fn cipher_name(algorithm: AeadAlgorithm) -> &'static str {
    match algorithm {
        AeadAlgorithm::Aes256Gcm => "A256GCM",
        AeadAlgorithm::ChaCha20Poly1305 => "ChaCha20/Poly1305",
        AeadAlgorithm::AsconAead128 => "Ascon-AEAD128",
    }
}

fn recipient(confidentiality: Confidentiality) -> RecipientSecretKey {
    RecipientSecretKey::from_bytes(sha256(&[b"recipient ", confidentiality.as_str().as_bytes()]))
}

fn subject() -> Subject {
    Subject {
        tenant: "acme".parse().unwrap(),
        device: "thermometer-1".parse().unwrap(),
        stream: "climate".parse().unwrap(),
    }
}

/// COSE's Partial IV rule, written a second time: RFC 9052 §3.1.
fn nonce(base_iv: &[u8], seq: u64) -> Vec<u8> {
    let mut padded = vec![0; base_iv.len() - 8];
    padded.extend_from_slice(&seq.to_be_bytes());
    base_iv.iter().zip(padded).map(|(a, b)| a ^ b).collect()
}

/// One chain while it is written down.
struct Scribe {
    writer: ChainWriter,
    key: SoftwareKey,
    secret: RecordKey,
    now: Timestamp,
    items: Vec<Json>,
}

impl Scribe {
    fn tick(&mut self) -> Timestamp {
        self.now = self.now.plus_micros(1_500_000);
        self.now
    }

    /// What every statement has: bytes, the signed bytes, the hash of the chain behind it.
    fn statement(&mut self, kind: &str, bytes: &[u8], time: Timestamp, says: Json) {
        let mut item = json!({
            "kind": kind,
            "bytes": hex(bytes),
            "to_be_signed": hex(&CoseSign1::from_tagged_slice(bytes).unwrap().tbs_data(STATEMENT_CONTEXT)),
            "time_micros": time.as_micros(),
            "head_behind": hex(&self.writer.link().head),
        });
        for (name, value) in says.as_object().unwrap() {
            item[name] = value.clone();
        }
        self.items.push(item);
    }

    /// Makes a record; `sent` says whether it goes into the vectors.
    fn record(&mut self, readings: &[Reading<'_>], sent: bool) {
        let mut out = [0; 1536];
        let made = self.writer.append(readings, &mut out).unwrap();
        let bytes = &out[..made.len];
        if !sent {
            return;
        }
        let Item::Record(record) = Items::new(bytes).next().unwrap().unwrap() else {
            panic!("a record was made")
        };
        let mut pack = [0; 1536];
        let len = record.open(&self.secret, &mut pack).unwrap();
        let base_iv = &self.secret.expose()[32..32 + self.secret.algorithm().nonce_bytes()];
        self.items.push(json!({
            "kind": "record",
            "bytes": hex(bytes),
            "seq": made.seq,
            "nonce": hex(&nonce(base_iv, made.seq)),
            "plaintext": hex(&pack[..len]),
            "head_behind": hex(&self.writer.link().head),
        }));
    }

    fn checkpoint(&mut self) {
        let (now, last) = (self.tick(), self.writer.link().last);
        let first = last + 1 - self.writer.unsigned();
        let mut out = [0; STATEMENT_BYTES_MAX];
        let len = self.writer.checkpoint(now, &self.key, &mut out).unwrap().unwrap();
        self.statement("checkpoint", &out[..len], now, json!({"first": first, "last": last}));
    }

    /// A record that is made and dropped before it is sent.
    fn drop_one(&mut self, reason: GapReason) {
        let before = self.writer.link();
        let now = self.tick();
        self.record(&[Reading { field: None, unit: "Cel", time: now, value: Value::Number(0.5) }], false);
        let behind = self.writer.link();
        let dropped =
            Dropped { first: behind.last, last: behind.last, before: before.head, head: behind.head, reason };
        let mut out = [0; STATEMENT_BYTES_MAX];
        let len = self.writer.declare_dropped(&dropped, now, &self.key, &mut out).unwrap();
        let says = json!({
            "first": behind.last, "last": behind.last, "reason": reason.as_str(),
            "head_before": hex(&before.head),
        });
        self.statement("gap", &out[..len], now, says);
    }

    fn lose_power(&mut self) {
        let (before, now) = (self.writer.link(), self.tick());
        let mut out = [0; STATEMENT_BYTES_MAX];
        let len = self.writer.skip_reserved(before.last + 8, now, &self.key, &mut out).unwrap();
        let says = json!({
            "first": before.last + 1, "last": before.last + 8, "reason": GapReason::PowerLoss.as_str(),
            "head_before": hex(&before.head),
        });
        self.statement("gap", &out[..len], now, says);
    }
}

fn chain(signature: SignatureAlgorithm, cipher: AeadAlgorithm, confidentiality: Confidentiality) -> Json {
    let name = format!("{} {} {confidentiality}", signature_name(signature), cipher_name(cipher));
    let seed = sha256(&[b"signing key ", name.as_bytes()]);
    let key = SoftwareKey::from_seed(signature, &seed).unwrap();
    let mut rng = CountingRng::new(&name);
    let to = recipient(confidentiality);
    let public = to.public_key().unwrap();
    let new =
        |previous| NewChain { subject: subject(), confidentiality, recipient: &public, cipher, previous };
    let mut out = [0; STATEMENT_BYTES_MAX];
    let (writer, len) = ChainWriter::open(&new(None), START, &key, &mut rng, &mut out).unwrap();
    let open = out[..len].to_vec();
    let (chain, encapsulated) = {
        let Item::Statement(signed) = Items::new(&open).next().unwrap().unwrap() else {
            panic!("not a statement")
        };
        let said = *signed.claimed_unverified();
        let StatementKind::Open { encapsulated, .. } = said.kind else { panic!("not an open statement") };
        (said.chain, encapsulated)
    };
    let secret = RecordKey::derive(&to, &encapsulated, cipher, &subject(), &chain).unwrap();
    let exposed = secret.expose();
    let mut scribe = Scribe { writer, key, secret, now: START, items: Vec::new() };
    let says = json!({"encapsulated": hex(&encapsulated), "previous": null});
    scribe.statement("open", &open, START, says);

    let field = |name: &str| Some(name.parse().unwrap());
    let now = scribe.tick();
    scribe.record(&[Reading { field: None, unit: "Cel", time: now, value: Value::Number(21.5) }], true);
    let now = scribe.tick();
    let readings = [
        Reading { field: field("humidity"), unit: "%RH", time: now, value: Value::Number(40.0) },
        Reading { field: field("door"), unit: "", time: now, value: Value::Bool(true) },
        Reading { field: field("mode"), unit: "", time: START, value: Value::Text("heat") },
        Reading { field: field("raw"), unit: "", time: now, value: Value::Data(&[0, 1, 254, 255]) },
        Reading { field: field("tenth"), unit: "m", time: now, value: Value::Number(0.1) },
    ];
    scribe.record(&readings, true);
    scribe.checkpoint();
    scribe.drop_one(GapReason::BufferFull);
    scribe.drop_one(GapReason::TooOld);
    scribe.lose_power();
    let now = scribe.tick();
    scribe.record(&[Reading { field: None, unit: "Cel", time: now, value: Value::Number(-0.0) }], true);
    scribe.checkpoint();

    let (link, now) = (scribe.writer.link(), scribe.tick());
    let (next, len) = ChainWriter::open(&new(Some(link)), now, &scribe.key, &mut rng, &mut out).unwrap();
    let previous = json!({"chain": hex(&link.chain), "last": link.last, "head": hex(&link.head)});
    scribe.writer = next;
    scribe.statement("open", &out[..len], now, json!({"previous": previous}));

    json!({
        "name": name,
        "signature": {"name": signature_name(signature), "cose": signature.cose_id()},
        "cipher": {"name": cipher_name(cipher), "cose": cipher.cose_id()},
        "confidentiality": confidentiality.as_str(),
        "signer": {
            "seed": hex(&seed),
            "spki": hex(&scribe.key.public_key().to_spki()),
            "key_id": hex(&scribe.key.public_key().id()),
        },
        "recipient": {
            "secret": hex(to.expose()),
            "public": hex(public.as_bytes()),
            "key_id": hex(&public.id()),
        },
        "chain": hex(&chain),
        "key": hex(&exposed[..cipher.key_bytes()]),
        "base_iv": hex(&exposed[32..32 + cipher.nonce_bytes()]),
        "items": scribe.items,
    })
}

/// The first three items of a chain as one message, in a gateway's envelope.
fn envelope(signature: SignatureAlgorithm, chain: &Json) -> Json {
    let name = format!("{} envelope", signature_name(signature));
    let seed = sha256(&[b"signing key ", name.as_bytes()]);
    let key = SoftwareKey::from_seed(signature, &seed).unwrap();
    let message: Vec<u8> =
        chain["items"].as_array().unwrap()[..3].iter().flat_map(|i| unhex(&i["bytes"])).collect();
    let envelope = Envelope {
        child: "thermometer-1".parse().unwrap(),
        topic: "devices/me/telemetry/climate",
        received: START.plus_micros(2_000_001),
        link: Link::MutualTls,
        message: &message,
    };
    let mut out = vec![0; message.len() + ENVELOPE_BYTES_MAX];
    let len = envelope.sign(&key, &mut out).unwrap();
    let signed_len = len - message.len() - 3;
    let tbs = CoseSign1::from_tagged_slice(&out[..signed_len]).unwrap().tbs_data(ENVELOPE_CONTEXT);
    json!({
        "name": name,
        "signer": {
            "seed": hex(&seed),
            "spki": hex(&key.public_key().to_spki()),
            "key_id": hex(&key.public_key().id()),
        },
        "child": envelope.child.as_str(),
        "topic": envelope.topic,
        "received_micros": envelope.received.as_micros(),
        "link": 1,
        "message": hex(&message),
        "to_be_signed": hex(&tbs),
        "bytes": hex(&out[..len]),
    })
}

const SUITES: [(SignatureAlgorithm, AeadAlgorithm); 6] = [
    (SignatureAlgorithm::EcdsaP256, AeadAlgorithm::Aes256Gcm),
    (SignatureAlgorithm::EcdsaP256, AeadAlgorithm::ChaCha20Poly1305),
    (SignatureAlgorithm::EcdsaP256, AeadAlgorithm::AsconAead128),
    (SignatureAlgorithm::Ed25519, AeadAlgorithm::Aes256Gcm),
    (SignatureAlgorithm::Ed25519, AeadAlgorithm::ChaCha20Poly1305),
    (SignatureAlgorithm::Ed25519, AeadAlgorithm::AsconAead128),
];

fn vectors() -> String {
    let mut chains = Vec::new();
    for (signature, cipher) in SUITES {
        for confidentiality in [Confidentiality::Service, Confidentiality::Customer] {
            chains.push(chain(signature, cipher, confidentiality));
        }
    }
    let envelopes = [
        envelope(SignatureAlgorithm::EcdsaP256, &chains[0]),
        envelope(SignatureAlgorithm::Ed25519, &chains[6]),
    ];
    let all = json!({
        "about": "Vectors for chain.md. Bytes are hexadecimal. The secrets are for tests only.",
        "version": 1,
        "subject": {"tenant": "acme", "device": "thermometer-1", "stream": "climate"},
        "chains": chains,
        "envelopes": envelopes,
    });
    format!("{}\n", serde_json::to_string_pretty(&all).unwrap())
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire/vectors/chain.json")
}

/// What the file holds; when it is being written, what it is about to hold.
fn from_file() -> Json {
    let text = match std::env::var_os("THINGWARD_WRITE_VECTORS") {
        Some(_) => vectors(),
        None => std::fs::read_to_string(file()).unwrap(),
    };
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_committed_vectors_are_what_this_code_makes() {
    let made = vectors();
    if std::env::var_os("THINGWARD_WRITE_VECTORS").is_some() {
        std::fs::write(file(), &made).unwrap();
    }
    let kept = std::fs::read_to_string(file()).unwrap_or_default();
    assert!(kept == made, "the wire format changed, or docs/wire/vectors/chain.json did");
}

#[test]
fn from_the_files_bytes_every_chain_verifies_and_every_record_opens() {
    for chain in from_file()["chains"].as_array().unwrap() {
        let name = chain["name"].as_str().unwrap();
        let signer = VerifyingKey::from_spki(&unhex(&chain["signer"]["spki"])).unwrap();
        assert_eq!(signer.id().to_vec(), unhex(&chain["signer"]["key_id"]), "{name}");
        let secret = RecipientSecretKey::from_bytes(unhex(&chain["recipient"]["secret"]).try_into().unwrap());
        let mut state: Option<(ChainState, RecordKey)> = None;
        for (at, vector) in chain["items"].as_array().unwrap().iter().enumerate() {
            let bytes = unhex(&vector["bytes"]);
            let kind = vector["kind"].as_str().unwrap();
            let mut items = Items::new(&bytes);
            match items.next().unwrap().unwrap() {
                Item::Record(record) => {
                    let (state, key) = state.as_mut().unwrap();
                    let mut pack = [0; 1536];
                    let len = record.open(key, &mut pack).unwrap();
                    assert_eq!(pack[..len], unhex(&vector["plaintext"]), "{name}, item {at}");
                    assert_eq!(record.seq, vector["seq"].as_u64().unwrap(), "{name}, item {at}");
                    let verdict = state.record(&record, true, |_| Earlier::Unknown);
                    assert_eq!(verdict, RecordVerdict::Linked, "{name}, item {at}");
                }
                Item::Statement(signed) => {
                    assert_eq!(signed.key_id(), signer.id(), "{name}, item {at}");
                    let said = verify_statement(&signed, &subject(), Some(&signer)).unwrap();
                    assert_eq!(
                        said.time.as_micros(),
                        vector["time_micros"].as_i64().unwrap(),
                        "{name}, item {at}"
                    );
                    match said.kind {
                        StatementKind::Open { cipher, encapsulated, previous, .. } => {
                            if let Some((former, _)) = &state {
                                assert_eq!(former.succession(previous.as_ref()), None, "{name}, item {at}");
                            }
                            let key =
                                RecordKey::derive(&secret, &encapsulated, cipher, &subject(), &said.chain);
                            state = Some((ChainState::opened(said.chain, signed.bytes), key.unwrap()));
                        }
                        StatementKind::Checkpoint { .. } => {
                            let verdict = state.as_mut().unwrap().0.statement(&said);
                            assert_eq!(verdict, StatementVerdict::Signed, "{name}, item {at}");
                        }
                        StatementKind::Gap { first, last, reason, .. } => {
                            let verdict = state.as_mut().unwrap().0.statement(&said);
                            let want = StatementVerdict::GapDeclared { missing: last - first + 1, reason };
                            assert_eq!(verdict, want, "{name}, item {at}");
                            assert_eq!(vector["reason"], reason.as_str(), "{name}, item {at}");
                        }
                    }
                }
            }
            assert!(items.next().is_none(), "{name}, item {at}: {kind} is one item");
            let head = state.as_ref().unwrap().0.head.unwrap();
            assert_eq!(head.to_vec(), unhex(&vector["head_behind"]), "{name}, item {at}");
        }
    }
}

#[test]
fn coset_reads_the_files_bytes_and_agrees_about_what_is_signed_and_sealed() {
    for chain in from_file()["chains"].as_array().unwrap() {
        let name = chain["name"].as_str().unwrap();
        let signer = VerifyingKey::from_spki(&unhex(&chain["signer"]["spki"])).unwrap();
        let cipher = AeadAlgorithm::from_cose_id(chain["cipher"]["cose"].as_i64().unwrap()).unwrap();
        let key = AeadKey::new(cipher, &unhex(&chain["key"])).unwrap();
        for (at, vector) in chain["items"].as_array().unwrap().iter().enumerate() {
            let bytes = unhex(&vector["bytes"]);
            if vector["kind"] == "record" {
                let record = CoseEncrypt0::from_tagged_slice(&bytes).unwrap();
                assert_eq!(record.unprotected.key_id, unhex(&chain["chain"]), "{name}, item {at}");
                let seq = vector["seq"].as_u64().unwrap();
                let partial = &record.unprotected.partial_iv;
                assert_eq!(partial.iter().fold(0, |n, b| n << 8 | u64::from(*b)), seq, "{name}, item {at}");
                let nonce = nonce(&unhex(&chain["base_iv"]), seq);
                assert_eq!(nonce, unhex(&vector["nonce"]), "{name}, item {at}");
                let plain = record.decrypt_ciphertext(
                    &[],
                    || panic!("{name}, item {at}: no ciphertext"),
                    |sealed, aad| {
                        let (text, tag) = sealed.split_last_chunk::<16>().unwrap();
                        let mut text = text.to_vec();
                        key.open(&nonce, aad, &mut text, tag).map(|()| text)
                    },
                );
                assert_eq!(plain.unwrap(), unhex(&vector["plaintext"]), "{name}, item {at}");
                assert_eq!(record.to_tagged_vec().unwrap(), bytes, "{name}, item {at}: encoded again");
            } else {
                check_signed(&bytes, STATEMENT_CONTEXT, &signer, vector);
            }
        }
    }
    for vector in from_file()["envelopes"].as_array().unwrap() {
        let signer = VerifyingKey::from_spki(&unhex(&vector["signer"]["spki"])).unwrap();
        let (bytes, message) = (unhex(&vector["bytes"]), unhex(&vector["message"]));
        let behind = bytes.strip_suffix(message.as_slice()).unwrap();
        check_signed(&behind[..behind.len() - 3], ENVELOPE_CONTEXT, &signer, vector);
    }
}

#[track_caller]
fn check_signed(bytes: &[u8], context: &[u8], signer: &VerifyingKey, vector: &Json) {
    let signed = CoseSign1::from_tagged_slice(bytes).unwrap();
    assert_eq!(signed.unprotected.key_id, signer.id());
    assert_eq!(signed.tbs_data(context), unhex(&vector["to_be_signed"]));
    signed
        .verify_signature(context, |signature, data| signer.verify(data, signature.try_into().unwrap()))
        .unwrap();
    let other =
        signed.verify_signature(b"", |signature, data| signer.verify(data, signature.try_into().unwrap()));
    assert!(other.is_err(), "the context is part of what is signed");
    assert_eq!(signed.to_tagged_vec().unwrap(), bytes, "encoded again");
}

#[test]
fn from_the_files_bytes_every_envelope_verifies() {
    let all = from_file();
    for vector in all["envelopes"].as_array().unwrap() {
        let signer = VerifyingKey::from_spki(&unhex(&vector["signer"]["spki"])).unwrap();
        let bytes = unhex(&vector["bytes"]);
        let signed = SignedEnvelope::decode(&bytes).unwrap();
        assert_eq!(signed.key_id(), signer.id());
        let envelope = signed.verify(&signer).unwrap();
        assert_eq!(envelope.child.as_str(), vector["child"]);
        assert_eq!(envelope.topic, vector["topic"]);
        assert_eq!(envelope.received.as_micros(), vector["received_micros"].as_i64().unwrap());
        assert_eq!(envelope.message, unhex(&vector["message"]));
        assert_eq!(Items::new(envelope.message).filter(Result::is_ok).count(), 3);
    }
}
