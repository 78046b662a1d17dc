//! What does not end by itself, and what would crowd out the rest.

use std::time::Duration;

use thingward_zwave::command_class::encapsulation::Supervision;
use thingward_zwave::command_class::field::OnOff;
use thingward_zwave::command_class::security::Security2;
use thingward_zwave::command_class::switches::BinarySwitch;
use thingward_zwave::controller::{Event, KnownNode, Outcome, RequestError};
use thingward_zwave::serial::node_info::Listening;
use thingward_zwave::{Command, NodeId};

use crate::home::{BEST, Home, set, thing, thing_node};
use thingward_zwave::emulated::Fault;

#[test]
fn waiting_for_somebody_who_leaves_ends() {
    let mut home = Home::joined(thing(Fault::None));
    home.host.exclude(home.now).unwrap();
    home.settle();
    assert_eq!(home.host.include(home.now), Err(RequestError::Membership));
    home.wait(Duration::from_secs(121));
    assert_eq!(home.events, [Event::ExclusionEnded]);
    assert_eq!(home.host.include(home.now), Ok(()));
}

#[test]
fn a_thing_that_is_at_it_for_hours_does_not_keep_others_waiting() {
    let mut home = Home::joined(thing(Fault::Slow));
    let asked = home.host.set(thing_node(), &set(OnOff::On), home.now).unwrap();
    home.settle();
    home.wait(Duration::from_secs(29));
    assert_eq!(home.outcome(asked), None);
    home.wait(Duration::from_secs(2));
    assert_eq!(home.outcome(asked), Some(&Outcome::Begun));
}

#[test]
fn nodes_are_asked_in_turn_so_that_one_that_is_silent_does_not_keep_others_waiting() {
    let before = Home::joined(thing(Fault::None));
    let silent = NodeId::new(3).unwrap();
    let known = |node| {
        let supported = vec![BinarySwitch::CLASS.into(), Supervision::CLASS.into()];
        KnownNode { node, class: BEST, listening: Listening::Always, supported }
    };
    let mut home = Home::new(before.thing, vec![known(silent), known(thing_node())]);
    home.members.extend([silent, thing_node()]);
    home.settle();
    let [first, ..] = [(); 3].map(|()| home.host.set(silent, &set(OnOff::On), home.now).unwrap());
    let asked = home.host.set(thing_node(), &set(OnOff::On), home.now).unwrap();
    home.settle();
    home.wait(Duration::from_secs(25));
    assert_eq!(home.outcome(first), Some(&Outcome::NoNonce));
    assert_eq!(home.outcome(asked), Some(&Outcome::Confirmed));
}

#[test]
fn what_was_answered_is_not_sent_again_where_the_acknowledgement_got_lost() {
    let mut home = Home::joined(thing(Fault::None));
    home.deaf = true;
    let before = home.sent.len();
    let asked = home.host.set(thing_node(), &set(OnOff::On), home.now).unwrap();
    home.settle();
    assert_eq!(home.outcome(asked), Some(&Outcome::Confirmed));
    assert_eq!(home.sent.len(), before + 1);
}

#[test]
fn a_flood_of_requests_for_nonces_does_not_crowd_out_what_the_host_does() {
    let mut home = Home::joined(thing(Fault::None));
    home.forgets = true;
    let requests = (0..200).map(|sequence_number| Security2::NonceGet { sequence_number });
    let requests = requests.map(|request| Command::from(request).to_bytes()).collect();
    home.radio(requests);
    home.settle();
    home.host.include(home.now).unwrap();
    home.forgets = false;
    home.wait(Duration::from_secs(10));
    assert!(home.events.contains(&Event::Including), "{:?}", home.events);
}
