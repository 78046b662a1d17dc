//! A town with marked payloads, codes, tokens, passwords, keys and a PIN, and the search for the marks.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

mod common;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use common::by_hand::ByHand;
use common::{Place, have, shown, stops_cleanly, wait_for};

/// What may appear nowhere: a name for the test's own messages, and the bytes.
struct Mark {
    name: String,
    bytes: Vec<u8>,
}

/// Where a text begins, in bytes: long enough to be rare.
const HEAD: usize = 8;

/// All forms of all marks, by how they begin.
#[derive(Default)]
struct Forms(HashMap<[u8; HEAD], Vec<(String, Vec<u8>)>>);

impl Forms {
    fn of(marks: &[Mark]) -> Self {
        let mut all = Self::default();
        for Mark { name, bytes } in marks {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            all.add(name, "as it is", bytes.clone());
            all.add(name, "in hex", hex.clone().into_bytes());
            all.add(name, "in hex", hex.to_uppercase().into_bytes());
            for shift in 0..3 {
                // The mark somewhere in what is encoded: without the characters that share bits with neighbours.
                let text = STANDARD_NO_PAD.encode([&vec![0; shift], bytes.as_slice()].concat());
                let inner = &text[if shift == 0 { 0 } else { shift + 1 }..text.len() - 1];
                all.add(name, "in base64", inner.into());
                all.add(name, "in base64", inner.replace('+', "-").replace('/', "_").into_bytes());
            }
        }
        all
    }

    fn add(&mut self, name: &str, how: &str, form: Vec<u8>) {
        let head = form[..HEAD].try_into().unwrap();
        self.0.entry(head).or_default().push((format!("{name} {how}"), form));
    }

    /// The marks in `bytes`.
    fn find(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut first = [false; 65_536];
        let index = |a: u8, b: u8| usize::from(u16::from_be_bytes([a, b]));
        self.0.keys().for_each(|head| first[index(head[0], head[1])] = true);
        let mut found = BTreeSet::new();
        for (at, window) in bytes.windows(HEAD).enumerate() {
            if first[index(window[0], window[1])]
                && let Some(forms) = self.0.get(window)
            {
                found.extend(
                    forms.iter().filter(|(_, f)| bytes[at..].starts_with(f)).map(|(n, _)| n.as_str()),
                );
            }
        }
        found
    }
}

fn files_under(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        // What a running service removes meanwhile holds nothing.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_under(&entry.path(), all),
            Ok(kind) if kind.is_file() => all.push(entry.path()),
            _ => {}
        }
    }
}

/// A town, its marks, and the files that are given to it to hold some of them.
struct Town {
    place: Place,
    marks: Vec<Mark>,
    given: PathBuf,
}

impl Town {
    fn new() -> Self {
        let history = "[service.history]\nevery = \"1s\"\nrows = 1\nage = \"1s\"\n";
        let with_pin = have(&["softhsm2-util"]);
        let mut place = if with_pin {
            Place::with(&format!("{history}[service.authority]\nkeys = \"KEYS\"\n"))
        } else {
            Place::with(history)
        };
        place.environment.push(("THINGWARD_LOG".to_owned(), "trace".to_owned()));
        let given = place.path("given");
        std::fs::create_dir(&given).unwrap();
        let mut town = Self { place, marks: Vec::new(), given };
        if with_pin {
            town.make_token();
        }
        town
    }

    fn mark(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.marks.push(Mark { name: name.to_owned(), bytes: bytes.into() });
    }

    /// A marked text.
    fn text(&mut self, name: &str) -> String {
        let text = format!("Mark.of.the.{}.9f27", name.replace(' ', "."));
        self.mark(name, text.clone());
        text
    }

    /// A file that is given to a command to hold `text`.
    fn give(&self, name: &str, text: &str) -> String {
        let file = self.given.join(name);
        thingward_crypto::sealed::write_private(&file, text.as_bytes()).unwrap();
        shown(&file).to_owned()
    }

