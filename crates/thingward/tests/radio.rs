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
use common::{shown, wait_for};
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
fn a_gateway_whose_machine_is_lost_goes_on_with_its_things_out_of_a_backup() {
    let Some((mut house, _service)) = House::with("") else { return };
    let gateway = house.place.gateway();
    wait_for("the driver", || house.driver().is_some());
    let name = house.admit_switch();
    house.controller.report(true);
    house.wait_for_words(&name, 0);
    let (secret, file) = (house.place.path("recovery.key"), house.place.path("gateway.backup"));
    let made = house.place.done(&["key", "create", "--recipient", shown(&secret)]);
    let public = made["public_key"].as_str().unwrap().to_owned();
    house.place.fails(&["gateway", "backup", shown(&file), "--for", &public], 1);
    house.settle();
    drop(gateway);
    house.place.fails(&["gateway", "backup", shown(&file)], 1);
    let taken = house.place.done(&["gateway", "backup", shown(&file), "--for", &public]);
    assert_eq!(taken["radios"], json!({"zwave-1": 1}));

    // The machine is gone, and its membership is taken back. Another one is enrolled under the name.
    std::fs::remove_dir_all(house.place.path("gateway")).unwrap();
    house.place.done(&["device", "release", "gateway"]);
    house.place.enrol("acme", "gateway", "gateway");
    let restore = ["gateway", "restore", shown(&file), "--key-file", shown(&secret)];
    assert_eq!(house.place.done(&restore), taken);
    house.place.fails(&restore, 1);
    let before = house.said(&name).len();
    let _gateway = house.place.gateway();
    wait_for("the switch is told", || house.place.run(&["command", "send", &name, "turn-off"]).0 == 0);
    assert!(!house.controller.is_on());
    wait_for("it is heard", || {
        house.controller.report(true);
        house.said(&name).len() > before
    });
    assert_eq!(house.things(), [name]);
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
