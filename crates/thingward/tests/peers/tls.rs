//! Who gets in: the version of TLS, and certificates that are not right.

use std::time::Duration;

use crate::common::by_hand::ByHand;
use crate::common::{Place, ask, have, succeeds, wait_for};
use crate::testbed::Subscriber;

const TOPIC: &str = "devices/me/telemetry/climate";

fn peers_are_there() -> bool {
    have(&["openssl", "curl", "mosquitto_pub", "mosquitto_sub"])
}

/// Whether a member's reading is acknowledged on `port`.
fn publishes(member: &ByHand, port: u16, value: &str) -> bool {
    member.mosquitto("mosquitto_pub", port, &["-V", "mqttv5", "-q", "1", "-t", TOPIC, "-m", value]).0
}

#[test]
fn every_listener_speaks_tls_1_3_and_nothing_older() {
    if !peers_are_there() {
        return;
    }
    let place = Place::new();
    let _service = place.service(&["acme"]);
    place.enrol("acme", "gateway", "gateway");
    let _gateway = place.gateway();
    let member = ByHand::enrolled(&place, "acme", "device", "hand-1");
    let own = member.openssl_arguments();
    let own = own.each_ref().map(String::as_str);
    for port in [place.mqtt, place.https, place.gateway, place.relay] {
        let to = format!("127.0.0.1:{port}");
        let how = ["s_client", "-connect", &to, "-CAfile", member.root(), "-verify_return_error"];
        let with = |more: &[&str]| ask("openssl", &[&how, more, &own].concat());
        let (ok, said) = with(&[]);
        assert!(ok && said.contains("New, TLSv1.3, Cipher is TLS_"), "{port}: {said}");
        assert!(said.contains("Verify return code: 0 (ok)"), "{port}: {said}");
        for old in ["-tls1_2", "-tls1_1"] {
            // OpenSSL itself takes TLS 1.1 only at this level.
            let (ok, said) = with(&[old, "-cipher", "DEFAULT@SECLEVEL=0"]);
            assert!(!ok && said.contains("SSL alert number"), "{port} {old}: {said}");
        }
    }
}

/// Whether EST refuses what a member shows: in the handshake, or with a status.
fn is_refused(member: &ByHand, place: &Place, operation: &str) -> bool {
    let (chain, key) = (member.file("chain.pem"), member.file("key.pem"));
    let status = member.post(place, operation, &["--cert", &chain, "--key", &key]);
    const NO_ANSWER: &str = "000";
    [NO_ANSWER, "401", "403"].contains(&status.as_str())
}

/// An authority of somebody else, and a certificate of it whose extensions say `extensions`.
fn foreign(place: &Place, name: &str, subject: &str, extensions: &str) -> ByHand {
    let member = ByHand::new(place, name);
    let [ca, ca_key, leaf, request] =
        ["ca.pem", "ca-key.pem", "leaf.pem", "request.pem"].map(|file| member.file(file));
    let pair =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    succeeds("openssl", &[&pair[..], &["-subj", "/CN=Maker", "-keyout", &ca_key, "-out", &ca]].concat());
    let key = member.file("key.pem");
    succeeds("openssl", &["req", "-new", "-key", &key, "-subj", subject, "-out", &request]);
    let file = member.file("extensions");
    std::fs::write(&file, extensions).unwrap();
    let sign =
        ["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-days", "2"];
    succeeds("openssl", &[&sign[..], &["-extfile", &file, "-out", &leaf]].concat());
    std::fs::copy(&leaf, member.file("chain.pem")).unwrap();
    member
}

#[test]
fn a_stranger_who_claims_a_members_name_stays_outside() {
    if !peers_are_there() {
        return;
    }
    let place = Place::new();
    let _service = place.service(&["acme"]);
    let member = ByHand::enrolled(&place, "acme", "device", "hand-1");
    let usage = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
                 extendedKeyUsage=clientAuth\n";
    let name = format!("{usage}subjectAltName=URI:spiffe://thingward.local/tenant/acme/device/hand-1\n");
    let stranger = foreign(&place, "stranger", "/O=acme/CN=hand-1", &name);
    assert!(publishes(&member, place.mqtt, "1"));
    assert!(!publishes(&stranger, place.mqtt, "2"));
    assert!(is_refused(&stranger, &place, "simplereenroll"));
    // Nobody at all.
    let port = place.mqtt.to_string();
    let nobody =
        ["-h", "localhost", "-p", &port, "--cafile", member.root(), "-q", "1", "-t", TOPIC, "-m", "3"];
    assert!(!ask("mosquitto_pub", &nobody).0);
    assert_eq!(place.readings("acme").len(), 1);
}

#[test]
fn an_idevid_enrols_and_does_not_publish() {
    if !peers_are_there() {
        return;
    }
    let place = Place::new();
    let _service = place.service(&["acme", "other"]);
    let usage = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n";
    let made = foreign(&place, "made", "/O=Maker/CN=thing/serialNumber=SN-0001", usage);
    let (chain, key) = (made.file("chain.pem"), made.file("key.pem"));
    let shows = ["--cert", &chain[..], "--key", &key];
    assert!(is_refused(&made, &place, "acme/simpleenroll"));
    let trust = ["maker", "trust", "maker", "--tenant", "acme", "--certificates"];
    place.done(&[&trust[..], &[&made.file("ca.pem"), "--serial", "SN-0001=made-1"]].concat());
    assert!(!publishes(&made, place.mqtt, "1"));
    assert!(is_refused(&made, &place, "simplereenroll"));
    assert!(is_refused(&made, &place, "other/simpleenroll"));
    assert_eq!(made.post(&place, "acme/simpleenroll", &shows), "200", "{}", made.answer());
    made.take_certificates();
    assert!(publishes(&made, place.mqtt, "2"));
    let readings = place.readings("acme");
    assert_eq!(readings.len(), 1);
    assert_eq!((&readings[0]["device"], &readings[0]["value"]), (&"made-1".into(), &2.0.into()));
}

