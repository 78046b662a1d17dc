//! What no controller and no gateway says.

use std::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use proptest::prelude::*;
use thingward_radio::wire::{
    Address, Admission, Argument, Call, Exception, Name, Secret, Sentence, Start, Value,
};
use thingward_radio::zwave::ZwaveRadio;
use thingward_radio::{Order, Output, Radio, Report};
use thingward_zwave::HomeId;

use crate::bench::{Bench, HOME};

fn kept() -> Secret {
    let bench = Bench::new(HOME, None);
    assert!(bench.is_ready());
    bench.kept.unwrap()
}

#[test]
fn a_controller_that_does_not_answer_is_given_up_so_that_it_is_asked_again() {
    let mut radio = ZwaveRadio::new(ChaCha20Rng::from_seed([3; 32]));
    radio.order(Order::Start(Start::default()), Duration::ZERO);
    let (mut ended, mut trouble) = (false, None);
    while let Some(due) = radio.due().filter(|due| !ended && *due < Duration::from_secs(60)) {
        radio.tick(due);
        while let Some(output) = radio.output() {
            match output {
                Output::Report(Report::Trouble(words)) => trouble = Some(words.to_string()),
                Output::End => ended = true,
                _ => {}
            }
        }
    }
    assert!(ended && trouble.is_some_and(|words| words.contains("does not answer")));
}

#[test]
fn the_radio_works_once_the_keys_of_its_network_are_kept() {
    let mut bench = Bench::unstarted(HOME);
    bench.radio.order(Order::Start(Start::default()), bench.now);
    // Nobody says yet that anything is kept.
    let mut keeps = 0;
    while let Some(output) = bench.radio.output() {
        match output {
            Output::Line(bytes) => bench.answer(&bytes),
            Output::End => panic!("Z-Wave gives no line up"),
            Output::Report(Report::Keep(_)) => keeps += 1,
            Output::Report(report) => bench.reports.push(report),
        }
    }
    assert_eq!((keeps, bench.is_ready()), (1, false));
    bench.order(Order::Kept);
    assert!(bench.is_ready());
}

#[test]
fn what_was_kept_of_another_network_is_trouble_and_nothing_else() {
    let mut bench = Bench::new(HomeId(7), Some(kept()));
    assert!(!bench.ended);
    assert_eq!(
        bench.trouble(),
        Some("the controller is of network 00000007, and what was kept is of c0ffee01")
    );
    bench.order(Order::Admit(Admission { seconds: 60, printed: None }));
    assert!(!bench.is_ready() && bench.kept.is_none(), "{:?}", bench.reports);
}

#[test]
fn what_was_kept_and_is_damaged_is_trouble_and_never_a_new_network() {
    let kept = kept();
    let bytes = kept.expose();
    assert!(Bench::new(HOME, Some(Secret::new(bytes.to_vec()))).is_ready());
    let cut = (0..bytes.len()).map(|len| bytes[..len].to_vec());
    let longer = [[bytes, &[0]].concat()];
    let later = [[&[2], &bytes[1..]].concat()];
    for damaged in cut.chain(longer).chain(later) {
        let bench = Bench::new(HOME, Some(Secret::new(damaged)));
        assert!(bench.trouble().is_some_and(|trouble| trouble.starts_with("what was kept")));
        assert!(!bench.is_ready() && bench.kept.is_none());
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>().prop_map(Value::Number),
        any::<bool>().prop_map(Value::Bool),
        "[a-z ]{0,12}".prop_map(|text| Value::Text(thingward_radio::wire::Text::fitting(&text))),
        prop::collection::vec(any::<u8>(), 0..16).prop_map(Value::Data),
    ]
}

fn address() -> impl Strategy<Value = Address> {
    prop_oneof!["c0ffee01-[0-9]{1,3}", "[a-z0-9-]{0,16}"].prop_map(|text| Address::fitting(&text))
}

