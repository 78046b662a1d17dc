//! Whoever has the line, the casing or the memory of a device.

use thingward_attest::{Claims, Endorsement, Root};

use super::*;

#[test]
fn changed_firmware_is_somebody_else_and_opens_nothing() {
    let part = Part::new();
    let mut lamp = joined(&part);
    lamp.record(&[reading(1.0)]).unwrap();
    let key = public_key(&mut lamp);
    let mut changed = part.try_start(b"firmware 2").unwrap();
    assert!(!changed.is_joined() && public_key(&mut changed) != key);
    assert_eq!(drain(&mut changed), []);
    assert!(part.start().is_joined());
}

fn evidence(lamp: &mut Lamp) -> (VerifyingKey, Endorsement) {
    let (key, nonce) = (public_key(lamp), [4; 36]);
    let token = ask(lamp, Kind::Evidence, &nonce).unwrap();
    let claims = Claims::verify(&token, &key, |asked| asked == nonce, &mut [0; 1024]).unwrap();
    assert_eq!((claims.software, claims.version), ("lamp", "1"));
    let Some(Root::Firmware(said)) = claims.root else { panic!("no word of the part") };
    (key, said)
}

#[test]
fn changed_firmware_says_so_on_the_word_of_the_same_part_and_another_part_has_no_such_word() {
    let part = Part::new();
    let (key, first) = evidence(&mut part.start());
    assert_eq!(evidence(&mut part.start()), (key.clone(), first));
    let (changed_key, changed) = evidence(&mut part.try_start(b"firmware 2").unwrap());
    assert_ne!(key, changed_key);
    assert_eq!(first.part, changed.part);
    assert_ne!(first.firmware, changed.firmware);
    let other = Part::new();
    *other.secret.borrow_mut() = Some([0x5f; 32]);
    let (_, other) = evidence(&mut other.start());
    assert_eq!(first.firmware, other.firmware);
    assert_ne!(first.part, other.part);
}

#[test]
fn evidence_answers_nonces_of_eight_to_sixty_four_bytes_and_none_after_an_alarm() {
    let part = Part::new();
    let mut lamp = part.start();
    for len in [0, 7, 65, 1000] {
        assert_eq!(
            ask(&mut lamp, Kind::Evidence, &std::vec![1; len]),
            Err(Failure::Malformed),
            "{len} bytes"
        );
    }
    for len in [8, 64] {
        assert!(ask(&mut lamp, Kind::Evidence, &std::vec![1; len]).is_ok(), "{len} bytes");
    }
    lamp.tamper();
    assert_eq!(ask(&mut lamp, Kind::Evidence, &[1; 36]), Err(Failure::Destroyed));
}

#[test]
fn an_alarm_destroys_the_keys_and_leaves_signed_last_words() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    lamp.record(&[reading(1.0)]).unwrap();
    lamp.tamper();
    assert_eq!(ask(&mut lamp, Kind::Hello, &[3; 32]), Err(Failure::Destroyed));
    assert_eq!(lamp.record(&[reading(2.0)]), Err(RecordError::Destroyed));
    let words = ask(&mut lamp, Kind::Poll, &[0; 4]).unwrap();
    let words = Outgoing::read(&words).unwrap();
    let statement = Items::new(words.payload).last().unwrap().unwrap();
    let Item::Statement(statement) = statement else { panic!("no checkpoint") };
    assert!(matches!(
        statement.verify(&device).unwrap().kind,
        StatementKind::Checkpoint { first: 1, last: 2, .. }
    ));
    assert!(ask(&mut lamp, Kind::Poll, &words.number.to_be_bytes()).unwrap().is_empty());
    assert_eq!(*part.secret.borrow(), None);
    assert_eq!(part.try_start(b"firmware 1").err(), Some(StartError::Destroyed));
}

