//! The fuzz targets' corpus, replayed: as it is, cut at each byte, and bent in many places.

mod coap;
mod member;
mod node;
mod radio;
mod zigbee;
mod zwave;

use std::fs;
use std::path::PathBuf;

use bytes::BytesMut;
use thingward_agent::home::Home;
use thingward_attest::{Claims, EVIDENCE_BYTES_MAX, Endorsement, Root};
use thingward_audit::checkpoint::Checkpoint;
use thingward_audit::witness::AddCheckpoint;
use thingward_crypto::{
    AeadAlgorithm, RecipientSecretKey, SignatureAlgorithm, Signer, SoftwareKey, system_rng,
};
use thingward_fuzz::decoders::ALL;
use thingward_fuzz::replay::{self, folder};
use thingward_grant::{
    Audience, Beacon, Bound, GRANT_BYTES_MAX, Grant, HolderKey, IssuerKey, Operation, Origin,
    PRESENTATION_BYTES_MAX, Permission, Reference, Revocation, Scope, SharedKey, Terms, public, symmetric,
};
use thingward_model::{Confidentiality, NameRef, Principal, Reading, Role, Timestamp, Value, senml};
use thingward_mqtt::client::{Client, ClientConfig, Message};
use thingward_mqtt::codec::{MessageProperties, QoS, SubscribeRequest, SubscriptionOptions, Text};
use thingward_mqtt::topic::{TopicFilter, TopicName};
use thingward_pki::{CertificateAuthority, Lifetimes, Profile, Revoked, SigningRequest, ca, est};
use thingward_seal::command::{
    Approval, CANONICAL_BYTES_MAX, COMMAND_BYTES_MAX, Command, Data, Outcome, REPLY_BYTES_MAX, Reply, Scalar,
    sign,
};
use thingward_seal::{ChainWriter, Envelope, NewChain, Subject};
use thingward_tests::software_tpm::SoftwareTpm;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

#[test]
fn no_input_of_the_corpus_cut_or_bent_brings_a_decoder_down() {
    if std::env::var_os("THINGWARD_WRITE_CORPUS").is_some() {
        write_corpus();
    }
    replay::all();
}

#[test]
fn every_folder_of_the_corpus_is_of_a_decoder() {
    for entry in fs::read_dir(folder("")).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(ALL.iter().any(|(decoder, _)| *decoder == name), "{name:?} is of no decoder");
    }
}

fn put(decoder: &str, name: &str, bytes: &[u8]) {
    fs::create_dir_all(folder(decoder)).unwrap();
    fs::write(folder(decoder).join(name), bytes).unwrap();
}

