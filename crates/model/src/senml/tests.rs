extern crate std;

use std::vec::Vec;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn all(pack: &[u8]) -> Result<Vec<Reading<'_>>, SenmlError> {
    let mut readings = Vec::new();
    decode(pack, NOW, |r| readings.push(r))?;
    Ok(readings)
}

fn reading(field: &str, unit: &'static str, micros: i64, value: Value<'static>) -> Reading<'static> {
    Reading { field: FieldName::new(field).ok(), unit, time: Timestamp::from_micros(micros), value }
}

#[test]
fn what_is_written_is_read_back_exactly() {
    let t = 1_423_072_319_000_000;
    let readings = [
        reading("temperature", "Cel", t, Value::Number(23.718)),
        reading("", "", t, Value::Number(-0.0)),
        reading("co2", "ppm", t + 1, Value::Number(1e300)),
        reading("count", "", t - 60_000_000, Value::Number(9_007_199_254_740_991.0)),
        reading("small", "", t, Value::Number(0.5)),
        reading("on", "", t, Value::Bool(true)),
        reading("day", "", t, Value::Text("Montag")),
        reading("raw", "", t, Value::Data(&[0, 255])),
    ];
    let mut out = [0; 512];
    let len = encode(&readings, &mut out).unwrap();
    let back = all(&out[..len]).unwrap();
    assert_eq!(back, readings);
    let Value::Number(zero) = back[1].value else { unreachable!("a number was written") };
    assert!(zero.is_sign_negative());
    for cut in 0..len {
        assert!(all(&out[..cut]).is_err(), "cut to {cut} bytes");
    }
}

#[test]
fn the_example_pack_of_rfc_8428_section_6_is_read() {
    // Two records with a base name, base time, base unit and base version, voltage and current.
    let pack = unhex(concat!(
        "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a",
        "22fb41d303a15b00106223614120050067766f6c7461676501615602fb405e066666666666",
        "a3006763757272656e74062402fb3ff3333333333333",
        "a3006763757272656e74062302fb3ff4cccccccccccd",
        "a3006763757272656e74062202fb3ff6666666666666",
        "a3006763757272656e74062102f93e00",
        "a3006763757272656e74062002fb3ff999999999999a",
        "a3006763757272656e74060002fb3ffb333333333333"
    ));
    let readings = all(&pack).unwrap();
    assert_eq!(readings.len(), 7);
    assert_eq!(readings[0].field.unwrap().as_str(), "voltage");
    assert_eq!((readings[0].unit, readings[0].value), ("V", Value::Number(120.1)));
    assert_eq!(readings[0].time.as_micros(), 1_276_020_076_001_000);
    assert_eq!((readings[1].unit, readings[1].value), ("A", Value::Number(1.2)));
    assert_eq!(readings[1].time.as_micros(), 1_276_020_071_001_000);
    assert_eq!(readings[4].value, Value::Number(1.5));
}

#[track_caller]
fn check_refused(why: &str, hex: &str, want: SenmlError) {
    assert_eq!(all(&unhex(hex)), Err(want), "{why}: {hex}");
}

#[test]
fn packs_that_break_a_rule_are_refused_by_name() {
    check_refused("no record", "80", SenmlError::Empty);
    check_refused("a map, not an array", "a0", SenmlError::Malformed);
    check_refused("indefinite array", "9fa10201ff", SenmlError::Malformed);
    check_refused("bytes after the pack", "81a1020100", SenmlError::Malformed);
    check_refused("no value", "81a1006161", SenmlError::Value);
    check_refused("two values", "81a2020104f5", SenmlError::Value);
    check_refused("a sum", "81a10501", SenmlError::Sum);
    check_refused("version 11", "81a2200b0201", SenmlError::Version);
    check_refused("must-understand label", "81a2617a5f01", SenmlError::Malformed);
    check_refused("must-understand label", "81a2627a5f010201", SenmlError::Version);
    check_refused("infinity", "81a102f97c00", SenmlError::Number);
    check_refused("integer past 2^53", "81a1021b0020000000000001", SenmlError::Number);
    check_refused("exponent of -2^63", "81a102c4823b7fffffffffffffff01", SenmlError::Number);
    check_refused("unit of 17 bytes", "81a2017161616161616161616161616161616161610201", SenmlError::TooLong);
    check_refused("65 records promised", "9841", SenmlError::TooManyReadings);
}

#[test]
fn small_times_are_relative_to_receipt() {
    let pack = unhex("81a2063902570201");
    let readings = all(&pack).unwrap();
    assert_eq!(readings[0].time, NOW.plus_micros(-600_000_000));
    let eight_years = unhex("81a2063a0fffffff0201");
    assert_eq!(all(&eight_years).unwrap()[0].time, NOW.plus_micros(-268_435_456_000_000));
    check_refused("a second more than 2^28 ago", "81a2063a100000000201", SenmlError::Time);
}

#[test]
fn the_last_part_of_a_full_name_is_the_field() {
    let field = |base, name| field_of(base, name).map(|f| f.map(|f| f.as_str().len()));
    assert_eq!(field("urn:dev:ow:10e2073a01080063:", "temp"), Ok(Some(4)));
    assert_eq!(field("hall/", ""), Ok(None));
    assert_eq!(field("", ""), Ok(None));
    assert!(matches!(field("", "a b"), Err(SenmlError::Name(_))));
    assert_eq!(field("x", &"y".repeat(128)), Err(SenmlError::NameTooLong));
}
