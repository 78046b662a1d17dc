//! A chip on a serial line, whole: a real service, a real gateway, and the device core at the other end of the line. With
//! `THINGWARD_CHIP` it is the emulated chip of `firmware/`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{Place, Running, free_port, given, shown, wait_for};
use serde_json::{Value as Json, json};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, VerifyingKey};
use thingward_grant::{Grant, Operation, public};
use thingward_model::NameRef;
use thingward_seal::command::{Outcome, SignedReply};
use thingward_tests::chip::Chip;

const DESCRIPTION: &str = r#"{
  "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"tw": "urn:thingward:td:"}],
  "title": "Door", "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}}, "security": "nosec_sc",
  "actions": {"open": {"tw:grants": true, "forms": [{"href": "devices/me/commands/+"}]}}
}"#;

/// A house with a chip at its door.
struct House {
    place: Place,
    /// With the chip, and what the configuration says of it.
    folder: tempfile::TempDir,
    link: u16,
}

impl House {
    fn new() -> (Self, Running) {
        Self::with_line("chip/line")
    }

    fn with_line(line: &str) -> (Self, Running) {
        let (folder, link) = (tempfile::tempdir().unwrap(), free_port());
        let place = Place::with(&format!(
            "[gateway.serial.door-1]\nline = \"{0}/{line}\"\nclaim_file = \"{0}/claim\"\n\
             description = \"{0}/door.td.json\"\nlocal_link_http = \"127.0.0.1:{link}\"",
            folder.path().display()
        ));
        let service = place.service(&["acme"]);
        place.enrol("acme", "gateway", "gateway");
        std::fs::write(folder.path().join("door.td.json"), DESCRIPTION).unwrap();
        std::fs::write(folder.path().join("claim"), place.claim("acme", "device", "door-1")).unwrap();
        (Self { place, folder, link }, service)
    }

    fn chip(&self, number: u8) -> Chip {
        let mut chip = Chip::new(&self.folder.path().join("chip"), number);
        chip.on();
        chip
    }

    /// The numbers of the readings that the device has signed, and of those that it has not.
    fn readings(&self) -> (Vec<u64>, Vec<u64>) {
        let of_door = |row: &Json| row["device"] == "door-1" && row["stream"] == "door";
        let rows = self.place.readings("acme");
        let (signed, unsigned): (Vec<&Json>, _) =
            rows.iter().filter(|row| of_door(row)).partition(|row| row["assurance"] == "device-signed");
        let numbers = |rows: Vec<&Json>| {
            let mut numbers: Vec<u64> = rows.iter().map(|row| row["seq"].as_u64().unwrap()).collect();
            numbers.sort_unstable();
            numbers
        };
        (numbers(signed), numbers(unsigned))
    }

    fn wait_for_readings(&self, beyond: usize) {
        wait_for("signed readings", || self.readings().0.len() > beyond);
    }

    fn opens(&self) {
        let done = self.place.done(&["command", "send", "door-1", "open"]);
        assert_eq!(done["state"], "done", "{done}");
    }

    /// What the local link answers.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.link)).unwrap();
        let head = format!(
            "{method} /thingward/grants{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        (status, answer.split_off(end))
    }

    /// Shows a grant to the door; the status, and the reply or why not.
    fn shows(&self, grant: &[u8], holder: &SoftwareKey) -> (u16, Vec<u8>) {
        let mut nonce = Vec::new();
        // One in a second for each who asks; and the chip may just be coming back.
        wait_for("a nonce", || {
            let (status, answer) = self.ask("POST", "/nonce", b"");
            nonce = answer;
            status == 200
        });
        let (mut room, mut out) = ([0; 64], [0; 1024]);
        let operation = Operation::write(NameRef::new("open").unwrap(), &[], &mut room).unwrap();
        let (grant, device) = (Grant::decode(grant).unwrap(), NameRef::new("door-1").unwrap());
        let nonce = nonce.try_into().unwrap();
        let len = public::present(holder, &grant, device, &nonce, &operation, &mut out).unwrap();
        self.ask("POST", "/use", &out[..len])
    }

