//! The driver starts again, with what was kept.

use std::time::Duration;

use thingward_radio::Radio;
use thingward_radio::wire::{Order, Report, Secret};
use thingward_radio::zigbee::ZigbeeRadio;

use crate::world::{BULB, CODE, World, address, done, last, node, things, trouble};
use thingward_zigbee::emulated::{Coordinator, Kind};

fn world() -> World {
    let mut world = World::started(vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))]);
    world.join(BULB);
    world.pass(2);
    world
}

#[test]
fn a_network_goes_on_with_its_things() {
    let mut world = world();
    let key = world.coordinator.borrow().key;
    world.restart();
    let reports = world.take();
    assert!(reports.iter().any(|report| matches!(report, Report::Ready { .. })));
    assert_eq!(things(&reports)[0].address, address(BULB));
    assert!(last(&reports, "on").is_some());
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), Some(None));
    assert_eq!(world.coordinator.borrow().key, key);
}

#[test]
fn a_coordinator_that_had_no_power_goes_on_with_its_network_and_things() {
    for driver_too in [true, false] {
        let mut world = world();
        let (flash, before) = (world.coordinator.borrow().flash(), world.coordinator.borrow().counter);
        let mut coordinator = Coordinator::with(vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))]);
        coordinator.resume(&flash).unwrap();
        world.coordinator.replace(coordinator);
        if driver_too {
            world.restart();
            assert_eq!(trouble(&world.take()), None);
        }
        world.call(BULB, "turn-on", &[]);
        assert_eq!(done(&world.take()), Some(None));
        assert!(world.coordinator.borrow().counter > before);
    }
}

#[test]
fn what_is_no_flash_is_not_taken_for_one() {
    let flash = world().coordinator.borrow().flash();
    let mut coordinator = Coordinator::with(vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))]);
    for length in 0..flash.len() {
        assert!(coordinator.resume(&flash[..length]).is_err(), "{length}");
    }
    assert!(coordinator.resume(&[&flash[..], &[0]].concat()).is_err());
    assert!(Coordinator::default().resume(&flash).is_err());
}

#[test]
fn a_coordinator_that_forgot_its_network_gets_it_back_with_counters_that_nobody_has_seen() {
    let mut world = world();
    let (key, mut seen) = (world.coordinator.borrow().key, world.coordinator.borrow().counter);
    // Again and again, without time for a counter to be kept.
    for _ in 0..3 {
        world.coordinator.borrow_mut().wipe();
        world.restart();
        assert_eq!(things(&world.take()).len(), 1);
        let coordinator = world.coordinator.borrow();
        assert_eq!(coordinator.key, key);
        assert!(coordinator.counter > seen);
        seen = coordinator.counter;
    }
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), Some(None));
}

#[test]
fn a_counter_that_went_far_is_kept() {
    let mut world = world();
    world.coordinator.borrow_mut().counter = 1_000_000;
    world.pass(61);
    world.coordinator.borrow_mut().wipe();
    world.restart();
    assert!(world.coordinator.borrow().counter > 1_000_000);
}

#[test]
fn a_coordinator_that_was_set_back_does_not_use_a_counter_again() {
    let mut world = world();
    world.coordinator.borrow_mut().counter = 1_000_000;
    world.pass(61);
    world.coordinator.borrow_mut().counter = 10;
    world.restart();
    let reports = world.take();
    assert_eq!(trouble(&reports), None);
    assert_eq!(things(&reports).len(), 1);
    assert!(world.coordinator.borrow().counter > 1_000_000);
}

#[test]
fn a_network_out_of_a_backup_counts_on_beyond_what_was_used_since() {
    let mut world = world();
    let backup = Secret::new(world.kept.clone().unwrap());
    let used = {
        let mut coordinator = world.coordinator.borrow_mut();
        coordinator.counter += 30_000_000;
        let used = coordinator.counter;
        coordinator.wipe();
        used
    };
    let radio = thingward_radio::Kind::Zigbee;
    world.kept = Some(radio.restored(&backup).unwrap().expose().to_vec());
    world.restart();
    let reports = world.take();
    assert_eq!(trouble(&reports), None);
    assert_eq!(things(&reports).len(), 1);
    assert!(world.coordinator.borrow().counter > used);
    assert_eq!(radio.restored(&Secret::new(b"nothing".to_vec())), None);
}

