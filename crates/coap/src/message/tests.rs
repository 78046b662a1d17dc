use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// The message again as bytes.
fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut buffer = vec![0; 70_000];
    let mut writer = Writer::new(&mut buffer, message.kind, message.code, message.id, message.token).unwrap();
    for option in message.options {
        writer.option(option.number, option.value).unwrap();
    }
    let len = writer.finish(message.payload).unwrap();
    buffer.truncate(len);
    buffer
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[track_caller]
fn check(source: &str, hex: &str, want: Result<(Type, u8, u16, &str), DecodeError>) {
    let bytes = unhex(hex);
    let got = Message::decode(&bytes);
    let told = got.map(|m| (m.kind, m.code.byte(), m.id, m.token.as_bytes().to_vec()));
    assert_eq!(told, want.map(|w| (w.0, w.1, w.2, unhex(w.3))), "{source}");
    if let Ok(message) = got {
        assert_eq!(encode(&message), bytes, "{source}");
    }
}

#[test]
fn headers_and_options_are_read_as_the_standard_says() {
    use DecodeError::*;
    use Type::*;
    check(
        "App. A fig. 16, GET /temperature",
        "40017d34bb74656d7065726174757265",
        Ok((Confirmable, 1, 0x7d34, "")),
    );
    check("App. A fig. 16, 2.05", "60457d34ff32322e332043", Ok((Acknowledgement, 0x45, 0x7d34, "")));
    check("App. A fig. 17, token", "41017d3520bb74656d7065726174757265", Ok((Confirmable, 1, 0x7d35, "20")));
    check("§4.2, a reset is empty", "70007d34", Ok((Reset, 0, 0x7d34, "")));
    check("§3, version 2", "80017d34", Err(UnknownVersion(2)));
    check("§3, token length 9", "49017d34", Err(TokenTooLong(9)));
    check("§3, token cut short", "42017d3420", Err(Truncated));
    check("§4.1, empty with a token", "41007d3420", Err(NotEmpty));
    check("§4.1, empty with a payload", "40007d34ff00", Err(NotEmpty));
    check("§3, marker and nothing", "40017d34ff", Err(NoPayload));
    check("§3.1, delta 15", "40017d34f0", Err(ReservedNibble));
    check("§3.1, length 15", "40017d340f", Err(ReservedNibble));
    check("§3.1, delta 13 without its byte", "40017d34d0", Err(Truncated));
    check("§3.1, value cut short", "40017d34b4616263", Err(Truncated));
    check("§3.1, number 65 804", "40017d34e0ffff", Err(NumberTooLarge));
    check("§12.1, class 1", "40217d34", Err(ReservedCode(Code::from_byte(0x21))));
    check("RFC 8613 §4.2, number 9 by two deltas", "40027d346c6f63616c686f", Err(Truncated));
}

#[test]
fn a_broken_confirmable_datagram_is_owed_a_reset_and_others_are_not() {
    assert_eq!(Message::rejection(&unhex("40017d34ff")), Some([0x70, 0, 0x7d, 0x34]));
    assert_eq!(Message::rejection(&unhex("50017d34ff")), None);
    assert_eq!(Message::rejection(&unhex("80017d34ff")), None);
    assert_eq!(Message::rejection(&unhex("40017d")), None);
}

#[test]
fn a_critical_option_that_is_unknown_too_long_or_repeated_is_refused() {
    let known = [OptionNumber::URI_PATH, OptionNumber::URI_HOST, OptionNumber::ETAG];
    let refused = |options: &[(OptionNumber, &[u8])]| {
        let mut buffer = [0; 600];
        let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 1, Token::default()).unwrap();
        options.iter().for_each(|(number, value)| writer.option(*number, value).unwrap());
        let len = writer.finish(&[]).unwrap();
        Message::decode(&buffer[..len]).unwrap().unacceptable_option(&known)
    };
    assert_eq!(refused(&[(OptionNumber::URI_PATH, b"a"), (OptionNumber::URI_PATH, b"b")]), None);
    assert_eq!(refused(&[(OptionNumber::URI_PATH, &[0; 256])]), Some(OptionNumber::URI_PATH));
    assert_eq!(refused(&[(OptionNumber::URI_HOST, b"")]), Some(OptionNumber::URI_HOST));
    let twice = [(OptionNumber::URI_HOST, b"a".as_slice()), (OptionNumber::URI_HOST, b"b")];
    assert_eq!(refused(&twice), Some(OptionNumber::URI_HOST));
    assert_eq!(refused(&[(OptionNumber(2053), b"")]), Some(OptionNumber(2053)));
    assert_eq!(refused(&[(OptionNumber(2052), b""), (OptionNumber(2052), b"")]), None);
}

