//! What a meter serves, and what it refuses with which word.

use thingward_crypto::Signer;
use thingward_grant::{
    Audience, Bound, FormatError, Operation, Origin, Presentation, Profile, Refusal, Standing, Terms, Time,
    Value, public,
};

use crate::common::*;

#[test]
fn a_stranger_reserves_the_bay_by_either_profile() {
    for held in Held::both() {
        let presentation = held.present("meter-12", &NONCE, &reserve(120));
        let permitted = Meter::default().decide(&presentation).unwrap();
        assert_eq!(permitted.operation, reserve(120));
        assert_eq!(permitted.operation.argument("minutes"), Ok(Some(Value::Integer(120))));
        assert_eq!((permitted.grant, permitted.epoch, permitted.uses), (ID, 7, Some(1)));
        assert_eq!(permitted.expires, terms().expires);
        assert_eq!(permitted.reference, origin().reference);
    }
}

#[test]
fn a_grant_says_what_it_says_to_whoever_reads_it() {
    for (held, profile) in Held::both().iter().zip([Profile::Public, Profile::Symmetric]) {
        let narrowed = held.narrow(&narrower(), "ben").unwrap();
        let grant = narrowed.grant();
        assert_eq!((grant.profile(), grant.narrowings()), (profile, 1));
        assert_eq!(grant.origin_unverified(), &origin());
        let said: Vec<_> = grant.terms_unverified().map(Result::unwrap).collect();
        assert_eq!(said, [terms(), narrower()]);
    }
}

#[test]
fn anybody_with_the_issuers_key_verifies_a_use_and_no_part_of_it_can_be_anothers() {
    let held = Held::public(&origin(), &terms(), "anna").narrow(&narrower(), "ben").unwrap();
    let bytes = held.present("meter-12", &NONCE, &reserve(20));
    let verify = |bytes: &[u8], issuer: &str| {
        public::verify_used(&Presentation::decode(bytes).unwrap(), key(issuer).public_key()).map(|used| {
            assert_eq!((used.origin, used.device.as_str(), used.nonce), (origin(), "meter-12", NONCE));
            assert_eq!(used.operation.as_bytes(), reserve(20).as_bytes());
        })
    };
    assert_eq!(verify(&bytes, "issuer"), Ok(()));
    assert_eq!(verify(&bytes, "mallory"), Err(FormatError::Crypto));
    // The proof of somebody who held it before, behind the same grant.
    let before = Held::public(&origin(), &terms(), "anna");
    let by_anna = before.present("meter-12", &NONCE, &reserve(20));
    let proof = &by_anna[before.bytes.len()..];
    assert_eq!(verify(&[&held.bytes, proof].concat(), "issuer"), Err(FormatError::Crypto));
    let own = &bytes[held.bytes.len()..];
    assert_eq!(verify(&[&before.bytes, own].concat(), "issuer"), Err(FormatError::Crypto));
    // What was issued and who holds it now can be told from the grant alone.
    assert_eq!(held.grant().issued_bytes(), Ok(before.bytes.as_slice()));
    assert_eq!(held.grant().holder_unverified(), Ok(Some(holder_key("ben"))));
}

#[test]
fn anybody_with_the_issuers_key_verifies_a_public_grant() {
    let held = Held::public(&origin(), &terms(), "anna").narrow(&narrower(), "ben").unwrap();
    let holder = public::verify(&held.grant(), key("issuer").public_key());
    assert_eq!(holder.as_ref(), Ok(key("ben").public_key()));
    let other = public::verify(&held.grant(), key("mallory").public_key());
    assert_eq!(other, Err(FormatError::Crypto));
}

/// What the meter says about an operation that a grant with these terms asks for, in both profiles.
#[track_caller]
fn check(meter: &Meter, terms: &Terms<'_>, operation: &Operation<'_>, want: Result<(), Refusal>) {
    for held in [Held::public(&origin(), terms, "anna"), Held::symmetric(&origin(), terms)] {
        assert_eq!(meter.asked(&held, operation), want, "{:?}", held.grant().profile());
    }
}

#[test]
fn nobody_sets_the_toll_rate_whatever_their_grant_says() {
    let rate = operation("set-rate", &[("cents", Value::Integer(0))]);
    let all = Terms { scope: Some(scope(&[("set-rate", &[]), ("reserve", &[])])), ..terms() };
    check(&Meter::default(), &all, &rate, Err(Refusal::NotOpened));
    check(&Meter::default(), &terms(), &rate, Err(Refusal::NotOpened));
}

