//! Who gets in, and who does not.

use thingward_model::Link;
use thingward_radio::wire::{AdmissionState, Order, RefusalKind, Report};

use crate::world::{
    BULB, CODE, OTHER_CODE, THERMOMETER, World, address, admissions, node, readings, refusals, things,
};
use thingward_zigbee::emulated::{Kind, Node, Presence};

fn thermometer(code: Option<&str>) -> Node {
    node(Kind::Thermometer, THERMOMETER, 0x2001, code)
}

#[test]
fn a_network_is_formed_and_a_thermometer_joins_with_its_install_code() {
    let mut world = World::new(vec![thermometer(Some(CODE))]);
    world.start();
    let reports = world.take();
    assert!(matches!(&reports[..], [Report::Keep(_), Report::Ready { .. }]), "{reports:?}");
    world.admit(Some(format!("00:15:8d:00:00:00:00:01:{CODE}")));
    assert_eq!(admissions(&world.take()), [AdmissionState::Open]);
    world.pass(3);
    let reports = world.take();
    let joining = AdmissionState::Joining(address(THERMOMETER));
    assert_eq!(admissions(&reports), [joining, AdmissionState::Closed]);
    let [thing] = &things(&reports)[..] else { panic!("{reports:?}") };
    assert_eq!((&thing.address, thing.link), (&address(THERMOMETER), Link::ZigbeeInstallCode));
    let description: serde_json::Value = serde_json::from_slice(&thing.description).unwrap();
    assert_eq!(description["title"], "Emulated Thermometer");
    assert_eq!(description["properties"]["temperature"]["unit"], "Cel");
    assert!(refusals(&reports).is_empty(), "{reports:?}");
    // It says what it measures, and what protects that is what the coordinator says of each message.
    world.pass(2);
    let said = readings(&world.take());
    assert!(said.len() >= 2 && said.iter().all(|said| said.link == Link::ZigbeeNetworkKey));
    world.coordinator.borrow_mut().nodes[0].uses_link_key = true;
    world.pass(2);
    let said = readings(&world.take());
    assert!(said.len() >= 2 && said.iter().all(|said| said.link == Link::ZigbeeInstallCode));
}

#[test]
fn a_thing_has_a_link_key_when_it_has_shown_one() {
    let mut world = World::started(vec![thermometer(Some(CODE))]);
    world.coordinator.borrow_mut().nodes[0].asks_for_key = false;
    world.admit(Some(format!("{THERMOMETER:016x}:{CODE}")));
    world.pass(3);
    assert_eq!(things(&world.take())[0].link, Link::ZigbeeNetworkKey);
    // Another state of a key is none.
    for (state, links) in [(51, vec![]), (52, vec![Link::ZigbeeInstallCode]), (52, vec![])] {
        let fields = [&THERMOMETER.to_le_bytes()[..], &[state]].concat();
        world.coordinator.borrow_mut().news.push((0x009b, fields));
        world.pass(1);
        let told: Vec<Link> = things(&world.take()).iter().map(|thing| thing.link).collect();
        assert_eq!(told, links);
    }
}

#[test]
fn a_thing_is_not_announced_before_it_is_kept() {
    let mut world = World::started(vec![thermometer(Some(CODE))]);
    world.keeps = false;
    world.admit(Some(format!("{THERMOMETER:016x}:{CODE}")));
    world.pass(5);
    let reports = world.take();
    assert!(reports.iter().any(|report| matches!(report, Report::Keep(_))));
    assert!(things(&reports).is_empty() && readings(&reports).is_empty(), "{reports:?}");
    world.keeps = true;
    world.order(Order::Kept);
    assert_eq!(things(&world.take()).len(), 1);
}

