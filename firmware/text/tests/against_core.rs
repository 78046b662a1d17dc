//! Ours against the core library's check.

use thingward_text::from_utf8;

#[track_caller]
fn agrees(bytes: &[u8]) {
    assert_eq!(from_utf8(bytes), core::str::from_utf8(bytes).ok(), "{bytes:x?}");
}

#[test]
fn every_character_is_a_text() {
    let mut room = [0; 4];
    for character in '\0'..=char::MAX {
        let text: &str = character.encode_utf8(&mut room);
        assert_eq!(from_utf8(text.as_bytes()), Some(text));
    }
}

#[test]
fn up_to_three_bytes_are_a_text_when_the_core_library_says_so() {
    agrees(&[]);
    for a in 0..=u8::MAX {
        agrees(&[a]);
        for b in 0..=u8::MAX {
            agrees(&[a, b]);
            for c in 0..=u8::MAX {
                agrees(&[a, b, c]);
            }
        }
    }
}

#[test]
fn four_and_five_bytes_are_a_text_when_the_core_library_says_so() {
    // The ends of all ranges, and what is beside them.
    const EDGES: [u8; 26] = [
        0, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
        0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xff,
    ];
    for a in EDGES {
        for b in EDGES {
            for c in EDGES {
                for d in EDGES {
                    agrees(&[a, b, c, d]);
                    for e in EDGES {
                        agrees(&[a, b, c, d, e]);
                    }
                }
            }
        }
    }
}