    /// A PKCS#11 token for the authority's keys, with a marked PIN.
    fn make_token(&mut self) {
        let pin = self.text("pin");
        let source = self.give("pin", &pin);
        let keys = self.place.make_token(&pin, &source, "ca");
        let config = std::fs::read_to_string(&self.place.config).unwrap();
        std::fs::write(&self.place.config, config.replace("KEYS", &keys)).unwrap();
    }

    /// Enrols a member of our own kind; its code is marked.
    fn enrol(&mut self, role: &str, name: &str) {
        let claim = self.place.claim("acme", role, name);
        self.mark(&format!("code of {name}"), claim.split_once('.').unwrap().0);
        let file = self.give(&format!("claim-{name}"), &claim);
        let home = self.place.path(name);
        let command = ["device", "enrol", &self.place.url, "--home", shown(&home), "--claim-file", &file];
        self.place.done(&command);
        // A second time with the same code.
        let again = self.place.path(&format!("{name}-again"));
        self.place
            .fails(&["device", "enrol", &self.place.url, "--home", shown(&again), "--claim-file", &file], 1);
    }

    fn send(&mut self, name: &str, what: &str) -> String {
        let (text, home) = (self.text(&format!("{what} of {name}")), self.place.path(name));
        self.place.done(&["device", "send", "--home", shown(&home), "notes", &format!("text={text}")]);
        text
    }

    /// Every file but those that are meant to hold marks has none.
    #[track_caller]
    fn nothing_is_found(&self) {
        let forms = Forms::of(&self.marks);
        let mut files = Vec::new();
        files_under(self.place.folder(), &mut files);
        let meant = |file: &Path| file.starts_with(&self.given) || file.ends_with("acme.key");
        let mut searched = 0;
        for file in files.iter().filter(|f| !meant(f)) {
            let Ok(bytes) = std::fs::read(file) else { continue };
            searched += bytes.len();
            let found = forms.find(&bytes);
            let name = file.strip_prefix(self.place.folder()).unwrap().display();
            assert!(found.is_empty(), "{name} holds {found:?}{}", around(file, &bytes, &self.marks));
        }
        assert!(searched > 100_000, "only {searched} bytes were searched");
    }
}

/// The line of a log that holds a mark.
fn around(file: &Path, bytes: &[u8], marks: &[Mark]) -> String {
    if file.extension().is_none_or(|e| e != "log") {
        return String::new();
    }
    let text = String::from_utf8_lossy(bytes);
    let holds = |line: &&str| marks.iter().any(|m| line.contains(&*String::from_utf8_lossy(&m.bytes)));
    text.lines().find(holds).map(|line| format!(": {line}")).unwrap_or_default()
}

#[test]
fn the_search_finds_a_mark_in_every_form() {
    let bytes = b"\xff\xfe secret of 32 bytes, maybe \xfb\xff".to_vec();
    let forms = Forms::of(&[Mark { name: "key".to_owned(), bytes: bytes.clone() }]);
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(forms.find(&[b"x", bytes.as_slice(), b"y"].concat()).len(), 1);
    assert_eq!(forms.find(format!("x{hex}y").as_bytes()).len(), 1);
    assert_eq!(forms.find(hex.to_uppercase().as_bytes()).len(), 1);
    for shift in 0..4 {
        let text = STANDARD.encode([&b"abcd"[..shift], &bytes, b"more"].concat());
        assert_eq!(forms.find(text.as_bytes()).len(), 1, "{text}");
        assert_eq!(forms.find(text.replace('+', "-").replace('/', "_").as_bytes()).len(), 1, "{text}");
    }
    assert!(forms.find(&bytes[1..]).is_empty());
}

