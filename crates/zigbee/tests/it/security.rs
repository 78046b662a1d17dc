//! Figures of the Zigbee specification (annex C) and of Base Device Behavior.

use proptest::prelude::*;
use thingward_zigbee::address::Eui64;
use thingward_zigbee::security::{
    FrameCounters, Freshness, InstallCode, InstallCodeError, Key, KeyIdentifier, OpenError, SecurityHeader,
    SecurityLevel, hash, keyed_hash, open, seal,
};

use crate::vectors::{hex, unhex};

const LEVELS: [SecurityLevel; 6] = [
    SecurityLevel::Mic32,
    SecurityLevel::Mic64,
    SecurityLevel::Mic128,
    SecurityLevel::EncryptedMic32,
    SecurityLevel::EncryptedMic64,
    SecurityLevel::EncryptedMic128,
];

#[test]
fn the_hash_gives_the_figures_of_annex_c() {
    assert_eq!(hex(&hash(&unhex("c0"))), "ae3a102a28d43ee0d4a09e22788b206c");
    assert_eq!(hex(&hash(&unhex("c0c1c2c3c4c5c6c7c8c9cacbcccdcecf"))), "a7977e88bc0b61e8210827109a228f2d");
    let key = Key::from_hex("404142434445464748494a4b4c4d4e4f").unwrap();
    assert_eq!(hex(&keyed_hash(&key, &unhex("c0"))), "4512807bf94cb3400f0e2c25fb76e999");
}

#[test]
fn long_messages_give_the_figures_of_annex_c_on_both_sides_of_the_longer_length() {
    let message: Vec<u8> = (0..=255).cycle().take(8202).collect();
    let figures = [
        (8191, "24ec2fe75bbffcb34789bc0610e7f165"),
        (8192, "dc6b0687f09f8607131c170b3bd31591"),
        (8201, "72c9b15e178aa843e4a16c58e33643a3"),
        (8202, "bc9828d59b2aa323daf20be5f2e66511"),
    ];
    for (len, digest) in figures {
        assert_eq!(hex(&hash(&message[..len])), digest, "{len}");
    }
}

#[test]
fn the_well_known_link_key_gives_the_transport_key_that_every_sniffer_knows() {
    let key = Key::new(Key::WELL_KNOWN_LINK);
    assert!(key.key_transport() == Key::from_hex("4bab0f173e1434a2d572e1c1ef478782").unwrap());
    assert!(key.key_transport() != key.key_load());
}

#[test]
fn an_install_code_gives_the_link_key_of_base_device_behavior() {
    let code = InstallCode::parse("83FE D340 7A93 9723 A5C6 39B2 6916 D505 C3B5").unwrap();
    assert!(code.link_key() == Key::from_hex("66b6900981e1ee3ca4206b6b861c02bb").unwrap());
}

#[test]
fn a_misread_install_code_is_refused() {
    let right = unhex("83fed3407a939723a5c639b26916d505c3b5");
    for at in 0..right.len() {
        for bit in 0..8 {
            let mut wrong = right.clone();
            wrong[at] ^= 1 << bit;
            assert!(matches!(InstallCode::from_octets(&wrong), Err(InstallCodeError::Checksum)));
        }
    }
    assert!(matches!(InstallCode::from_octets(&right[1..]), Err(InstallCodeError::Length(17))));
    assert!(matches!(InstallCode::parse("83FED"), Err(InstallCodeError::Digit)));
    assert!(matches!(InstallCode::parse("83FG"), Err(InstallCodeError::Digit)));
}

#[test]
fn keys_are_read_with_and_without_colons_and_nothing_else() {
    let plain = Key::from_hex("000102030405060708090A0b0c0d0e0f").unwrap();
    assert!(plain == Key::from_hex("00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f\n").unwrap());
    for wrong in ["", "00", "000102030405060708090a0b0c0d0e0f00", "x00102030405060708090a0b0c0d0e0f"] {
        assert!(Key::from_hex(wrong).is_err(), "{wrong}");
    }
}

fn header() -> SecurityHeader {
    SecurityHeader {
        sent_level: 0,
        key: KeyIdentifier::Network(0),
        frame_counter: 7,
        source: Some(Eui64(0x1122_3344_5566_7788)),
    }
}

#[test]
fn a_frame_with_any_bit_turned_is_not_opened() {
    let (key, source) = (Key::new([7; 16]), Eui64(0x1122_3344_5566_7788));
    for level in LEVELS {
        let sealed = seal(&key, level, b"header", &header(), source, b"payload").unwrap();
        assert_eq!(open(&key, level, b"header", &header(), source, &sealed).unwrap(), b"payload");
        assert_eq!(sealed.len(), 7 + level.mic_bytes());
        assert_eq!(sealed.starts_with(b"payload"), !level.encrypts());
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut bent = sealed.clone();
                bent[at] ^= 1 << bit;
                let opened = open(&key, level, b"header", &header(), source, &bent);
                assert_eq!(opened, Err(OpenError::Integrity));
            }
        }
        let other = Eui64(1);
        assert!(open(&key, level, b"header", &header(), other, &sealed).is_err());
        assert!(open(&key, level, b"headed", &header(), source, &sealed).is_err());
        assert!(open(&Key::new([8; 16]), level, b"header", &header(), source, &sealed).is_err());
        let later = SecurityHeader { frame_counter: 8, ..header() };
        assert!(open(&key, level, b"header", &later, source, &sealed).is_err());
        let short = &sealed[..level.mic_bytes() - 1];
        assert_eq!(open(&key, level, b"header", &header(), source, short), Err(OpenError::TooShort));
    }
}

#[test]
fn a_counter_is_taken_once_and_never_an_older_one() {
    let mut counters = FrameCounters::default();
    let (a, b) = (Eui64(1), Eui64(2));
    assert_eq!(counters.accept(a, 5), Freshness::Fresh);
    assert_eq!(counters.accept(a, 5), Freshness::Replayed { expected: 6 });
    assert_eq!(counters.accept(a, 0), Freshness::Replayed { expected: 6 });
    assert_eq!(counters.accept(b, 0), Freshness::Fresh);
    assert_eq!(counters.accept(a, 6), Freshness::Fresh);
    assert_eq!(counters.accept(a, u32::MAX - 1), Freshness::Fresh);
    assert_eq!(counters.accept(a, u32::MAX), Freshness::Exhausted);
    assert_eq!(counters.accept(a, 7), Freshness::Replayed { expected: u32::MAX });
}

#[test]
fn more_sources_than_can_be_kept_count_of_are_said_to_be_untracked() {
    let mut counters = FrameCounters::default();
    for source in 0..8192 {
        assert_eq!(counters.accept(Eui64(source), 0), Freshness::Fresh);
    }
    assert_eq!(counters.accept(Eui64(9000), 0), Freshness::Untracked);
    assert_eq!(counters.accept(Eui64(3), 0), Freshness::Replayed { expected: 1 });
}

proptest! {
    #[test]
    fn what_is_sealed_opens(payload in prop::collection::vec(any::<u8>(), 0..128), aad in any::<[u8; 9]>(),
                            key in any::<[u8; 16]>(), counter in any::<u32>(), level in 0usize..6) {
        let (key, level, source) = (Key::new(key), LEVELS[level], Eui64(9));
        let security = SecurityHeader { frame_counter: counter, ..header() };
        let sealed = seal(&key, level, &aad, &security, source, &payload).unwrap();
        prop_assert_eq!(open(&key, level, &aad, &security, source, &sealed).unwrap(), payload);
    }
}