#[test]
fn what_is_done_is_within_every_bound_of_description_issuer_and_grant() {
    let meter = Meter::default();
    let everything = Terms { scope: Some(right()), ..terms() };
    check(&meter, &terms(), &reserve(120), Ok(()));
    check(&meter, &terms(), &reserve(121), Err(Refusal::NotGranted));
    check(&meter, &everything, &reserve(240), Ok(()));
    check(&meter, &everything, &reserve(241), Err(Refusal::NotOpened));
    check(&meter, &everything, &reserve(0), Err(Refusal::NotOpened));
    let open = |door, slowly| operation("open", &[("door", Value::Integer(door)), ("slowly", slowly)]);
    check(&meter, &everything, &open(2, Value::Bool(true)), Ok(()));
    check(&meter, &everything, &open(1, Value::Bool(true)), Err(Refusal::BeyondIssuer));
    check(&meter, &everything, &open(5, Value::Bool(true)), Err(Refusal::NotOpened));
    check(&meter, &everything, &open(2, Value::Integer(1)), Err(Refusal::NotOpened));
    let third = [("open", [("door", Bound::Exactly(Value::Integer(3)))])];
    let third = Terms { scope: Some(scope(&[(third[0].0, &third[0].1)])), ..terms() };
    check(&meter, &third, &open(3, Value::Bool(false)), Ok(()));
    check(&meter, &third, &open(2, Value::Bool(false)), Err(Refusal::NotGranted));
    check(&meter, &everything, &operation("light", &[("", Value::Text("b"))]), Ok(()));
    check(&meter, &everything, &operation("light", &[("", Value::Text("c"))]), Err(Refusal::NotOpened));
}

#[test]
fn an_argument_that_is_missing_or_that_the_description_does_not_bound_is_refused() {
    let meter = Meter::default();
    let everything = Terms { scope: Some(right()), ..terms() };
    check(&meter, &everything, &operation("reserve", &[]), Err(Refusal::NotOpened));
    let more = [("minutes", Value::Integer(5)), ("free", Value::Bool(true))];
    check(&meter, &everything, &operation("reserve", &more), Err(Refusal::NotOpened));
    check(&meter, &everything, &operation("release", &[]), Ok(()));
    check(&meter, &everything, &operation("release", &more), Err(Refusal::NotOpened));
}

#[test]
fn a_narrowing_takes_away_and_gives_nothing() {
    let wide =
        Terms { scope: Some(right()), expires: Some(NOW.plus_micros(99 * HOUR)), uses: Some(99), ..terms() };
    for held in Held::both() {
        let narrowed = held.narrow(&narrower(), "ben").unwrap();
        assert_eq!(Meter::default().asked(&narrowed, &reserve(30)), Ok(()));
        assert_eq!(Meter::default().asked(&narrowed, &reserve(31)), Err(Refusal::NotGranted));
        let later = Meter { time: Time::clock(NOW.plus_micros(HOUR), 0), ..Meter::default() };
        assert_eq!(later.asked(&held, &reserve(30)), Ok(()));
        assert_eq!(later.asked(&narrowed, &reserve(30)), Err(Refusal::Expired));

        let widened = narrowed.narrow(&wide, "cem").unwrap();
        assert_eq!(Meter::default().asked(&widened, &reserve(30)), Ok(()));
        assert_eq!(Meter::default().asked(&widened, &reserve(31)), Err(Refusal::NotGranted));
        assert_eq!(later.asked(&widened, &reserve(30)), Err(Refusal::Expired));
        assert_eq!(Meter { used: 1, ..Meter::default() }.asked(&widened, &reserve(30)), Err(Refusal::UsedUp));
    }
}

#[test]
fn a_grant_is_for_its_device_or_class_and_tenant() {
    let meter = Meter::default();
    let at = |audience| Terms { audience: Some(audience), ..terms() };
    check(&meter, &at(Audience::Class(named("parking-meters"))), &reserve(5), Ok(()));
    check(&meter, &at(Audience::Class(named("trams"))), &reserve(5), Err(Refusal::WrongAudience));
    check(&meter, &at(Audience::Device(named("meter-13"))), &reserve(5), Err(Refusal::WrongAudience));
    // A class that has the device's name is not the device.
    check(&meter, &at(Audience::Class(named("meter-12"))), &reserve(5), Err(Refusal::WrongAudience));
    let other = Origin { issuer: named("landkreis"), ..origin() };
    assert_eq!(
        meter.asked(&Held::public(&other, &terms(), "anna"), &reserve(5)),
        Err(Refusal::WrongAudience)
    );
    assert_eq!(meter.asked(&Held::symmetric(&other, &terms()), &reserve(5)), Err(Refusal::WrongAudience));
}

