//! Enrolment with OpenSSL and curl, and what OpenSSL and GnuTLS say to the chain.

use crate::common::by_hand::ByHand;
use crate::common::{Place, have, shown, succeeds, wait_for};

#[test]
fn a_client_of_openssl_and_curl_enrols_and_renews() {
    if !have(&["openssl", "curl", "certtool"]) {
        return;
    }
    let place = Place::new();
    let _service = place.service(&["acme"]);
    let member = ByHand::enrolled(&place, "acme", "device", "hand-1");
    both_accept(&member);
    let text = succeeds("openssl", &["x509", "-in", &member.file("leaf.pem"), "-noout", "-text"]);
    assert!(text.contains("URI:spiffe://thingward.local/tenant/acme/device/hand-1"), "{text}");
    assert!(text.contains("TLS Web Client Authentication") && !text.contains("does not matter"), "{text}");

    let first = serial(&member);
    let (chain, key) = (member.file("chain.pem"), member.file("key.pem"));
    let status = member.post(&place, "simplereenroll", &["--cert", &chain, "--key", &key]);
    assert_eq!(status, "200", "{}", member.answer());
    member.take_certificates();
    both_accept(&member);
    assert_ne!(serial(&member), first);
    let url = format!("{}/.well-known/thingward/membership", place.url);
    assert_eq!(member.curl(&["--cert", &chain, "--key", &key, &url]), "200", "{}", member.answer());
    assert!(member.answer().contains("\"name\":\"hand-1\""), "{}", member.answer());
}

fn both_accept(member: &ByHand) {
    let (leaf, issuing) = (member.file("leaf.pem"), member.file("issuing.pem"));
    let how = ["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", member.root()];
    succeeds("openssl", &[&how[..], &["-untrusted", &issuing, &leaf]].concat());
    let whole = member.file("whole.pem");
    let files = [&leaf[..], &issuing, member.root()];
    let text: String = files.iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    std::fs::write(&whole, text).unwrap();
    let said = succeeds("certtool", &["--verify-chain", "--infile", &whole]);
    assert!(said.contains("The certificate is trusted"), "{said}");
}

fn serial(member: &ByHand) -> String {
    succeeds("openssl", &["x509", "-in", &member.file("leaf.pem"), "-noout", "-serial"])
}

#[test]
fn what_est_shows_to_everybody_is_read_by_openssl() {
    if !have(&["openssl", "curl"]) {
        return;
    }
    let place = Place::new();
    let _service = place.service(&["acme"]);
    let reader = ByHand::new(&place, "reader");
    let url = |operation: &str| format!("{}/.well-known/est/{operation}", place.url);
    assert_eq!(reader.curl(&[&url("cacerts")]), "200");
    let certificates = reader.certificates_of_answer();
    assert_eq!(certificates.len(), 2);
    let root = std::fs::read_to_string(reader.root()).unwrap();
    assert!(certificates.iter().any(|c| c.trim() == root.trim()));

    assert_eq!(reader.curl(&[&url("csrattrs")]), "200");
    let (answer, der) = (reader.file("answer"), reader.file("attributes.der"));
    succeeds("openssl", &["base64", "-d", "-in", &answer, "-out", &der]);
    let said = succeeds("openssl", &["asn1parse", "-inform", "DER", "-in", &der]);
    for want in ["id-ecPublicKey", "prime256v1", "ecdsa-with-SHA256"] {
        assert!(said.contains(want), "{said}");
    }

    let crl = format!("{}/.well-known/thingward/crl", place.url);
    assert_eq!(reader.curl(&[&crl]), "200");
    let said = succeeds("openssl", &["crl", "-inform", "DER", "-in", &answer, "-noout", "-text"]);
    assert!(said.contains("No Revoked Certificates"), "{said}");
}

