//! What issuers say apart from grants: the time, and what they take back.

use thingward_crypto::Signer;
use thingward_grant::{
    ANSWER_MICROS_MAX, Audience, Beacon, FormatError, GrantId, IssuerKey, Nonce, Question, REVOKED_MAX,
    Refusal, Revocation, SignedBeacon, SignedRevocation, Standing, Time, TrustedKey,
};
use thingward_model::name::{Device, Tenant};
use thingward_model::{NameRef, Timestamp};

use crate::common::*;

const SECOND: i64 = 1_000_000;

fn tenant() -> NameRef<'static, Tenant> {
    named("stadtwerke")
}

fn meter() -> NameRef<'static, Device> {
    named("meter-12")
}

fn beacon(time: Timestamp, answers: Option<Nonce>) -> Beacon<'static> {
    Beacon { issuer: tenant(), time, answers }
}

fn revocation(epoch: u32, ids: &[GrantId]) -> Revocation<'_> {
    Revocation { issuer: tenant(), audience: Audience::Device(meter()), epoch, ids }
}

#[test]
fn beacons_and_revocations_come_back_as_they_were_signed_by_either_key() {
    let shared = shared_key();
    let keys = [
        (IssuerKey::Public(key("issuer")), TrustedKey::Public(key("issuer").public_key())),
        (IssuerKey::Symmetric(&shared), TrustedKey::Symmetric(&shared)),
    ];
    let ids = [[1; 8], [2; 8], ID];
    for (signer, trusted) in keys {
        let mut out = [0; 700];
        for answers in [None, Some(NONCE)] {
            let beacon = beacon(NOW, answers);
            let len = beacon.sign(signer, &mut out).unwrap();
            assert!(len <= thingward_grant::BEACON_BYTES_MAX);
            let read = SignedBeacon::decode(&out[..len]).unwrap();
            assert_eq!(read.verify(&trusted, tenant()), Ok(beacon));
            let elsewhere = read.verify(&trusted, named("landkreis"));
            assert_eq!(elsewhere, Err(Refusal::WrongAudience));
            let other = read.verify(&TrustedKey::Public(key("mallory").public_key()), tenant());
            assert_eq!(other, Err(Refusal::UnknownIssuer));
        }
        for audience in [Audience::Device(meter()), Audience::Class(named("parking-meters"))] {
            for ids in [&[][..], &ids] {
                let revocation = Revocation { audience, ..revocation(u32::MAX, ids) };
                let len = revocation.sign(signer, &mut out).unwrap();
                assert!(len <= thingward_grant::REVOCATION_BYTES_MAX);
                let read = SignedRevocation::decode(&out[..len]).unwrap();
                assert_eq!(read.verify(&trusted, tenant()), Ok(revocation));
                let elsewhere = read.verify(&trusted, named("landkreis"));
                assert_eq!(elsewhere, Err(Refusal::WrongAudience));
            }
        }
    }
}

#[test]
fn a_beacon_or_revocation_by_somebody_else_under_the_issuers_name_is_forged() {
    let issuer = TrustedKey::Public(key("issuer").public_key());
    let mut out = [0; 300];
    let len = beacon(NOW, None).sign(IssuerKey::Public(key("mallory")), &mut out).unwrap();
    let mut bytes = out[..len].to_vec();
    let id = key("mallory").public_key().id();
    let at = bytes.windows(8).position(|w| w == id).unwrap();
    bytes[at..at + 8].copy_from_slice(&key("issuer").public_key().id());
    let read = SignedBeacon::decode(&bytes).unwrap();
    assert_eq!(read.key_id(), key("issuer").public_key().id());
    assert_eq!(read.verify(&issuer, tenant()), Err(Refusal::Forged));
}

#[test]
fn ids_that_do_not_ascend_or_are_too_many_are_not_signed() {
    let sign =
        |ids: &[GrantId]| revocation(1, ids).sign(IssuerKey::Public(key("issuer")), &mut [0; 700]).map(drop);
    let id = |n: usize| u64::try_from(n).unwrap().to_be_bytes();
    assert_eq!(sign(&[id(2), id(1)]), Err(FormatError::Malformed));
    assert_eq!(sign(&[id(1), id(1)]), Err(FormatError::Malformed));
    let many: Vec<GrantId> = (0..=REVOKED_MAX).map(id).collect();
    assert_eq!(sign(&many[1..]), Ok(()));
    assert_eq!(sign(&many), Err(FormatError::TooLarge));
}

