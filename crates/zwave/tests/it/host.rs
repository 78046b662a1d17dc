//! The host in front of a controller and a thing that are in memory, and that do wrong.

use std::time::Duration;

use proptest::prelude::*;
use thingward_zwave::command_class::association::Endpoints;
use thingward_zwave::command_class::encapsulation::{MultiChannel, Session, SizedCommand, Supervision};
use thingward_zwave::command_class::field::{Bytes, OnOff};
use thingward_zwave::command_class::switches::BinarySwitch;
use thingward_zwave::command_class::transport_service::Segment;
use thingward_zwave::controller::{
    ControllerFault, Event, KnownNode, OUTBOX_MAX, Outcome, RequestError, Standing, Unsound,
};
use thingward_zwave::serial::message::MembershipStatus;
use thingward_zwave::serial::node_info::Listening;
use thingward_zwave::serial::request::function;
use thingward_zwave::serial::{FrameKind, Message, Received};
use thingward_zwave::{Command, LinkSecurity, NodeId, ParseError, SecurityClass};

use crate::home::{BEST, Home, THING, report, set, thing, thing_node};
use crate::thing::HOST;
use thingward_zwave::emulated::Fault;

#[test]
fn a_thing_joins_with_every_key_and_is_asked_and_switched() {
    let mut home = Home::joined(thing(Fault::None));
    assert_eq!(home.host.standing(thing_node()), Some(Standing::Granted(BEST)));
    let done = home.host.set(thing_node(), &set(OnOff::On), home.now).unwrap();
    home.settle();
    assert_eq!((home.outcome(done), home.thing.bulb.on()), (Some(&Outcome::Confirmed), OnOff::On));
    let asked = home.host.get(thing_node(), &BinarySwitch::Get {}.into(), home.now).unwrap();
    home.settle();
    assert_eq!(home.outcome(asked), Some(&Outcome::Answered(report(OnOff::On))));
}

#[test]
fn things_switch_at_once_and_each_says_that_it_did() {
    let mut home = Home::joined(thing(Fault::None));
    for (round, value) in [OnOff::On, OnOff::Off, OnOff::On].into_iter().enumerate() {
        let asked = home.host.set_all(&[thing_node()], &set(value), home.now).unwrap();
        home.settle();
        assert_eq!((home.outcome(asked[0]), home.thing.bulb.on()), (Some(&Outcome::Confirmed), value));
        // The first time it cannot follow, and is told how.
        assert_eq!(home.thing.switched_with_others as usize, round);
    }
    assert_eq!(home.host.set_all(&[], &set(OnOff::On), home.now), Err(RequestError::Group));
    let long = Command::Raw { class: 0xee, payload: vec![1; 40] };
    assert_eq!(home.host.set_all(&[thing_node()], &long, home.now), Err(RequestError::TooLong));
    let stranger = NodeId::new(77).unwrap();
    let asked = home.host.set_all(&[thing_node(), stranger], &set(OnOff::On), home.now);
    assert_eq!(asked, Err(RequestError::NoNode(stranger)));
}

#[test]
fn a_long_command_goes_in_segments_and_one_that_is_too_long_not_at_all() {
    let mut home = Home::joined(thing(Fault::None));
    let raw = |length| Command::Raw { class: 0xee, payload: vec![1; length] };
    let done = home.host.set(thing_node(), &raw(200), home.now).unwrap();
    home.settle();
    // It came whole, and the thing has no such class.
    assert_eq!(home.outcome(done), Some(&Outcome::NotSupported));
    assert_eq!(home.host.get(thing_node(), &raw(1300), home.now), Err(RequestError::TooLong));
}

#[test]
fn everything_that_was_ever_said_is_refused_when_it_is_said_again() {
    let mut home = Home::joined(thing(Fault::None));
    home.host.set(thing_node(), &set(OnOff::On), home.now).unwrap();
    home.settle();
    let said = home.thing.say(&report(OnOff::On));
    home.radio(said);
    home.settle();
    let told = |event: &Event| matches!(event, Event::Report { security: LinkSecurity::S2AccessControl, .. });
    assert!(home.events.iter().any(told));
    home.events.clear();
    for frame in home.heard.clone() {
        home.radio(vec![frame]);
        home.settle();
    }
    let believed =
        |event: &Event| matches!(event, Event::Report { .. } | Event::Included(_) | Event::Done(..));
    assert!(!home.events.iter().any(believed), "{:?}", home.events);
    let done = home.host.set(thing_node(), &set(OnOff::Off), home.now).unwrap();
    home.settle();
    assert_eq!((home.outcome(done), home.thing.bulb.on()), (Some(&Outcome::Confirmed), OnOff::Off));
}

