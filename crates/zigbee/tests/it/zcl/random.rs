//! Values and frames that are made at random, and third-party frames that were bent.

use proptest::prelude::*;
use thingward_zigbee::zcl::{
    Attribute, Collection, DataType, Foundation, FrameScope, Length, Value, ZclHeader,
};

use super::{Content, read, write};
use crate::vectors::{cases, unhex};

fn any_value() -> impl Strategy<Value = Value> {
    let numbers = (0u8..=0x31, any::<u64>()).prop_filter_map("not a number", |(data_type, raw)| {
        let bytes = raw.to_le_bytes();
        let data_type = DataType::new(data_type).filter(|t| *t != DataType::NO_DATA)?;
        Value::parse(data_type, &bytes).ok().map(|(value, _)| value)
    });
    let octets = prop::option::of(prop::collection::vec(any::<u8>(), 0..200));
    let leaf = prop_oneof![
        numbers,
        octets.clone().prop_map(|octets| Value::Octets(octets, Length::Short)),
        octets.prop_map(|text| Value::Text(text, Length::Long)),
        any::<[u8; 4]>().prop_map(Value::TimeOfDay),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| Value::Structure(Some(items))),
            (inner, 1usize..4).prop_map(|(item, count)| {
                let data_type = item.data_type();
                Value::List(Collection::Array, data_type, Some(vec![item; count]))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn values_are_read_as_they_were_written(value in any_value()) {
        let mut out = Vec::new();
        value.write(&mut out).unwrap();
        let (read, rest) = Value::parse(value.data_type(), &out).unwrap();
        prop_assert!(read == value);
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn reports_are_read_as_they_were_written(values in prop::collection::vec((any::<u16>(), any_value()), 0..5)) {
        let attributes = values.into_iter().map(|(id, value)| Attribute { id, value }).collect();
        let report = Foundation::Report(attributes);
        let mut out = Vec::new();
        report.write(&mut out).unwrap();
        prop_assert_eq!(Foundation::read(0x0a, &out).unwrap(), Some(report));
    }

    #[test]
    fn frames_that_nobody_sent_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..120),
                                          cluster in 0u16..0x0600) {
        if let Ok((header, content)) = read_any(cluster, &bytes) {
            prop_assert_eq!(write(&header, &content), bytes);
        }
    }
}

/// As [`read`], of commands that may not be there.
fn read_any(cluster: u16, bytes: &[u8]) -> Result<(ZclHeader, Content), ()> {
    let (header, rest) = ZclHeader::read(bytes).map_err(drop)?;
    let unknown = matches!(Foundation::read(header.command, rest), Ok(None));
    if header.scope() == FrameScope::Foundation && unknown {
        return Err(());
    }
    read(cluster, bytes).map_err(drop)
}

#[test]
fn third_party_frames_cut_at_each_octet_and_with_each_octet_turned_do_no_harm() {
    for case in cases("zcl_parse.json").iter().chain(&cases("zcl_serialise.json")) {
        let cluster = u16::try_from(case["clusterId"].as_u64().unwrap()).unwrap();
        let bytes = unhex(case["hex"].as_str().unwrap());
        for at in 0..bytes.len() {
            let _ = read_any(cluster, &bytes[..at]);
            let mut bent = bytes.clone();
            bent[at] ^= 0xff;
            if let Ok((header, content)) = read_any(cluster, &bent) {
                assert_eq!(write(&header, &content), bent);
            }
        }
    }
}