fn write_corpus() {
    write_mqtt();
    write_chain();
    write_pki();
    write_log();
    write_commands();
    write_grants();
    write_evidence();
    zigbee::write();
    zwave::write();
    radio::write();
    coap::write();
    member::write();
    node::write();
    write_advertisements();
    let json = [
        ("number", "21.5"),
        ("object", r#"{"temperature":{"value":21.5,"unit":"Cel"},"door":"open","on":true}"#),
        (
            "senml",
            r#"[{"bn":"urn:dev:hall/","bt":1.8e9,"bu":"A","n":"current","v":1.2},{"n":"raw","vd":"AQI"}]"#,
        ),
    ];
    for (name, text) in json {
        put("plain_payload", name, text.as_bytes());
    }
    for (name, text) in
        [("name", "devices/me/telemetry/climate"), ("filter", "$share/team/devices/+/state/#")]
    {
        put("mqtt_topic", name, text.as_bytes());
    }
}

/// An event with one advertisement of a sensor in the open, by itself and recorded; and one with Bluetooth 5.
fn write_advertisements() {
    let objects = b"\x0a\x16\xd2\xfc\x40\x02\xca\x09\x03\xbf\x13";
    let legacy =
        [&b"\x04\x3e\x17\x02\x01\x00\x00\x06\x05\x04\x03\x02\x02\x0b"[..], objects, b"\xc4"].concat();
    put("advertisement", "bthome", &legacy);
    let head = b"btsnoop\0\0\0\0\x01\0\0\x03\xea\0\0\0\x1a\0\0\0\x1a\0\0\0\x03\0\0\0\0\0\xe2\xe8\0\0\0\0\0";
    put("advertisement", "recording", &[&head[..], &legacy].concat());
    let ruuvi =
        b"\x05\x12\xfc\x53\x94\xc3\x7c\0\x04\xff\xfc\x04\x0c\xac\x36\x42\0\xcd\x01\x02\x03\x04\x05\x06";
    let extended =
        b"\x04\x3e\x36\x0d\x01\0\0\x01\x06\x05\x04\x03\x02\x02\x01\0\xff\x7f\xc4\0\0\0\0\0\0\0\0\0\x1c";
    put("advertisement", "ruuvi", &[&extended[..], b"\x1b\xff\x99\x04", ruuvi].concat());
}

fn write_evidence() {
    let signer = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[1; 32]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tpm = SoftwareTpm::new(&folder.path().join("tpm"));
    let home = Home::open_in(&folder.path().join("home"), &tpm.key_store()).unwrap();
    home.make_private_key(SignatureAlgorithm::EcdsaP256).unwrap();
    let said = home.tpm_evidence(b"asked").unwrap().unwrap();
    put("evidence", "tpm", &said);
    let endorsed = Endorsement::sign(&signer, [5; 32], signer.public_key()).unwrap();
    for (name, root) in [
        ("token", None),
        ("token-with-tpm", Some(Root::Tpm(&said))),
        ("token-with-firmware", Some(Root::Firmware(endorsed))),
    ] {
        let claims = Claims { nonce: &[7; 32], software: "thingward", version: "0.1.0", root };
        put("evidence", name, claims.sign(&signer, &mut [0; EVIDENCE_BYTES_MAX]).unwrap());
    }
}

fn write_log() {
    let signer = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[1; 32]).unwrap();
    let (origin, root) = ("thingward.test/tenant/acme".to_owned(), [7; 32]);
    let note =
        Checkpoint { origin, size: 5, root, extensions: vec!["more".to_owned()] }.sign(&signer).unwrap();
    put("add_checkpoint", "first", AddCheckpoint::body(0, &[], &note).as_bytes());
    put("add_checkpoint", "next", AddCheckpoint::body(3, &[[1; 32], [2; 32]], &note).as_bytes());
    put("add_checkpoint", "note", note.as_bytes());
}

fn write_mqtt() {
    let text = |t: &str| Text::try_from(t).unwrap();
    let topic = |t: &str| TopicName::try_from(text(t)).unwrap();
    let mut client = Client::new(ClientConfig::new(text("meter-1")));
    client.opened(NOW);
    let connect = client.take_output();
    put("mqtt_packet", "connect", &connect);
    // CONNACK of a server with nothing to add.
    client.receive(NOW, &mut BytesMut::from(&[0x20, 3, 0, 0, 0][..]));
    let properties = MessageProperties {
        content_type: Some(text("application/senml+json")),
        user: vec![(text("unit"), text("Cel"))],
        message_expiry: Some(60),
        ..MessageProperties::default()
    };
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let payload = bytes::Bytes::from_static(b"21.5");
        let properties = properties.clone();
        let message =
            Message { topic: topic("devices/me/telemetry/climate"), payload, qos, retain: true, properties };
        client.publish(NOW, message).unwrap();
    }
    let filter = TopicFilter::try_from(text("devices/me/commands/#")).unwrap();
    client
        .subscribe(
            NOW,
            vec![SubscribeRequest { filter, options: SubscriptionOptions::new(QoS::AtLeastOnce) }],
            None,
        )
        .unwrap();
    let rest = client.take_output();
    put("mqtt_packet", "publish-and-subscribe", &rest);
    put("mqtt_broker", "session", &[&connect[..], &rest[..]].concat());
    // MQTT 3.1.1: CONNECT, SUBSCRIBE, PUBLISH, PINGREQ, DISCONNECT, written by hand.
    let old = [
        &b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"[..],
        b"\x82\x06\x00\x01\x00\x01#\x01",
        b"\x32\x06\x00\x01b\x00\x02x",
        b"\xc0\x00\xe0\x00",
    ]
    .concat();
    put("mqtt_broker", "session-3.1.1", &old);
    put("mqtt_packet", "session-3.1.1", &old);
    // In MQTT 3.1 there is no session present.
    put("mqtt_packet", "connack", b"\x20\x02\x01\x00");
}

