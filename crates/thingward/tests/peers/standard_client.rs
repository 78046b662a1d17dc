//! Clients without our SDK: mutual TLS, and JSON or SenML as payload.

use serde_json::Value as Json;
use thingward_crypto::{AeadAlgorithm, RecipientSecretKey, SignatureAlgorithm, SoftwareKey, system_rng};
use thingward_model::{Confidentiality, Reading, Timestamp, Value};
use thingward_seal::statement::STATEMENT_BYTES_MAX;
use thingward_seal::{ChainWriter, NewChain, Subject};

use crate::common::by_hand::ByHand;
use crate::common::{Place, given, have, succeeds};
use crate::script;

const TOPIC: &str = "devices/me/telemetry/climate";

/// Field, value, unit and assurance of a tenant's readings.
fn seen(place: &Place) -> Vec<String> {
    let text = |v: &Json| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let line = |r: &Json| ["field", "value", "unit", "assurance"].map(|name| text(&r[name])).join(" ");
    place.readings("acme").iter().map(line).collect()
}

/// A pack of one reading: field `humidity`, 40.25 %RH. RFC 8428 §6.
fn senml_cbor() -> Vec<u8> {
    let mut pack = b"\x81\xa3\x00\x68humidity\x01\x63%RH\x02\xf9".to_vec();
    // 40.25 as a half: 1.2578125 · 2⁵.
    pack.extend(0x5108_u16.to_be_bytes());
    pack
}

#[test]
fn mosquitto_sends_json_and_both_forms_of_senml() {
    if !have(&["openssl", "curl", "mosquitto_pub"]) {
        return;
    }
    let place = Place::new();
    let _service = place.service(&["acme"]);
    let member = ByHand::enrolled(&place, "acme", "device", "hand-1");
    let file = member.file("pack.cbor");
    std::fs::write(&file, senml_cbor()).unwrap();
    let pack = r#"[{"bn":"urn:dev:hand-1/","n":"door","vs":"open"},{"n":"pressure","u":"Pa","v":101325}]"#;
    for version in ["mqttv5", "mqttv311"] {
        for payload in [["-m", r#"{"temperature":21.5,"on":true}"#], ["-m", pack], ["-f", &file]] {
            for qos in ["1", "2"] {
                let how = ["-V", version, "-q", qos, "-t", TOPIC];
                let (ok, said) =
                    member.mosquitto("mosquitto_pub", place.mqtt, &[&how[..], &payload].concat());
                assert!(ok && !said.contains("failed"), "{said}");
            }
        }
    }
    let one = [
        "door open null transport",
        "humidity 40.25 %RH transport",
        "on true null transport",
        "pressure 101325.0 Pa transport",
        "temperature 21.5 null transport",
    ];
    let mut got = seen(&place);
    got.sort();
    assert_eq!(got, one.map(|line| [line; 4]).concat());
    assert!(place.done(&["finding", "list"]).as_array().unwrap().is_empty());
}

/// Publishes with Paho; gives the reason code of the PUBACK. Nobody subscribes, so 16 is success.
fn paho(python: &str, place: &Place, member: &ByHand, payload: &[u8]) -> String {
    let hex: String = payload.iter().map(|b| format!("{b:02x}")).collect();
    let (chain, key) = (member.file("chain.pem"), member.file("key.pem"));
    let port = place.mqtt.to_string();
    let script = script("paho_publish.py");
    succeeds(python, &[&script, &port, member.root(), &chain, &key, TOPIC, &hex]).trim().to_owned()
}

/// The chain of another device of the tenant: open statement, record, checkpoint.
fn chain_of_another() -> Vec<u8> {
    let key = SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng());
    let recipient = RecipientSecretKey::generate(&mut system_rng()).public_key().unwrap();
    let subject = Subject {
        tenant: "acme".parse().unwrap(),
        device: "meter-1".parse().unwrap(),
        stream: "climate".parse().unwrap(),
    };
    let new = NewChain {
        subject,
        confidentiality: Confidentiality::Customer,
        recipient: &recipient,
        cipher: AeadAlgorithm::Aes256Gcm,
        previous: None,
    };
    let now = Timestamp::from_seconds(1_800_000_000);
    let mut out = [0; STATEMENT_BYTES_MAX];
    let (mut writer, len) = ChainWriter::open(&new, now, &key, &mut system_rng(), &mut out).unwrap();
    let mut all = out[..len].to_vec();
    let reading = Reading { field: None, unit: "Cel", time: now, value: Value::Number(99.0) };
    let mut record = [0; 256];
    let made = writer.append(&[reading], &mut record).unwrap();
    all.extend_from_slice(&record[..made.len]);
    let len = writer.checkpoint(now, &key, &mut out).unwrap().unwrap();
    all.extend_from_slice(&out[..len]);
    all
}

#[test]
fn paho_is_told_what_became_of_each_payload_and_passes_for_no_more_than_it_is() {
    let Some(python) = given("THINGWARD_PYTHON") else { return };
    if !have(&["openssl", "curl"]) {
        return;
    }
    let place = Place::new();
    let _service = place.service(&["acme"]);
    let member = ByHand::enrolled(&place, "acme", "device", "hand-1");
    assert_eq!(paho(&python, &place, &member, br#"{"temperature":21.5}"#), "16");
    assert_eq!(paho(&python, &place, &member, br#"[{"n":"co2","u":"ppm","v":415}]"#), "16");
    assert_eq!(paho(&python, &place, &member, &senml_cbor()), "16");
    let want = ["temperature 21.5 null transport", "co2 415.0 ppm transport", "humidity 40.25 %RH transport"];
    assert_eq!(seen(&place), want);
    // A payload cannot say who it is of, nor how sure that is.
    assert_eq!(paho(&python, &place, &member, br#"{"assurance":"device-signed"}"#), "16");
    let bad: [&[u8]; 6] = [&chain_of_another(), b"\xd0garbage", b"\xd2\x84\xff", b"hello", b"{}", b"[[[["];
    for payload in bad {
        assert_eq!(paho(&python, &place, &member, payload), "153", "{payload:02x?}");
    }
    let after = seen(&place);
    assert_eq!(after[..3], want);
    assert_eq!(after[3..], ["assurance device-signed null transport"]);
    let findings = place.done(&["finding", "list"]);
    let findings = findings.as_array().unwrap();
    assert!(findings.iter().all(|f| f["device"] == "hand-1" && f["stream"] == "climate"), "{findings:?}");
    let kinds: Vec<_> = findings.iter().map(|f| f["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"wrong-subject") && kinds.contains(&"malformed"), "{kinds:?}");
    assert!(place.done(&["device", "list"]).as_array().unwrap().iter().all(|d| d["name"] != "meter-1"));
}