#[test]
fn a_thing_that_sleeps_is_not_woken_by_a_start() {
    let mut world = World::started(vec![node(Kind::Thermometer, BULB, 0x2002, Some(CODE))]);
    world.join(BULB);
    world.pass(2);
    let sent = world.coordinator.borrow().counter;
    world.restart();
    assert_eq!(things(&world.take()).len(), 1);
    assert_eq!(world.coordinator.borrow().counter, sent);
    world.pass(2);
    assert!(last(&world.take(), "temperature").is_some());
}

#[test]
fn what_was_kept_and_is_damaged_is_trouble_and_never_a_new_network() {
    let mut world = world();
    let kept = world.kept.clone().unwrap();
    world.coordinator.borrow_mut().wipe();
    let damaged = |world: &mut World, bytes: Vec<u8>| {
        world.kept = Some(bytes);
        world.restart();
        assert!(trouble(&world.take()).is_some());
        assert!(!world.coordinator.borrow().has_network());
    };
    for at in 0..kept.len() {
        let mut bent = kept.clone();
        bent[at] ^= 0x04;
        damaged(&mut world, bent);
    }
    damaged(&mut world, Vec::new());
    damaged(&mut world, kept[..kept.len() - 1].to_vec());
    damaged(&mut world, [&kept[..], &[0]].concat());
    let mut later = kept.clone();
    later[1] = 2;
    world.kept = Some(later);
    world.restart();
    assert_eq!(trouble(&world.take()).unwrap(), "what was kept is of version 2, and not of 1");
}

#[test]
fn another_network_than_the_one_that_was_kept_is_trouble() {
    let mut ours = world();
    let mut other = World::started(Vec::new());
    ours.kept = other.kept.take();
    ours.restart();
    let another = "the coordinator has another network than the one that was kept";
    assert_eq!(trouble(&ours.take()).unwrap(), another);
    // Nor is a network taken that nobody here has formed.
    ours.kept = None;
    ours.restart();
    assert!(trouble(&ours.take()).unwrap().contains("not formed from here"));
}

#[test]
fn a_coordinator_that_says_nothing_is_trouble_after_a_while_and_tried_again_ever_less_often() {
    let mut radio = ZigbeeRadio::default();
    radio.order(Order::Start(thingward_radio::wire::Start::default()), Duration::ZERO);
    let (mut troubles, mut now) = (Vec::new(), Duration::ZERO);
    while now < Duration::from_secs(3600) {
        now = radio.due().unwrap().max(now);
        radio.tick(now);
        while let Some(output) = radio.output() {
            match output {
                thingward_radio::Output::Report(Report::Trouble(_)) => troubles.push(now.as_secs()),
                thingward_radio::Output::Report(other) => panic!("{other:?}"),
                thingward_radio::Output::Line(_) | thingward_radio::Output::End => {}
            }
        }
    }
    assert!(troubles[0] < 30, "{troubles:?}");
    assert!((8..20).contains(&troubles.len()), "{troubles:?}");
}

#[test]
fn a_coordinator_that_hangs_is_trouble_and_all_goes_on_when_it_is_back() {
    let mut world = world();
    world.is_cut = true;
    world.call(BULB, "turn-on", &[]);
    world.pass(90);
    let reports = world.take();
    assert!(trouble(&reports).is_some());
    assert!(done(&reports).unwrap().is_some());
    world.call(BULB, "turn-on", &[]);
    assert!(done(&world.take()).unwrap().is_some());
    world.order(Order::Remove(address(1)));
    world.is_cut = false;
    world.pass(60);
    let reports = world.take();
    assert!(reports.iter().any(|report| matches!(report, Report::Ready { .. })), "{reports:?}");
    assert_eq!(things(&reports).len(), 1);
    assert!(reports.contains(&Report::Left(address(1))));
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), Some(None));
}

#[test]
fn a_thing_that_was_not_told_everything_is_told_at_the_next_start() {
    let mut world = World::started(vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))]);
    world.keeps = false;
    world.admit(Some(format!("{BULB:016x}:{CODE}")));
    world.pass(3);
    assert!(world.coordinator.borrow().nodes[0].bound.is_empty());
    world.keeps = true;
    world.restart();
    assert_eq!(world.coordinator.borrow().nodes[0].bound, [0x0006, 0x0008]);
    world.restart();
    assert_eq!(world.coordinator.borrow().nodes[0].bound.len(), 2);
}

#[test]
fn a_coordinator_whose_network_does_not_come_up_is_trouble_after_a_while() {
    let mut world = World::new(Vec::new());
    world.coordinator.borrow_mut().is_down = true;
    world.start();
    world.pass(31);
    assert!(trouble(&world.take()).unwrap().contains("does not come up"));
}
