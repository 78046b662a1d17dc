//! Coordinators speak different versions of EZSP.

use thingward_model::Link;
use thingward_radio::wire::{Order, Value};

use crate::world::{BULB, CODE, World, done, last, node, readings, things, trouble};
use thingward_zigbee::emulated::Coordinator;
use thingward_zigbee::emulated::Kind;

#[test]
fn a_bulb_joins_is_switched_and_comes_back_whatever_version_the_coordinator_speaks() {
    for version in [8, 12, 13, 14, 16, 19] {
        let node = node(Kind::Bulb, BULB, 0x2002, Some(CODE));
        let mut world = World::at(Coordinator::of(version, vec![node]));
        world.coordinator.borrow_mut().nodes[0].uses_link_key = true;
        world.start();
        world.join(BULB);
        assert_eq!(things(&world.take())[0].link, Link::ZigbeeInstallCode);
        world.call(BULB, "turn-on", &[]);
        let reports = world.take();
        assert_eq!(done(&reports), Some(None), "{version}");
        assert_eq!(last(&reports, "on").unwrap().value, Value::Bool(true));
        assert!(readings(&reports).iter().all(|said| said.link == Link::ZigbeeInstallCode));
        world.order(Order::Roll);
        world.coordinator.borrow_mut().counter = 1_000_000;
        world.pass(100);
        let key = world.coordinator.borrow().key;
        for wiped in [false, true] {
            if wiped {
                world.coordinator.borrow_mut().wipe();
            }
            world.restart();
            assert_eq!(trouble(&world.take()), None, "{version}");
            assert_eq!((world.coordinator.borrow().key, world.coordinator.borrow().key_sequence), (key, 1));
            assert!(world.coordinator.borrow().counter >= 1_000_000);
        }
        world.call(BULB, "turn-off", &[]);
        assert_eq!(done(&world.take()), Some(None));
    }
}

#[test]
fn a_coordinator_of_a_version_that_is_not_spoken_is_trouble() {
    for version in [4, 7, 20] {
        let mut world = World::at(Coordinator::of(version, Vec::new()));
        world.start();
        let reason = trouble(&world.take()).unwrap();
        assert_eq!(reason, format!("the coordinator speaks version {version} of EZSP, not 8 to 19"));
    }
}
