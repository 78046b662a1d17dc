//! What is sent again, with another key, or in the open.

use proptest::prelude::*;
use thingward_ble::{BindKey, Error, Receiver, Security, Value};

use crate::support::{ADDRESS, KEY, OBJECTS, bthome, bthome_v1, mibeacon, service, unhex, with_key};

const MI_BATTERY: [u8; 4] = [0x03, 0x4c, 1, 50];

/// How a device seals something with a counter.
type Seal = fn(u32) -> Vec<u8>;

/// Each way to encrypt, with its service.
const SEALS: [(u16, Seal); 3] = [
    (0xfcd2, |counter| bthome(counter, &OBJECTS)),
    (0x181e, |counter| bthome_v1(counter, &[0x02, 0x01, 93])),
    (0xfe95, |counter| mibeacon(counter, &MI_BATTERY)),
];

/// bthome.io/encryption: the example of its pages.
#[test]
fn the_published_example_opens_with_its_key() {
    let key: [u8; 16] = unhex("231d39c1d7cc1ab1aee224cd096db932").try_into().unwrap();
    let mut receiver = Receiver::default();
    receiver.devices.trust(ADDRESS, BindKey::new(&key), None).unwrap();
    let report = service(&mut receiver, 0xfcd2, &unhex("41a47266c95f730011223378237214")).remove(0).unwrap();
    let values: Vec<_> = report.readings.iter().map(|reading| &reading.value).collect();
    assert_eq!(values, [&Value::Number(25.06), &Value::Number(50.55)]);
}

#[test]
fn a_counter_is_taken_once_and_never_backwards() {
    for (uuid, seal) in SEALS {
        let mut receiver = with_key(Some(500));
        let mut receive =
            |counter| service(&mut receiver, uuid, &seal(counter)).remove(0).map(|r| r.security);
        assert_eq!(receive(500), Err(Error::Repeated { counter: 500 }));
        assert_eq!(receive(499), Err(Error::Replayed { counter: 499, last: 500 }));
        assert_eq!(receive(501), Ok(Security::Encrypted));
        assert_eq!(receive(501), Err(Error::Repeated { counter: 501 }));
        assert_eq!(receive(70_000), Ok(Security::Encrypted));
        assert_eq!(receive(501), Err(Error::Replayed { counter: 501, last: 70_000 }));
        assert_eq!(receiver.devices.last_counter(ADDRESS), Some(70_000));
    }
}

#[test]
fn what_does_not_open_moves_no_counter() {
    for (uuid, seal) in SEALS {
        let mut receiver = with_key(Some(7));
        let mut forged = seal(9_000);
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(service(&mut receiver, uuid, &forged), [Err(Error::WrongKey)]);
        assert_eq!(receiver.devices.last_counter(ADDRESS), Some(7));
    }
}

#[test]
fn another_key_no_key_and_a_key_of_another_kind_are_told_apart() {
    for (uuid, seal) in SEALS {
        let mut receiver = Receiver::default();
        assert_eq!(service(&mut receiver, uuid, &seal(1)), [Err(Error::KeyMissing)]);
        let other = [KEY[1]; 16];
        receiver.devices.trust(ADDRESS, BindKey::new(&other), None).unwrap();
        assert_eq!(service(&mut receiver, uuid, &seal(1)), [Err(Error::WrongKey)]);
        receiver.devices.trust(ADDRESS, BindKey::legacy(&[1; 12]), None).unwrap();
        assert_eq!(service(&mut receiver, uuid, &seal(1)), [Err(Error::KeyKind)]);
        receiver.devices.forget(ADDRESS);
        assert_eq!(service(&mut receiver, uuid, &seal(1)), [Err(Error::KeyMissing)]);
    }
}

#[test]
fn of_a_device_with_a_key_nothing_is_taken_in_the_open() {
    let mut receiver = with_key(None);
    let open = [&[0x40][..], &OBJECTS].concat();
    assert_eq!(service(&mut receiver, 0xfcd2, &open), [Err(Error::Downgraded)]);
    assert_eq!(service(&mut receiver, 0x181c, &[0x02, 0x01, 93]), [Err(Error::Downgraded)]);
    // Nor without a check of its bytes, by an older version of MiBeacon.
    let legacy = [&[0x48, 0x30, 0x59, 0x4f, 1][..], &MI_BATTERY, &[0; 4]].concat();
    assert_eq!(service(&mut receiver, 0xfe95, &legacy), [Err(Error::KeyKind)]);
    let mut stranger = Receiver::default();
    assert_eq!(service(&mut stranger, 0xfcd2, &open)[0].as_ref().unwrap().security, Security::Open);
}

#[test]
fn the_table_of_devices_has_an_end_and_forgets_nobody() {
    let mut receiver = Receiver::default();
    let address = |n: usize| {
        let [.., a, b, c, d, e, f] = (n as u64).to_be_bytes();
        thingward_ble::Address([a, b, c, d, e, f])
    };
    for n in 0..thingward_ble::DEVICES_MAX {
        receiver.devices.trust(address(n), BindKey::new(&KEY), Some(3)).unwrap();
    }
    let devices = &mut receiver.devices;
    assert!(devices.trust(address(thingward_ble::DEVICES_MAX), BindKey::new(&KEY), None).is_err());
    assert!(devices.trust(address(0), BindKey::new(&KEY), Some(4)).is_ok());
    assert_eq!((devices.last_counter(address(0)), devices.last_counter(address(1))), (Some(4), Some(3)));
}

proptest! {
    #[test]
    fn of_any_row_of_counters_those_are_taken_that_are_higher_than_all_before(
        counters in prop::collection::vec(0_u32..20, 1..30)
    ) {
        let mut receiver = with_key(None);
        let mut highest = None;
        for counter in counters {
            let taken = service(&mut receiver, 0xfcd2, &bthome(counter, &OBJECTS))[0].is_ok();
            prop_assert_eq!(taken, highest.is_none_or(|highest| counter > highest));
            highest = highest.max(Some(counter));
        }
    }
}