#[test]
fn no_secret_is_in_a_log_a_metric_an_error_or_a_file() {
    if !have(&["openssl", "curl", "mosquitto_pub", "mosquitto_sub"]) {
        return;
    }
    let mut town = Town::new();
    let service = town.place.service(&["acme"]);
    let key = std::fs::read(town.place.path("acme.key")).unwrap();
    let key = if key.len() == 32 { key } else { STANDARD.decode(key.trim_ascii()).unwrap() };
    assert_eq!(key.len(), 32);
    town.mark("customer key", key);
    for (role, name) in [("gateway", "gateway"), ("device", "behind"), ("device", "direct")] {
        town.enrol(role, name);
    }
    let member = ByHand::enrolled(&town.place, "acme", "device", "hand-1");
    let app = ByHand::enrolled(&town.place, "acme", "application", "app");
    let gateway = town.place.gateway();
    let behind = town.place.device("behind", Some(town.place.gateway));
    let direct = town.place.device("direct", None);

    let mut sent = BTreeSet::new();
    sent.extend([town.send("behind", "reading"), town.send("direct", "reading")]);
    sent.insert(standard_client(&mut town, &member));
    messages_that_wait(&mut town, &member, &app);
    wrong_claims_and_tokens(&mut town);
    bad_payloads(&mut town, &member);
    town.nothing_is_found();

    // While the service is away, gateway and devices keep what they have.
    stops_cleanly(service);
    sent.extend([town.send("behind", "night"), town.send("direct", "night")]);
    sent.insert(through_the_gateway(&mut town, &member));
    std::thread::sleep(std::time::Duration::from_secs(1));
    town.nothing_is_found();
    let service = town.place.service(&[]);
    let arrived = |town: &Town| -> BTreeSet<String> {
        let texts = town.place.readings("acme").into_iter();
        texts.filter_map(|r| r["value"].as_str().map(str::to_owned)).collect()
    };
    wait_for("every reading", || arrived(&town) == sent);
    wait_for("history", || town.place.done(&["segment", "list"]).as_array().is_some_and(|s| !s.is_empty()));
    let socket = town.place.path("data/admin.sock");
    assert_eq!(app.curl(&["--unix-socket", shown(&socket), "http://localhost/metrics"]), "200");
    assert!(app.answer().contains("thingward_payloads_refused_total"));
    town.nothing_is_found();
    for running in [behind, direct, gateway, service] {
        stops_cleanly(running);
    }
    town.nothing_is_found();
    assert!(!town.place.logs().contains("panicked"));
}

fn standard_client(town: &mut Town, member: &ByHand) -> String {
    let (text, password) = (town.text("reading of hand-1"), town.text("password"));
    let payload = format!("{{\"text\":\"{text}\"}}");
    let how =
        ["-V", "mqttv5", "-u", "hand-1", "-P", &password, "-q", "1", "-t", "devices/me/telemetry/notes"];
    let (ok, said) =
        member.mosquitto("mosquitto_pub", town.place.mqtt, &[&how[..], &["-m", &payload]].concat());
    assert!(ok, "{said}");
    text
}

/// A retained state, a will, and a command for a session whose client is away.
fn messages_that_wait(town: &mut Town, member: &ByHand, app: &ByHand) {
    let (state, command, will) = (town.text("state"), town.text("command"), town.text("will"));
    let permit = "permit (principal is Application, action == Action::\"commands:send\", resource);";
    let policy = town.give("app.cedar", permit);
    town.place.done(&["policy", "apply", "--tenant", "acme", &policy]);
    let port = town.place.mqtt;
    let session = ["-V", "mqttv5", "-i", "hand", "-c", "-x", "600", "-q", "1", "-t", "devices/me/commands/#"];
    let will = ["--will-topic", "devices/me/state/will", "--will-payload", &will];
    let (ok, said) = member.mosquitto("mosquitto_sub", port, &[&session[..], &will, &["-E"]].concat());
    assert!(ok, "{said}");
    let retained = ["-V", "mqttv5", "-q", "1", "-r", "-t", "devices/me/state/mode", "-m", &state];
    let to_member = ["-V", "mqttv5", "-q", "1", "-t", "devices/hand-1/commands/mode", "-m", &command];
    for (who, arguments) in [(member, &retained[..]), (app, &to_member)] {
        let (ok, said) = who.mosquitto("mosquitto_pub", port, arguments);
        assert!(ok && !said.contains("failed"), "{said}");
    }
    let read = ["-V", "mqttv5", "-W", "10", "-C", "1", "-q", "1", "-t", "devices/hand-1/state/mode"];
    let (_, said) = app.mosquitto("mosquitto_sub", port, &read);
    assert!(said.contains(&state), "{said}");
}