fn write_chain() {
    let mut rng = system_rng();
    let key = SoftwareKey::generate(SignatureAlgorithm::Ed25519, &mut rng);
    let recipient = RecipientSecretKey::generate(&mut rng);
    let subject = Subject {
        tenant: "acme".parse().unwrap(),
        device: "meter-1".parse().unwrap(),
        stream: "climate".parse().unwrap(),
    };
    let new = NewChain {
        subject,
        confidentiality: Confidentiality::Service,
        recipient: &recipient.public_key().unwrap(),
        cipher: AeadAlgorithm::AsconAead128,
        previous: None,
    };
    let mut out = [0; 2048];
    let (mut writer, len) = ChainWriter::open(&new, NOW, &key, &mut rng, &mut out).unwrap();
    let mut message = out[..len].to_vec();
    let reading = Reading { field: "t".parse().ok(), unit: "Cel", time: NOW, value: Value::Number(21.5) };
    for _ in 0..2 {
        let made = writer.append(&[reading, reading], &mut out).unwrap();
        message.extend_from_slice(&out[..made.len]);
    }
    let len = writer.checkpoint(NOW, &key, &mut out).unwrap().unwrap();
    message.extend_from_slice(&out[..len]);
    let len = writer.skip_reserved(64, NOW, &key, &mut out).unwrap();
    message.extend_from_slice(&out[..len]);
    put("chain_items", "open-records-checkpoint-gap", &message);
    let envelope = Envelope {
        child: "bulb-1".parse().unwrap(),
        topic: "devices/me/telemetry/light",
        received: NOW,
        link: thingward_model::Link::MutualTls,
        message: b"21.5",
    };
    let len = envelope.sign(&key, &mut out).unwrap();
    put("gateway_envelope", "plain", &out[..len]);
    let readings = [
        reading,
        Reading { field: None, unit: "", time: NOW.plus_micros(1), value: Value::Text("open") },
        Reading { field: None, unit: "", time: NOW, value: Value::Data(&[1, 2]) },
        Reading { field: None, unit: "", time: NOW, value: Value::Bool(true) },
    ];
    let len = senml::encode(&readings, &mut out).unwrap();
    put("senml_cbor", "pack", &out[..len]);
    put("senml_cbor", "long-before-receipt", b"\x81\xa2\x06\x3a\xc4\x82\x25\x01\x04\xf5");
    put("plain_payload", "senml-cbor", &out[..len]);
}

fn write_grants() {
    let signer = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[1; 32]).unwrap();
    let shared = SharedKey::new(&[1; 32]);
    let (mut room, mut out) = ([0; 256], [0; PRESENTATION_BYTES_MAX]);
    let at_most = Bound::Range { at_least: None, at_most: Some(120) };
    let bounds = [("minutes", at_most)];
    let permissions = [Permission { action: NameRef::new("reserve").unwrap(), bounds: &bounds }];
    let scope = Scope::write(&permissions, &mut room).unwrap();
    let (issuer, device) = (NameRef::new("acme").unwrap(), NameRef::new("meter-1").unwrap());
    let origin = Origin { issuer, id: [3; 8], epoch: 7, reference: Some(Reference::Payment("pi_1")) };
    let terms = Terms {
        audience: Some(Audience::Device(device)),
        expires: Some(NOW.plus_micros(3_600_000_000)),
        not_before: Some(NOW),
        uses: Some(1),
        scope: Some(scope),
    };
    let mut grant = [0; GRANT_BYTES_MAX];
    let holder = HolderKey::from_key(signer.public_key()).unwrap();
    let len = public::issue(&signer, &origin, &terms, holder, &mut grant).unwrap();
    put("grant", "public", &grant[..len]);
    let (len, secret) = symmetric::issue(&shared, &origin, &terms, &mut grant).unwrap();
    let once = Terms { uses: Some(1), ..Terms::default() };
    let mut narrowed = [0; GRANT_BYTES_MAX];
    let first = Grant::decode(&grant[..len]).unwrap();
    let (len, secret) = symmetric::narrow(&secret, &first, &once, &mut narrowed).unwrap();
    let narrowed = Grant::decode(&narrowed[..len]).unwrap();
    let mut room = [0; 256];
    let minutes = [("minutes", thingward_grant::Value::Integer(30))];
    let operation = Operation::write(NameRef::new("reserve").unwrap(), &minutes, &mut room).unwrap();
    let len = symmetric::present(&secret, &narrowed, device, &[7; 16], &operation, &mut out).unwrap();
    put("grant", "symmetric-narrowed-shown", &out[..len]);
    let len = Beacon { issuer, time: NOW, answers: Some([7; 16]) }.sign(IssuerKey::Public(&signer), &mut out);
    put("grant", "beacon", &out[..len.unwrap()]);
    let revocation = Revocation { issuer, audience: Audience::Device(device), epoch: 7, ids: &[[3; 8]] };
    let len = revocation.sign(IssuerKey::Symmetric(&shared), &mut out).unwrap();
    put("grant", "revocation", &out[..len]);
}

