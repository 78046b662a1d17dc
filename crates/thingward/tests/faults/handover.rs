//! A service that is told to stop hands its sessions to the one that is started after it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{ends_well, goes_on, kept, start};
use crate::common::by_hand::ByHand;
use crate::common::paho::Paho;
use crate::common::{Place, Running, given, stops_cleanly, wait_for};

/// What Mosquitto says that it was told by a server that stops. MQTT 5.0 §3.14.2.1.
const SERVER_SHUTTING_DOWN: &str = "Received DISCONNECT (139)";

#[test]
fn a_service_that_is_told_to_stop_hands_its_sessions_to_the_next() {
    let Some(python) = given("THINGWARD_PYTHON") else { return };
    let place = Place::new();
    drop(place.service(&["acme"]));
    let service = start(&place);
    let member = ByHand::enrolled(&place, "acme", "device", "steady");
    let paho = |role: &str, name: &str| Paho::start(&python, place.mqtt, &member, role, name);
    let (mut away, mut here) = (paho("listener", "away"), paho("listener", "here"));
    assert_eq!(away.told("leave"), "gone");
    let mut teller = paho("teller", "teller");
    let mut subscriber = Command::new("stdbuf");
    subscriber.args(["-oL", "mosquitto_sub"]).args(member.mosquitto_arguments(place.mqtt)).args([
        "-V",
        "mqttv5",
        "-d",
        "-t",
        "devices/me/state/x",
    ]);
    let mut subscriber = Running(subscriber.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(subscriber.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("received SUBACK")));
    wait_for("readings", || kept(&place).len() > 300);

    stops_cleanly(service);
    assert_eq!(teller.line(), "left");
    assert_eq!(here.line(), "left");
    assert!(lines.any(|line| line.contains(SERVER_SHUTTING_DOWN)), "Mosquitto is told why");
    drop(subscriber);
    // Meanwhile one goes on talking, and nobody hears it.
    std::thread::sleep(Duration::from_millis(500));
    let service = start(&place);
    assert_eq!((teller.line(), here.line()), ("ready".to_owned(), "ready".to_owned()));
    goes_on(&place, "readings");
    let all: Vec<u64> = (1..=teller.said()).collect();
    // What was on its way without an acknowledgement came again, and nothing came twice. Paho says what is new before CONNACK, and then
    // what waited.
    let sorted = |mut numbers: Vec<u64>| {
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(sorted(kept(&place)), all);
    assert_eq!(away.told("return"), "ready");
    let heard = [&mut away, &mut here].map(|listener| {
        wait_for("all words", || listener.heard().0.len() == all.len());
        let (heard, present) = listener.heard();
        assert_eq!(present, [false, true]);
        heard
    });
    // Words may be taken in another order than the readings that were said with them: a cut falls between the two.
    assert_eq!(heard[0], heard[1], "everybody hears words in the order in which they were taken");
    assert_eq!(sorted(heard[0].clone()), all);
    ends_well(&place, service);
}
