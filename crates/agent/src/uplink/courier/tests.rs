use std::collections::BTreeSet;

use bytes::Bytes;
use thingward_mqtt::topic::TopicName;

use super::*;

/// Its messages are numbers, in lanes of even and of odd ones.
struct Numbers;

impl Source for Numbers {
    type Key = u64;
    type Lane = u64;

    fn lane(key: &u64) -> u64 {
        key % 2
    }

    fn next(&mut self, _: &BTreeSet<u64>) -> Option<Outgoing<u64>> {
        None
    }

    fn delivered(&mut self, _: u64) {}

    fn refused(&mut self, _: u64, _: ReasonCode) -> bool {
        false
    }
}

fn message(key: u64) -> Outgoing<u64> {
    let topic = TopicName::try_from("devices/me/telemetry/climate").unwrap();
    Outgoing { key, topic, payload: Bytes::new(), retain: false }
}

#[test]
fn what_was_in_flight_behind_what_is_held_back_waits_with_it_also_over_the_next_connection() {
    let mut courier: Courier<Numbers, u64, ()> = Courier::new(Numbers, Arc::default(), 8);
    for key in 0..6 {
        courier.put(key, message(key));
    }
    while let Some((order, message)) = courier.pop() {
        courier.sent(message.key, order, message);
    }
    assert!(courier.answered(0, ReasonCode::Success));
    assert!(!courier.answered(2, ReasonCode::QuotaExceeded));
    courier.recall();
    let of_the_other_lane: Vec<u64> =
        std::iter::from_fn(|| courier.pop()).map(|(_, message)| message.key).collect();
    assert_eq!(of_the_other_lane, [1, 3, 5]);
    let waiting: Vec<u64> =
        courier.held.values().flat_map(|held| held.messages.values()).map(|message| message.key).collect();
    assert_eq!(waiting, [2, 4]);
}
