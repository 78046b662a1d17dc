//! One of each format with every byte flipped, cut at each byte and lengthened, and bytes that nobody meant.

use proptest::prelude::*;
use thingward_ble::{BindKey, Error, Raw, Receiver, Report, Security, Value};

use crate::support::{
    ADDRESS, OBJECTS, advertisement, bthome, bthome_v1, mibeacon, service, structure, unhex, with_key,
};

/// Service or company, whether it is a company, and data in the open.
fn open() -> Vec<(u8, u16, Vec<u8>)> {
    let service = |uuid, hex: &str| (0x16, uuid, unhex(hex));
    let company = |hex: &str| (0xff, 0x0499, unhex(hex));
    vec![
        service(0xfcd2, "40000102ca0903bf133a013c0203530548656c6c6f50505d3964f100010204"),
        service(0x181c, "2302c4090303bf13023a01"),
        service(0xfe95, "5020aa01da44332211a4c10d1004fe004802"),
        service(0xfd50, "0e006e0134a428005b"),
        service(0x181d, "2210320000000000000a"),
        service(0x181b, "0226b2070101121000000a00a852"),
        company("03291a1ece1efc18f94202ca0b53"),
        company("0512fc5394c37c0004fffc040cac364200cdcbb8334c884f"),
        company("06170c5668c79e007000c90501d900cd004c884f"),
        company("e1170c5668c79e0065007004bd11ca00c90a0213e0ac000000decdee110000000000cbb8334c884f"),
    ]
}

/// Everything in a report is within its promises.
fn check(report: &Report) {
    for reading in &report.readings {
        if let Value::Number(number) = reading.value {
            assert!(number.is_finite(), "{reading:?}");
        }
        let name = reading.name.to_string();
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{name}");
    }
}

fn receive(receiver: &mut Receiver, kind: u8, tag: u16, data: &[u8]) -> Vec<Result<Report, Error>> {
    let said = receiver.receive(&advertisement(ADDRESS, &structure(kind, tag, data)));
    said.iter().flatten().for_each(check);
    said
}

/// The data with each byte replaced by several others, cut to each length, and lengthened.
fn bent(data: &[u8]) -> Vec<Vec<u8>> {
    let flipped = (0..data.len()).flat_map(|at| {
        [0x01, 0x80, 0xff, data[at]].map(|mask| {
            let mut bent = data.to_vec();
            bent[at] ^= mask;
            bent
        })
    });
    let cut = (0..data.len()).map(|len| data[..len].to_vec());
    let longer = [0x00, 0x55, 0xff].map(|byte| [data, &[byte]].concat());
    flipped.chain(cut).chain(longer).filter(|bent| bent != data).collect()
}

#[test]
fn no_open_advertisement_that_is_bent_says_more_than_it_has() {
    for (kind, tag, data) in open() {
        for bent in bent(&data) {
            receive(&mut Receiver::default(), kind, tag, &bent);
        }
    }
}

#[test]
fn an_encrypted_advertisement_with_any_byte_changed_cut_or_added_gives_nothing() {
    let sealed = [
        (0xfcd2, bthome(9, &OBJECTS)),
        (0x181e, bthome_v1(9, &[0x02, 0x01, 93])),
        (0xfe95, mibeacon(9, &[0x03, 0x4c, 1, 50])),
    ];
    for (uuid, data) in sealed {
        assert!(service(&mut with_key(None), uuid, &data)[0].is_ok());
        for bent in bent(&data) {
            // MiBeacon's control bits that nobody reads are not authenticated; what they frame is.
            let unread = uuid == 0xfe95 && bent.len() == data.len() && bent[2..] == data[2..];
            for said in receive(&mut with_key(None), 0x16, uuid, &bent) {
                assert!(said.is_err() || unread, "{uuid:x} {bent:x?} {said:?}");
            }
        }
    }
}