fn order() -> impl Strategy<Value = Order> {
    let secret =
        || prop_oneof!["[0-9-]{0,60}", "90[0-9]{50,90}"].prop_map(|text| Secret::new(text.into_bytes()));
    let exception = address().prop_map(|thing| Exception { thing, reason: Sentence::fitting("why not") });
    let name = || "[a-z-]{0,12}".prop_map(|text| Name::fitting(&text));
    let argument = (name(), value()).prop_map(|(name, value)| Argument { name, value });
    let arguments = prop::collection::vec(argument, 0..4);
    prop_oneof![
        (prop::option::of(secret()), prop::collection::vec(exception, 0..3))
            .prop_map(|(kept, exceptions)| Order::Start(Start { kept, exceptions, ..Start::default() })),
        (any::<u16>(), prop::option::of(secret()))
            .prop_map(|(seconds, printed)| Order::Admit(Admission { seconds, printed })),
        Just(Order::Close),
        (any::<u32>(), address(), name(), arguments)
            .prop_map(|(id, thing, action, arguments)| Order::Call(Call { id, thing, action, arguments })),
        address().prop_map(Order::Remove),
        Just(Order::Kept),
        any::<u32>().prop_map(Order::Ask),
        Just(Order::Roll),
    ]
}

/// Bytes, frames of any function, commands of any node, and time.
fn heard() -> impl Strategy<Value = Vec<u8>> {
    let framed = |kind: u8, function: u8, payload: Vec<u8>| {
        let len = u8::try_from(payload.len() + 3).unwrap();
        let mut frame = [&[0x01, len, kind, function], payload.as_slice()].concat();
        frame.push(frame[1..].iter().fold(0xff, |sum, byte| sum ^ byte));
        frame
    };
    let bytes = || prop::collection::vec(any::<u8>(), 0..64);
    let functions = prop::sample::select(vec![0x04_u8, 0x49, 0x4a, 0x4b, 0x13, 0x0a, 0x02, 0x20, 0x41, 0xa8]);
    let classes = prop::sample::select(vec![0x25_u8, 0x31, 0x5a, 0x6c, 0x84, 0x98, 0x9f, 0x55, 0x60]);
    prop_oneof![
        bytes(),
        (0..2_u8, functions, bytes())
            .prop_map(move |(kind, function, payload)| framed(kind, function, payload)),
        (any::<u8>(), any::<u8>(), classes, bytes()).prop_map(move |(status, node, class, rest)| {
            let len = u8::try_from(rest.len() + 1).unwrap();
            framed(0, 0x04, [&[status, node, len, class], rest.as_slice()].concat())
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_and_any_orders_in_any_turn_are_taken(
        steps in prop::collection::vec((heard(), prop::option::of(order()), 0..40_u64), 0..40),
    ) {
        let mut bench = Bench::new(HOME, None);
        for (bytes, order, seconds) in steps {
            bench.receive(&bytes);
            if let Some(order) = order {
                bench.order(order);
            }
            bench.now += Duration::from_secs(seconds);
            if bench.radio.due().is_some_and(|due| due <= bench.now) {
                bench.radio.tick(bench.now);
                bench.settle();
            }
        }
        // Nobody has joined: there is nothing to be believed.
        let believed = |report: &Report| matches!(report, Report::Thing(_) | Report::Readings(_));
        prop_assert!(!bench.reports.iter().any(believed), "{:?}", bench.reports);
    }

    #[test]
    fn any_bytes_before_any_order_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let mut radio = ZwaveRadio::new(ChaCha20Rng::from_seed([3; 32]));
        radio.receive(&bytes, Duration::ZERO);
        prop_assert!(radio.output().is_none() && radio.due().is_none());
    }
}

#[test]
fn a_flood_of_a_stranger_is_a_refusal_for_each_frame_and_nothing_more() {
    let mut bench = Bench::new(HOME, None);
    while bench.radio.output().is_some() {}
    // A frame of a stranger.
    let frame = [0x01, 0x09, 0x00, 0x04, 0x00, 0x09, 0x03, 0x25, 0x03, 0xff, 0x23];
    for _ in 0..20_000 {
        bench.radio.receive(&frame, bench.now);
        // The process takes all of it each time, and has bounds of its own.
        let outputs: Vec<Output> = std::iter::from_fn(|| bench.radio.output()).collect();
        assert!(matches!(&outputs[..], [Output::Line(_), Output::Report(Report::Refused { .. })]));
    }
}