#[test]
fn revocations_may_come_late_twice_and_in_any_order() {
    let messages = [
        revocation(7, &[[1; 8]]),
        revocation(7, &[[1; 8], [2; 8]]),
        revocation(8, &[[3; 8]]),
        revocation(8, &[]),
        revocation(6, &[[4; 8]]),
    ];
    let mut ends = Vec::new();
    for first in 0..messages.len() {
        for step in 1..messages.len() {
            let mut standing = Standing::restored(7, &[]).unwrap();
            for n in 0..2 * messages.len() {
                let next = &messages[(first + n * step) % messages.len()];
                let before = standing.clone();
                let applied = standing.apply(next, &Audience::Device(meter()));
                assert_eq!(applied.is_ok(), next.epoch >= before.epoch());
                assert!(standing.epoch() >= before.epoch(), "an epoch never falls");
                if applied.is_err() {
                    assert_eq!((applied, &standing), (Err(Refusal::OldEpoch), &before));
                }
            }
            ends.push((standing.epoch(), standing.revoked().to_vec()));
        }
    }
    assert!(ends.iter().all(|end| *end == (8, vec![[3; 8]])), "{ends:?}");
}

#[test]
fn a_revocation_reaches_whom_it_is_for() {
    let all = [
        Audience::Device(meter()),
        Audience::Device(named("meter-13")),
        Audience::Class(named("meter-12")),
        Audience::Class(named("trams")),
    ];
    for (own, audience) in all.iter().flat_map(|own| all.map(|audience| (own, audience))) {
        let want = if *own == audience { Ok(()) } else { Err(Refusal::WrongAudience) };
        let mut standing = Standing::default();
        assert_eq!(standing.apply(&Revocation { audience, ..revocation(3, &[]) }, own), want);
        assert_eq!(standing.epoch(), if want.is_ok() { 3 } else { 0 });
    }
}

#[test]
fn a_device_that_has_no_room_for_all_ids_changes_nothing_and_a_new_epoch_makes_room() {
    let ids: Vec<GrantId> = (0..u8::try_from(REVOKED_MAX).unwrap()).map(|n| [n; 8]).collect();
    let mut standing = Standing::restored(7, &ids).unwrap();
    assert_eq!(
        standing.apply(&revocation(7, &ids), &Audience::Device(meter())),
        Ok(()),
        "they are there already"
    );
    let full = standing.clone();
    assert_eq!(
        standing.apply(&revocation(7, &[ids[0], [0xff; 8]]), &Audience::Device(meter())),
        Err(Refusal::NoRoom)
    );
    assert_eq!(standing, full);
    assert_eq!(standing.apply(&revocation(8, &[[0xff; 8]]), &Audience::Device(meter())), Ok(()));
    assert_eq!((standing.epoch(), standing.revoked()), (8, &[[0xff; 8]][..]));
    let more = [ids.as_slice(), &[[0xff; 8]]].concat();
    assert_eq!(Standing::restored(7, &more), Err(Refusal::NoRoom));
}

#[test]
fn the_last_epoch_stays_and_a_grant_of_a_new_epoch_brings_the_end_of_the_old() {
    let mut standing = Standing::restored(7, &[ID]).unwrap();
    standing.observe(6);
    standing.observe(7);
    assert_eq!((standing.epoch(), standing.revoked()), (7, &[ID][..]));
    standing.observe(u32::MAX);
    assert_eq!((standing.epoch(), standing.revoked().len()), (u32::MAX, 0));
    standing.observe(0);
    assert_eq!(standing.epoch(), u32::MAX);
    assert_eq!(standing.apply(&revocation(u32::MAX, &[ID]), &Audience::Device(meter())), Ok(()));
    assert_eq!(standing.revoked(), [ID]);
    assert_eq!(
        standing.apply(&revocation(u32::MAX - 1, &[]), &Audience::Device(meter())),
        Err(Refusal::OldEpoch)
    );
}

fn at(seconds: i64) -> Timestamp {
    NOW.plus_micros(seconds * SECOND)
}

/// Seconds after [`NOW`].
const fn span(earliest: i64, latest: i64) -> Time {
    Time::Between { earliest: NOW.plus_micros(earliest * SECOND), latest: NOW.plus_micros(latest * SECOND) }
}

