//! A controller's packets, and recordings of them.

use proptest::prelude::*;
use thingward_ble::btsnoop::{Recording, SnoopError};
use thingward_ble::hci::{Event, HciError, Packet, split};
use thingward_ble::{AddressKind, Error, Receiver};

use crate::support::{ADDRESS, OBJECTS, structure};

fn data() -> Vec<u8> {
    structure(0x16, 0xfcd2, &[&[0x40][..], &OBJECTS].concat())
}

/// An event with `count` reports, without H4's type.
fn event(subevent: u8, count: u8, reports: &[u8]) -> Vec<u8> {
    let len = u8::try_from(reports.len() + 2).unwrap();
    [&[0x3e, len, subevent, count][..], reports].concat()
}

fn legacy(data: &[u8], rssi: u8) -> Vec<u8> {
    [&[0x00, 0x01][..], &ADDRESS.to_air(), &[u8::try_from(data.len()).unwrap()], data, &[rssi]].concat()
}

fn extended(event_type: u8, data: &[u8]) -> Vec<u8> {
    let tail = [0x01, 0x00, 0xff, 0x7f, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, u8::try_from(data.len()).unwrap()];
    [&[event_type, 0, 0x00][..], &ADDRESS.to_air(), &tail, data].concat()
}

fn recording(link: u32, records: &[(u32, &[u8])]) -> Vec<u8> {
    let mut file = [&b"btsnoop\0"[..], &1_u32.to_be_bytes(), &link.to_be_bytes()].concat();
    for (flags, packet) in records {
        let len = u32::try_from(packet.len()).unwrap().to_be_bytes();
        let micros = (0x00dc_ddb3_0f2f_8000_i64 + 1_700_000_000_000_000).to_be_bytes();
        file.extend([&len[..], &len, &flags.to_be_bytes(), &[0; 4], &micros, packet].concat());
    }
    file
}

#[test]
fn a_legacy_event_has_several_advertisements() {
    let data = data();
    let event = event(0x02, 2, &[legacy(&data, 0xc4), legacy(&[], 127)].concat());
    let packet = [&[0x04][..], &event, &[0x04]].concat();
    let (Packet::Event(event), len) = split(&packet).unwrap().unwrap() else { panic!("an event") };
    assert_eq!(len, packet.len() - 1);
    let told: Vec<_> = event.advertisements().map(Result::unwrap).collect();
    assert_eq!(
        (told[0].address, told[0].address_kind, told[0].rssi),
        (ADDRESS, AddressKind::Random, Some(-60))
    );
    assert_eq!((told[0].data, told[1].data, told[1].rssi), (&data[..], &[][..], None));
    assert_eq!(told.len(), 2);
}

#[test]
fn an_extended_event_tells_what_is_incomplete() {
    let (data, mut receiver) = (data(), Receiver::default());
    let event = event(0x0d, 2, &[extended(0x00, &data), extended(0x20, &data[..4])].concat());
    let told: Vec<_> = Event::parse(&event).unwrap().advertisements().map(Result::unwrap).collect();
    assert!(receiver.receive(&told[0])[0].is_ok());
    assert_eq!(receiver.receive(&told[1]), [Err(Error::Incomplete)]);
}

#[test]
fn of_an_advertisement_in_parts_no_later_part_is_taken_for_a_whole_one() {
    let (data, mut receiver) = (data(), Receiver::default());
    let mut said = |event_type: u8, set: u8, data: &[u8]| {
        let mut report = extended(event_type, data);
        report[11] = set;
        let event = event(0x0d, 1, &report);
        let told = Event::parse(&event).unwrap().advertisements().next().unwrap().unwrap();
        receiver.receive(&told)
    };
    for (last, after) in [(0x00, 0x20), (0x40, 0x20)] {
        assert_eq!(said(0x20, 1, &data[..4]), [Err(Error::Incomplete)]);
        assert_eq!(said(after, 1, &data), [Err(Error::Incomplete)]);
        // Another set of the same device is another advertisement.
        assert!(said(0x00, 2, &data)[0].is_ok());
        assert_eq!(said(last, 1, &data), [Err(Error::Incomplete)]);
        assert!(said(0x00, 1, &data)[0].is_ok());
    }
}

#[test]
fn an_advertisement_that_names_nobody_is_of_nobody() {
    let data = data();
    let mut report = extended(0x00, &data);
    report[2] = 0xff;
    let event = event(0x0d, 1, &report);
    let told = Event::parse(&event).unwrap().advertisements().next().unwrap().unwrap();
    assert_eq!(told.address_kind, AddressKind::Anonymous);
    assert_eq!(Receiver::default().receive(&told), []);
}

