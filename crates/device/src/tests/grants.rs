//! Grants: used as often as they say, and not behind their end.

use super::*;
use crate::link::OUTGOING_HEAD_BYTES;
use crate::spool::ANSWER_BYTES_MAX;

#[test]
fn a_grant_is_used_as_often_as_it_says_and_not_once_more_after_a_loss_of_power() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    let mut grant_bytes = [0; 512];
    let len = grant(7, 2, &mut grant_bytes);
    let grant = &grant_bytes[..len];
    let shown = presentation(&mut lamp, grant).unwrap();
    let reply = ask(&mut lamp, Kind::Use, &shown).unwrap();
    let reply = SignedReply::decode(&reply).unwrap().verify(&device).unwrap();
    assert_eq!(reply.id, Presentation::decode(&shown).unwrap().nonce());
    assert_eq!(refusal(&mut lamp, Kind::Use, &shown), thingward_grant::Refusal::WrongNonce);
    let report = drain(&mut lamp).pop().unwrap();
    assert!(report.0 == Pending::Use && report.2.ends_with(&shown));
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    let shown = presentation(&mut lamp, grant).unwrap();
    ask(&mut lamp, Kind::Use, &shown).unwrap();
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    let shown = presentation(&mut lamp, grant).unwrap();
    assert_eq!(refusal(&mut lamp, Kind::Use, &shown), thingward_grant::Refusal::UsedUp);
    assert_eq!(*part.switched.borrow(), 2);
}

#[test]
fn a_nonce_is_open_for_a_minute_and_not_at_its_end() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let mut bytes = [0; 512];
    let len = grant(7, 2, &mut bytes);
    let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
    lamp.tick(60_000_000);
    assert_eq!(refusal(&mut lamp, Kind::Use, &shown), thingward_grant::Refusal::WrongNonce);
    let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
    lamp.tick(59_999_999);
    ask(&mut lamp, Kind::Use, &shown).unwrap();
}

#[test]
fn grants_of_an_epoch_that_is_over_take_no_room() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let show = |lamp: &mut Lamp, id: u8, epoch: u32| {
        let mut bytes = [0; 512];
        let len = grant_of(id, epoch, 2, &mut bytes);
        drain(lamp);
        presentation(lamp, &bytes[..len]).unwrap()
    };
    let fill = |lamp: &mut Lamp, epoch: u32| {
        for id in 0..6 {
            let shown = show(lamp, id, epoch);
            ask(lamp, Kind::Use, &shown).unwrap();
        }
        let shown = show(lamp, 6, epoch);
        assert_eq!(refusal(lamp, Kind::Use, &shown), thingward_grant::Refusal::NoRoom);
    };
    fill(&mut lamp, 0);
    // A grant of a higher epoch makes room, and so does a revocation.
    let shown = show(&mut lamp, 0, 1);
    ask(&mut lamp, Kind::Use, &shown).unwrap();
    let revocation = Revocation { issuer: name("acme"), audience: own(), epoch: 2, ids: &[] };
    let mut out = [0; 672];
    let len = revocation.sign(IssuerKey::Public(&key(GRANTS)), &mut out).unwrap();
    ask(&mut lamp, Kind::Revocation, &out[..len]).unwrap();
    fill(&mut lamp, 2);
    let shown = show(&mut lamp, 0, 1);
    assert_eq!(refusal(&mut lamp, Kind::Use, &shown), thingward_grant::Refusal::OldEpoch);
}