#[track_caller]
fn check(time: Time, not_before: Option<i64>, expires: Option<i64>, want: Result<(), Refusal>) {
    assert_eq!(time.check(not_before.map(at), expires.map(at)), want, "{time:?}");
}

#[test]
fn a_right_counts_when_it_is_certain_that_it_does() {
    const NO: Result<(), Refusal> = Err(Refusal::TimeUnknown);
    let least = Time::AtLeast(NOW);
    check(Time::Unknown, None, None, Ok(()));
    check(Time::Unknown, Some(-9), None, NO);
    check(Time::Unknown, None, Some(9), NO);
    check(least, Some(0), None, Ok(()));
    check(least, Some(1), None, NO);
    check(least, None, Some(1), NO);
    check(least, None, Some(0), Err(Refusal::Expired));
    check(span(0, 10), Some(0), Some(11), Ok(()));
    check(span(0, 10), Some(1), Some(11), NO);
    check(span(0, 10), Some(0), Some(10), NO);
    check(span(0, 10), Some(10), None, NO);
    check(span(0, 10), Some(11), None, Err(Refusal::NotYetValid));
    check(span(0, 10), None, Some(0), Err(Refusal::Expired));
    check(span(0, 10), None, Some(1), NO);
    check(Time::clock(NOW, 2 * SECOND), Some(-2), Some(3), Ok(()));
    check(Time::clock(NOW, 2 * SECOND), Some(-1), Some(3), NO);
    let end = Time::clock(Timestamp::from_micros(i64::MAX), 5);
    check(end, None, Some(9), Err(Refusal::Expired));
}

#[track_caller]
fn check_told(known: Time, beacon_at: i64, question: Option<(Nonce, i64)>, want: Time) {
    let question = question.map(|(nonce, micros_ago)| Question { nonce, micros_ago });
    let answer = beacon(at(beacon_at), Some(NONCE));
    assert_eq!(known.told(&answer, question.as_ref()), want);
}

#[test]
fn a_beacon_bounds_the_past_and_an_answer_the_future_too() {
    let least = |seconds| Time::AtLeast(at(seconds));
    check_told(Time::Unknown, 0, None, least(0));
    check_told(least(5), 0, None, least(5));
    check_told(least(0), 5, None, least(5));
    check_told(Time::Unknown, 0, Some((NONCE, 3 * SECOND)), span(0, 4));
    check_told(Time::Unknown, 0, Some((NONCE, ANSWER_MICROS_MAX)), span(0, 61));
    check_told(Time::Unknown, 0, Some((NONCE, ANSWER_MICROS_MAX + 1)), least(0));
    check_told(Time::Unknown, 0, Some((NONCE, -1)), least(0));
    check_told(Time::Unknown, 0, Some(([1; 16], SECOND)), least(0));
    check_told(span(2, 9), 5, None, span(5, 9));
    check_told(span(2, 9), 1, None, span(2, 9));
    check_told(span(2, 900), 5, Some((NONCE, SECOND)), span(5, 7));
    // Past its own bound, so the bound was wrong.
    check_told(span(2, 9), 10, None, least(10));
    // A service whose clock was set back does not bring anything back.
    check_told(least(100), 5, Some((NONCE, SECOND)), least(100));
    check_told(span(100, 109), 5, Some((NONCE, SECOND)), least(100));
}

#[test]
fn a_beacon_that_answers_nobody_answers_no_question() {
    let question = Question { nonce: NONCE, micros_ago: SECOND };
    assert_eq!(Time::Unknown.told(&beacon(NOW, None), Some(&question)), Time::AtLeast(NOW));
}

#[test]
fn what_is_known_of_the_time_goes_on_with_it() {
    assert_eq!(Time::Unknown.after(5, 9), Time::Unknown);
    assert_eq!(Time::AtLeast(NOW).after(5 * SECOND, 9 * SECOND), Time::AtLeast(at(5)));
    assert_eq!(span(0, 1).after(5 * SECOND, 9 * SECOND), span(5, 10));
    // An oscillator does not run backwards, and least is not more than most.
    assert_eq!(span(0, 1).after(-SECOND, -SECOND), span(0, 1));
    assert_eq!(span(0, 1).after(3 * SECOND, SECOND), span(3, 4));
    check(span(0, 1).after(0, i64::MAX), Some(0), Some(9), Err(Refusal::TimeUnknown));
    check(span(0, 1).after(0, i64::MAX).after(9 * SECOND, i64::MAX), None, Some(9), Err(Refusal::Expired));
}