#[test]
fn what_is_printed_has_to_be_an_address_and_an_install_code() {
    let mut world = World::started(Vec::new());
    let misread = CODE.replace("83FE", "83FF");
    let wrong = [
        String::new(),
        CODE.to_owned(),
        format!("0015:{CODE}"),
        format!("{THERMOMETER:016x}:{misread}"),
        format!("{THERMOMETER:016x}:"),
        format!("{THERMOMETER:016x}:{CODE}00"),
        format!("ffffffffffffffff:{CODE}"),
        format!("0000000000000000:{CODE}"),
        format!("{THERMOMETER:016x}:\u{fffd}"),
    ];
    for printed in wrong {
        // So many refusals are told in a second.
        world.pass(1);
        world.admit(Some(printed.clone()));
        let reports = world.take();
        assert_eq!(admissions(&reports), [AdmissionState::Closed], "{printed}");
        assert!(matches!(&refusals(&reports)[..], [(None, RefusalKind::Join, _)]), "{printed}");
    }
}

#[test]
fn a_thing_with_another_install_code_is_refused() {
    let mut world = World::started(vec![thermometer(Some(OTHER_CODE))]);
    world.admit(Some(format!("{THERMOMETER:016x}:{CODE}")));
    world.pass(25);
    let reports = world.take();
    let refused = refusals(&reports);
    assert!(
        refused.iter().any(|(thing, kind, reason)| *thing == Some(address(THERMOMETER))
            && *kind == RefusalKind::Join
            && reason.contains("install code")),
        "{refused:?}"
    );
    assert!(things(&reports).is_empty());
}

#[test]
fn nobody_joins_under_the_key_that_everybody_knows() {
    let mut world = World::started(vec![thermometer(None)]);
    world.pass(3);
    assert!(refusals(&world.take()).is_empty());
    world.admit(None);
    world.pass(3);
    let reports = world.take();
    let refused = refusals(&reports);
    assert!(
        refused
            .iter()
            .all(|(thing, kind, _)| *thing == Some(address(THERMOMETER)) && *kind == RefusalKind::Join)
    );
    assert!(!refused.is_empty() && things(&reports).is_empty());
    // Not even when another thing's code was given.
    world.admit(Some(format!("{BULB:016x}:{CODE}")));
    world.pass(3);
    assert!(things(&world.take()).is_empty());
}

#[test]
fn an_exception_joins_under_the_key_that_everybody_knows_and_then_has_one_of_its_own() {
    let bulb = node(Kind::Bulb, BULB, 0x2002, None);
    let mut world = World::new(vec![thermometer(None), bulb]);
    world.start_with(&[THERMOMETER]);
    world.coordinator.borrow_mut().nodes[0].uses_link_key = true;
    world.admit(None);
    world.pass(3);
    let reports = world.take();
    let [thing] = &things(&reports)[..] else { panic!("{reports:?}") };
    assert_eq!((&thing.address, thing.link), (&address(THERMOMETER), Link::ZigbeeLinkKey));
    assert!(readings(&reports).iter().all(|said| said.link == Link::ZigbeeLinkKey));
    assert!(refusals(&reports).iter().all(|(thing, ..)| *thing == Some(address(BULB))));
    // Without a key of its own, a link key is no better than the network's.
    let mut world = World::new(vec![thermometer(None)]);
    world.start_with(&[THERMOMETER]);
    world.coordinator.borrow_mut().nodes[0].asks_for_key = false;
    world.coordinator.borrow_mut().nodes[0].uses_link_key = true;
    world.admit(None);
    world.pass(3);
    let reports = world.take();
    assert_eq!(things(&reports)[0].link, Link::ZigbeeNetworkKey);
    assert!(readings(&reports).iter().all(|said| said.link == Link::ZigbeeNetworkKey));
}

#[test]
fn a_node_that_the_coordinator_lets_in_by_itself_is_sent_away() {
    let mut world = World::started(vec![thermometer(Some(CODE))]);
    // In the network, and nobody admitted it.
    let announcement = {
        let mut coordinator = world.coordinator.borrow_mut();
        coordinator.nodes[0].presence = Presence::Joined;
        let said = coordinator.nodes[0].announcement();
        coordinator.incoming(0, said)
    };
    world.coordinator.borrow_mut().news.push(announcement);
    world.pass(2);
    let reports = world.take();
    assert!(
        refusals(&reports)
            .iter()
            .any(|(thing, kind, _)| *thing == Some(address(THERMOMETER)) && *kind == RefusalKind::Join)
    );
    assert!(readings(&reports).is_empty() && things(&reports).is_empty());
    assert_eq!(world.coordinator.borrow().nodes[0].presence, Presence::Away);
}