#[test]
fn a_thing_with_its_makers_certificate_enrols_where_the_tenant_trusts_the_maker() {
    if !have(&["openssl"]) {
        return;
    }
    let place = Place::new();
    let _service = place.service(&["acme", "globex"]);
    let file = |name: &str| shown(&place.path(name)).to_owned();
    let maker = ["maker.key", "maker.pem", "pump.key", "pump.pem"].map(file);
    let [maker_key, maker_pem, key, certificate] = &maker;
    let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let ca = ["-x509", "-days", "30", "-subj", "/O=Pumps/CN=Pumps IDevID CA", "-keyout", maker_key];
    let ca_use = ["-addext", "keyUsage=critical,keyCertSign", "-out", maker_pem];
    succeeds("openssl", &[&["req"], &ec[..], &ca, &ca_use].concat());
    let leaf = ["-x509", "-days", "30", "-subj", "/O=Pumps/serialNumber=SN-4711", "-keyout", key];
    let by = ["-CA", maker_pem, "-CAkey", maker_key, "-out", certificate];
    let uses = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"];
    let uses = uses.map(|value| ["-addext", value]).concat();
    succeeds("openssl", &[&["req"], &ec[..], &leaf, &by, &uses].concat());

    place.done(&["maker", "trust", "pumps", "--tenant", "acme", "--certificates", maker_pem]);
    let (home, root) = (file("pump"), file("data/root.pem"));
    let enrol = |tenant: &str, key: &str| {
        let shown = ["--certificate", certificate, "--key", key, "--tenant", tenant, "--root", &root];
        place.run(&[&["device", "enrol", &place.url, "--home", &home], &shown[..]].concat())
    };
    let (code, said) = enrol("globex", key);
    assert!(code == 1 && said.to_string().contains("maker"), "{code} {said}");
    let sec1 = file("sec1.key");
    succeeds("openssl", &["ec", "-in", key, "-out", &sec1]);
    let (code, said) = enrol("acme", &sec1);
    assert!(code == 1 && said.to_string().contains("openssl pkcs8 -topk8"), "{code} {said}");
    let (code, said) = enrol("acme", key);
    assert_eq!(code, 0, "{said}");
    assert!(said["identity"].as_str().unwrap().ends_with("/tenant/acme/device/SN-4711"), "{said}");
    let _pump = place.device("pump", None);
    place.done(&["device", "send", "--home", &home, "flow", "rate=5.0"]);
    wait_for("the reading", || !place.readings("acme").is_empty());
}

#[test]
fn who_shows_nothing_or_the_wrong_thing_is_refused_in_one_sentence() {
    if !have(&["openssl", "curl"]) {
        return;
    }
    let place = Place::new();
    let _service = place.service(&["acme"]);
    let member = ByHand::enrolled(&place, "acme", "device", "hand-1");
    let (chain, key) = (member.file("chain.pem"), member.file("key.pem"));
    let check = |operation: &str, more: &[&str], want: &str| {
        assert_eq!(member.post(&place, operation, more), want, "{operation} {more:?}: {}", member.answer());
        assert_eq!(member.answer().lines().count(), 1, "{}", member.answer());
    };
    check("simpleenroll", &[], "401");
    check("simpleenroll", &["-u", "hand-1:AAAAAAAAAAAAAAAAAAAAAAAAAA"], "401");
    check("simplereenroll", &[], "401");
    check("acme/simpleenroll", &["--cert", &chain, "--key", &key], "403");
    let claim = place.claim("acme", "device", "hand-2");
    let login = format!("hand-2:{}", claim.split_once('.').unwrap().0);
    std::fs::write(member.file("request.b64"), "AAAA").unwrap();
    check("simpleenroll", &["-u", &login], "400");
    std::fs::write(member.file("request.b64"), "A".repeat(1 << 20)).unwrap();
    check("simpleenroll", &["-u", &login], "413");
    // The claim outlives what was wrong with the requests, and is good for one key.
    let [other, late] = ["other", "late"].map(|name| ByHand::new(&place, name));
    assert_eq!(other.post(&place, "simpleenroll", &["-u", &login]), "200", "{}", other.answer());
    assert_eq!(late.post(&place, "simpleenroll", &["-u", &login]), "401", "{}", late.answer());
}
