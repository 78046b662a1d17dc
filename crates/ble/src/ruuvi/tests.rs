//! The figures of the published test vectors (docs.ruuvi.com, data formats 3, 5 and E1).

use super::*;
use crate::report::Value;

const NOBODY: Address = Address([0; 6]);

fn read_hex(hex: &str) -> Report {
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    read(NOBODY, &bytes).unwrap()
}

#[track_caller]
fn check(report: &Report, name: &str, want: f64) {
    let found = report.readings.iter().find(|r| r.name.to_string() == name).expect(name);
    let Value::Number(number) = found.value else { panic!("{name} is no number") };
    assert!((number - want).abs() < 1e-9, "{name}: {number}, not {want}");
}

#[test]
fn format_3_has_a_sign_beside_its_degrees() {
    let valid = read_hex("03291a1ece1efc18f94202ca0b53");
    check(&valid, "humidity", 20.5);
    check(&valid, "temperature", 26.3);
    check(&valid, "pressure", 1027.66);
    check(&valid, "voltage", 2899.0);
    check(&valid, "acceleration_x", -9.8);
    check(&read_hex("0300ff6300008001800180010000"), "temperature", -127.99);
}

#[test]
fn format_5_has_what_its_vector_says() {
    let valid = read_hex("0512fc5394c37c0004fffc040cac364200cdcbb8334c884f");
    check(&valid, "temperature", 24.3);
    check(&valid, "humidity", 53.49);
    check(&valid, "pressure", 1000.44);
    check(&valid, "acceleration_x", 0.0392);
    check(&valid, "voltage", 2977.0);
    check(&valid, "transmit_power", 4.0);
    check(&valid, "movement_counter", 66.0);
    check(&valid, "measurement_sequence", 205.0);
}

#[test]
fn what_format_5_calls_unavailable_is_no_reading() {
    assert_eq!(read_hex("058000ffffffff800080008000ffffffffffffffffffffff").readings, []);
}

#[test]
fn format_e1_has_four_sizes_of_particles() {
    let valid = read_hex("e1170c5668c79e0065007004bd11ca00c90a0213e0ac000000decdee110000000000cbb8334c884f");
    check(&valid, "temperature", 29.5);
    check(&valid, "humidity", 55.3);
    check(&valid, "pressure", 1011.02);
    check(&valid, "pm1", 10.1);
    check(&valid, "pm25", 11.2);
    check(&valid, "pm4", 121.3);
    check(&valid, "pm10", 455.4);
    check(&valid, "carbon_dioxide", 201.0);
    check(&valid, "voc_index", 20.0);
    check(&valid, "nox_index", 4.0);
    check(&valid, "illuminance", 13027.0);
    check(&valid, "measurement_sequence", 14_601_710.0);
}

#[test]
fn another_format_and_a_short_one_are_refused_by_name() {
    assert_eq!(read(NOBODY, &[4, 0]), Err(Error::Version(Format::Ruuvi, 4)));
    assert_eq!(read(NOBODY, &[5, 0]), Err(Error::TooShort(Format::Ruuvi)));
    assert_eq!(read(NOBODY, &[]), Err(Error::TooShort(Format::Ruuvi)));
}
