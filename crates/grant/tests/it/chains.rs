//! Random chains of narrowings, decided by the crate and by the reference procedure.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use thingward_crypto::{Signer, sha256};
use thingward_grant::{
    Audience, Bound, GrantId, Operation, Origin, Reference, Scope, Standing, Terms, Time, Value,
};
use thingward_model::Timestamp;

use crate::common::*;
use crate::reference::{self, Known, Side, TakenBack};

const PEOPLE: [&str; 5] = ["anna", "ben", "cem", "dana", "emil"];
const ACTIONS: [&str; 5] = ["reserve", "open", "light", "release", "set-rate"];
const PARAMETERS: [&str; 4] = ["minutes", "door", "slowly", ""];

fn value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        6 => (-1..6_i64).prop_map(Value::Integer),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(120), Just(121)].prop_map(Value::Integer),
        2 => any::<bool>().prop_map(Value::Bool),
        2 => prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(Value::Text),
    ]
}

fn bound() -> impl Strategy<Value = Bound<'static>> {
    let list = vec(value(), 1..4).prop_map(|list| Bound::OneOf(Box::leak(list.into_boxed_slice())));
    prop_oneof![
        value().prop_map(Bound::Exactly),
        list,
        (-1..4_i64, 0..150_i64).prop_map(|(least, more)| between(least, least + more)),
        (0..130_i64).prop_map(at_most),
        (0..3_i64).prop_map(|least| Bound::Range { at_least: Some(least), at_most: None }),
    ]
}

/// Members of a map that come once each.
fn members<T: std::fmt::Debug + Clone>(
    member: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<(&'static str, T)>> {
    vec((0..PARAMETERS.len(), member), 0..3).prop_map(|members| {
        let mut taken = [false; PARAMETERS.len()];
        let first = |(name, _): &(usize, T)| !std::mem::replace(&mut taken[*name], true);
        members.into_iter().filter(first).map(|(name, member)| (PARAMETERS[name], member)).collect()
    })
}

fn any_scope() -> impl Strategy<Value = Scope<'static>> {
    let usual = prop_oneof![3 => Just(right()), 2 => Just(opened()), 1 => Just(terms().scope.unwrap())];
    let random = vec((0..ACTIONS.len(), members(bound())), 0..4).prop_map(|permissions| {
        let permissions: Vec<_> =
            permissions.iter().map(|(action, bounds)| (ACTIONS[*action], bounds.as_slice())).collect();
        scope(&permissions)
    });
    prop_oneof![3 => usual, 2 => random]
}

fn any_operation() -> impl Strategy<Value = Operation<'static>> {
    let random = (0..ACTIONS.len(), members(value()))
        .prop_map(|(action, arguments)| operation(ACTIONS[action], &arguments));
    let usual = prop_oneof![
        (0..130_i64).prop_map(reserve),
        (0..6_i64, any::<bool>()).prop_map(|(door, slowly)| {
            operation("open", &[("slowly", Value::Bool(slowly)), ("door", Value::Integer(door))])
        }),
        Just(operation("release", &[])),
        Just(operation("light", &[("", Value::Text("a"))])),
    ];
    prop_oneof![5 => usual, 1 => random]
}

fn audience() -> impl Strategy<Value = Audience<'static>> {
    prop_oneof![
        20 => Just(Audience::Device(named("meter-12"))),
        20 => Just(Audience::Class(named("parking-meters"))),
        2 => Just(Audience::Class(named("street"))),
        1 => Just(Audience::Device(named("meter-13"))),
        1 => Just(Audience::Class(named("trams"))),
    ]
}

fn around_now(hours: std::ops::Range<i64>) -> impl Strategy<Value = Timestamp> {
    hours.prop_map(|hours| NOW.plus_micros(hours * HOUR))
}

fn any_terms() -> impl Strategy<Value = Terms<'static>> {
    let parts = (
        weighted(0.3, audience()),
        weighted(0.4, around_now(0..48)),
        weighted(0.3, around_now(-48..1)),
        weighted(0.3, 1..12_u32),
        weighted(0.4, any_scope()),
    );
    parts.prop_map(|(audience, expires, not_before, uses, scope)| Terms {
        audience,
        expires,
        not_before,
        uses,
        scope,
    })
}

/// Terms as an issuer has to give them.
fn first_terms() -> impl Strategy<Value = Terms<'static>> {
    (any_terms(), audience(), any_scope(), 1..9_u32).prop_map(|(terms, audience, scope, uses)| Terms {
        audience: Some(audience),
        scope: Some(scope),
        uses: if terms.expires.is_some() { terms.uses } else { Some(uses) },
        ..terms
    })
}

fn any_origin() -> impl Strategy<Value = Origin<'static>> {
    let reference = of(prop_oneof![Just(Reference::Payment("pi_1")), Just(Reference::Reason("repair"))]);
    let tenant = prop_oneof![20 => Just("stadtwerke"), 1 => Just("landkreis")];
    (tenant, any::<GrantId>(), prop_oneof![1 => Just(6), 8 => 7..9_u32], reference)
        .prop_map(|(tenant, id, epoch, reference)| Origin { issuer: named(tenant), id, epoch, reference })
}

fn any_time() -> impl Strategy<Value = Time> {
    prop_oneof![
        1 => Just(Time::Unknown),
        2 => around_now(-3..4).prop_map(Time::AtLeast),
        12 => (around_now(-1..2), 0..2_i64).prop_map(|(earliest, hours)| Time::Between {
            earliest,
            latest: earliest.plus_micros(hours * HOUR),
        }),
    ]
}

