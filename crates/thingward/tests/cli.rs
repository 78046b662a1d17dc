//! The binary as an operator uses it: exit codes, and a first device from nothing.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

mod common;

use std::process::Stdio;

use common::{Place, Running, free_port, have, shown, stops_cleanly, wait_for};

#[test]
fn a_first_device_from_nothing() {
    let place = Place::new();
    place.fails(&["tenant", "list"], 5);
    let service = place.start(&["service", "run"]);
    wait_for("the service", || place.run(&["tenant", "list"]).0 == 0);

    let key = place.path("customer.key");
    let made = place.done(&["key", "create", shown(&key)]);
    let reference = made["reference"].as_str().unwrap();
    place.done(&["tenant", "create", "acme", "--customer-key", reference]);
    place.fails(&["tenant", "create", "acme", "--customer-key", reference], 1);
    let claim = place.done(&["device", "claim", "meter-1"]);
    place.fails(&["device", "enrol", &place.url, "--claim", "wrong"], 2);
    place.done(&["device", "enrol", &place.url, "--claim", claim["claim"].as_str().unwrap()]);
    place.fails(&["device", "send", "climate", "temperature=21.5:Cel"], 5);
    let device = place.start(&["device", "run"]);
    wait_for("the device", || place.run(&["device", "status"]).0 == 0);
    place.done(&["device", "send", "climate", "temperature=21.5:Cel"]);
    let query = ["reading", "query", "--device", "meter-1", "--from", "1h"];
    wait_for("the reading", || place.run(&query).1[0]["value"] == 21.5);
    assert_eq!(place.done(&["reading", "latest"])[0]["unit"], "Cel");

    let token = place.done(&["token", "create", "--scope", "readings:read"]);
    let file = place.path("token");
    thingward_crypto::sealed::write_private(&file, token["token"].as_str().unwrap().as_bytes()).unwrap();
    let root = place.path("data/root.pem");
    let remote =
        ["--url", &place.url, "--ca", shown(&root), "--token-file", shown(&file), "--tenant", "acme"];
    let with = |words: &[&'static str]| words.iter().copied().chain(remote).collect::<Vec<_>>();
    assert_eq!(place.done(&with(&["reading", "latest"]))[0]["value"], 21.5);
    place.fails(&with(&["device", "list"]), 4);
    place.fails(&["device", "show", "nobody"], 3);

    let export = place.path("readings.csv");
    place.done(&["reading", "export", "--file", shown(&export)]);
    assert!(std::fs::read_to_string(&export).unwrap().contains(",21.5,Cel,"));
    place.fails(&["reading", "export", "--file", shown(&export)], 1);
    place.done(&["key", "withdraw"]);
    place.fails(&query, 4);
    place.done(&["key", "restore"]);
    place.done(&query);
    stops_cleanly(device);
    stops_cleanly(service);
    place.done(&["fsck"]);
}

#[test]
fn whoever_owns_a_device_asks_it_to_prove_itself_anew_and_accepts_what_it_proves() {
    let place = Place::new();
    let service = place.service(&["acme"]);
    place.claim("acme", "device", "meter-2");
    place.fails(&["device", "accept-evidence", "meter-2"], 2);
    place.enrol("acme", "device", "meter-1");
    let evidence = || place.done(&["device", "show", "meter-1"])["attestation"].clone();
    let first = evidence();
    assert_eq!(first["keys"], "unproven");
    let ask = ["device", "ask-evidence", "meter-1"];
    place.fails(&ask, 1);
    let device = place.device("meter-1", None);
    let mut started = first.clone();
    wait_for("the evidence of the start", || {
        started = evidence();
        started["evidence"] != first["evidence"]
    });
    place.done(&ask);
    let mut asked = started.clone();
    wait_for("the evidence that was asked for", || {
        asked = evidence();
        asked["evidence"] != started["evidence"]
    });
    assert_eq!(asked["reference"], first["reference"]);
    stops_cleanly(device);
    let accepted = place.done(&["device", "accept-evidence", "meter-1"]);
    assert_eq!(accepted["evidence"], asked["evidence"]);
    assert_eq!(evidence()["reference"], asked["latest"]);
    let log = place.done(&["audit", "list", "--tenant", "acme"]);
    let actions = log.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap());
    let about =
        actions.filter(|action| action.starts_with("evidence.")).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(about.into_iter().collect::<Vec<_>>(), ["evidence.accept", "evidence.ask"]);
    stops_cleanly(service);
}