#[test]
fn a_chip_that_has_counted_as_many_grants_as_it_can_takes_more_when_they_are_over() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let mut bytes = [0; 512];
    for id in 0..6 {
        let len = grant(id, 1, &mut bytes);
        let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
        ask(&mut lamp, Kind::Use, &shown).unwrap();
        drain(&mut lamp);
    }
    let mut long = [0; 512];
    let len = grant_until(6, 0, 1, NOW.plus_micros(9 * HOUR), &mut long);
    let shown = presentation(&mut lamp, &long[..len]).unwrap();
    assert_eq!(refusal(&mut lamp, Kind::Use, &shown), thingward_grant::Refusal::NoRoom);
    lamp.set_time(NOW.plus_micros(2 * HOUR));
    let shown = presentation(&mut lamp, &long[..len]).unwrap();
    ask(&mut lamp, Kind::Use, &shown).unwrap();
    // What was forgotten is over for good, also by a clock that was set back, and after a loss of power.
    lamp.set_time(NOW);
    drain(&mut lamp);
    let len = grant(0, 1, &mut bytes);
    let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
    assert_eq!(refusal(&mut lamp, Kind::Use, &shown), thingward_grant::Refusal::Expired);
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
    assert_eq!(refusal(&mut lamp, Kind::Use, &shown), thingward_grant::Refusal::Expired);
    assert_eq!(*part.switched.borrow(), 7);
}

#[test]
fn without_room_for_its_answer_a_use_is_not_begun_and_its_nonce_not_spent() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    let mut bytes = [0; 512];
    let len = grant(7, 1, &mut bytes);
    fill(&mut lamp);
    let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&mut lamp, Kind::Use, &shown), Err(Failure::Busy));
    }
    assert_eq!(*part.switched.borrow(), 0);
    drain(&mut lamp);
    ask(&mut lamp, Kind::Use, &shown).unwrap();
    assert_eq!(outcomes(&mut lamp, &device).len(), 1);
}

/// What the lamp says of a failure makes the longest reply.
#[test]
fn a_use_is_begun_when_a_poll_can_give_out_its_report_and_not_with_one_byte_less() {
    for narrowings in 0..5 {
        let part = Part::new();
        let mut lamp = joined(&part);
        let shown = presentation_for("break", &mut lamp, &narrowed("break", narrowings)).unwrap();
        let mut room = vec![0; OUTGOING_HEAD_BYTES + ANSWER_BYTES_MAX + shown.len()];
        let short = room.len() - 1;
        assert_eq!(answer(&mut lamp, Kind::Use.code(), &shown, &mut room[..short]), (Kind::FAILED, 2));
        let malformed = thingward_grant::Refusal::Malformed;
        assert_eq!(room[..2], [Failure::Refused.code(), malformed.code()]);
        assert_eq!(*part.switched.borrow(), 0);
        // And its nonce is not spent.
        let used = answer(&mut lamp, Kind::Use.code(), &shown, &mut room);
        assert_eq!(used, (Kind::Use.answer(), ANSWER_BYTES_MAX), "{narrowings}");
        let reply = room[..ANSWER_BYTES_MAX].to_vec();
        let (kind, len) = answer(&mut lamp, Kind::Poll.code(), &[0; 4], &mut room);
        assert_eq!((kind, len), (Kind::Poll.answer(), room.len()), "{narrowings}");
        let report = Outgoing::read(&room).unwrap();
        assert_eq!(
            (report.pending, report.id),
            (Pending::Use, Presentation::decode(&shown).unwrap().nonce())
        );
        assert_eq!(report.payload, [reply, shown].concat());
        let safe = report.number.to_be_bytes();
        assert_eq!(answer(&mut lamp, Kind::Poll.code(), &safe, &mut room), (Kind::Poll.answer(), 0));
    }
}

/// A gateway may lie.
#[test]
fn what_was_not_given_out_waits_whatever_a_poll_says_is_safe() {
    let used_and_told = |part: &Part| {
        let mut lamp = joined(part);
        let mut bytes = [0; 512];
        let len = grant(7, 1, &mut bytes);
        let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
        ask(&mut lamp, Kind::Use, &shown).unwrap();
        ask(&mut lamp, Kind::Command, &command(1, "switch", &key(COMMANDS))).unwrap();
        (lamp, Presentation::decode(&shown).unwrap().nonce())
    };
    let poll = |lamp: &mut Lamp, number: u32| {
        let answer = ask(lamp, Kind::Poll, &number.to_be_bytes()).unwrap();
        Outgoing::read(&answer).map(|outgoing| outgoing.number)
    };
    for lie in [1, 2, 3, 4, u32::MAX] {
        let part = Part::new();
        let (mut lamp, nonce) = used_and_told(&part);
        let device = public_key(&mut lamp);
        let first = poll(&mut lamp, lie).unwrap();
        assert_eq!(outcomes(&mut lamp, &device), [(nonce, "done"), ([1; 16], "done")], "{lie}");
        // What was given out is safe at the most.
        let (mut lamp, _) = used_and_told(&Part::new());
        assert_eq!(poll(&mut lamp, 0), Some(first));
        let next = if lie < first { first } else { first + 1 };
        assert_eq!(poll(&mut lamp, lie), Some(next), "{lie}");
    }
}