#[test]
fn a_grant_of_an_old_epoch_or_that_was_taken_back_is_refused_at_the_ends_of_the_numbers_too() {
    let standing =
        |epoch, ids: &[_]| Meter { standing: Standing::restored(epoch, ids).unwrap(), ..Meter::default() };
    for (of_grant, of_device, want) in [
        (7, 7, Ok(())),
        (8, 7, Ok(())),
        (6, 7, Err(Refusal::OldEpoch)),
        (0, 0, Ok(())),
        (0, 1, Err(Refusal::OldEpoch)),
        (u32::MAX, 0, Ok(())),
        (u32::MAX, u32::MAX, Ok(())),
        (u32::MAX - 1, u32::MAX, Err(Refusal::OldEpoch)),
    ] {
        let origin = Origin { epoch: of_grant, ..origin() };
        for held in [Held::public(&origin, &terms(), "anna"), Held::symmetric(&origin, &terms())] {
            assert_eq!(standing(of_device, &[]).asked(&held, &reserve(5)), want, "{of_grant} at {of_device}");
        }
    }
    check(&standing(7, &[[1; 8], ID]), &terms(), &reserve(5), Err(Refusal::Revoked));
    check(&standing(7, &[[1; 8], [2; 8]]), &terms(), &reserve(5), Ok(()));
}

#[test]
fn what_is_taken_back_of_a_class_is_no_other_classs_and_not_the_devices_own() {
    let taken_back = Standing::restored(8, &[ID]).unwrap();
    let class = |name| Terms { audience: Some(Audience::Class(named(name))), ..terms() };
    let mut meter = Meter::default();
    check(&meter, &class("street"), &reserve(5), Err(Refusal::OldEpoch));
    meter.classes[0].1 = taken_back.clone();
    check(&meter, &class("parking-meters"), &reserve(5), Err(Refusal::OldEpoch));
    check(&meter, &terms(), &reserve(5), Ok(()));
    let meter = Meter { standing: taken_back, ..Meter::default() };
    check(&meter, &class("parking-meters"), &reserve(5), Ok(()));
    check(&meter, &terms(), &reserve(5), Err(Refusal::OldEpoch));
    // Whom a narrowing is for changes nothing about whose grant it is.
    let class = class("parking-meters");
    for held in [Held::public(&origin(), &class, "anna"), Held::symmetric(&origin(), &class)] {
        let here = Terms { audience: terms().audience, ..Terms::default() };
        assert_eq!(meter.asked(&held.narrow(&here, "ben").unwrap(), &reserve(5)), Ok(()));
    }
}

#[test]
fn a_grant_is_used_as_often_as_it_says() {
    let used = |used| Meter { used, ..Meter::default() };
    let times = |uses| Terms { uses, ..terms() };
    check(&used(0), &times(Some(1)), &reserve(5), Ok(()));
    check(&used(1), &times(Some(1)), &reserve(5), Err(Refusal::UsedUp));
    check(&used(u32::MAX - 1), &times(Some(u32::MAX)), &reserve(5), Ok(()));
    check(&used(u32::MAX), &times(Some(u32::MAX)), &reserve(5), Err(Refusal::UsedUp));
    check(&used(u32::MAX), &times(None), &reserve(5), Ok(()));
}

#[test]
fn a_device_that_does_not_know_the_time_serves_what_needs_none_and_says_so_of_the_rest() {
    let lost = Meter { time: Time::Unknown, ..Meter::default() };
    let counted = Terms { expires: None, not_before: None, ..terms() };
    check(&lost, &counted, &reserve(5), Ok(()));
    check(&lost, &Terms { expires: terms().expires, ..counted }, &reserve(5), Err(Refusal::TimeUnknown));
    check(
        &lost,
        &Terms { not_before: terms().not_before, ..counted },
        &reserve(5),
        Err(Refusal::TimeUnknown),
    );
}