/// How many objects are on the token of [`Place::make_token`].
fn objects(place: &Place) -> usize {
    let folders = std::fs::read_dir(place.path("tokens")).unwrap();
    let names = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    names.filter(|name| name.as_ref().unwrap().path().extension().is_some_and(|e| e == "object")).count()
}

#[test]
fn a_device_has_its_keys_on_a_token_and_takes_them_from_it_when_it_is_reset() {
    if !have(&["softhsm2-util"]) {
        return;
    }
    let mut place = Place::new();
    let pin = place.path("pin");
    thingward_crypto::sealed::write_private(&pin, b"4711").unwrap();
    let keys = place.make_token("4711", shown(&pin), "meter");
    let service = place.service(&["acme"]);
    let before = objects(&place);
    let enrol = |name: &str| {
        let (claim, home) = (place.claim("acme", "device", name), place.path(name));
        place.done(&[
            "device",
            "enrol",
            &place.url,
            "--claim",
            &claim,
            "--home",
            shown(&home),
            "--keys",
            &keys,
        ])
    };
    assert_eq!(enrol("meter-1")["keys"], keys.as_str());
    enrol("meter-2");
    assert_eq!(objects(&place), before + 6, "a secret key and a pair of each");
    let home = place.path("meter-1");
    let home = shown(&home);
    let device = place.device("meter-1", None);
    place.done(&["device", "send", "climate", "temperature=21.5:Cel", "--home", home]);
    wait_for("the reading", || place.readings("acme").len() == 1);
    stops_cleanly(device);

    let own_key = home.to_owned() + "/sealing.key";
    assert!(!std::path::Path::new(&own_key).exists());
    std::fs::rename(&pin, place.path("away")).unwrap();
    let (code, said) = place.run(&["device", "run", "--home", home]);
    assert!(code != 0 && said.to_string().contains("cannot read the PIN"), "{code}: {said}");
    let (code, said) = place.run(&["device", "reset", "--home", home, "--yes"]);
    assert!(code != 0 && said.to_string().contains("its keys are still on the token"), "{code}: {said}");
    std::fs::rename(place.path("away"), &pin).unwrap();
    place.done(&["device", "reset", "--home", shown(&place.path("meter-2")), "--yes"]);
    assert_eq!(objects(&place), before + 3, "those of the device whose token could not be reached");
    stops_cleanly(service);
}

#[test]
fn the_audit_log_says_who_did_what_and_is_verified_without_the_service() {
    let place = Place::new();
    let service = place.service(&["acme"]);
    place.enrol("acme", "device", "meter-1");
    let device = place.device("meter-1", None);
    place.done(&["device", "send", "--home", shown(&place.path("meter-1")), "power", "watts=3.2"]);
    let actions = || -> Vec<String> {
        let entries = place.done(&["audit", "list"]);
        entries.as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap().to_owned()).collect()
    };
    wait_for("the checkpoint in the log", || actions().len() == 5);
    assert_eq!(
        actions(),
        ["tenant.create", "device.claim", "device.enrol", "device.attest", "chain.checkpoint"]
    );
    place.done(&["device", "revoke", "meter-1", "--reason", "key-compromise"]);
    let log = place.done(&["audit", "key"]);
    let key = log["key"].as_str().unwrap();
    let revoked = place.done(&["audit", "prove", "5", "--key", key]);
    assert_eq!(
        (revoked["actor"].as_str(), revoked["action"].as_str()),
        (Some("operator"), Some("device.revoke"))
    );
    place.fails(&["audit", "prove", "6", "--key", key], 3);
    let other = key.replace("acme", "globex");
    place.fails(&["audit", "prove", "5", "--key", &other], 2);

    let folder = place.path("log");
    assert_eq!(place.done(&["audit", "export", shown(&folder)])["entries"], 6);
    place.fails(&["audit", "export", shown(&folder)], 1);
    drop(device);
    stops_cleanly(service);
    let verify = ["audit", "verify", shown(&folder), "--key", key];
    let verified = place.done(&verify);
    assert_eq!(
        (&verified["verified"], &verified["signed_by"]),
        (&serde_json::json!(true), &serde_json::json!({"device": 2, "service": 4}))
    );
    let bundle = folder.join("tile/entries/000.p/6");
    let mut bytes = std::fs::read(&bundle).unwrap();
    let at = bytes.windows(14).position(|w| w == b"key-compromise").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    place.fails(&verify, 1);
}