#[test]
fn after_a_loss_of_power_what_was_given_out_before_it_is_given_out_again_whatever_a_poll_says_is_safe() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    for id in 1..=2 {
        ask(&mut lamp, Kind::Command, &command(id, "switch", &key(COMMANDS))).unwrap();
    }
    let both = [([1; 16], "done"), ([2; 16], "done")];
    let given = ask(&mut lamp, Kind::Poll, &[0; 4]).unwrap();
    let given = Outgoing::read(&given).unwrap().number;
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    let first = ask(&mut lamp, Kind::Poll, &given.to_be_bytes()).unwrap();
    assert_eq!(Outgoing::read(&first).unwrap().number, given);
    assert_eq!(outcomes(&mut lamp, &device), both);
}

/// A presentation and the reply to it are sent as one, so nothing comes between them.
#[test]
fn nothing_is_taken_before_a_use_that_was_begun_has_its_answer() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    let mut bytes = [0; 512];
    let len = grant(7, 1, &mut bytes);
    let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
    // It is set down as begun and done, and memory fails at the answer for a while.
    *part.halves_left.borrow_mut() = 4;
    assert_eq!(ask(&mut lamp, Kind::Use, &shown), Err(Failure::Memory));
    *part.halves_left.borrow_mut() = usize::MAX;
    assert_eq!(lamp.record(&[reading(1.0)]), Err(RecordError::Full));
    let order = command(1, "switch", &key(COMMANDS));
    assert_eq!(ask(&mut lamp, Kind::Command, &order), Err(Failure::Busy));
    let nonce = Presentation::decode(&shown).unwrap().nonce();
    assert_eq!(outcomes(&mut lamp, &device), [(nonce, "interrupted")]);
    lamp.record(&[reading(1.0)]).unwrap();
    ask(&mut lamp, Kind::Command, &order).unwrap();
    assert_eq!(outcomes(&mut lamp, &device), [([1; 16], "done")]);
}

/// What is left of the presentations would stand in the way of the next one.
#[test]
fn uses_that_power_went_before_take_no_room_wherever_they_stand() {
    for readings in 0..30 {
        let part = Part::new();
        let mut lamp = joined(&part);
        let device = public_key(&mut lamp);
        let mut bytes = [0; 512];
        let len = grant(7, 1, &mut bytes);
        turn(&mut lamp, readings);
        for _ in 0..2 {
            let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
            *part.halves_left.borrow_mut() = 3;
            assert_eq!(ask(&mut lamp, Kind::Use, &shown), Err(Failure::Memory));
            drop(lamp);
            lamp = again(&part);
            drain(&mut lamp);
        }
        let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
        ask(&mut lamp, Kind::Use, &shown).unwrap();
        assert_eq!(outcomes(&mut lamp, &device).len(), 1, "{readings}");
    }
}

#[test]
fn what_was_taken_back_is_refused_after_a_loss_of_power_too() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let revocation = Revocation { issuer: name("acme"), audience: own(), epoch: 0, ids: &[[7; 8]] };
    let mut out = [0; 672];
    let len = revocation.sign(IssuerKey::Public(&key(GRANTS)), &mut out).unwrap();
    ask(&mut lamp, Kind::Revocation, &out[..len]).unwrap();
    // Whoever brings it again wears no memory.
    *part.halves_left.borrow_mut() = 0;
    ask(&mut lamp, Kind::Revocation, &out[..len]).unwrap();
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    let mut bytes = [0; 512];
    let len = grant(7, 2, &mut bytes);
    let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
    assert_eq!(refusal(&mut lamp, Kind::Use, &shown), thingward_grant::Refusal::Revoked);
}

