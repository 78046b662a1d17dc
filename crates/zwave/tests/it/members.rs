//! Who is a member, and for how long.

use std::time::Duration;

use thingward_zwave::command_class::field::OnOff;
use thingward_zwave::command_class::wake_up::WakeUp;
use thingward_zwave::controller::{
    ControllerFault, Event, KnownNode, Outcome, Refusal, RequestError, Standing, Unsound, Withdrawn,
};
use thingward_zwave::emulated::Fault;
use thingward_zwave::serial::Message;
use thingward_zwave::serial::node_info::Listening;
use thingward_zwave::{Command, HomeId, NodeId};

use crate::home::{BEST, Home, report, set, thing, thing_node};
use crate::thing::{HOME, HOST};

/// A home with the thing asleep.
fn asleep() -> Home {
    let before = Home::joined(thing(Fault::None));
    let supported = vec![0x25, 0x6c, 0x84];
    let known = KnownNode { node: thing_node(), class: BEST, listening: Listening::Sleeping, supported };
    let mut home = Home::new(before.thing, vec![known]);
    home.members.push(thing_node());
    home.settle();
    home
}

#[test]
fn a_controller_of_another_network_than_the_one_that_was_kept_is_refused() {
    let mut home = Home::new(thing(Fault::None), Vec::new());
    // Before it answers by itself, somebody answers for it.
    home.forgets = true;
    home.settle();
    let other = HomeId(7);
    home.message(&Message::ControllerId(other, HOST));
    home.settle();
    let fault = ControllerFault::Network { kept: HOME, found: other };
    assert_eq!(home.events, [Event::ControllerFailed(fault)]);
    assert_eq!(home.host.include(home.now), Err(RequestError::NotReady));
}

#[test]
fn a_request_that_waits_for_a_sleeping_thing_is_taken_back_once() {
    let mut home = asleep();
    let asked = home.host.set(thing_node(), &set(OnOff::On), home.now).unwrap();
    home.settle();
    assert_eq!(home.host.withdraw(asked), Some(Withdrawn::Unsent));
    assert_eq!(home.host.withdraw(asked), None);
    let awake = home.thing.say(&Command::from(WakeUp::Notification {}));
    home.radio(awake);
    home.settle();
    assert_eq!((home.outcome(asked), home.thing.bulb.on()), (None, OnOff::Off));
}

#[test]
fn a_node_that_was_refused_is_believed_and_told_no_more() {
    let mut home = Home::joined(thing(Fault::None));
    let said = home.thing.say(&report(OnOff::On));
    let asked = home.host.set(thing_node(), &set(OnOff::On), home.now).unwrap();
    home.host.refuse(thing_node(), home.now);
    home.settle();
    assert_eq!(home.outcome(asked), Some(&Outcome::Gone));
    assert_eq!(home.host.standing(thing_node()), Some(Standing::Refused(Refusal::Removed)));
    home.events.clear();
    home.radio(said);
    home.settle();
    assert_eq!(home.events, [Event::Unsound(Some(thing_node()), Unsound::Refused)]);
    let asked = home.host.set(thing_node(), &set(OnOff::On), home.now);
    assert_eq!(asked, Err(RequestError::Refused(Refusal::Removed)));
    // Who is not there cannot be refused.
    let nobody = NodeId::new(77).unwrap();
    home.host.refuse(nobody, home.now);
    assert_eq!(home.host.standing(nobody), None);
}

#[test]
fn a_thing_whose_provision_was_withdrawn_is_not_let_in() {
    let mut home = Home::ready(thing(Fault::None));
    let dsk = home.thing.dsk();
    home.host.provision(dsk, home.now).unwrap();
    home.settle();
    home.host.withdraw_provision(&dsk, home.now);
    home.settle();
    let update =
        thingward_zwave::serial::message::Update::SmartStart { home: HomeId(dsk.smart_start_home_id()) };
    home.message(&Message::Update(update));
    home.settle();
    assert_eq!(home.events, [Event::Unsound(None, Unsound::Stranger)]);
}

#[test]
fn the_thing_whose_key_is_expected_joins_without_anybody_telling_digits_and_another_does_not() {
    let mut home = Home::ready(thing(Fault::None));
    home.host.include_expected(home.thing.dsk(), home.now).unwrap();
    home.settle();
    assert!(!home.events.iter().any(|event| matches!(event, Event::PinNeeded { .. })));
    assert_eq!(home.host.standing(thing_node()), Some(Standing::Granted(BEST)));
    let mut home = Home::ready(thing(Fault::None));
    let mut other = home.thing.dsk();
    other.0[15] ^= 1;
    home.host.include_expected(other, home.now).unwrap();
    home.settle();
    assert_eq!(home.refusal(), Some(Refusal::OtherDsk));
}

#[test]
fn waiting_for_somebody_ends_and_joining_does_not() {
    let mut home = Home::ready(thing(Fault::Silent));
    home.forgets = true;
    home.host.include(home.now).unwrap();
    home.settle();
    assert!(home.host.stop_waiting(home.now));
    home.settle();
    assert!(matches!(home.events[..], [Event::InclusionEnded]), "{:?}", home.events);
    home.wait(Duration::from_secs(60));
    home.forgets = false;
    home.host.include(home.now).unwrap();
    home.settle();
    assert!(home.events.iter().any(|event| *event == Event::Joining(thing_node())));
    assert!(!home.host.stop_waiting(home.now));
}
