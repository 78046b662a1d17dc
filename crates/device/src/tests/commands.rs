//! Commands: done once, in their time, and answered.

use super::*;
use crate::spool::ANSWER_BYTES_MAX;

#[test]
fn a_command_is_done_once_whoever_sends_it_again() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    let order = command(1, "switch", &key(COMMANDS));
    for _ in 0..2 {
        ask(&mut lamp, Kind::Command, &order).unwrap();
    }
    ask(&mut lamp, Kind::Command, &command(2, "switch", &key(GRANTS))).unwrap();
    ask(&mut lamp, Kind::Command, &command(3, "explode", &key(COMMANDS))).unwrap();
    let said = [([1; 16], "done"), ([2; 16], "wrong-signer"), ([3; 16], "unknown-action")];
    assert_eq!(outcomes(&mut lamp, &device), said);
    // What was delivered last is not durable by itself: it may come again, and nothing besides.
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    ask(&mut lamp, Kind::Command, &order).unwrap();
    assert_eq!(outcomes(&mut lamp, &device), said);
    assert_eq!(*part.switched.borrow(), 1);
}

/// Power goes before and in the middle of each write in turn, and again at the start after it. Each time what is said of the
/// command, which comes again then, and how often the lamp was switched.
fn said_wherever_power_goes(order: &[u8]) -> Vec<(&'static str, u32)> {
    let mut all = Vec::new();
    for (is_full, at_start) in [false, true].into_iter().flat_map(|full| (0..10).map(move |at| (full, at))) {
        for halves in 0.. {
            let part = Part::new();
            let mut lamp = joined(&part);
            let device = public_key(&mut lamp);
            if is_full {
                // All of it was delivered, which is not durable: it waits again.
                fill(&mut lamp);
                drain(&mut lamp);
            }
            *part.halves_left.borrow_mut() = halves;
            let done = ask(&mut lamp, Kind::Command, order);
            drop(lamp);
            *part.halves_left.borrow_mut() = at_start;
            let _ = part.try_start(b"firmware 1");
            let mut lamp = again(&part);
            let mut said = outcomes(&mut lamp, &device);
            ask(&mut lamp, Kind::Command, order).unwrap();
            said.extend(outcomes(&mut lamp, &device));
            said.retain(|(id, _)| *id == [1; 16]);
            assert_eq!(said.len(), 1, "{halves}: {said:?}");
            all.push((said[0].1, *part.switched.borrow()));
            if done.is_ok() {
                assert!(halves > 5);
                break;
            }
        }
    }
    all
}

#[test]
fn wherever_power_goes_a_command_is_done_at_most_once_and_answered_once() {
    for said in said_wherever_power_goes(&command(1, "switch", &key(COMMANDS))) {
        assert!(matches!(said, ("done", 1) | ("interrupted", 0 | 1)), "{said:?}");
    }
}

#[test]
fn wherever_power_goes_a_command_that_is_refused_is_answered_once_and_with_the_same_word() {
    let late = NOW.plus_micros(-60_000_000);
    for (order, word) in [
        (command(1, "explode", &key(COMMANDS)), "unknown-action"),
        (command_of(1, "switch", late, &key(COMMANDS)), "expired"),
    ] {
        for said in said_wherever_power_goes(&order) {
            assert_eq!(said, (word, 0));
        }
    }
}

/// Without a loss of power.
#[test]
fn wherever_memory_fails_for_a_while_a_command_has_one_answer() {
    for halves in 0..6 {
        let part = Part::new();
        let mut lamp = joined(&part);
        let device = public_key(&mut lamp);
        let order = command(1, "switch", &key(COMMANDS));
        *part.halves_left.borrow_mut() = halves;
        assert_eq!(ask(&mut lamp, Kind::Command, &order), Err(Failure::Memory));
        *part.halves_left.borrow_mut() = usize::MAX;
        let mut said = outcomes(&mut lamp, &device);
        ask(&mut lamp, Kind::Command, &order).unwrap();
        said.extend(outcomes(&mut lamp, &device));
        assert_eq!(said.len(), 1, "{halves}: {said:?}");
        assert_eq!(*part.switched.borrow(), 1, "{halves}");
    }
}

#[test]
fn without_room_for_its_answer_a_command_is_not_begun_and_not_forgotten() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    fill(&mut lamp);
    let order = command(1, "switch", &key(COMMANDS));
    for _ in 0..2 {
        assert_eq!(ask(&mut lamp, Kind::Command, &order), Err(Failure::Busy));
    }
    assert_eq!(*part.switched.borrow(), 0);
    drain(&mut lamp);
    ask(&mut lamp, Kind::Command, &order).unwrap();
    assert_eq!(outcomes(&mut lamp, &device), [([1; 16], "done")]);
}