#[test]
fn a_controller_that_says_nothing_or_lacks_a_function_is_named() {
    let mut home = Home::new(thing(Fault::None), Vec::new());
    home.silent = true;
    home.settle();
    home.wait(Duration::from_secs(60));
    assert_eq!(home.events, [Event::ControllerFailed(ControllerFault::Silent)]);
    let asked = home.host.include(home.now);
    assert_eq!(asked, Err(RequestError::NotReady));
    // It was unplugged, and starts.
    home.silent = false;
    home.message(&Message::Started(vec![0]));
    home.settle();
    assert!(matches!(home.events[1..], [Event::Ready { .. }]), "{:?}", home.events);
    let mut home = Home::new(thing(Fault::None), Vec::new());
    home.functions.clear();
    home.settle();
    assert_eq!(home.events, [Event::ControllerFailed(ControllerFault::Function(function::SEND_DATA))]);
    assert_eq!(home.host.include(home.now), Err(RequestError::NotReady));
}

#[test]
fn a_controller_that_starts_again_while_it_is_asked_who_it_is_is_asked_again() {
    let mut home = Home::new(thing(Fault::None), Vec::new());
    home.forgets = true;
    home.settle();
    home.forgets = false;
    home.message(&Message::Started(vec![0]));
    home.settle();
    assert!(matches!(home.events[..], [Event::Ready { .. }]), "{:?}", home.events);
}

#[test]
fn a_controller_that_lies_about_who_joins_changes_nothing() {
    let mut home = Home::joined(thing(Fault::None));
    for status in
        [MembershipStatus::Ready, MembershipStatus::ProtocolDone, MembershipStatus::Done(Some(thing_node()))]
    {
        for function in [function::ADD_NODE, function::REMOVE_NODE] {
            home.message(&Message::Membership(function, 1, status.clone()));
        }
    }
    home.settle();
    assert_eq!(home.host.standing(thing_node()), Some(Standing::Granted(BEST)));
    assert!(home.events.iter().all(|event| matches!(event, Event::Unsound(..))), "{:?}", home.events);
}

#[test]
fn a_host_that_starts_again_with_what_it_kept_speaks_to_its_things() {
    let before = Home::joined(thing(Fault::None));
    let known = KnownNode {
        node: thing_node(),
        class: BEST,
        listening: Listening::Always,
        supported: vec![BinarySwitch::CLASS.into(), Supervision::CLASS.into()],
    };
    let mut home = Home::new(before.thing, vec![known]);
    home.members.push(thing_node());
    home.settle();
    // What the thing says under the nonces of before is not believed, and it is told half of new ones.
    let said = home.thing.say(&report(OnOff::On));
    home.radio(said);
    home.settle();
    assert!(!home.events.iter().any(|event| matches!(event, Event::Report { .. })));
    let done = home.host.set(thing_node(), &set(OnOff::On), home.now).unwrap();
    home.settle();
    assert_eq!((home.outcome(done), home.thing.bulb.on()), (Some(&Outcome::Confirmed), OnOff::On));
}

#[test]
fn a_nonce_that_nobody_asked_for_sends_nothing() {
    let class = SecurityClass::S0;
    let known = KnownNode { node: thing_node(), class, listening: Listening::Always, supported: vec![0x25] };
    let mut home = Home::new(thing(Fault::None), vec![known]);
    home.members.push(thing_node());
    home.settle();
    home.events.clear();
    let nonce = |byte| vec![[&[0x98, 0x80], [byte; 8].as_slice()].concat()];
    home.radio(nonce(1));
    home.settle();
    assert_eq!(home.events, [Event::Unsound(Some(thing_node()), Unsound::Nonce)]);
    home.host.get(thing_node(), &BinarySwitch::Get {}.into(), home.now).unwrap();
    home.settle();
    home.radio(nonce(2));
    home.settle();
    assert_eq!(home.sent.iter().filter(|frame| frame.starts_with(&[0x98, 0x81])).count(), 1);
    home.radio(nonce(3));
    home.settle();
    assert_eq!(home.sent.iter().filter(|frame| frame.starts_with(&[0x98, 0x81])).count(), 1);
    assert_eq!(home.events[1..], [Event::Unsound(Some(thing_node()), Unsound::Nonce)]);
}

#[test]
fn segments_inside_what_is_encrypted_are_refused() {
    let mut home = Home::joined(thing(Fault::None));
    let segment = Segment::First { size: 4, session: 1, data: report(OnOff::On).to_bytes() };
    let said = home.thing.say(&segment.into());
    home.radio(said);
    home.settle();
    let deep = Event::Unsound(Some(thing_node()), Unsound::Command(ParseError::TooDeep));
    assert_eq!(home.events.last(), Some(&deep));
}

