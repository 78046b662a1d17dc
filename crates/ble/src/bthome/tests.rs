use super::objects;
use crate::address::Address;
use crate::report::{Raw, Value};
use crate::table::lines;

#[test]
fn every_line_of_the_data_file_is_read() {
    for line in lines(objects::FILE) {
        let fields: Vec<_> = line.take(6).collect();
        assert!(objects::parse(fields.iter().copied()).is_some(), "{fields:?}");
    }
}

fn values_v1(data: &[u8]) -> Vec<Value> {
    super::read_v1(Address([0; 6]), data).readings.into_iter().map(|reading| reading.value).collect()
}

#[test]
fn version_1_has_numbers_of_any_length_and_floats() {
    assert_eq!(values_v1(&[0x24, 0x02, 0xff, 0xff, 0xff]), [Value::Number(-0.01)]);
    assert_eq!(values_v1(&[0x43, 0x01, 0x00, 0x3c]), [Value::Number(1.0)]);
    assert_eq!(values_v1(&[0x43, 0x01, 0x01, 0x80]), [Value::Number(-1.0 / 16_777_216.0)]);
    assert_eq!(values_v1(&[0x45, 0x01, 0x00, 0x00, 0x20, 0x42]), [Value::Number(40.0)]);
    assert_eq!(values_v1(&[0x43, 0x01, 0x00, 0x7c]), [], "infinite");
}

#[test]
fn version_1_goes_on_behind_what_it_does_not_know() {
    let report = super::read_v1(Address([0; 6]), &[0x02, 0x7e, 0x01, 0x02, 0x01, 0x5d, 0x09, 0x01]);
    assert_eq!(report.raw, [Raw::Object { id: 0x7e, value: vec![1] }, Raw::Rest(vec![0x09, 0x01])]);
    assert_eq!(report.readings[0].value, Value::Number(93.0));
}