#[test]
fn other_packets_are_passed_over_and_a_lost_place_is_told() {
    assert_eq!(split(&[0x01, 0x0c, 0x20, 0x02, 1, 0, 0x04]), Ok(Some((Packet::Other, 6))));
    assert_eq!(split(&[0x02, 0x40, 0x20, 0x01, 0x00, 0xaa]), Ok(Some((Packet::Other, 6))));
    assert_eq!(split(&[0x04, 0x0e, 0x04, 1]), Ok(None));
    assert_eq!(split(&[]), Ok(None));
    assert_eq!(split(&[0x09]), Err(HciError::PacketType(9)));
}

#[test]
fn all_three_kinds_of_recording_give_the_same_advertisements() {
    let (data, other) = (data(), [0x0e, 0x01, 0x00]);
    let bare = event(0x02, 1, &legacy(&data, 0xc4));
    let (h4, h4_other) = ([&[0x04][..], &bare].concat(), [&[0x04][..], &other].concat());
    let files = [
        recording(1001, &[(3, &other), (3, &bare), (1, &[1, 2])]),
        recording(1002, &[(3, &h4_other), (3, &h4)]),
        recording(2001, &[(0x0001_0003, &other), (0x0001_0003, &bare), (0x0001_0002, &[1])]),
    ];
    for file in files {
        let told: Vec<_> = Recording::new(&file).unwrap().advertisements().map(Result::unwrap).collect();
        let [(micros, advertisement)] = told[..] else { panic!("one advertisement") };
        assert_eq!(
            (micros, advertisement.address, advertisement.data),
            (1_700_000_000_000_000, ADDRESS, &data[..])
        );
        for len in 16..file.len() {
            let read = Recording::new(&file[..len]).unwrap().collect::<Result<Vec<_>, _>>();
            assert!(read.is_ok_and(|records| records.len() < 3) || len > 16, "cut to {len}");
        }
    }
}

#[test]
fn a_recording_with_any_byte_changed_or_added_is_read_to_its_end_or_first_error() {
    let event = event(0x0d, 2, &[extended(0x00, &data()), extended(0x00, &data())].concat());
    let file = recording(2001, &[(3, &event), (3, &event)]);
    let mut receiver = Receiver::default();
    let mut play = |file: &[u8]| {
        let Ok(recording) = Recording::new(file) else { return 0 };
        recording.advertisements().flatten().map(|(_, told)| receiver.receive(&told).len()).sum()
    };
    assert_eq!(play(&file), 4);
    for at in 0..file.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut bent = file.clone();
            bent[at] ^= mask;
            assert!(play(&bent) <= 8, "byte {at}");
        }
    }
    assert_eq!(play(&[&file[..], &[0]].concat()), 4);
}

#[test]
fn what_is_no_recording_is_refused_by_name() {
    assert_eq!(Recording::new(b"snoop\0\0\0").unwrap_err(), SnoopError::Header);
    assert_eq!(Recording::new(&recording(7, &[])).unwrap_err(), SnoopError::DataLink(7));
    let mut long = recording(1002, &[(3, &[4])]);
    long[20..24].copy_from_slice(&[0x7f; 4]);
    assert_eq!(Recording::new(&long).unwrap().next(), Some(Err(SnoopError::TooLong(0x7f7f_7f7f))));
    let cut = recording(1002, &[(3, &[4, 0x0e, 0])]);
    assert_eq!(Recording::new(&cut[..cut.len() - 1]).unwrap().next(), Some(Err(SnoopError::Truncated)));
}

proptest! {
    #[test]
    fn any_bytes_behind_a_head_end(
        link in prop::sample::select(vec![1001, 1002, 2001]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let file = [recording(link, &[]), bytes].concat();
        let told = Recording::new(&file).unwrap().advertisements().count();
        prop_assert!(told <= 255 * 10);
    }

    #[test]
    fn any_bytes_as_an_event_end(subevent in prop::sample::select(vec![0x02, 0x0d]), count in any::<u8>(),
        bytes in prop::collection::vec(any::<u8>(), 0..200))
    {
        let event = event(subevent, count, &bytes);
        let mut receiver = Receiver::default();
        for told in Event::parse(&event).unwrap().advertisements().flatten() {
            receiver.receive(&told);
        }
    }
}
