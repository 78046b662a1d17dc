//! Commands in two frames.

use super::*;

const OURS: Nonce = [1; 8];
const THEIRS: Nonce = [2; 8];

fn node(number: u16) -> NodeId {
    NodeId::new(number).unwrap()
}

/// A frame with a sequence byte of its own.
fn frame(keys: &NetworkKeys0, header: u8, text: &[u8]) -> Vec<u8> {
    let iv = initial_vector(&OURS, &THEIRS);
    let text = decrypt(keys, iv, text);
    let code = authentication_code(keys, iv, (header, 9, 1), &text);
    [&[0x98, header], OURS.as_slice(), &text, &THEIRS[..1], &code].concat()
}

#[test]
fn parts_are_told_apart_under_both_headers() {
    let keys = NetworkKeys0::derive(Key::new([7; 16]));
    for header in [ENCAPSULATION, ENCAPSULATION_NONCE_GET] {
        for (head, part) in [
            (0x00, Part::Whole(vec![0x20, 0x02])),
            (0x13, Part::First(3, vec![0x20, 0x02])),
            (0x33, Part::Second(3, vec![0x20, 0x02])),
        ] {
            let frame = frame(&keys, header, &[head, 0x20, 0x02]);
            assert_eq!(open(&keys, (node(9), node(1)), &frame, |_| Some(THEIRS)), Ok(part));
        }
    }
}

#[test]
fn one_header_does_not_pass_for_the_other() {
    let keys = NetworkKeys0::derive(Key::new([7; 16]));
    let mut frame = frame(&keys, ENCAPSULATION, &[0x00, 0x20, 0x02]);
    frame[1] = ENCAPSULATION_NONCE_GET;
    let opened = open(&keys, (node(9), node(1)), &frame, |_| Some(THEIRS));
    assert_eq!(opened, Err(EncapsulationError::Forged));
}
