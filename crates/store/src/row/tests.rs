use proptest::prelude::*;

use super::*;

fn key() -> RecordKey {
    RecordKey { device: "meter-1".parse().unwrap(), stream: "power".parse().unwrap(), chain: [7; 8], seq: 3 }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>().prop_filter("NaN is not equal to itself", |v| !v.is_nan()).prop_map(Value::Number),
        any::<bool>().prop_map(Value::Bool),
        ".{0,40}".prop_map(Value::Text),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Data),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Sealed),
    ]
}

prop_compose! {
    fn reading()(
        field in prop::option::of("[a-z][a-z0-9._-]{0,20}"),
        time in any::<i64>(),
        value in value(),
        unit in prop::option::of("[A-Za-z%/]{1,8}"),
    ) -> Reading {
        let field = field.map(|f| f.parse().unwrap());
        Reading { field, time: Timestamp::from_micros(time), value, unit }
    }
}

fn route() -> impl Strategy<Value = Route> {
    let link = || prop::sample::select(Link::ALL.to_vec());
    let through = |(link, received)| {
        Route::Through(Hop {
            gateway: "hall".parse().unwrap(),
            link,
            received: Timestamp::from_micros(received),
        })
    };
    prop_oneof![link().prop_map(Route::Direct), (link(), any::<i64>()).prop_map(through)]
}

prop_compose! {
    fn record()(
        received in any::<i64>(),
        assurance in prop::sample::select(Assurance::ALL.to_vec()),
        route in route(),
        readings in prop::collection::vec(reading(), 1..=64),
    ) -> Record {
        let RecordKey { device, stream, chain, seq } = key();
        let received = Timestamp::from_micros(received);
        Record { device, stream, chain, seq, received, assurance, route, readings }
    }
}

fn encoded(record: &Record) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes).map(|()| bytes)
}

/// The record that bytes are, to their end.
fn decoded(bytes: &[u8]) -> Option<Record> {
    let mut d = Decoder::new(bytes);
    Record::decode(key(), &mut d).filter(|_| d.position() == bytes.len())
}

proptest! {
    #[test]
    fn every_record_comes_back_from_its_bytes(record in record()) {
        let bytes = encoded(&record).unwrap();
        prop_assert_eq!(decoded(&bytes), Some(record));
        for cut in 0..bytes.len() {
            prop_assert_eq!(decoded(&bytes[..cut]), None);
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_fall_over(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decoded(&bytes);
    }
}

/// Typed from the format of blocks before there were links: `[received, assurance, reading]`.
#[test]
fn a_block_from_before_there_were_links_is_read_and_came_through_no_gateway() {
    let mut e = Encoder::new(Vec::new());
    e.array(3).unwrap().i64(5).unwrap().u8(2).unwrap();
    e.array(4).unwrap().null().unwrap().i64(4).unwrap().f64(21.5).unwrap().str("Cel").unwrap();
    let record = decoded(&e.into_writer()).unwrap();
    assert_eq!((record.assurance, record.route), (Assurance::GatewaySealed, Route::TLS));
    assert_eq!(record.readings[0].value, Value::Number(21.5));
}

#[track_caller]
fn check_refused(readings: Vec<Reading>) {
    let RecordKey { device, stream, chain, seq } = key();
    let (received, assurance) = (Timestamp::EPOCH, Assurance::Transport);
    let record = Record { device, stream, chain, seq, received, assurance, route: Route::TLS, readings };
    assert!(matches!(encoded(&record), Err(StoreError::Invalid { .. })));
}

#[test]
fn a_record_outside_the_bounds_is_not_written() {
    let reading =
        |value: Value, unit: Option<String>| Reading { field: None, time: Timestamp::EPOCH, value, unit };
    check_refused(vec![]);
    check_refused(vec![reading(Value::Bool(true), None); 65]);
    check_refused(vec![reading(Value::Text("x".repeat(1025)), None)]);
    check_refused(vec![reading(Value::Data(vec![0; 1025]), None)]);
    check_refused(vec![reading(Value::Bool(true), Some("x".repeat(17)))]);
}