#[test]
fn a_changed_legacy_advertisement_is_never_called_encrypted() {
    let data = unhex("5830b603d2a5808fe6485400112233445566778899");
    for bent in bent(&data) {
        let mut receiver = Receiver::default();
        receiver.devices.trust(ADDRESS, BindKey::legacy(&[7; 12]), None).unwrap();
        for said in receive(&mut receiver, 0x16, 0xfe95, &bent) {
            assert!(said.is_err() || said.is_ok_and(|report| report.security == Security::Unauthenticated));
        }
    }
}

#[test]
fn a_legacy_advertisement_without_an_object_shows_no_key_right() {
    let mut receiver = Receiver::default();
    receiver.devices.trust(ADDRESS, BindKey::legacy(&[7; 12]), None).unwrap();
    assert_eq!(service(&mut receiver, 0xfe95, &unhex("4830b60301000000ff")), [Err(Error::WrongKey)]);
}

#[test]
fn what_is_not_understood_is_given_raw() {
    let raw = |uuid, hex: &str| service(&mut Receiver::default(), uuid, &unhex(hex)).remove(0).unwrap().raw;
    let object = |id, hex| Raw::Object { id, value: unhex(hex) };
    assert_eq!(
        raw(0xfcd2, "4001617e0102"),
        [Raw::Rest(unhex("7e0102"))],
        "of an unknown id nobody knows the length"
    );
    assert_eq!(raw(0xfcd2, "4002ca0903bf"), [Raw::Rest(unhex("03bf"))], "a cut object");
    assert_eq!(raw(0xfcd2, "40530187"), [object(0x53, "87")], "a text that is none");
    assert_eq!(raw(0xfcd2, "403afe"), [object(0x3a, "fe")], "a press that there is not");
    assert_eq!(raw(0x181c, "037e0102"), [object(0x7e, "0102")], "version 1 tells the length");
    let beacon = "5050594f01a5808fe64854";
    assert_eq!(raw(0xfe95, &format!("{beacon}5544020102")), [object(0x4455, "0102")]);
    assert_eq!(
        raw(0xfe95, &format!("{beacon}04100101")),
        [object(0x1004, "01")],
        "too short for a temperature"
    );
    assert_eq!(raw(0xfe95, &format!("{beacon}0410020102ff")), [Raw::Rest(vec![0xff])]);
}

#[test]
fn an_address_that_is_not_the_senders_a_mesh_and_an_old_version_are_refused() {
    let error = |uuid, hex| service(&mut Receiver::default(), uuid, &unhex(hex)).remove(0).unwrap_err();
    assert_eq!(error(0xfcd2, "42b2188d38c1a404138a01"), Error::AddressMismatch);
    assert_eq!(error(0xfe95, "5050594f01ffffffffffff0410020102"), Error::AddressMismatch);
    assert_eq!(error(0xfe95, "d050594f01"), Error::Mesh);
    assert!(matches!(error(0xfe95, "5010594f01"), Error::Version(_, 1)));
    assert!(matches!(error(0xfcd2, "20"), Error::Version(_, 1)));
}

proptest! {
    #[test]
    fn any_bytes_in_any_service_are_read_without_harm(
        kind in prop::sample::select(vec![0x16_u8, 0xff]),
        tag in prop::sample::select(vec![0xfcd2_u16, 0x181c, 0x181e, 0xfe95, 0xfd50, 0x181d, 0x181b, 0x0499]),
        data in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        receive(&mut with_key(None), kind, tag, &data);
        receive(&mut Receiver::default(), kind, tag, &data);
    }

    #[test]
    fn any_numbers_of_bthome_come_back(temperature in any::<i16>(), count in any::<u32>(), mass in any::<u16>()) {
        let objects = [&[0x40, 0x02][..], &temperature.to_le_bytes(), &[0x3e], &count.to_le_bytes(),
            &[0x06], &mass.to_le_bytes()].concat();
        let report = service(&mut Receiver::default(), 0xfcd2, &objects).remove(0).unwrap();
        let values: Vec<_> = report.readings.into_iter().map(|reading| reading.value).collect();
        prop_assert_eq!(values, [
            Value::Number(f64::from(temperature) / 100.0),
            Value::Number(f64::from(count)),
            Value::Number(f64::from(mass) / 100.0),
        ]);
    }
}
