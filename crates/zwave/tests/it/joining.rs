//! Things that join, by hand and by themselves, and what they do wrong.

use std::time::Duration;

use thingward_zwave::command_class::security::KexFail;
use thingward_zwave::command_class::switches::BinarySwitch;
use thingward_zwave::controller::{Event, Refusal, RequestError, S0Permission, Standing, Unsound};
use thingward_zwave::serial::Message;
use thingward_zwave::serial::message::Update;
use thingward_zwave::{HomeId, S2Class};

use crate::home::{ALL_OF_S2, BEST, Home, THING, thing, thing_node};
use crate::thing::thing_that;
use thingward_zwave::emulated::Fault;

#[test]
fn a_thing_that_starts_smart_joins_without_anybody_telling_digits() {
    let mut home = Home::ready(thing(Fault::None));
    let dsk = home.thing.dsk();
    home.host.provision(dsk, home.now).unwrap();
    home.message(&Message::Update(Update::SmartStart { home: HomeId(dsk.smart_start_home_id()) }));
    home.settle();
    let Some(Event::Included(known)) = home.events.iter().find(|event| matches!(event, Event::Included(_)))
    else {
        unreachable!("{:?}", home.events)
    };
    assert_eq!((known.node, known.class), (thing_node(), BEST));
    assert!(!home.events.iter().any(|event| matches!(event, Event::PinNeeded { .. })));
}

#[test]
fn a_thing_that_starts_smart_with_another_key_is_refused_and_a_strange_one_is_not_let_in() {
    let mut home = Home::ready(thing(Fault::None));
    let mut expected = home.thing.dsk();
    expected.0[15] ^= 1;
    home.host.provision(expected, home.now).unwrap();
    home.message(&Message::Update(Update::SmartStart { home: HomeId(1) }));
    home.settle();
    assert_eq!(home.events, [Event::Unsound(None, Unsound::Stranger)]);
    home.message(&Message::Update(Update::SmartStart { home: HomeId(expected.smart_start_home_id()) }));
    home.settle();
    assert_eq!(home.refusal(), Some(Refusal::OtherDsk));
}

#[test]
fn what_a_thing_does_wrong_when_it_joins_has_a_name_and_it_is_told() {
    for (fault, reason) in [
        (Fault::Curve, KexFail::Curves),
        (Fault::Echo, KexFail::Authentication),
        (Fault::Greedy, KexFail::Get),
        (Fault::Insatiable, KexFail::Get),
        (Fault::OtherKey, KexFail::Decrypt),
    ] {
        let mut home = Home::ready(thing(fault));
        home.join();
        assert_eq!(home.refusal(), Some(Refusal::Exchange(reason)), "{fault:?}");
        assert_eq!(home.thing.failed, Some(reason), "{fault:?}");
        assert!(matches!(home.host.standing(thing_node()), Some(Standing::Refused(_))));
        let asked = home.host.get(thing_node(), &BinarySwitch::Get {}.into(), home.now);
        assert!(matches!(asked, Err(RequestError::Refused(_))));
    }
}

#[test]
fn a_thing_that_gives_up_or_falls_silent_is_refused() {
    let mut home = Home::ready(thing(Fault::GivesUp));
    home.join();
    assert_eq!(home.refusal(), Some(Refusal::Node(KexFail::Cancel)));
    let mut home = Home::ready(thing(Fault::Silent));
    home.join();
    assert_eq!(home.refusal(), None);
    home.wait(Duration::from_secs(11));
    assert_eq!(home.refusal(), Some(Refusal::Timeout));
}

#[test]
fn digits_that_nobody_tells_in_time_are_a_refusal() {
    let mut home = Home::ready(thing(Fault::None));
    home.host.include(home.now).unwrap();
    home.settle();
    home.wait(Duration::from_secs(241));
    assert_eq!(home.refusal(), Some(Refusal::NoPin));
}

#[test]
fn a_key_of_security_0_is_not_granted_beside_others_without_permission() {
    let mut home = Home::ready(thing_that(THING, ALL_OF_S2 | 0x80, Fault::None));
    home.join();
    assert_eq!(home.host.standing(thing_node()), Some(Standing::Granted(BEST)));
    let mut home = Home::ready(thing_that(THING, 0x80, Fault::None));
    home.join();
    assert_eq!(home.refusal(), Some(Refusal::Exchange(KexFail::Keys)));
}

#[test]
fn a_flipped_bit_anywhere_never_gives_more_than_was_meant() {
    let mut whole = Home::ready(thing(Fault::None));
    whole.join();
    let units = whole.units;
    for unit in 3..units {
        for bit in (0..160).step_by(7) {
            let mut home = Home::ready(thing(Fault::None));
            home.flip = Some((unit, bit));
            home.join();
            home.wait(Duration::from_secs(300));
            match home.host.standing(thing_node()) {
                None | Some(Standing::Refused(_)) => {}
                Some(Standing::Granted(class)) => assert_eq!(class, BEST, "unit {unit}, bit {bit}"),
            }
        }
    }
}

#[test]
fn where_keys_have_to_be_compared_nothing_joins_without_that() {
    for (requested, refused) in [(0x01, true), (0x03, false)] {
        let mut home = Home::ready(thing_that(THING, requested, Fault::None));
        home.host.require(S2Class::Authenticated);
        home.join();
        assert_eq!(home.refusal(), refused.then_some(Refusal::Exchange(KexFail::Keys)));
        let class = (!refused).then_some(S2Class::Authenticated);
        assert_eq!(home.thing.class(), class);
    }
}

#[test]
fn what_somebody_says_in_the_clear_does_not_end_the_exchange_of_a_key() {
    let mut home = Home::ready(thing(Fault::Overtaken));
    home.join();
    assert_eq!(home.host.standing(thing_node()), Some(Standing::Granted(BEST)));
    assert!(home.events.contains(&Event::Unsound(Some(thing_node()), Unsound::KeyExchange)));
}

#[test]
fn a_permission_for_security_0_is_for_one_time_of_joining() {
    let mut home = Home::ready(thing(Fault::None));
    home.supported = vec![0x98, 0x25];
    home.host.permit_s0(S0Permission::new(thing_node(), "the old valve").unwrap(), home.now);
    for asked in [false, true] {
        home.events.clear();
        home.host.include(home.now).unwrap();
        home.settle();
        assert_eq!(home.events.contains(&Event::S0Asked(thing_node())), asked);
        home.host.cancel_inclusion(home.now);
        home.settle();
        assert_eq!(home.refusal(), Some(Refusal::Cancelled));
    }
}

#[test]
fn a_thing_that_starts_smart_without_security_2_is_refused_and_nobody_is_asked() {
    let mut home = Home::ready(thing(Fault::None));
    home.supported = vec![0x98, 0x25];
    let dsk = home.thing.dsk();
    home.host.provision(dsk, home.now).unwrap();
    home.message(&Message::Update(Update::SmartStart { home: HomeId(dsk.smart_start_home_id()) }));
    home.settle();
    assert_eq!(home.refusal(), Some(Refusal::OtherDsk));
    assert!(!home.events.contains(&Event::S0Asked(thing_node())));
}