    fn log_has(&self, action: &str) -> usize {
        let log = self.place.done(&["audit", "list", "--limit", "1000"]);
        log.as_array().unwrap().iter().filter(|entry| entry["action"] == action).count()
    }
}

fn read_file(path: &Path) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(std::fs::read_to_string(path).unwrap().trim()).unwrap()
}

#[test]
fn a_chip_enrols_reports_obeys_and_serves_a_grant_and_no_loss_of_power_or_kill_loses_or_doubles_anything() {
    let (house, _service) = House::new();
    let mut chip = house.chip(1);
    let gateway = house.place.gateway();
    house.wait_for_readings(1);
    let known = house.place.done(&["device", "show", "door-1"]);
    let key = VerifyingKey::from_spki(
        &base64::engine::general_purpose::STANDARD.decode(known["keys"][0]["key"].as_str().unwrap()).unwrap(),
    )
    .unwrap();

    // The command has a time, and the chip no clock.
    wait_for("the description", || house.place.run(&["command", "actions", "door-1"]).0 == 0);
    house.opens();
    // Power goes; and so does the gateway, without a word.
    chip.cut();
    chip.on();
    house.opens();
    drop(gateway);
    let gateway = house.place.gateway();
    house.opens();
    chip.cut();
    drop(gateway);
    chip.on();
    let gateway = house.place.gateway();
    house.opens();

    // Somebody who is here.
    let holder = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[5; 32]).unwrap();
    let public = URL_SAFE_NO_PAD.encode(holder.public_key().to_ed25519().unwrap());
    let file = house.place.path("anna.grant");
    let words = ["grant", "issue", "--device", "door-1", "--holder", &public, "--allow", "open"];
    let limits = ["--for", "1h", "--uses", "1", "--out", shown(&file)];
    let issued = house.place.done(&[&words[..], &limits].concat());
    let (grant, id) = (read_file(&file), issued["id"].as_str().unwrap());
    let (status, about) = house.ask("GET", "", b"");
    let about: Json = serde_json::from_slice(&about).unwrap();
    assert_eq!((status, &about["device"], &about["open"]), (200, &json!("door-1"), &json!(["open"])));
    let (status, reply) = house.shows(&grant, &holder);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&reply));
    let reply = SignedReply::decode(&reply).unwrap().verify(&key).unwrap();
    assert!(matches!(reply.outcome, Outcome::Done(_)), "{reply:?}");
    let (status, refused) = house.shows(&grant, &holder);
    assert_eq!(status, 403);
    assert!(String::from_utf8_lossy(&refused).contains("used-up"));
    wait_for("the use", || house.place.done(&["grant", "show", id])["used"] == 1);
    // What is taken back the chip hears at once: before, the grant was only used up.
    house.place.done(&["grant", "revoke", id]);
    wait_for("the revocation", || {
        let (status, refused) = house.shows(&grant, &holder);
        assert_eq!(status, 403);
        String::from_utf8_lossy(&refused).contains("revoked")
    });
    assert!(chip.opened().is_none_or(|opened| opened == 5), "{:?}", chip.opened());

    // Every reading once, all of them signed by the chip itself, and every answer once.
    house.wait_for_readings(house.readings().0.len());
    let (signed, _) = house.readings();
    assert_eq!(signed, (1..=signed.len() as u64).collect::<Vec<_>>());
    assert_eq!((house.log_has("command.reply"), house.log_has("grant.use")), (4, 1));
    assert_eq!(
        house.place.done(&["finding", "list", "--tenant", "acme"]),
        json!([]),
        "{}",
        house.place.logs()
    );
    let log = house.place.path("log");
    house.place.done(&["audit", "export", shown(&log)]);
    let of_log = house.place.done(&["audit", "key"])["key"].as_str().unwrap().to_owned();
    house.place.done(&["audit", "verify", shown(&log), "--key", &of_log]);

    // Another chip in its place is refused, and the claim is not shown again.
    drop(chip);
    let mut other = house.chip(2);
    wait_for("the refusal", || house.place.logs().contains("it is not the chip that was enrolled"));
    other.cut();
    drop(gateway);
}