#[test]
fn what_is_kept_shows_neither_keys_nor_readings() {
    let part = Part::new();
    let mut lamp = joined(&part);
    lamp.record(&[Reading { value: Value::Text("at home"), ..reading(0.0) }]).unwrap();
    let flash = part.flash.borrow();
    for secret in [&b"at home"[..], &recipient().public_key().unwrap().as_bytes()[..], b"acme", b"lamp-1"] {
        assert!(!flash.windows(secret.len()).any(|window| window == secret));
    }
}

/// Nonces and random numbers would come again.
#[test]
fn a_count_of_starts_that_was_taken_back_is_noticed() {
    let part = Part::new();
    let mut lamp = joined(&part);
    lamp.record(&[reading(1.0)]).unwrap();
    drop(lamp);
    part.flash.borrow_mut()[..16].fill(0xff);
    assert_eq!(part.try_start(b"firmware 1").err(), Some(StartError::Memory));
}

/// Whatever comes, the device answers and stays up.
#[test]
fn garbage_is_answered_and_changes_nothing() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let mut bytes = [0; 512];
    let len = grant(7, 2, &mut bytes);
    let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
    let order = command(1, "switch", &key(COMMANDS));
    for kind in 0..=255_u8 {
        for body in [&[][..], &[0], &[0xff; 700], &shown[..shown.len() - 1], &order[..order.len() - 1]] {
            let mut out = [0; 1200];
            answer(&mut lamp, kind, body, &mut out);
        }
    }
    assert_eq!(*part.switched.borrow(), 0);
    let device = public_key(&mut lamp);
    tell_time(&mut lamp, NOW);
    // What was no command bound the device to nothing, but may have filled the spool.
    drain(&mut lamp);
    ask(&mut lamp, Kind::Command, &order).unwrap();
    assert_eq!(outcomes(&mut lamp, &device), [([1; 16], "done")]);
}

/// One bit of each byte in turn, and what is too short or too long.
fn spoilt(whole: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let changed = |at: usize| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << (at % 8);
        bytes
    };
    let cut = (0..whole.len()).step_by(7).map(|len| whole[..len].to_vec());
    (0..whole.len()).map(changed).chain(cut).chain([[whole, &[0]].concat()])
}

#[test]
fn nothing_that_was_signed_counts_when_any_byte_of_it_is_another() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    let order = command(1, "switch", &key(COMMANDS));
    // Nothing signs the name of the key.
    let name_of_key = key(COMMANDS).public_key().id();
    let is_named = |other: &[u8]| other.windows(name_of_key.len()).any(|window| window == name_of_key);
    for order in spoilt(&order).filter(|other| other.len() != order.len() || is_named(other)) {
        // It is refused, or answered with a reply that says why.
        let _ = ask(&mut lamp, Kind::Command, &order);
        for (_, outcome) in outcomes(&mut lamp, &device) {
            assert_ne!(outcome, "done");
        }
    }
    let mut bytes = [0; 512];
    let len = grant(7, 1000, &mut bytes);
    // Each needs a nonce of its own.
    let count = spoilt(&presentation(&mut lamp, &bytes[..len]).unwrap()).count();
    for number in 0..count {
        let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
        let shown = spoilt(&shown).nth(number).unwrap();
        refusal(&mut lamp, Kind::Use, &shown);
    }
    let revocation = Revocation { issuer: name("acme"), audience: own(), epoch: 0, ids: &[[7; 8]] };
    let mut out = [0; 672];
    let len = revocation.sign(IssuerKey::Public(&key(GRANTS)), &mut out).unwrap();
    for bytes in spoilt(&out[..len]) {
        refusal(&mut lamp, Kind::Revocation, &bytes);
    }
    let beacon = Beacon { issuer: name("acme"), time: NOW.plus_micros(1_000_000), answers: None };
    let len = beacon.sign(IssuerKey::Public(&key(GRANTS)), &mut out).unwrap();
    for bytes in spoilt(&out[..len]) {
        refusal(&mut lamp, Kind::Beacon, &bytes);
    }
    assert_eq!(*part.switched.borrow(), 0);
}
