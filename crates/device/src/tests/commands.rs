//! Commands: done once, in their time, and answered.

use super::*;

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

/// Power goes in the middle of each write in turn.
#[test]
fn wherever_power_goes_a_command_is_done_at_most_once_and_answered_once() {
    for writes in 1.. {
        let part = Part::new();
        let mut lamp = joined(&part);
        let device = public_key(&mut lamp);
        let order = command(1, "switch", &key(COMMANDS));
        *part.writes_left.borrow_mut() = writes;
        let done = ask(&mut lamp, Kind::Command, &order);
        let mut lamp = {
            drop(lamp);
            again(&part)
        };
        ask(&mut lamp, Kind::Command, &order).unwrap();
        let said = outcomes(&mut lamp, &device);
        assert!(*part.switched.borrow() <= 1, "{writes}");
        assert_eq!(said.len(), 1, "{writes}");
        assert!(said[0].1 == "done" || said[0].1 == "interrupted", "{said:?}");
        assert!(said[0].1 != "done" || *part.switched.borrow() == 1);
        if done.is_ok() {
            assert!(writes > 3);
            return;
        }
    }
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