fn wrong_claims_and_tokens(town: &mut Town) {
    let claim = town.place.claim("acme", "device", "never");
    let (code, fingerprint) = claim.split_once('.').unwrap();
    town.mark("code that nobody used", code);
    let wrong: String = code.chars().rev().collect();
    town.mark("code that is wrong", wrong.clone());
    let file = town.give("wrong-claim", &format!("{wrong}.{fingerprint}"));
    let home = town.place.path("never");
    let enrol = ["device", "enrol", &town.place.url, "--home", shown(&home), "--claim-file", &file];
    town.place.fails(&enrol, 1);

    let made = town.place.done(&["token", "create", "--tenant", "acme", "--scope", "readings:read"]);
    let token = made["token"].as_str().unwrap().to_owned();
    // Text in front of the secret part says what kind of token it is.
    town.mark("token", token.clone());
    town.mark("end of the token", &token.as_bytes()[token.len() - 24..]);
    let wrong = format!("{}{}", &token[..token.len() - 24], "Z".repeat(24));
    town.mark("token that is wrong", wrong.clone());
    let root = town.place.path("data/root.pem");
    let with = |file: &str, scope: &[&str]| {
        let remote = ["--url", &town.place.url, "--ca", shown(&root), "--token-file", file];
        town.place.run(&[scope, &["--tenant", "acme"], &remote].concat()).0
    };
    let (good, wrong) = (town.give("token", &token), town.give("wrong-token", &wrong));
    assert_eq!(with(&good, &["reading", "latest"]), 0);
    assert_eq!(with(&good, &["device", "list"]), 4);
    assert_eq!(with(&wrong, &["reading", "latest"]), 4);
    let id = made["id"].as_str().unwrap();
    town.place.done(&["token", "revoke", id, "--tenant", "acme"]);
    assert_eq!(with(&good, &["reading", "latest"]), 4);
}

fn bad_payloads(town: &mut Town, member: &ByHand) {
    let text = town.text("bad payload");
    let chained = [b"\xd2\x84".as_slice(), text.as_bytes()].concat();
    let file = shown(&town.given.join("chained")).to_owned();
    std::fs::write(&file, chained).unwrap();
    let texts = [
        text.clone(),
        format!("{{\"{text}"),
        format!("{{\"{text} with a blank\":1}}"),
        format!("{{\"{text}\":[1]}}"),
        format!("{{\"{text}\":null}}"),
        format!("[{{\"n\":\"{text} with a blank\",\"v\":1}}]"),
        format!("[{{\"n\":\"{text}\",\"{text}_\":1}}]"),
    ];
    let payloads = texts.iter().map(|t| ["-m", t.as_str()]).chain([["-f", &file]]);
    for payload in payloads {
        let how = ["-V", "mqttv5", "-q", "1", "-t", "devices/me/telemetry/notes"];
        let (_, said) = member.mosquitto("mosquitto_pub", town.place.mqtt, &[&how[..], &payload].concat());
        assert!(said.contains("Payload format invalid"), "{payload:?}: {said}");
    }
    let home = town.place.path("direct");
    let send = ["device", "send", "--home", shown(&home), "notes", &format!("{text} with a blank=1")];
    // What the operator typed is told to the operator, and to no log.
    let said = town.place.command(&send).output().unwrap();
    assert!(!said.status.success());
}

/// A standard client behind the gateway. The certificate of a gateway does not say `localhost`.
fn through_the_gateway(town: &mut Town, member: &ByHand) -> String {
    let text = town.text("night of hand-1");
    let payload = format!("{{\"text\":\"{text}\"}}");
    let how = ["--insecure", "-V", "mqttv5", "-q", "1", "-t", "devices/me/telemetry/notes", "-m", &payload];
    let (ok, said) = member.mosquitto("mosquitto_pub", town.place.gateway, &how);
    assert!(ok, "{said}");
    text
}
