//! Long commands in segments.

use std::time::Duration;

use proptest::prelude::*;
use thingward_zwave::command_class::transport_service::{Assembled, Assembler, Segment};
use thingward_zwave::{Command, NodeId};

fn node() -> NodeId {
    NodeId::new(5).unwrap()
}

fn read(bytes: &[u8]) -> Segment {
    let Ok(Command::TransportService(segment)) = Command::parse(bytes) else {
        panic!("no segment: {bytes:02x?}")
    };
    segment
}

#[test]
fn a_long_command_comes_out_as_it_went_in() {
    let command: Vec<u8> = (0..1000_u32).map(|n| (n % 251) as u8).collect();
    let segments = Segment::split(&command, 3).unwrap();
    let mut assembler = Assembler::default();
    let last = segments.len() - 1;
    for (at, segment) in segments.into_iter().enumerate() {
        let segment = read(&Command::from(segment).to_bytes());
        let result = assembler.push(node(), segment, Duration::ZERO);
        if at < last {
            assert_eq!(result, Assembled::More);
        } else {
            assert_eq!(result, Assembled::Command(command.clone(), Segment::Complete { session: 3 }));
        }
    }
}

#[test]
fn a_missing_segment_is_asked_for_and_a_late_one_comes_to_nothing() {
    let segments = Segment::split(&[7; 100], 1).unwrap();
    let mut assembler = Assembler::default();
    assert_eq!(assembler.push(node(), segments[0].clone(), Duration::ZERO), Assembled::More);
    let missing = assembler.push(node(), segments[2].clone(), Duration::ZERO);
    assert_eq!(missing, Assembled::Missing(Segment::Request { session: 1, offset: 39 }));
    let late = assembler.push(node(), segments[1].clone(), Duration::from_secs(1));
    assert_eq!(late, Assembled::Ignored);
}

#[test]
fn a_flipped_bit_in_a_segment_is_refused() {
    for segment in Segment::split(&[7; 60], 1).unwrap() {
        let bytes = Command::from(segment).to_bytes();
        for bit in 16..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Command::parse(&bad).is_err(), "bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn segments_in_any_order_and_of_any_kind_never_give_another_command(
        order in proptest::collection::vec((0_usize..3, 0_u64..2000), 0..20),
    ) {
        let command = [9; 100].to_vec();
        let segments = Segment::split(&command, 1).unwrap();
        let mut assembler = Assembler::default();
        let mut now = Duration::ZERO;
        for (at, wait) in order {
            now += Duration::from_millis(wait);
            if let Assembled::Command(whole, _) = assembler.push(node(), segments[at].clone(), now) {
                prop_assert_eq!(&whole, &command);
            }
        }
    }
}