#[test]
fn an_expired_certificate_is_refused() {
    if !peers_are_there() {
        return;
    }
    let place = Place::with("[service.authority]\ndevice_lifetime = \"8s\"\n");
    let _service = place.service(&["acme"]);
    let member = ByHand::enrolled(&place, "acme", "device", "hand-1");
    let leaf = member.file("leaf.pem");
    assert!(publishes(&member, place.mqtt, "1"), "the certificate ended before it was used");
    wait_for("the end", || !ask("openssl", &["x509", "-in", &leaf, "-noout", "-checkend", "0"]).0);
    std::thread::sleep(Duration::from_secs(1));
    assert!(!publishes(&member, place.mqtt, "2"));
    assert!(is_refused(&member, &place, "simplereenroll"));
    assert_eq!(place.readings("acme").len(), 1);
}

#[test]
fn a_revoked_member_is_cut_and_refused() {
    if !peers_are_there() {
        return;
    }
    let place = Place::new();
    let _service = place.service(&["acme"]);
    let member = ByHand::enrolled(&place, "acme", "device", "hand-1");
    let good = ByHand::enrolled(&place, "acme", "device", "hand-2");
    let arguments = member.mosquitto_arguments(place.mqtt);
    let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    arguments.extend(["-i", "revoked", "-t", "devices/me/commands/#"]);
    let session = Subscriber::new(&arguments);
    assert!(publishes(&member, place.mqtt, "1"));
    place.done(&["device", "revoke", "hand-1", "--reason", "key-compromise"]);
    session.loses_its_connection();
    assert!(!publishes(&member, place.mqtt, "2"));
    assert!(is_refused(&member, &place, "simplereenroll"));
    assert!(publishes(&good, place.mqtt, "3"));
    let values: Vec<_> = place.readings("acme").iter().map(|r| r["value"].as_f64().unwrap()).collect();
    assert_eq!(values, [1.0, 3.0]);
    let crl = format!("{}/.well-known/thingward/crl", place.url);
    assert_eq!(good.curl(&[&crl]), "200");
    let said =
        succeeds("openssl", &["crl", "-inform", "DER", "-in", &good.file("answer"), "-noout", "-text"]);
    let serial = succeeds("openssl", &["x509", "-in", &member.file("leaf.pem"), "-noout", "-serial"]);
    assert!(said.contains(serial.trim().strip_prefix("serial=").unwrap()), "{said}");
}

#[test]
fn a_member_of_another_tenant_reads_nothing() {
    if !peers_are_there() {
        return;
    }
    let place = Place::new();
    let _service = place.service(&["acme", "other"]);
    let sender = ByHand::enrolled(&place, "acme", "device", "hand-1");
    let own = ByHand::enrolled(&place, "acme", "application", "app");
    let theirs = ByHand::enrolled(&place, "other", "application", "app");
    // Of the same name, in the other tenant.
    let twin = ByHand::enrolled(&place, "other", "device", "hand-1");
    let subscribe = |member: &ByHand, filter: &str| {
        let arguments = member.mosquitto_arguments(place.mqtt);
        let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        arguments.extend(["-V", "mqttv5", "-q", "1", "-t", filter]);
        Subscriber::new(&arguments)
    };
    let (reads, reads_nothing) = (subscribe(&own, "devices/+/telemetry/#"), subscribe(&theirs, "devices/#"));
    assert!(publishes(&sender, place.mqtt, r#"{"temperature":21.5}"#));
    let message = reads.message();
    assert!(
        message.starts_with("devices/hand-1/telemetry/climate|1|0|") && message.contains("21.5"),
        "{message}"
    );
    assert!(reads_nothing.is_quiet());
    for filter in ["devices/hand-1/telemetry/#", "devices/+/telemetry/#", "#", "tenant/acme/#", "/acme/#"] {
        let (_, said) =
            twin.mosquitto("mosquitto_sub", place.mqtt, &["-V", "mqttv5", "-W", "3", "-t", filter]);
        assert!(said.contains("All subscription requests were denied"), "{filter}: {said}");
    }
    let (_, said) = twin.mosquitto(
        "mosquitto_pub",
        place.mqtt,
        &["-V", "mqttv5", "-q", "1", "-t", "devices/hand-1/telemetry/climate", "-m", "7"],
    );
    assert!(said.contains("Not authorized"), "{said}");
    assert!(place.readings("other").is_empty());
    assert_eq!(place.readings("acme").len(), 1);

    let token = place.done(&["token", "create", "--tenant", "other", "--scope", "readings:read"]);
    let header = format!("Authorization: Bearer {}", token["token"].as_str().unwrap());
    let url = |tenant: &str| format!("{}/api/v1/tenants/{tenant}/readings", place.url);
    assert_eq!(twin.curl(&["-H", &header, &url("other")]), "200", "{}", twin.answer());
    assert_eq!(twin.curl(&["-H", &header, &url("acme")]), "404", "{}", twin.answer());
    let (chain, key) = (twin.file("chain.pem"), twin.file("key.pem"));
    assert_eq!(twin.curl(&["--cert", &chain, "--key", &key, &url("acme")]), "401", "{}", twin.answer());
}