#[test]
fn a_thing_that_is_removed_leaves_and_is_forgotten() {
    let mut world = World::started(vec![thermometer(Some(CODE))]);
    world.join(THERMOMETER);
    world.take();
    world.order(Order::Remove(address(THERMOMETER)));
    world.pass(3);
    let reports = world.take();
    assert!(reports.contains(&Report::Left(address(THERMOMETER))));
    assert_eq!(world.coordinator.borrow().nodes[0].presence, Presence::Away);
    world.restart();
    world.pass(1);
    assert!(things(&world.take()).is_empty());
}

#[test]
fn a_network_that_was_opened_closes_again() {
    let mut world = World::started(vec![]);
    world.admit(Some(format!("{THERMOMETER:016x}:{CODE}")));
    world.pass(61);
    assert_eq!(admissions(&world.take()), [AdmissionState::Open, AdmissionState::Closed]);
    world.admit(None);
    world.order(Order::Close);
    assert_eq!(admissions(&world.take()), [AdmissionState::Open, AdmissionState::Closed]);
    world.coordinator.borrow_mut().nodes.push(thermometer(Some(CODE)));
    world.pass(3);
    assert!(things(&world.take()).is_empty());
}

#[test]
fn a_node_that_does_not_say_what_it_is_is_not_taken() {
    let mut world = World::started(vec![thermometer(Some(CODE))]);
    world.coordinator.borrow_mut().nodes[0].is_dumb = true;
    world.admit(Some(format!("{THERMOMETER:016x}:{CODE}")));
    world.pass(30);
    let reports = world.take();
    assert!(things(&reports).is_empty());
    assert!(refusals(&reports).iter().any(|(_, kind, _)| *kind == RefusalKind::Join), "{reports:?}");
}

#[test]
fn a_thing_that_missed_a_key_comes_back_and_a_stranger_does_not() {
    let mut world = World::started(vec![thermometer(Some(CODE))]);
    world.join(THERMOMETER);
    let rejoins = |world: &World, eui64: u64, decision| {
        let mut coordinator = world.coordinator.borrow_mut();
        coordinator.nodes[0].short = 0x3003;
        let (id, mut fields) = coordinator.met(0, 3, decision).unwrap();
        fields[2..10].copy_from_slice(&eui64.to_le_bytes());
        coordinator.news.push((id, fields));
    };
    rejoins(&world, THERMOMETER, 0);
    world.pass(2);
    world.take();
    world.pass(2);
    assert!(!readings(&world.take()).is_empty());
    for (eui64, decision) in [(BULB, 0), (BULB, 2), (THERMOMETER, 2)] {
        rejoins(&world, eui64, decision);
        world.pass(1);
        let reports = world.take();
        assert!(
            matches!(&refusals(&reports)[..], [(Some(thing), RefusalKind::Join, _)] if *thing == address(eui64))
        );
    }
}

#[test]
fn a_key_in_the_clear_is_refused_and_the_networks_key_changed() {
    let mut world = World::started(vec![thermometer(Some(CODE))]);
    let before = world.coordinator.borrow().key;
    let met = world.coordinator.borrow().met(0, 1, 1);
    world.coordinator.borrow_mut().news.extend(met);
    world.pass(35);
    assert!(refusals(&world.take()).iter().any(|(_, _, reason)| reason.contains("in the clear")));
    assert_ne!(world.coordinator.borrow().key, before);
}

#[test]
fn what_was_given_for_one_thing_is_forgotten_when_another_is_admitted() {
    let mut world = World::new(vec![thermometer(None)]);
    world.coordinator.borrow_mut().nodes[0].tries_at = std::time::Duration::from_secs(5);
    world.start_with(&[THERMOMETER]);
    world.admit(None);
    world.pass(1);
    world.order(Order::Close);
    world.admit(Some(format!("{BULB:016x}:{CODE}")));
    world.pass(10);
    let reports = world.take();
    assert!(things(&reports).is_empty() && !refusals(&reports).is_empty());
    assert_eq!(world.coordinator.borrow().nodes[0].presence, Presence::Away);
}
