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
const FORBID: &str = "forbid (principal is Application, action == Action::\"readings:read\", resource);";

/// A device, an application that looks at it, and who decides whether it may.
struct Yard {
    meter: ByHand,
    board: ByHand,
    place: Place,
}

impl Yard {
    fn apply(&self, text: &str) {
        let file = self.place.path("own.cedar");
        std::fs::write(&file, text).unwrap();
        self.place.done(&["policy", "apply", shown(&file)]);
        sleep(WITHIN);
    }

    fn publish(&self, topic: &str, payload: &str, more: &[&str]) {
        let what = ["-V", "mqttv5", "-q", "1", "-t", topic, "-m", payload];
        let (ok, said) = self.meter.mosquitto("mosquitto_pub", self.place.mqtt, &[&what[..], more].concat());
        assert!(ok && !said.contains("failed"), "{said}");
    }

    /// Subscribes, and gives the lines that come until it is dropped.
    fn subscribe(&self, topic: &str, more: &[&str]) -> (Running, Receiver<String>) {
        // Becomes the client itself, which ends when it is dropped.
        let mut client = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub"])
            .args(self.board.mosquitto_arguments(self.place.mqtt))
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

#[test]
fn a_change_of_policies_reaches_live_sessions_queued_and_retained_messages() {
    if !have(&["openssl", "curl", "mosquitto_pub", "mosquitto_sub"]) {
        return;
    }
    let place = Place::new();
    let _service = place.service(&["acme"]);
    let meter = ByHand::enrolled(&place, "acme", "device", "meter-1");
    let board = ByHand::enrolled(&place, "acme", "application", "board");
    let yard = Yard { meter, board, place };
    let (state, mine) = ("devices/meter-1/state/door", "devices/me/state/door");

    // Live: what is sent while it is forbidden does not come, and the session goes on.
    let (live, lines) = yard.subscribe(state, &[]);
    let told = |lines: &Receiver<String>| lines.recv_timeout(PATIENCE).ok();
    sleep(WITHIN);
    yard.publish(mine, "first", &[]);
    assert_eq!(told(&lines).as_deref(), Some("first"));
    yard.apply(FORBID);
    yard.publish(mine, "hidden", &[]);
    yard.apply("");
    yard.publish(mine, "third", &[]);
    assert_eq!(told(&lines).as_deref(), Some("third"));
    drop(live);

    // Retained: kept, and shown to who may see it when they ask.
    yard.publish(mine, "shut", &["-r"]);
    yard.apply(FORBID);
    let (asking, lines) = yard.subscribe(state, &[]);
    assert_eq!(told(&lines), None);
    drop(asking);
    yard.apply("");
    let (asking, lines) = yard.subscribe(state, &[]);
    assert_eq!(told(&lines).as_deref(), Some("shut"));
    drop(asking);

    // Queued: what waited for a session that may not see it any more.
    let topic = "devices/meter-1/state/lamp";
    let session = ["-i", "board-1", "-c", "-x", "3600"];
    let (away, _) = yard.subscribe(topic, &session);
    sleep(WITHIN);
    drop(away);
    yard.publish("devices/me/state/lamp", "queued", &[]);
    yard.apply(FORBID);
    let (back, lines) = yard.subscribe(topic, &session);
    assert_eq!(told(&lines), None);
    drop(back);
    yard.apply("");
    yard.publish("devices/me/state/lamp", "queued again", &[]);
    let (_back, lines) = yard.subscribe(topic, &session);
    assert_eq!(told(&lines).as_deref(), Some("queued again"));
}