#[test]
fn a_supervised_command_of_an_endpoint_is_answered_to_this_endpoint() {
    let mut home = Home::joined(thing(Fault::None));
    let session = Session { request_status_updates: false, session_id: 5 };
    let encapsulated = SizedCommand(report(OnOff::On).to_bytes());
    let get = Command::from(Supervision::Get { session, encapsulated }).to_bytes();
    let (destination, encapsulated) = (Endpoints::One(0), Bytes(get));
    let said = home.thing.say(&MultiChannel::Encapsulation { source: 3, destination, encapsulated }.into());
    home.radio(said);
    home.settle();
    let reported = |event: &Event| matches!(event, Event::Report { endpoint: 3, .. });
    assert!(home.events.iter().any(reported), "{:?}", home.events);
    assert_eq!(home.thing.told, [0x60, 0x0d, 0, 3, 0x6c, 0x02, 5, 0xff, 0]);
}

#[test]
fn a_stranger_in_the_network_is_named_and_not_believed() {
    let mut home = Home::new(thing(Fault::None), Vec::new());
    home.members.push(thing_node());
    home.settle();
    assert!(matches!(&home.events[0], Event::Ready { strangers, .. } if *strangers == [thing_node()]));
    home.radio(vec![report(OnOff::On).to_bytes()]);
    home.settle();
    assert_eq!(home.events[1..], [Event::Unsound(Some(thing_node()), Unsound::Refused)]);
}

#[test]
fn a_node_that_was_there_before_and_is_not_known_is_refused() {
    let known =
        KnownNode { node: thing_node(), class: BEST, listening: Listening::Always, supported: vec![0x25] };
    let mut home = Home::new(thing(Fault::None), vec![known]);
    home.settle();
    // The controller does not have it any more.
    assert_eq!(home.host.standing(thing_node()), None);
}

#[test]
fn a_controller_that_starts_again_is_asked_again() {
    let mut home = Home::joined(thing(Fault::None));
    home.forgets = true;
    let done = home.host.set(thing_node(), &set(OnOff::On), home.now).unwrap();
    home.settle();
    home.forgets = false;
    home.message(&Message::Started(vec![0]));
    home.settle();
    assert_eq!((home.outcome(done), home.thing.bulb.on()), (Some(&Outcome::Confirmed), OnOff::On));
}

#[test]
fn what_waits_for_a_node_is_bounded() {
    let mut home = Home::joined(thing(Fault::None));
    home.silent = true;
    let asked = (0..=OUTBOX_MAX + 1).map(|_| home.host.set(thing_node(), &set(OnOff::On), home.now));
    let full = asked.filter(|asked| matches!(asked, Err(RequestError::Full(_)))).count();
    assert!(full > 0);
}

/// A message from the thing, or from the controller, of any bytes.
fn any_message() -> impl Strategy<Value = Message> {
    let command = proptest::collection::vec(any::<u8>(), 0..40);
    let class = prop_oneof![Just(0x9f_u8), Just(0x98), Just(0x6c), Just(0x55), Just(0x60), any::<u8>()];
    let radio = (any::<u8>(), class, command, prop_oneof![Just(THING), 1..40_u16]).prop_map(
        |(status, class, rest, node)| {
            let source = NodeId::new(node).unwrap_or(HOST);
            let command = [&[class], rest.as_slice()].concat();
            let received = Received { status, target: None, source, command, trailer: vec![] };
            Message::Received(received)
        },
    );
    let raw = (any::<bool>(), any::<u8>(), proptest::collection::vec(any::<u8>(), 0..30)).prop_map(
        |(response, function, data)| {
            let kind = if response { FrameKind::Response } else { FrameKind::Request };
            Message::Raw(kind, function, data)
        },
    );
    prop_oneof![radio, raw]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_comes_is_never_believed(messages in proptest::collection::vec(any_message(), 1..30), joining in any::<bool>()) {
        let mut home = if joining { Home::ready(thing(Fault::Silent)) } else { Home::joined(thing(Fault::None)) };
        if joining {
            home.join();
        }
        let before = home.host.standing(thing_node());
        for message in messages {
            home.message(&message);
            home.settle();
        }
        let granted = |standing| matches!(standing, Some(Standing::Granted(_)));
        prop_assert!(granted(before) || !granted(home.host.standing(thing_node())));
        let believed = |event: &Event| matches!(event, Event::Report { .. } | Event::Included(_));
        prop_assert!(!home.events.iter().any(believed), "{:?}", home.events);
    }
}
