//! Grants from the command line: made, handed on and looked at.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{Place, Running, shown, wait_for};
use serde_json::{Value as Json, json};
use thingward_crypto::sealed::write_private;
use thingward_crypto::{SignatureAlgorithm, SoftwareKey};
use thingward_grant::owned::{self, OwnedPermission};
use thingward_grant::{
    Audience, GRANT_BYTES_MAX, HolderKey, Origin, Reference, SCOPE_BYTES_MAX, Terms, public,
};
use thingward_model::NameRef;

/// A meter that lets whoever has a grant park for up to four hours.
const DESCRIPTION: &str = r#"{
  "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"tw": "urn:thingward:td:"}],
  "title": "Meter", "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}}, "security": "nosec_sc",
  "actions": {
    "park": {
      "tw:grants": true, "forms": [{"href": "devices/me/commands/+"}],
      "input": {"type": "object", "required": ["minutes"],
        "properties": {"minutes": {"type": "integer", "minimum": 1, "maximum": 240}}}
    },
    "leave": {"tw:grants": true, "forms": [{"href": "devices/me/commands/+"}]}
  }
}"#;

/// What a command that fails says.
fn refused(place: &Place, arguments: &[&str]) -> (i32, String) {
    let (code, said) = place.run(arguments);
    assert_ne!(code, 0, "{arguments:?}: {said}");
    (code, said["error"]["message"].as_str().unwrap_or_default().to_owned())
}

/// A new key in the file of this name; gives its public half.
fn key(place: &Place, name: &str) -> String {
    place.done(&["grant", "key", shown(&place.path(name))])["holder"].as_str().unwrap().to_owned()
}

/// A grant file for whoever has the key, by an issuer of the test's own.
fn write_grant(place: &Place, name: &str, holder: &str, allow: &str) {
    let issuer = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[7; 32]).unwrap();
    let permission: OwnedPermission = allow.parse().unwrap();
    let (mut room, mut out) = ([0; SCOPE_BYTES_MAX], [0; GRANT_BYTES_MAX]);
    let origin = Origin {
        issuer: NameRef::new("acme").unwrap(),
        id: [1, 2, 3, 4, 5, 6, 7, 8],
        epoch: 3,
        reference: Some(Reference::Reason("order 17")),
    };
    let terms = Terms {
        audience: Some(Audience::Device(NameRef::new("meter-1").unwrap())),
        uses: Some(10),
        scope: Some(owned::write(&[permission], &mut room).unwrap()),
        ..Terms::default()
    };
    let holder = HolderKey::from_bytes(URL_SAFE_NO_PAD.decode(holder).unwrap().try_into().unwrap());
    let len = public::issue(&issuer, &origin, &terms, holder, &mut out).unwrap();
    std::fs::write(place.path(name), URL_SAFE_NO_PAD.encode(&out[..len])).unwrap();
}

