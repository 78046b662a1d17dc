//! Things of radios, whole: a real service and gateway with the driver's own process, and the emulated Z-Wave controller and
//! nodes of Z-Wave JS behind its line. Skips, and says so, where that is not installed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use common::house::{BINARY_SWITCH, House, kill};
use common::wait_for;
use serde_json::json;

#[test]
fn a_switch_on_zwave_is_a_device_of_its_own_and_its_driver_gateway_and_service_may_die() {
    let Some((mut house, service)) = House::with("") else { return };
    let gateway = house.place.gateway();
    wait_for("the driver", || house.driver().is_some());
    let name = house.admit_switch();

    house.controller.report(true);
    house.wait_for_words(&name, 0);
    house.place.done(&["command", "send", &name, "turn-off"]);
    assert!(!house.controller.is_on());
    house.place.done(&["command", "send", &name, "turn-on"]);
    assert!(house.controller.is_on());
    assert!(
        house.said(&name).iter().all(|(_, assurance)| assurance == "gateway-sealed"),
        "{:?}",
        house.said(&name)
    );

    // The driver alone.
    let first = house.driver().unwrap();
    kill(first);
    wait_for("another driver", || house.driver().is_some_and(|id| id != first));
    wait_for("the switch", || house.place.run(&["command", "send", &name, "turn-off"]).0 == 0);
    assert!(!house.controller.is_on());

    // Nonces are agreed anew with another driver, and the emulated node says nothing again that was refused meanwhile.
    let mut before = house.said(&name).len();
    wait_for("it is heard again", || {
        house.controller.report(false);
        house.said(&name).len() > before
    });
    wait_for("the end of what it said", || {
        let so_far = std::mem::replace(&mut before, house.said(&name).len());
        std::thread::sleep(std::time::Duration::from_secs(1));
        so_far == before
    });

    // The service is away: what is said meanwhile is there afterwards.
    drop(service);
    for on in [true, false, true] {
        house.controller.report(on);
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    // And the gateway dies with it.
    drop(gateway);
    let _gateway = house.place.gateway();
    let _service = house.place.service(&[]);
    house.wait_for_words(&name, before + 2);
    let said: Vec<bool> = house.said(&name)[before..before + 3].iter().map(|(on, _)| *on).collect();
    assert_eq!(said, [true, false, true]);
    assert_eq!(house.place.run(&["command", "send", &name, "turn-on"]).0, 0);
    assert_eq!(house.things().len(), 1);
}

#[test]
fn what_nobody_lets_in_is_no_device_and_what_has_no_security_is_a_finding() {
    let Some((mut house, _service)) = House::with("") else { return };
    let _gateway = house.place.gateway();
    wait_for("the driver", || house.driver().is_some());
    let classes = json!([[BINARY_SWITCH, false]]);
    let join = json!({"do": "join", "id": 2, "security": [], "classes": classes});
    assert_eq!(house.controller.have(&join), "ok");
    house.place.done(&["gateway", "admit", "gateway", "--for", "5m"]);
    wait_for("the finding", || {
        let findings = house.place.done(&["finding", "list"]);
        findings.as_array().unwrap().iter().any(|finding| finding["kind"] == "insecure-join")
    });
    assert!(house.things().is_empty());
}
