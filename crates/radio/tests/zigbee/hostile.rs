//! Lines, coordinators and gateways that make things up.

use std::time::Duration;

use proptest::prelude::*;
use thingward_radio::Radio;
use thingward_radio::wire::{
    Admission, Argument, Call, Exception, Name, Order, RefusalKind, Secret, Sentence, Start, Value, Words,
};
use thingward_radio::zigbee::ZigbeeRadio;

use crate::world::{BULB, CODE, World, address, node, refusals, trouble};
use thingward_zigbee::emulated::Kind;

/// Everything that it has to say, which is bounded by what it was told.
fn drain(radio: &mut ZigbeeRadio) -> usize {
    std::iter::from_fn(|| radio.output()).count()
}

fn order() -> impl Strategy<Value = Order> {
    let value = prop_oneof![
        any::<f64>().prop_map(Value::Number),
        any::<bool>().prop_map(Value::Bool),
        ".{0,20}".prop_map(|text| Value::Text(Words::fitting(&text))),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Data),
    ];
    let name = prop_oneof![Just(String::new()), Just("level".to_owned()), ".{0,10}"];
    let argument = (name, value).prop_map(|(name, value)| Argument { name: Name::fitting(&name), value });
    let thing = || prop_oneof![Just(BULB), any::<u64>()].prop_map(address);
    let action = prop_oneof![Just("turn-on"), Just("set-level"), Just("identify"), Just("explode")];
    let call = (any::<u32>(), thing(), action, prop::collection::vec(argument, 0..4));
    let printed = prop_oneof![
        Just(format!("{BULB:016x}:{CODE}").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop_oneof![
        prop::option::of(prop::collection::vec(any::<u8>(), 0..60)).prop_map(|kept| Order::Start(Start {
            kept: kept.map(Secret::new),
            exceptions: vec![Exception { thing: address(1), reason: Sentence::default() }],
            credentials: None,
            key_days: None,
        })),
        (any::<u16>(), prop::option::of(printed)).prop_map(|(seconds, printed)| Order::Admit(Admission {
            seconds,
            printed: printed.map(Secret::new)
        })),
        Just(Order::Close),
        call.prop_map(|(id, thing, action, arguments)| {
            Order::Call(Call { id, thing, action: Name::fitting(action), arguments })
        }),
        thing().prop_map(Order::Remove),
        Just(Order::Kept),
        any::<u32>().prop_map(Order::Ask),
        Just(Order::Roll),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_octets_on_the_line_do_no_harm(octets in prop::collection::vec(any::<u8>(), 0..600), running: bool) {
        let mut world = if running { World::started(Vec::new()) } else { World::new(Vec::new()) };
        if !running {
            world.radio.order(Order::Start(Start::default()), Duration::ZERO);
        }
        drain(&mut world.radio);
        for (at, part) in octets.chunks(50).enumerate() {
            let now = world.now + Duration::from_secs(u64::try_from(at).unwrap());
            world.radio.receive(part, now);
            world.radio.tick(now);
            prop_assert!(drain(&mut world.radio) <= 4 * part.len() + 16);
        }
    }

    #[test]
    fn any_orders_at_any_time_do_no_harm(orders in prop::collection::vec((order(), 0u64..40), 0..30)) {
        let mut world = World::new(vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))]);
        world.start();
        for (order, seconds) in orders {
            world.order(order);
            world.pass(seconds);
        }
        prop_assert_eq!(trouble(&world.take()), None);
    }

    #[test]
    fn any_news_of_a_coordinator_do_no_harm(
        news in prop::collection::vec((prop_oneof![
            Just(0x0019u16), Just(0x0024), Just(0x003f), Just(0x0045), Just(0x009b), any::<u16>(),
        ], prop::collection::vec(any::<u8>(), 0..60)), 0..60),
    ) {
        let mut world = World::started(vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))]);
        world.join(BULB);
        world.coordinator.borrow_mut().news.extend(news);
        world.pass(30);
        world.order(Order::Ask(1));
    }

    #[test]
    fn any_messages_of_a_thing_do_no_harm(
        messages in prop::collection::vec((
            prop_oneof![Just(0u16), Just(0x0104)],
            prop_oneof![Just(0x0006u16), Just(0x0000), Just(0x0013), Just(0x8002), Just(0x0500), any::<u16>()],
            any::<u8>(),
            prop::collection::vec(any::<u8>(), 0..60),
        ), 0..60),
    ) {
        let mut world = World::started(vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))]);
        world.join(BULB);
        for (profile, cluster, endpoint, payload) in messages {
            let mut coordinator = world.coordinator.borrow_mut();
            let said = thingward_zigbee::emulated::Said { profile, cluster, endpoint, payload };
            let news = coordinator.incoming(0, said);
            coordinator.news.push(news);
        }
        world.pass(30);
        prop_assert_eq!(trouble(&world.take()), None);
    }
}

#[test]
fn damage_on_the_line_is_told_within_measure() {
    let mut world = World::started(Vec::new());
    for _ in 0..1000 {
        world.radio.receive(&[0x55, 0x66, 0x77, 0x7e], world.now);
    }
    world.pass(1);
    let told = refusals(&world.take());
    assert_eq!(told.len(), 8);
    assert!(told.iter().all(|(_, kind, _)| *kind == RefusalKind::Malformed));
}