#[test]
fn wherever_power_goes_a_use_is_counted_before_it_is_done() {
    for is_full in [false, true] {
        for halves in 0.. {
            let part = Part::new();
            let mut lamp = joined(&part);
            let device = public_key(&mut lamp);
            if is_full {
                // All of it was delivered, which is not durable: it waits again.
                fill(&mut lamp);
                drain(&mut lamp);
            }
            let mut bytes = [0; 512];
            let len = grant(7, 1, &mut bytes);
            let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
            *part.halves_left.borrow_mut() = halves;
            let done = ask(&mut lamp, Kind::Use, &shown);
            let mut lamp = {
                drop(lamp);
                again(&part)
            };
            let mut said = outcomes(&mut lamp, &device);
            let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
            let second = ask(&mut lamp, Kind::Use, &shown);
            let switched = *part.switched.borrow();
            assert!(switched <= 1 && (switched == 1 || !(done.is_ok() || second.is_ok())), "{halves}");
            said.extend(outcomes(&mut lamp, &device));
            said.retain(|(id, _)| *id != [9; 16]);
            assert_eq!(said.len(), 1, "{halves}: {said:?}");
            if done.is_ok() {
                assert!(halves > 7);
                break;
            }
        }
    }
}

/// The longest have no place beside the newest entry, which holds the chain, where that stands in the middle.
#[test]
fn a_use_of_any_length_that_power_tears_leaves_the_chain_and_is_done_when_it_is_asked_again() {
    for (readings, narrowings, halves) in
        (1..16).flat_map(|at| (0..5).flat_map(move |long| (0..10).map(move |halves| (at, long, halves))))
    {
        let part = Part::new();
        let mut lamp = joined(&part);
        let device = public_key(&mut lamp);
        turn(&mut lamp, readings);
        let grant = narrowed("switch", narrowings);
        let shown = presentation(&mut lamp, &grant).unwrap();
        *part.is_end_torn.borrow_mut() = true;
        *part.halves_left.borrow_mut() = halves;
        let _ = ask(&mut lamp, Kind::Use, &shown);
        drop(lamp);
        let mut lamp = again(&part);
        drain(&mut lamp);
        let shown = presentation(&mut lamp, &grant).unwrap();
        ask(&mut lamp, Kind::Use, &shown).unwrap();
        let nonce = Presentation::decode(&shown).unwrap().nonce();
        assert_eq!(outcomes(&mut lamp, &device), [(nonce, "done")], "{readings} {narrowings} {halves}");
        lamp.record(&[reading(9.0)]).unwrap();
        let last = drain(&mut lamp).pop().unwrap().2;
        let Some(Ok(Item::Record(record))) = Items::new(&last).last() else { panic!("{last:?}") };
        assert_eq!(record.seq, readings as u64 + 1, "{readings} {narrowings} {halves}");
    }
}

/// A grant that was handed on so often, and is the longer for it.
fn narrowed(action: &'static str, times: usize) -> Vec<u8> {
    let (mut bytes, mut out) = ([0; 1024], [0; 1024]);
    let mut len = grant_for(action, 7, 0, 9, NOW.plus_micros(HOUR), &mut bytes);
    let terms = Terms { audience: None, not_before: None, expires: None, scope: None, uses: None };
    for _ in 0..times {
        let holder = HolderKey::from_bytes(key(5).public_key().to_ed25519().unwrap());
        let grant = Grant::decode(&bytes[..len]).unwrap();
        len = public::narrow(&key(5), &grant, &terms, holder, &mut out).unwrap();
        bytes = out;
    }
    bytes[..len].to_vec()
}
