//! Where nodes are, and who says so; and under which keys they come back.

use thingward_model::Link;
use thingward_radio::wire::{RefusalKind, Report, Value};

use crate::world::{BULB, CODE, THERMOMETER, World, address, done, last, node, readings, refusals, things};
use thingward_zigbee::emulated::{Kind, Node, Presence, Said};

/// The first node, which announces that it is another, at its own short address or that one.
fn announces(world: &World, eui64: u64, short: u16) {
    let mut coordinator = world.coordinator.borrow_mut();
    let payload = [&[99][..], &short.to_le_bytes(), &eui64.to_le_bytes(), &[0x80]].concat();
    let own = std::mem::replace(&mut coordinator.nodes[0].short, short);
    let news = coordinator.incoming(0, Said { profile: 0, cluster: 0x0013, endpoint: 0, payload });
    coordinator.nodes[0].short = own;
    coordinator.news.push(news);
}

#[test]
fn a_thing_that_announces_that_it_is_another_goes_on_being_itself() {
    let mut world = World::started(vec![
        node(Kind::Thermometer, THERMOMETER, 0x2001, Some(CODE)),
        node(Kind::Bulb, BULB, 0x2002, Some(CODE)),
    ]);
    world.join(THERMOMETER);
    world.join(BULB);
    world.pass(2);
    world.coordinator.borrow_mut().nodes[0].uses_link_key = true;
    world.take();
    announces(&world, BULB, 0x2001);
    world.pass(3);
    let reports = world.take();
    assert!(
        refusals(&reports)
            .iter()
            .any(|(thing, kind, _)| *thing == Some(address(THERMOMETER)) && *kind == RefusalKind::Forgery)
    );
    let said = readings(&reports);
    assert!(!said.is_empty() && said.iter().all(|said| said.thing == address(THERMOMETER)), "{said:?}");
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), Some(None));
}

#[test]
fn where_a_thing_is_the_coordinator_has_to_say_too() {
    let mut world = World::started(vec![
        node(Kind::Thermometer, THERMOMETER, 0x2001, Some(CODE)),
        node(Kind::Bulb, BULB, 0x2002, Some(CODE)),
    ]);
    world.join(BULB);
    world.pass(2);
    // A node that nobody knows, at an address of its own.
    announces(&world, BULB, 0x2001);
    world.pass(1);
    world.take();
    world.call(BULB, "turn-on", &[]);
    let reports = world.take();
    assert_eq!(done(&reports), Some(None));
    assert_eq!(last(&reports, "on").unwrap().value, Value::Bool(true));
}

#[test]
fn a_thing_whose_exception_is_taken_out_is_believed_no_more() {
    let mut world = World::new(vec![Node::new(Kind::Bulb, BULB, 0x2002, None)]);
    world.start_with(&[BULB]);
    world.admit(None);
    world.pass(3);
    assert_eq!(things(&world.take())[0].link, Link::ZigbeeLinkKey);
    world.restart();
    let says = |world: &World| {
        let mut coordinator = world.coordinator.borrow_mut();
        let said = coordinator.nodes[0].command(0x0006, 0x18, 0x0a, &[0, 0, 0x10, 1]);
        let news = coordinator.incoming(0, said);
        coordinator.news.push(news);
    };
    says(&world);
    world.pass(2);
    world.call(BULB, "turn-on", &[]);
    let reports = world.take();
    assert!(things(&reports).is_empty() && readings(&reports).is_empty(), "{reports:?}");
    assert!(
        matches!(&refusals(&reports)[..], [(Some(thing), RefusalKind::Join, _)] if *thing == address(BULB))
    );
    assert_eq!(done(&reports), Some(Some("this network has no such thing".to_owned())));
    // It comes back with its exception.
    world.restart_with(&[BULB]);
    says(&world);
    world.pass(2);
    let reports = world.take();
    assert!(reports.iter().any(|report| matches!(report, Report::Thing(_))));
    assert!(last(&reports, "on").is_some());
}

#[test]
fn nobody_comes_back_under_the_key_that_everybody_knows() {
    for has_own_key in [false, true] {
        let mut world = World::new(vec![Node::new(Kind::Thermometer, BULB, 0x2002, None)]);
        world.coordinator.borrow_mut().nodes[0].asks_for_key = has_own_key;
        world.start_with(&[BULB]);
        world.admit(None);
        world.pass(3);
        assert_eq!(things(&world.take()).len(), 1);
        let met = world.coordinator.borrow().met(0, 3, 0);
        world.coordinator.borrow_mut().news.extend(met);
        world.pass(1);
        let refused = refusals(&world.take()).iter().any(|(_, _, reason)| reason.contains("everybody knows"));
        assert_eq!(refused, !has_own_key);
        let presence = if has_own_key { Presence::Joined } else { Presence::Away };
        assert_eq!(world.coordinator.borrow().nodes[0].presence, presence);
    }
}
