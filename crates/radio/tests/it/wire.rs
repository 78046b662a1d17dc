//! The channel between gateway and driver: every message there and back, and whatever else may come.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use thingward_model::Link;
use thingward_radio::wire::{
    Admission, AdmissionState, Argument, Call, Counters, DATA_BYTES_MAX, DESCRIPTION_BYTES_MAX, Exception,
    FRAME_BYTES_MAX, FrameDecoder, FrameError, KEPT_BYTES_MAX, Order, READINGS_MAX, Reading, Readings,
    RefusalKind, Report, Secret, Start, Text, Thing, Value, encode,
};

fn text<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    "\\PC{0,80}".prop_map(|text| Text::fitting(&text))
}

fn secret() -> impl Strategy<Value = Secret> {
    vec(any::<u8>(), 0..200).prop_map(Secret::new)
}

fn link() -> impl Strategy<Value = Link> {
    prop::sample::select(Link::ALL.to_vec())
}

fn value() -> impl Strategy<Value = Value> {
    let number = prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL;
    prop_oneof![
        number.prop_map(Value::Number),
        any::<bool>().prop_map(Value::Bool),
        text().prop_map(Value::Text),
        vec(any::<u8>(), 0..=DATA_BYTES_MAX).prop_map(Value::Data),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    let exception = (text(), text()).prop_map(|(thing, reason)| Exception { thing, reason });
    let argument = (text(), value()).prop_map(|(name, value)| Argument { name, value });
    prop_oneof![
        (option::of(secret()), vec(exception, 0..64)).prop_map(|(kept, exceptions)| Order::Start(Start {
            kept,
            exceptions,
            credentials: None,
            key_days: None,
        })),
        (any::<u16>(), option::of(secret()))
            .prop_map(|(seconds, printed)| Order::Admit(Admission { seconds, printed })),
        Just(Order::Close),
        (any::<u32>(), text(), text(), vec(argument, 0..16))
            .prop_map(|(id, thing, action, arguments)| Order::Call(Call { id, thing, action, arguments })),
        text().prop_map(Order::Remove),
        Just(Order::Kept),
        any::<u32>().prop_map(Order::Ask),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    let reading = (text(), text(), value()).prop_map(|(name, unit, value)| Reading { name, unit, value });
    let state = prop_oneof![
        Just(AdmissionState::Open),
        text().prop_map(AdmissionState::Joining),
        Just(AdmissionState::Closed)
    ];
    let kind = prop::sample::select(vec![
        RefusalKind::Join,
        RefusalKind::Replay,
        RefusalKind::Forgery,
        RefusalKind::Malformed,
    ]);
    let counters =
        any::<[u64; 3]>().prop_map(|[received, refused, dropped]| Counters { received, refused, dropped });
    prop_oneof![
        text().prop_map(|network| Report::Ready { network }),
        (text(), link(), vec(any::<u8>(), 0..500))
            .prop_map(|(address, link, description)| Report::Thing(Thing { address, link, description })),
        text().prop_map(Report::Left),
        (text(), link(), vec(reading, 1..=READINGS_MAX))
            .prop_map(|(thing, link, readings)| Report::Readings(Readings { thing, link, readings })),
        (any::<u32>(), option::of(text())).prop_map(|(id, failure)| Report::Done { id, failure }),
        secret().prop_map(Report::Keep),
        state.prop_map(Report::Admission),
        (option::of(text()), kind, text()).prop_map(|(thing, kind, reason)| Report::Refused {
            thing,
            kind,
            reason
        }),
        text().prop_map(Report::Trouble),
        (any::<u32>(), counters).prop_map(|(answer, counters)| Report::Alive { answer, counters }),
    ]
}

/// Messages, and what was wrong behind them.
type Taken<M> = (Vec<M>, Option<FrameError>);

/// All messages in these bytes, which come in pieces of this length.
fn take<M>(
    bytes: &[u8],
    piece: usize,
    next: impl Fn(&mut FrameDecoder) -> Result<Option<M>, FrameError>,
) -> Taken<M> {
    let (mut decoder, mut messages) = (FrameDecoder::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        decoder.push(piece);
        loop {
            match next(&mut decoder) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

fn orders(bytes: &[u8], piece: usize) -> Taken<Order> {
    take(bytes, piece, FrameDecoder::take)
}

fn reports(bytes: &[u8], piece: usize) -> Taken<Report> {
    take(bytes, piece, FrameDecoder::take)
}

/// What was read is the same message when it is written and read again.
fn is_read_again<M: PartialEq + Debug + minicbor::Encode<()>>(
    messages: &[M],
    read: fn(&[u8], usize) -> Taken<M>,
) {
    for message in messages {
        let (again, wrong) = read(&encode(message), 4096);
        assert_eq!((again.as_slice(), wrong), (std::slice::from_ref(message), None));
    }
}

/// Nothing that comes in place of `bytes` does harm: with a bit flipped, cut off, or with something behind.
fn is_unharmed(bytes: &[u8], at: usize, bit: u8) {
    let at = at % bytes.len();
    let mut flipped = bytes.to_vec();
    flipped[at] ^= 1 << bit;
    let mut extended = bytes.to_vec();
    extended.insert(at, bit);
    for bytes in [&flipped, &extended, &bytes[..at]] {
        is_read_again(&orders(bytes, 5).0, orders);
        is_read_again(&reports(bytes, 5).0, reports);
    }
}

proptest! {
    #[test]
    fn every_order_comes_as_it_was_sent(sent in vec(order(), 1..5), piece in 1_usize..100) {
        let bytes: Vec<u8> = sent.iter().flat_map(|each| encode(each).to_vec()).collect();
        prop_assert_eq!(orders(&bytes, piece), (sent, None));
    }

    #[test]
    fn every_report_comes_as_it_was_sent(sent in vec(report(), 1..5), piece in 1_usize..100) {
        let bytes: Vec<u8> = sent.iter().flat_map(|each| encode(each).to_vec()).collect();
        prop_assert_eq!(reports(&bytes, piece), (sent, None));
    }

    #[test]
    fn an_order_that_was_changed_on_the_way_is_another_one_or_none(sent in order(), at: usize, bit in 0_u8..8) {
        is_unharmed(&encode(&sent), at, bit);
    }

    #[test]
    fn a_report_that_was_changed_on_the_way_is_another_one_or_none(sent in report(), at: usize, bit in 0_u8..8) {
        is_unharmed(&encode(&sent), at, bit);
    }

    #[test]
    fn any_bytes_are_messages_or_none(bytes in vec(any::<u8>(), 1..300)) {
        let mut framed = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
        framed.extend(&bytes);
        for bytes in [&bytes, &framed] {
            is_read_again(&orders(bytes, 7).0, orders);
            is_read_again(&reports(bytes, 7).0, reports);
        }
    }

    #[test]
    fn a_message_that_is_not_whole_is_waited_for(sent in report(), at: usize) {
        let bytes = encode(&sent);
        prop_assert_eq!(reports(&bytes[..at % bytes.len()], 4096), (vec![], None));
    }
}

#[test]
fn what_is_beyond_its_limit_is_no_message() {
    let reading = |value| Reading { name: Text::EMPTY, unit: Text::EMPTY, value };
    let said = |readings| Report::Readings(Readings { thing: Text::EMPTY, link: Link::BleNone, readings });
    let described = |description| Thing { address: Text::EMPTY, link: Link::BleNone, description };
    for report in [
        said(vec![]),
        said(vec![reading(Value::Bool(true)); READINGS_MAX + 1]),
        said(vec![reading(Value::Number(f64::NAN))]),
        said(vec![reading(Value::Data(vec![0; DATA_BYTES_MAX + 1]))]),
        Report::Thing(described(vec![0; DESCRIPTION_BYTES_MAX + 1])),
    ] {
        assert_eq!(reports(&encode(&report), 4096), (vec![], Some(FrameError::Limit)));
    }
    let most = Report::Keep(Secret::new(vec![0; KEPT_BYTES_MAX]));
    assert_eq!(reports(&encode(&most), 4096), (vec![most], None));
    let more = encode(&Report::Keep(Secret::new(vec![0; KEPT_BYTES_MAX + 1])));
    assert!(matches!(reports(&more, 4096), (_, Some(FrameError::Malformed(_)))));
}

#[test]
fn a_length_that_is_claimed_takes_no_memory() {
    let claimed = u32::try_from(FRAME_BYTES_MAX + 1).unwrap();
    assert_eq!(reports(&claimed.to_be_bytes(), 4), (vec![], Some(FrameError::TooLong(claimed))));
    // Lists and strings of 2^63 items in a message of a few bytes: exceptions, arguments, readings, a secret, a description.
    let huge = [0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let bytes = [0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    for body in [
        [&[0x82, 0, 0x81, 0x82, 0xf6][..], &huge].concat(),
        [&[0x82, 0, 0x81, 0x82][..], &bytes].concat(),
        [&[0x82, 3, 0x81, 0x84, 1, 0x60, 0x60][..], &huge].concat(),
        [&[0x82, 3, 0x81, 0x83, 0x60, 1][..], &huge].concat(),
        [&[0x82, 1, 0x81, 0x83, 0x60, 1][..], &bytes].concat(),
        huge.repeat(1000),
        vec![0x81; 100_000],
    ] {
        let framed = [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat();
        assert!(matches!(orders(&framed, 4096), (none, Some(FrameError::Malformed(_))) if none.is_empty()));
        assert!(matches!(reports(&framed, 4096), (none, Some(FrameError::Malformed(_))) if none.is_empty()));
    }
}