fn write_commands() {
    let key = SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[7; 32]).unwrap();
    let mut room = [0; 256];
    let input = Data::map(&[("level", Scalar::Number(40.5)), ("on", Scalar::Bool(true))], &mut room).unwrap();
    let command = Command {
        tenant: "acme".parse().unwrap(),
        device: "bulb-1".parse().unwrap(),
        id: [1; 16],
        action: "dim".parse().unwrap(),
        input,
        issued: NOW,
        expires: NOW.plus_micros(60_000_000),
        actor: "user:1",
    };
    let mut canonical = [0; CANONICAL_BYTES_MAX];
    let len = command.encode(&mut canonical).unwrap();
    let canonical = &canonical[..len];
    let client_data = br#"{"type":"webauthn.get","challenge":"AA","origin":"https://console.example"}"#;
    let approval = Approval {
        credential_id: &[1; 16],
        authenticator_data: &[5; 37],
        client_data_json: client_data,
        signature: &[3; 70],
    };
    let mut out = [0; COMMAND_BYTES_MAX];
    let len = sign(&key, canonical, None, None, &mut out).unwrap();
    put("command", "plain", &out[..len]);
    let len = sign(&key, canonical, Some(41), Some(&approval), &mut out).unwrap();
    put("command", "approved", &out[..len]);
    let mut out = [0; REPLY_BYTES_MAX];
    for outcome in [Outcome::Done(input), Outcome::Failed { text: "stuck" }, Outcome::Interrupted] {
        let reply = Reply { id: [1; 16], command: [2; 32], time: NOW, outcome };
        let len = reply.sign(&key, &mut out).unwrap();
        put("reply", outcome.as_str(), &out[..len]);
    }
    // A COSE_Key of ES256 (RFC 9053 §7.1), then authenticator data, a signature and client data.
    let spki = key.public_key().to_spki();
    let (x, y) = spki[spki.len() - 64..].split_at(32);
    let cose = [&b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"[..], x, b"\x22\x58\x20", y].concat();
    put("passkey", "es256", &[&cose[..], &[5; 37], &[0x30; 72], client_data].concat());
    let things = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/thingward/src/things");
    for name in ["bulb", "parking_meter"] {
        let document = fs::read(things.join(format!("{name}.td.json"))).unwrap();
        put("thing_description", name, &document);
    }
}

fn write_pki() {
    let key = || SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng());
    let ca =
        CertificateAuthority::create("thingward.test", Lifetimes::default(), &key(), Box::new(key()), NOW);
    let ca = ca.unwrap();
    let name = "meter-1".parse().unwrap();
    let request = SigningRequest::create(&name, &key()).unwrap();
    put("est_request", "request-der", &request);
    put("est_request", "request", est::encode_request(&request).as_bytes());
    let principal = Principal { tenant: "acme".parse().unwrap(), role: Role::Device, name };
    let profile = Profile::Leaf { principal, serial_number: Some("SN-1".to_owned()) };
    let issued = ca.issue(&profile, key().public_key(), NOW).unwrap();
    let answer = est::encode_certificates(&[issued.der.clone(), ca.issuing_der().unwrap()]).unwrap();
    put("est_request", "answer", answer.as_bytes());
    put("certificate", "leaf", &issued.der);
    put("certificate", "leaf-pem", ca::certificate_pem(&issued.der).unwrap().as_bytes());
    put("certificate", "crl", &ca.crl(1, &[Revoked { serial: issued.serial, at: NOW }], NOW).unwrap());
}
