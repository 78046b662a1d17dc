use super::{devices, objects};
use crate::address::Address;
use crate::draft::Draft;
use crate::report::{Format, Report, Security};
use crate::table::lines;

#[test]
fn every_line_of_the_data_files_is_read() {
    for line in lines(objects::FILE) {
        let fields: Vec<_> = line.take(8).collect();
        assert!(objects::parse(fields.iter().copied()).is_some(), "{fields:?}");
    }
    for line in lines(devices::FILE) {
        let fields: Vec<_> = line.take(5).collect();
        assert!(devices::parse(fields.iter().copied()).is_some(), "{fields:?}");
    }
}

fn read_hex(product: u16, hex: &str) -> Report {
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    let mut draft = Draft::default();
    objects::read(&bytes, devices::find(product), &mut draft);
    draft.finish(Address([0; 6]), Format::MiBeacon, Security::Open)
}

/// What an object of a product says, in words.
#[track_caller]
fn check(product: u16, hex: &str, want: &str) {
    let report = read_hex(product, hex);
    let readings = report.readings.iter().map(|r| format!("{}={:?}", r.name, r.value));
    let detail = |event: &crate::Event| event.detail.map_or(String::new(), |detail| format!(" {detail:?}"));
    let events = report.events.iter().map(|e| format!("{} {}{}", e.name, e.action, detail(e)));
    let said: Vec<String> = readings.chain(events).collect();
    assert_eq!(said.join(", "), want, "{hex} of {product:04x}");
    assert_eq!(report.raw.is_empty(), !want.is_empty(), "{hex} of {product:04x}");
}

#[test]
fn each_product_has_its_own_way_to_say_what_was_pressed() {
    check(0x07bf, "011003000001", "button double_press");
    check(0x1568, "011003000001", "button long_press");
    check(0x1569, "011003020002", "button_left double_press, button_right double_press");
    check(0x0dfd, "011003040000", "button_middle press, button_right press");
    check(0x0dfd, "011003070000", "");
    check(0x0153, "011003010002", "power=Flag(false), button_off long_press");
    check(0x03bf, "011003080000", "button_heat press");
    check(0x04e1, "011003000000", "cube rotate_right");
    check(0x03b6, "011003010503", "dimmer long_press Seconds(5)");
    check(0x03b6, "011003000204", "dimmer rotate_right Steps(2)");
    check(0x03b6, "011003fe0004", "dimmer rotate_left_pressed Steps(2)");
    check(0x1949, "0d4e0103", "button_left double_press, button_right double_press");
    check(0x1949, "0d4e0100", "");
    check(0x1c10, "0c4e0108", "button long_press");
    check(0x3a61, "0e560104", "button_four long_press");
    // A product that is not known, and one without buttons.
    check(0xfffe, "011003000000", "");
    check(0x01aa, "011003000000", "");
}

#[test]
fn a_door_says_several_things_at_once() {
    check(0x0784, "07000102", "door=Flag(true), door_left_open=Flag(true)");
    check(0x0784, "07000103", "door=Flag(false), knock_on_the_door=Flag(true)");
    check(0x0784, "07000109", "");
    check(0x1889, "044801ff", "");
}

#[test]
fn a_lock_tells_a_fault_in_the_keys_place() {
    let fault = "lock=Flag(false), lock_method=Text(\"nfc\"), key_id=Text(\"key id 3\"), timestamp=Time(1), \
                 lock locked, error picked";
    check(0x069e, "0b0009510300dec001000000", fault);
    let bolt = "childlock=Flag(false), lock_method=Text(\"manual\"), key_id=Text(\"Bluetooth key 7\"), \
                timestamp=Time(1), lock turn_on_child_lock";
    check(0x069f, "0b0009a60700000001000000", bolt);
    check(0x069e, "0b00090900000000010000", "");
}

#[test]
fn light_is_a_flag_or_a_number_by_the_product() {
    check(0x07f6, "071003640000", "light=Flag(true)");
    check(0x0098, "071003640000", "illuminance=Number(100.0)");
    check(0x0a83, "0f0003120000", "motion=Flag(true), illuminance=Number(18.0)");
}

#[test]
fn a_battery_has_a_level_and_the_voltage_of_it() {
    check(0x0a8d, "0a100164", "battery=Number(100.0), voltage=Number(3.1)");
    check(0x0a8d, "0a10012a", "battery=Number(42.0), voltage=Number(2.578)");
}

#[test]
fn a_scale_has_three_measurements_in_one_number() {
    let mass = 699 | (42 << 11) | (5432 << 18);
    let bytes = u32::to_le_bytes(mass).map(|byte| format!("{byte:02x}")).concat();
    let want = "profile_id=Number(1.0), mass=Number(69.9), heart_rate=Number(92.0), impedance_low=Number(543.2), \
                stabilized=Flag(true)";
    check(0x3bd5, &format!("166e0901{bytes}00000000"), want);
}