fn any_meter() -> impl Strategy<Value = Meter> {
    let opens = prop_oneof![9 => Just(opened()), 1 => any_scope()];
    let grants = prop_oneof![9 => Just(right()), 1 => any_scope()];
    (any_time(), grants, opens, 0..3_u32).prop_map(|(time, right, opened, used)| Meter {
        time,
        right,
        opened,
        used,
        ..Meter::default()
    })
}

fn seconds(time: Timestamp) -> i64 {
    time.as_seconds()
}

fn taken_back(standing: &Standing) -> TakenBack {
    TakenBack { epoch: standing.epoch(), revoked: standing.revoked().to_vec() }
}

/// The meter as the reference knows one.
fn side(meter: &Meter) -> Side {
    Side {
        tenant: "stadtwerke".to_owned(),
        name: "meter-12".to_owned(),
        classes: meter
            .classes
            .iter()
            .map(|(name, standing)| (name.to_string(), taken_back(standing)))
            .collect(),
        opened: meter.opened.as_bytes().to_vec(),
        right: meter.right.as_bytes().to_vec(),
        issuer: key("issuer").public_key().clone(),
        shared: sha256(&[b"issuer and meter"]),
        own: taken_back(&meter.standing),
        time: match meter.time {
            Time::Unknown => Known::Nothing,
            Time::AtLeast(earliest) => Known::AtLeast(seconds(earliest)),
            Time::Between { earliest, latest } => Known::Between(seconds(earliest), seconds(latest)),
        },
        nonce: NONCE,
        used: meter.used,
    }
}

/// A grant with narrowings, from the first to the last.
fn chain(is_public: bool, origin: &Origin<'_>, first: &Terms<'_>, narrowings: &[Terms<'_>]) -> Vec<Held> {
    let first =
        if is_public { Held::public(origin, first, PEOPLE[0]) } else { Held::symmetric(origin, first) };
    let mut chain = vec![first];
    for (terms, next) in narrowings.iter().zip(&PEOPLE[1..]) {
        chain.push(chain[chain.len() - 1].narrow(terms, next).unwrap());
    }
    chain
}

type Case = (bool, Origin<'static>, Terms<'static>, Vec<Terms<'static>>, Operation<'static>, Meter);

fn any_case() -> impl Strategy<Value = Case> {
    let chain = (any::<bool>(), any_origin(), first_terms(), vec(any_terms(), 0..=4));
    (chain, any_operation(), any_meter(), weighted(0.05, Just(()))).prop_map(
        |((is_public, origin, first, narrowings), operation, mut meter, is_revoked)| {
            let revoked: &[GrantId] = if is_revoked.is_some() { &[origin.id] } else { &[] };
            for standing in [&mut meter.standing, &mut meter.classes[0].1] {
                *standing = Standing::restored(7, revoked).unwrap();
            }
            (is_public, origin, first, narrowings, operation, meter)
        },
    )
}

#[test]
fn every_chain_is_decided_as_the_document_says_and_no_narrowing_gives_more() {
    let words = RefCell::new(BTreeMap::<&str, u32>::new());
    // Signatures take their time without optimisation. PROPTEST_CASES asks for more.
    let config = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { config.cases } else { 150 };
    let mut runner = TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..config });
    let run = runner.run(&any_case(), |(is_public, origin, first, narrowings, operation, meter)| {
        let mut was_permitted = true;
        for held in chain(is_public, &origin, &first, &narrowings) {
            let presentation = held.present("meter-12", &NONCE, &operation);
            let decided = meter.decide(&presentation);
            let word = decided.map(drop).map_err(|refusal| refusal.as_str());
            *words.borrow_mut().entry(word.err().unwrap_or("permitted")).or_default() += 1;
            prop_assert_eq!(word, reference::decide(&presentation, &side(&meter)));
            prop_assert!(was_permitted || decided.is_err(), "a narrowing gave more");
            was_permitted = decided.is_ok();
            if let Ok(permitted) = decided {
                let all = [&[first], narrowings.as_slice()].concat();
                let blocks = &all[..=held.grant().narrowings()];
                prop_assert_eq!(permitted.expires, blocks.iter().filter_map(|t| t.expires).min());
                prop_assert_eq!(permitted.uses, blocks.iter().filter_map(|t| t.uses).min());
                prop_assert_eq!(permitted.operation, operation);
            }
        }
        Ok(())
    });
    run.unwrap();
    // The usual ones: the others come up, but not in every run.
    for word in ["permitted", "not-granted", "not-opened", "time-unknown", "wrong-audience"] {
        assert!(words.borrow().contains_key(word), "no chain met {word}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn what_was_bent_anywhere_is_refused_by_both(
        is_public in any::<bool>(),
        origin in any_origin(),
        first in first_terms(),
        narrowings in vec(any_terms(), 0..=4),
        at in any::<prop::sample::Index>(),
        with in 1..=255_u8,
    ) {
        let meter = Meter::default();
        let chain = chain(is_public, &origin, &first, &narrowings);
        let mut presentation = chain[chain.len() - 1].present("meter-12", &NONCE, &reserve(30));
        let at = at.index(presentation.len());
        presentation[at] ^= with;
        prop_assert!(meter.decide(&presentation).is_err());
        prop_assert!(reference::decide(&presentation, &side(&meter)).is_err());
    }
}