#[test]
fn options_have_to_ascend_and_to_fit() {
    let mut buffer = [0; 12];
    let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 1, Token::default()).unwrap();
    writer.option(OptionNumber::URI_PATH, b"abc").unwrap();
    assert_eq!(writer.option(OptionNumber::ETAG, b"x"), Err(WriteError::OutOfOrder(4)));
    assert_eq!(writer.option(OptionNumber::URI_PATH, b"abcd"), Err(WriteError::NoRoom));
}

#[test]
fn numbers_have_their_shortest_form() {
    for (value, bytes) in [(0, &[][..]), (1, &[1]), (256, &[1, 0]), (u32::MAX, &[0xff; 4])] {
        let (all, from) = uint_bytes(value);
        assert_eq!(&all[from..], bytes);
        assert_eq!(uint(bytes), Some(value));
    }
    assert_eq!(uint(&[0, 0, 0, 0, 1]), None);
}

/// Type, message id, token, options and payload.
type Parts = (u8, u16, Vec<u8>, Vec<(u16, Vec<u8>)>, Vec<u8>);

fn message() -> impl Strategy<Value = Parts> {
    let option = (any::<u16>(), prop::collection::vec(any::<u8>(), 0..400));
    let payload = prop::collection::vec(any::<u8>(), 0..64);
    let token = prop::collection::vec(any::<u8>(), 0..9);
    (0_u8..4, any::<u16>(), token, prop::collection::vec(option, 0..6), payload)
}

proptest! {
    #[test]
    fn what_is_written_is_read_again((kind, id, token, mut options, payload) in message()) {
        options.sort();
        let kind = [Type::Confirmable, Type::NonConfirmable, Type::Acknowledgement, Type::Reset][usize::from(kind)];
        let mut buffer = vec![0; 4096];
        let token = Token::new(&token).unwrap();
        let mut writer = Writer::new(&mut buffer, kind, Code::PUT, id, token).unwrap();
        for (number, value) in &options {
            writer.option(OptionNumber(*number), value).unwrap();
        }
        let len = writer.finish(&payload).unwrap();
        let read = Message::decode(&buffer[..len]).unwrap();
        prop_assert_eq!((read.kind, read.code, read.id, read.token), (kind, Code::PUT, id, token));
        prop_assert_eq!(read.payload, &payload[..]);
        let again: Vec<_> = read.options.map(|o| (o.number.0, o.value.to_vec())).collect();
        prop_assert_eq!(again, options);
    }

    #[test]
    fn no_datagram_panics_and_each_message_survives_a_round_trip(datagram in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(message) = Message::decode(&datagram) {
            let again = encode(&message);
            prop_assert_eq!(Message::decode(&again).unwrap().payload, message.payload);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "every bit and length takes too long")]
fn a_message_that_was_flipped_cut_or_extended_is_another_message_or_none() {
    let good = unhex("44015d1f00003974396c6f63616c686f737483747631ff68656c6c6f");
    let original = Message::decode(&good).unwrap();
    for at in 0..good.len() {
        for flip in 1..=255 {
            let mut bad = good.clone();
            bad[at] ^= flip;
            if let Ok(message) = Message::decode(&bad) {
                assert_ne!(message, original, "byte {at} with {flip:02x}");
            }
        }
        if let Ok(message) = Message::decode(&good[..at]) {
            assert_ne!(message, original, "cut to {at}");
        }
    }
    let longer = [&good[..], &[0]].concat();
    assert_eq!(Message::decode(&longer).unwrap().payload, b"hello\0");
}