#[test]
fn firmware_that_was_changed_is_no_member_until_somebody_accepts_what_its_part_says() {
    let (house, _service) = House::new();
    let mut chip = house.chip(1);
    let gateway = house.place.gateway();
    let evidence = || house.place.done(&["device", "show", "door-1"])["attestation"].clone();
    wait_for("the first evidence", || !evidence().is_null());
    let first = evidence();
    assert_eq!((&first["keys"], &first["changed_firmware"]), (&json!("dice"), &json!(false)));
    wait_for("the description", || house.place.run(&["command", "actions", "door-1"]).0 == 0);
    house.opens();
    house.place.done(&["device", "ask-evidence", "door-1"]);
    wait_for("the evidence that was asked for", || evidence()["evidence"] != first["evidence"]);
    assert_eq!(evidence()["firmware"], first["firmware"]);
    chip.cut();
    if !chip.install(b"the next version") {
        return;
    }
    chip.on();
    wait_for("evidence of the other firmware", || evidence()["standing"] == "pending");
    let pending = evidence();
    assert_ne!(pending["firmware"], first["firmware"]);
    assert_eq!((&pending["changed_firmware"], &pending["reference"]), (&json!(true), &first["reference"]));
    let findings = house.place.done(&["finding", "list", "--tenant", "acme"]);
    let [finding] = findings.as_array().unwrap().as_slice() else { panic!("{findings}") };
    assert_eq!(finding["kind"], "evidence-changed");
    assert!(finding["detail"].as_str().unwrap().contains(pending["firmware"].as_str().unwrap()), "{finding}");

    house.place.done(&["device", "accept-evidence", "door-1"]);
    assert_eq!(evidence()["standing"], "accepted");
    // The line of a chip that is of no use is let be for half a minute, but not by a new gateway.
    drop(gateway);
    let gateway = house.place.gateway();
    wait_for("the chip with its new firmware", || evidence()["standing"] == "member");
    house.opens();
    house.wait_for_readings(house.readings().0.len());
    let accepted = evidence();
    assert_eq!((&accepted["firmware"], &accepted["changed_firmware"]), (&pending["firmware"], &json!(false)));

    // The old version is what nobody accepted now.
    chip.cut();
    chip.install(b"the device core on this machine");
    chip.on();
    wait_for("evidence of the old version", || evidence()["standing"] == "pending");
    assert_eq!(evidence()["firmware"], first["firmware"]);
    drop(gateway);
}

/// A terminal in front of the chip's line, until it is dropped.
fn terminal(house: &House, chip: &Chip, python: &str) -> Running {
    let (link, line) = (house.folder.path().join("terminal"), chip.line());
    let _ = std::fs::remove_file(&link);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/terminal.py");
    let mut program = std::process::Command::new(python);
    let running = Running(program.arg(script).arg(&link).arg(&line).spawn().unwrap());
    wait_for("the terminal", || link.exists());
    running
}

#[test]
fn over_a_terminal_that_is_unplugged_and_plugged_in_again_readings_go_on() {
    let Some(python) = given("THINGWARD_PYTHON") else { return };
    let (house, _service) = House::with_line("terminal");
    let chip = house.chip(1);
    let cable = terminal(&house, &chip, &python);
    let _gateway = house.place.gateway();
    house.wait_for_readings(1);
    drop(cable);
    wait_for("the unplugging", || house.place.logs().contains("a chip is away"));
    let before = house.readings().0.len();
    let _cable = terminal(&house, &chip, &python);
    house.wait_for_readings(before + 2);
    let (signed, unsigned) = house.readings();
    let mut all = [signed, unsigned].concat();
    all.sort_unstable();
    assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>());
}