#[test]
fn a_wrong_configuration_starts_nothing() {
    let place = Place::new();
    std::fs::write(&place.config, "[service]\nmqtt = \"8883\"\n").unwrap();
    for command in [["service", "run"], ["gateway", "run"], ["config", "check"], ["device", "run"]] {
        let (code, answer) = place.run(&command);
        assert_eq!(code, 64, "{command:?}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(
            message
                .ends_with("t.toml:2: service.mqtt: \"8883\" is not an address; write e.g. \"0.0.0.0:8883\"")
        );
    }
    std::fs::write(&place.config, "").unwrap();
    place.done(&["config", "check"]);
    place.fails(&["config", "check", "nowhere.toml"], 64);
}

#[test]
fn init_writes_a_configuration_that_holds_and_overwrites_none() {
    let place = Place::new();
    place.done(&["init"]);
    place.done(&["config", "check", "thingward.toml"]);
    place.fails(&["init"], 1);
}

#[test]
fn completion_is_made_for_each_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = place.command(&["completion", shell]).output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().contains("thingward"), "{shell}");
    }
    place.fails(&["completion", "cmd"], 2);
}

#[test]
fn the_testbed_says_what_it_is_and_speaks_mqtt() {
    use std::io::{BufRead, BufReader, Read, Write};
    let place = Place::new();
    let port = free_port();
    let mut command = place.command(&["mqtt-testbed", "--port", &port.to_string()]);
    let mut testbed = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    // Open to the end: a program whose output nobody takes ends.
    let mut said = BufReader::new(testbed.0.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("TESTBED, NOT A SERVICE"), "{line}");
    let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    // CONNECT of MQTT 3.1.1 with a clean session, and its CONNACK.
    client.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a").unwrap();
    let mut answer = [0; 4];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"\x20\x02\x00\x00");
    drop(said);
}

#[test]
fn whoever_follows_the_log_sees_what_is_done() {
    use std::io::{BufRead, BufReader};
    let place = Place::new();
    let _service = place.service(&["acme"]);
    let follow = |more: &[&str]| {
        let mut command = place.command(&[&["audit", "follow"], more].concat());
        let mut running = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
        let mut entries =
            lines.map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap());
        move || {
            let (entry, _running) = (entries.next().unwrap(), &running);
            (entry["index"].as_u64().unwrap(), entry["target"].as_str().unwrap().to_owned())
        }
    };
    place.claim("acme", "device", "meter-1");
    let mut from_start = follow(&["--after", "0"]);
    assert_eq!(from_start(), (1, "device/meter-1".to_owned()));
    place.claim("acme", "device", "meter-2");
    assert_eq!(from_start(), (2, "device/meter-2".to_owned()));
    let mut from_now = follow(&[]);
    // It asks where the log ends before it waits: what is done until then is not shown.
    for n in 3..=6 {
        place.claim("acme", "device", &format!("meter-{n}"));
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let (first, target) = from_now();
    assert!((3..=6).contains(&first) && target == format!("device/meter-{first}"), "{first} {target}");
}
