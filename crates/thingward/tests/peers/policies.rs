//! Policies that change while somebody reads, with clients that nobody here wrote.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::Duration;

use crate::common::by_hand::ByHand;
use crate::common::{Place, Running, have, shown};

/// In which a change has to be everywhere.
const WITHIN: Duration = Duration::from_secs(1);
/// What takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(3);
const COMMAND: &str = "permit (principal is Application, action == Action::\"commands:send\", resource);";
const FORBID: &str = "forbid (principal is Application, action == Action::\"readings:read\", resource);";

/// A device, an application that looks at it, and who decides whether it may.
struct Yard {
    meter: ByHand,
    board: ByHand,
    place: Place,
}

impl Yard {
    fn new() -> (Self, Running) {
        let place = Place::new();
        let service = place.service(&["acme"]);
        let meter = ByHand::enrolled(&place, "acme", "device", "meter-1");
        let board = ByHand::enrolled(&place, "acme", "application", "board");
        (Self { meter, board, place }, service)
    }

    fn apply(&self, text: &str) {
        let file = self.place.path("own.cedar");
        std::fs::write(&file, text).unwrap();
        self.place.done(&["policy", "apply", shown(&file)]);
        sleep(WITHIN);
    }

    fn publish(&self, who: &ByHand, topic: &str, payload: &str, more: &[&str]) {
        let what = ["-V", "mqttv5", "-q", "1", "-t", topic, "-m", payload];
        let (ok, said) = who.mosquitto("mosquitto_pub", self.place.mqtt, &[&what[..], more].concat());
        assert!(ok && !said.contains("failed"), "{said}");
    }

    /// Subscribes, and gives the lines that come until it is dropped.
    fn subscribe(&self, who: &ByHand, topic: &str, more: &[&str]) -> (Running, Receiver<String>) {
        // Becomes the client itself, which ends when it is dropped.
        let mut client = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub"])
            .args(who.mosquitto_arguments(self.place.mqtt))
            .args(["-V", "mqttv5", "-q", "1", "-t", topic])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(client.stdout.take().unwrap()).lines().map_while(Result::ok);
        let (send, lines_here) = channel();
        std::thread::spawn(move || lines.for_each(|line| drop(send.send(line))));
        (Running(client), lines_here)
    }
}

/// What comes in time.
fn told(lines: &Receiver<String>) -> Option<String> {
    lines.recv_timeout(PATIENCE).ok()
}

#[test]
fn a_change_of_policies_reaches_live_sessions_queued_and_retained_messages() {
    if !have(&["openssl", "curl", "mosquitto_pub", "mosquitto_sub"]) {
        return;
    }
    let (yard, _service) = Yard::new();
    let (state, mine) = ("devices/meter-1/state/door", "devices/me/state/door");

    // Live: what is sent while it is forbidden does not come, and the session goes on.
    let (live, lines) = yard.subscribe(&yard.board, state, &[]);
    sleep(WITHIN);
    yard.publish(&yard.meter, mine, "first", &[]);
    assert_eq!(told(&lines).as_deref(), Some("first"));
    yard.apply(FORBID);
    yard.publish(&yard.meter, mine, "hidden", &[]);
    yard.apply("");
    yard.publish(&yard.meter, mine, "third", &[]);
    assert_eq!(told(&lines).as_deref(), Some("third"));
    drop(live);

    // Retained: kept, and shown to who may see it when they ask.
    yard.publish(&yard.meter, mine, "shut", &["-r"]);
    yard.apply(FORBID);
    let (asking, lines) = yard.subscribe(&yard.board, state, &[]);
    assert_eq!(told(&lines), None);
    drop(asking);
    yard.apply("");
    let (asking, lines) = yard.subscribe(&yard.board, state, &[]);
    assert_eq!(told(&lines).as_deref(), Some("shut"));
    drop(asking);

    // Queued: what waited for a session that may not see it any more.
    let topic = "devices/meter-1/state/lamp";
    let session = ["-i", "board-1", "-c", "-x", "3600"];
    let (away, _) = yard.subscribe(&yard.board, topic, &session);
    sleep(WITHIN);
    drop(away);
    yard.publish(&yard.meter, "devices/me/state/lamp", "queued", &[]);
    yard.apply(FORBID);
    let (back, lines) = yard.subscribe(&yard.board, topic, &session);
    assert_eq!(told(&lines), None);
    drop(back);
    yard.apply("");
    yard.publish(&yard.meter, "devices/me/state/lamp", "queued again", &[]);
    let (_back, lines) = yard.subscribe(&yard.board, topic, &session);
    assert_eq!(told(&lines).as_deref(), Some("queued again"));
}

#[test]
fn what_an_application_told_a_sleeping_device_is_decided_again_when_it_wakes() {
    if !have(&["openssl", "curl", "mosquitto_pub", "mosquitto_sub"]) {
        return;
    }
    let (yard, service) = Yard::new();
    yard.apply(COMMAND);
    let (topic, mine) = ("devices/meter-1/commands/open", "devices/me/commands/#");
    let session = ["-i", "meter-1", "-c", "-x", "3600"];
    let (away, _) = yard.subscribe(&yard.meter, mine, &session);
    sleep(WITHIN);
    drop(away);

    // The right goes while the command waits, and the service with it for a moment.
    yard.publish(&yard.board, topic, "withdrawn", &[]);
    yard.apply("");
    drop(service);
    let service = yard.place.service(&[]);
    let (back, lines) = yard.subscribe(&yard.meter, mine, &session);
    assert_eq!(told(&lines), None);
    drop(back);
    let log = yard.place.done(&["audit", "list"]).to_string();
    assert!(log.contains("access.refuse") && log.contains("commands:send"), "{log}");

    // A right that stays holds as long as the certificate of who published.
    yard.apply(COMMAND);
    yard.publish(&yard.board, topic, "allowed", &[]);
    let (back, lines) = yard.subscribe(&yard.meter, mine, &session);
    assert_eq!(told(&lines).as_deref(), Some("allowed"));
    drop(back);
    yard.publish(&yard.board, topic, "of nobody", &[]);
    yard.place.done(&["device", "release", "board"]);
    let (_back, lines) = yard.subscribe(&yard.meter, mine, &session);
    assert_eq!(told(&lines), None);
    drop(service);
}