#[test]
fn a_holder_makes_a_key_narrows_a_grant_and_sees_what_is_in_it_without_any_service() {
    let place = Place::new();
    let (anna, ben) = (key(&place, "anna.key"), key(&place, "ben.key"));
    let mode = std::fs::metadata(place.path("anna.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (file, narrowed) = (place.path("anna.grant"), place.path("ben.grant"));
    write_grant(&place, "anna.grant", &anna, "park minutes=1..120");
    let seen = place.done(&["grant", "show", shown(&file)]);
    assert_eq!(
        seen["permissions"],
        json!([{"action": "park", "bounds": {"minutes": {"min": 1, "max": 120}}}])
    );
    assert_eq!(
        (&seen["id"], &seen["tenant"], &seen["holder"], &seen["uses"], &seen["epoch"], &seen["reason"]),
        (&json!("0102030405060708"), &json!("acme"), &json!(anna), &json!(10), &json!(3), &json!("order 17"))
    );
    let [anna_key, ben_key] = ["anna.key", "ben.key"].map(|name| place.path(name));
    let narrow = |key, out, more: &[&str]| {
        let all = ["grant", "narrow", shown(&file), "--key", key, "--to", ben.as_str(), "--out", out];
        [&all, more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let words = narrow(
        shown(&anna_key),
        shown(&narrowed),
        &["--allow", "park minutes=..30", "--for", "1h", "--uses", "1"],
    );
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let seen = place.done(&words);
    assert_eq!(seen["holder"], ben);
    let part = &seen["narrowed"][0];
    assert_eq!(part["permissions"], json!([{"action": "park", "bounds": {"minutes": {"max": 30}}}]));
    assert_eq!((&part["uses"], part["expires"].is_string()), (&json!(1), true));
    assert_eq!(place.done(&["grant", "show", shown(&narrowed)])["narrowed"], seen["narrowed"]);
    // A key begins with a hyphen once in 64 times.
    let (hyphen, out) = ("-SIhjlOjS7-nCSq9UzSb7AG7xWt6t3P45x3_htpWdgU", place.path("hyphen.grant"));
    let words = ["--key", shown(&anna_key), "--to", hyphen, "--out", shown(&out)];
    assert_eq!(place.done(&[&["grant", "narrow", shown(&file)], &words[..]].concat())["holder"], hyphen);
    // Not by somebody else, not over what is there, and not of what is no grant.
    let other = place.path("x.grant");
    let words = narrow(shown(&ben_key), shown(&other), &[]);
    let (code, said) = refused(&place, &words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((code, said.contains("thingward grant show")), (4, true), "{said}");
    let words = narrow(shown(&anna_key), shown(&narrowed), &[]);
    assert_eq!(refused(&place, &words.iter().map(String::as_str).collect::<Vec<_>>()).0, 1);
    let (_, said) = refused(&place, &["grant", "show", shown(&anna_key)]);
    assert!(said.contains("holds no grant"), "{said}");
    let (code, said) = refused(&place, &["grant", "show", "nothing"]);
    assert_eq!((code, said.contains("thingward grant list")), (3, true), "{said}");
    let (code, _) = refused(&place, &["grant", "key", shown(&anna_key)]);
    assert_eq!(code, 1, "a key is never overwritten");
}

#[test]
fn openssl_reads_a_holders_key() {
    let place = Place::new();
    let anna = key(&place, "anna.key");
    let mut openssl = std::process::Command::new("openssl");
    let file = place.path("anna.key");
    let read = openssl.args(["pkey", "-pubout", "-outform", "DER", "-in", shown(&file)]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let holder = URL_SAFE_NO_PAD.decode(anna).unwrap();
    assert!(read.stdout.ends_with(&holder), "the public half is the one that was shown");
}

fn town() -> (Place, Running, Running) {
    let place = Place::new();
    let service = place.service(&["acme"]);
    std::fs::write(place.path("meter.td.json"), DESCRIPTION).unwrap();
    place.enrol("acme", "device", "meter-1");
    let (home, description) = (place.path("meter-1"), place.path("meter.td.json"));
    let arguments = ["device", "run", "--home", shown(&home), "--description", shown(&description)];
    let meter = place.start_as("meter-1", &arguments);
    wait_for("the description", || place.run(&["command", "actions", "meter-1"]).0 == 0);
    (place, service, meter)
}

#[test]
fn a_grant_is_issued_shown_listed_and_revoked_and_errors_say_what_to_do() {
    let (place, _service, _meter) = town();
    let anna = key(&place, "anna.key");
    let file = place.path("anna.grant");
    let issue = |more: &[&str]| {
        let all = ["grant", "issue", "--device", "meter-1", "--holder", anna.as_str()];
        [&all, more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let done = |words: Vec<String>| place.done(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let wrong = |words: Vec<String>| refused(&place, &words.iter().map(String::as_str).collect::<Vec<_>>());
    let allow = ["--allow", "park minutes=1..120", "--allow", "leave"];
    let limits = ["--for", "2h", "--uses", "10", "--reason", "order 17", "--out", shown(&file)];
    let issued = done(issue(&[allow.as_slice(), &limits].concat()));
    let id = issued["id"].as_str().unwrap();
    let seen = place.done(&["grant", "show", shown(&file)]);
    for name in ["id", "permissions", "holder", "uses", "expires", "reason"] {
        assert_eq!(seen[name], issued[name], "{name}");
    }
    assert_eq!(place.done(&["grant", "show", id])["state"], "active");
    let list = |state: &str| place.done(&["grant", "list", "--state", state]).as_array().unwrap().len();
    assert_eq!((list("active"), list("revoked")), (1, 0));

    let hyphen = "-SIhjlOjS7-nCSq9UzSb7AG7xWt6t3P45x3_htpWdgU";
    let held =
        ["grant", "issue", "--device", "meter-1", "--holder", hyphen, "--allow", "leave", "--uses", "1"];
    let held = place.done(&held);
    assert_eq!(held["holder"], hyphen);
    place.done(&["grant", "revoke", held["id"].as_str().unwrap()]);

    let (code, said) = wrong(issue(&["--allow", "leave", "--uses", "1", "--out", shown(&file)]));
    assert_eq!((code, said.contains("is there already")), (1, true), "{said}");
    assert_eq!(list("active"), 1, "and nothing was issued");
    let later = ["--allow", "leave", "--from", "2099-01-01T00:00:00.5Z", "--for", "1h"];
    let later = done(issue(&later));
    assert_eq!((&later["state"], &later["expires"]), (&json!("not-yet"), &json!("2099-01-01T01:00:00Z")));
    assert_eq!(later["ended_by"], Json::Null);

    let (code, said) = wrong(issue(&["--allow", "park minutes=1..500", "--uses", "1"]));
    assert_eq!(
        (code, said.contains("goes beyond what is open to grants, which is 1..240")),
        (1, true),
        "{said}"
    );
    let (code, said) = wrong(issue(&["--uses", "1"]));
    assert_eq!((code, said.contains("thingward command actions meter-1")), (2, true), "{said}");
    let (code, said) = wrong(issue(&["--allow", "leave"]));
    assert_eq!((code, said.contains("--for, --uses")), (2, true), "{said}");
    let words =
        ["grant", "issue", "--device", "meter-1", "--holder", "me", "--allow", "leave", "--uses", "1"];
    let (code, said) = refused(&place, &words);
    assert_eq!((code, said.contains("thingward grant key FILE")), (2, true), "{said}");

    assert_eq!(place.done(&["grant", "revoke", id])["ended_with_it"], json!([]));
    assert_eq!((list("active"), list("revoked")), (0, 2));
    place.done(&["grant", "revoke", id]);
    let log = place.done(&["audit", "list"]);
    let actions: Vec<&Json> = log.as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    let of_grants = actions.iter().filter(|action| action.as_str().unwrap().starts_with("grant.")).count();
    assert_eq!(of_grants, 5, "{actions:?}");
}

#[test]
fn a_token_signs_what_it_grants_and_revokes() {
    let (place, _service, _meter) = town();
    let anna = key(&place, "anna.key");
    let scopes = "grants:issue,grants:revoke,devices:read";
    let made = place.done(&["token", "create", "--tenant", "acme", "--scope", scopes]);
    let (token, root) = (place.path("token"), place.path("data/root.pem"));
    write_private(&token, made["token"].as_str().unwrap().as_bytes()).unwrap();
    let remote = ["--url", &place.url, "--ca", shown(&root), "--token-file", shown(&token)];
    let words = [
        "grant",
        "issue",
        "--tenant",
        "acme",
        "--device",
        "meter-1",
        "--holder",
        anna.as_str(),
        "--allow",
        "leave",
        "--uses",
        "1",
    ];
    let issued = place.done(&[remote.as_slice(), &words].concat());
    let id = issued["id"].as_str().unwrap();
    place.done(&[remote.as_slice(), &["grant", "revoke", "--tenant", "acme", id]].concat());
    let shown = place.done(&["grant", "show", id]);
    assert!(shown["issued_by"].as_str().unwrap().starts_with("token/"), "{shown}");
    assert_eq!(shown["state"], "revoked");
}

/// A meter of the simulation, which takes grants at the port.
fn simulated(place: &Place, name: &str, port: u16) -> Running {
    let (home, link) = (place.path(name), format!("127.0.0.1:{port}"));
    let kind = ["--simulate", "parking-meter", "--local-link", &link];
    let arguments = ["device", "run", "--home", shown(&home)];
    let meter = place.start_as(name, &[arguments.as_slice(), &kind].concat());
    wait_for("the local link", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    meter
}

#[test]
fn a_meter_serves_strangers_while_the_service_is_gone_and_the_log_has_each_use_afterwards() {
    let place = Place::new();
    let service = place.service(&["acme"]);
    place.enrol("acme", "device", "meter-1");
    let port = common::free_port();
    let meter = simulated(&place, "meter-1", port);
    wait_for("the description", || place.run(&["command", "actions", "meter-1"]).0 == 0);
    let home = place.path("meter-1");
    let device_key = place.done(&["device", "status", "--home", shown(&home)])["key"].clone();
    let device_key = device_key.as_str().unwrap();
    let known = place.done(&["device", "show", "meter-1"]);
    assert_eq!(known["keys"][0]["key"], device_key, "the service knows the device by the same key");
    let mut status = std::process::Command::new(env!("CARGO_BIN_EXE_thingward"));
    let text = status.args(["device", "status", "--home", shown(&home)]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.lines().any(|line| line.starts_with("name") && line.ends_with("meter-1")), "{text}");

    let (anna, ben) = (key(&place, "anna.key"), key(&place, "ben.key"));
    let [annas, bens, others] = ["anna.grant", "ben.grant", "other.grant"].map(|name| place.path(name));
    let issue = |holder: &str, out: &str| {
        let words = ["grant", "issue", "--device", "meter-1", "--holder", holder, "--allow", "park =1..120"];
        place.done(&[&words[..], &["--allow", "leave", "--for", "2h", "--uses", "4", "--out", out]].concat())
    };
    let id = issue(&anna, shown(&annas))["id"].as_str().unwrap().to_owned();
    issue(&ben, shown(&others));
    let more = place.path("more.grant");
    issue(&anna, shown(&more));
    let [anna_key, ben_key] = ["anna.key", "ben.key"].map(|name| place.path(name));
    let narrow = ["grant", "narrow", shown(&annas), "--key", shown(&anna_key), "--to", &ben];
    place.done(&[&narrow[..], &["--allow", "park =..30", "--out", shown(&bens)]].concat());

    // Nobody but the meter is there.
    drop(service);
    let at = format!("127.0.0.1:{port}");
    let shows = |grant: &str, key: &str, what: &[&str]| {
        let words = ["grant", "use", grant, "--key", key, "--at", &at, "--device-key", device_key];
        place.run(&[&words[..], what].concat())
    };
    let says = |(code, said): (i32, Json), want: &str| {
        let text = said.to_string();
        assert!(code != 0 && text.contains(want), "{code} {text}");
    };
    let (code, said) = shows(shown(&annas), shown(&anna_key), &["park", "90"]);
    assert_eq!(
        (code, &said["outcome"], &said["output"]["seconds"]),
        (0, &json!("done"), &json!(5400)),
        "{said}"
    );
    says(shows(shown(&annas), shown(&anna_key), &["park", "121"]), "not-granted");
    says(shows(shown(&annas), shown(&anna_key), &["set-rate", "0"]), "not-opened");
    says(shows(shown(&annas), shown(&ben_key), &["park", "1"]), "cannot be shown with this key");
    // Who has a grant of their own does not get what somebody else paid for, and a part does not begin what began.
    says(shows(shown(&others), shown(&ben_key), &["park", "1"]), "somebody else has paid");
    says(shows(shown(&bens), shown(&ben_key), &["park", "31"]), "not-granted");
    says(shows(shown(&bens), shown(&ben_key), &["park", "30"]), "out-of-turn");
    // Another grant that the same key was given goes on where the first one is.
    assert_eq!(shows(shown(&more), shown(&anna_key), &["park", "120"]).0, 0);
    // A meter that is killed knows what began and what is over.
    drop(meter);
    let meter = simulated(&place, "meter-1", port);
    says(shows(shown(&annas), shown(&anna_key), &["park", "10"]), "out-of-turn");
    assert_eq!(shows(shown(&annas), shown(&anna_key), &["leave"]).0, 0);
    drop(meter);
    let _meter = simulated(&place, "meter-1", port);
    says(shows(shown(&annas), shown(&anna_key), &["leave"]), "out-of-turn");
    assert_eq!(shows(shown(&more), shown(&anna_key), &["leave"]).0, 0);

    let _service = place.service(&[]);
    wait_for("the uses", || place.done(&["grant", "show", &id])["used"] == 2);
    let log = place.done(&["audit", "list", "--limit", "1000"]);
    let uses = log.as_array().unwrap().iter().filter(|entry| entry["action"] == "grant.use").count();
    assert_eq!(uses, 5, "those of three grants, with the one that somebody else had paid for");
}

#[test]
fn a_grant_for_a_group_counts_at_each_of_its_meters_until_they_leave_it_or_it_is_revoked() {
    let place = Place::new();
    let service = place.service(&["acme"]);
    let meters = ["meter-1", "meter-2"].map(|name| {
        place.enrol("acme", "device", name);
        let port = common::free_port();
        let running = simulated(&place, name, port);
        wait_for("the description", || place.run(&["command", "actions", name]).0 == 0);
        place.done(&["group", "add", "north", &format!("device/{name}")]);
        (name, port, running)
    });
    let anna = key(&place, "anna.key");
    let issue = |name: &str| {
        let (out, words) =
            (place.path(name), ["grant", "issue", "--class", "north", "--holder", anna.as_str()]);
        let more = ["--allow", "park =1..120", "--allow", "leave", "--for", "2h", "--uses", "2"];
        place.done(&[&words[..], &more, &["--out", shown(&out)]].concat())["id"].as_str().unwrap().to_owned()
    };
    let id = issue("first.grant");
    let shows = |(name, port, _): &(&str, u16, Running), grant: &str, what: &[&str]| {
        let status = place.done(&["device", "status", "--home", shown(&place.path(name))]);
        let (file, key, at) = (place.path(grant), place.path("anna.key"), format!("127.0.0.1:{port}"));
        let device_key = status["key"].as_str().unwrap();
        let words = ["grant", "use", shown(&file), "--key", shown(&key), "--at", &at];
        let (code, said) =
            place.run(&[&words[..], &["--device", name, "--device-key", device_key], what].concat());
        (code == 0, said.to_string())
    };
    // They hear by themselves that grants are issued for their group.
    for meter in &meters {
        wait_for("the class", || shows(meter, "first.grant", &["park", "60"]).0);
        let (done, said) = shows(meter, "first.grant", &["leave"]);
        assert!(done, "{said}");
        let (_, said) = shows(meter, "first.grant", &["leave"]);
        assert!(said.contains("used-up"), "twice at each: {said}");
    }
    let shown = || place.done(&["grant", "show", &id]);
    wait_for("the uses", || shown()["used"] == 4);
    assert_eq!((&shown()["state"], &shown()["audience"]), (&json!("active"), &json!("class/north")));

    let second = issue("second.grant");
    assert!(shows(&meters[0], "second.grant", &["park", "60"]).0);
    place.done(&["group", "remove", "north", "device/meter-1"]);
    wait_for("the leave", || shows(&meters[0], "second.grant", &["leave"]).1.contains("wrong-audience"));
    assert!(shows(&meters[1], "second.grant", &["park", "60"]).0, "the other is in it still");
    place.done(&["grant", "revoke", &second]);
    wait_for("the revocation", || shows(&meters[1], "second.grant", &["leave"]).1.contains("revoked"));

    // Who was away when it was revoked hears of it when it is back; before that nobody told it.
    let third = issue("third.grant");
    drop(service);
    let [first, (name, port, running)] = meters;
    drop((first, running));
    let service = place.service(&[]);
    place.done(&["grant", "revoke", &third]);
    drop(service);
    let meter = (name, port, simulated(&place, name, port));
    assert!(shows(&meter, "third.grant", &["park", "60"]).0, "no service is in reach");
    let _service = place.service(&[]);
    wait_for("the revocation", || shows(&meter, "third.grant", &["leave"]).1.contains("revoked"));
}

#[test]
fn a_meter_that_is_cut_off_hears_from_whoever_comes_by_what_was_taken_back() {
    let place = Place::new();
    let _service = place.service(&["acme"]);
    place.enrol("acme", "device", "meter-1");
    place.done(&["group", "add", "north", "device/meter-1"]);
    let port = common::free_port();
    let running = simulated(&place, "meter-1", port);
    wait_for("the description", || place.run(&["command", "actions", "meter-1"]).0 == 0);
    let anna = key(&place, "anna.key");
    let issue = |name: &str, audience: [&str; 2]| {
        let (out, words) =
            (place.path(name), ["grant", "issue", audience[0], audience[1], "--holder", &anna]);
        let more = ["--allow", "park =1..120", "--allow", "leave", "--for", "2h", "--out", shown(&out)];
        place.done(&[&words[..], &more].concat())["id"].as_str().unwrap().to_owned()
    };
    let of_group = issue("group.grant", ["--class", "north"]);
    let at = format!("127.0.0.1:{port}");
    let shows = |grant: &str, what: &[&str]| {
        let (file, key) = (place.path(grant), place.path("anna.key"));
        let words = ["grant", "use", shown(&file), "--key", shown(&key), "--at", &at, "--device", "meter-1"];
        let (code, said) = place.run(&[&words[..], what].concat());
        (code == 0, said.to_string())
    };
    wait_for("the class", || shows("group.grant", &["park", "1"]).0);
    drop(running);
    let home = place.path("meter-1");
    let words = ["device", "run", "--home", shown(&home), "--simulate", "parking-meter", "--local-link", &at];
    let _cut_off = place.start_as("meter-1", &[&words[..], &["--uplink", "127.0.0.1:9"]].concat());
    wait_for("the local link", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    // It looks at its membership once, when it starts. Of what is revoked behind that nobody tells it.
    let mut own = String::new();
    wait_for("the last look", || {
        own = format!("own{}.grant", own.len());
        let id = issue(&own, ["--device", "meter-1"]);
        place.done(&["grant", "revoke", &id]);
        shows(&own, &["park", "1"]).0
    });
    place.done(&["grant", "revoke", &of_group]);
    let brought = place.done(&["grant", "carry", "--device", "meter-1", "--at", &at]);
    assert_eq!(brought["brought"], json!(["device/meter-1", "class/north"]));
    for grant in [own.as_str(), "group.grant"] {
        let (_, said) = shows(grant, &["leave"]);
        assert!(said.contains("revoked"), "{said}");
    }
}