#[test]
fn readings_leave_room_for_the_longest_answer_wherever_they_stand() {
    for readings in 0..30 {
        let part = Part::new();
        let mut lamp = joined(&part);
        turn(&mut lamp, readings);
        while lamp.record(&[reading(1.0)]).is_ok() {}
        ask(&mut lamp, Kind::Command, &command(1, "break", &key(COMMANDS))).unwrap();
        let (pending, id, reply) = drain(&mut lamp).pop().unwrap();
        assert_eq!((pending, id, reply.len()), (Pending::Reply, [1; 16], ANSWER_BYTES_MAX), "{readings}");
    }
}

#[test]
fn what_was_interrupted_is_answered_first_once_there_is_room() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    fill(&mut lamp);
    drain(&mut lamp);
    // The command is begun durably, and no more.
    *part.halves_left.borrow_mut() = 2;
    assert_eq!(ask(&mut lamp, Kind::Command, &command(1, "switch", &key(COMMANDS))), Err(Failure::Memory));
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    assert_eq!(lamp.record(&[reading(1.0)]), Err(RecordError::Full));
    assert_eq!(ask(&mut lamp, Kind::Command, &command(2, "switch", &key(COMMANDS))), Err(Failure::Busy));
    let said = outcomes(&mut lamp, &device);
    assert_eq!(said.last(), Some(&([1; 16], "interrupted")), "{said:?}");
    lamp.record(&[reading(1.0)]).unwrap();
    ask(&mut lamp, Kind::Command, &command(2, "switch", &key(COMMANDS))).unwrap();
    assert_eq!(outcomes(&mut lamp, &device), [([2; 16], "done")]);
}

#[test]
fn a_chip_that_knows_as_many_commands_as_it_can_takes_more_when_they_are_over() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    for id in 1..=6 {
        ask(&mut lamp, Kind::Command, &command(id, "switch", &key(COMMANDS))).unwrap();
        drain(&mut lamp);
    }
    let seventh = command(7, "switch", &key(COMMANDS));
    assert_eq!(ask(&mut lamp, Kind::Command, &seventh), Err(Failure::Busy));
    let later = NOW.plus_micros(24 * HOUR);
    tell_time(&mut lamp, later);
    // One that is over is remembered no less than one that is not.
    let soon = NOW.plus_micros(24 * HOUR + 60_000_000);
    for (id, issued) in [(8, later), (9, soon)] {
        ask(&mut lamp, Kind::Command, &command_of(id, "switch", issued, &key(COMMANDS))).unwrap();
        assert_eq!(outcomes(&mut lamp, &device), [([id; 16], "done")]);
    }
    // What was forgotten is over for good, also for a device that has lost the time and is told an old one.
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    assert_eq!(ask(&mut lamp, Kind::Command, &command(1, "switch", &key(COMMANDS))), Err(Failure::NoTime));
    tell_time(&mut lamp, soon);
    drain(&mut lamp);
    ask(&mut lamp, Kind::Command, &command(1, "switch", &key(COMMANDS))).unwrap();
    assert_eq!(outcomes(&mut lamp, &device), [([1; 16], "expired")]);
    assert_eq!(*part.switched.borrow(), 8);
}

#[test]
fn without_a_time_no_command_is_judged() {
    let part = Part::new();
    let mut lamp = part.start();
    ask(&mut lamp, Kind::Join, &join()).unwrap();
    let order = command(1, "switch", &key(COMMANDS));
    assert_eq!(ask(&mut lamp, Kind::Command, &order), Err(Failure::NoTime));
    tell_time(&mut lamp, NOW.plus_micros(3_600_000_000));
    let device = public_key(&mut lamp);
    ask(&mut lamp, Kind::Command, &order).unwrap();
    assert_eq!(outcomes(&mut lamp, &device), [([1; 16], "expired")]);
}

#[test]
fn a_command_that_may_be_over_waits_for_the_time() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let order = command(1, "switch", &key(COMMANDS));
    // By its oscillator a minute may be over, or not.
    lamp.tick(59_500_000);
    assert_eq!(ask(&mut lamp, Kind::Command, &order), Err(Failure::NoTime));
    assert_eq!(*part.switched.borrow(), 0);
    tell_time(&mut lamp, NOW.plus_micros(58_000_000));
    ask(&mut lamp, Kind::Command, &order).unwrap();
    assert_eq!(*part.switched.borrow(), 1);
}

#[test]
fn a_command_that_came_timely_and_was_refused_tells_the_time_as_well() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    let later = NOW.plus_micros(60_000_000);
    ask(&mut lamp, Kind::Command, &command_of(2, "explode", later, &key(COMMANDS))).unwrap();
    ask(&mut lamp, Kind::Command, &command(1, "switch", &key(COMMANDS))).unwrap();
    assert_eq!(outcomes(&mut lamp, &device), [([2; 16], "unknown-action"), ([1; 16], "expired")]);
    assert_eq!(*part.switched.borrow(), 0);
}
