//! Readings: the chain that they are in, and the room that they wait in.

use super::*;
use crate::link::FRAME_OVERHEAD_BYTES;

#[test]
fn readings_open_for_the_recipient_and_a_checkpoint_signs_them_also_after_a_loss_of_power() {
    let part = Part::new();
    let mut lamp = part.start();
    assert_eq!(lamp.record(&[reading(1.0)]), Err(RecordError::NoTime));
    let mut lamp = {
        drop(lamp);
        joined(&part)
    };
    lamp.record(&[reading(1.0)]).unwrap();
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    lamp.record(&[reading(2.0)]).unwrap();
    lamp.tick(10_000_000);
    let device = public_key(&mut lamp);
    let (mut key, mut numbers, mut head) = (None, Vec::new(), None);
    let messages: Vec<Vec<u8>> = drain(&mut lamp).into_iter().map(|(_, _, message)| message).collect();
    for item in messages.iter().flat_map(|message| Items::new(message)) {
        match item.unwrap() {
            Item::Record(record) => {
                let mut out = [0; 256];
                record.open(key.as_ref().unwrap(), &mut out).unwrap();
                numbers.push(record.seq);
                head = head.map(|head: [u8; 32]| thingward_crypto::sha256(&[&head, record.bytes]));
            }
            Item::Statement(signed) => {
                let statement = signed.verify(&device).unwrap();
                match statement.kind {
                    StatementKind::Open { cipher, encapsulated, .. } => {
                        let subject = &statement.subject;
                        let derived =
                            RecordKey::derive(&recipient(), &encapsulated, cipher, subject, &statement.chain);
                        key = Some(derived.unwrap());
                        head = Some(thingward_crypto::sha256(&[signed.bytes]));
                    }
                    StatementKind::Checkpoint { first, last, head: signed } => {
                        assert_eq!((first, last, Some(signed)), (1, 2, head));
                        head = None;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert_eq!((numbers, head), (vec![1, 2], None));
}

#[test]
fn wherever_power_goes_no_number_of_the_chain_has_two_records() {
    for halves in 1..15 {
        let part = Part::new();
        let mut lamp = joined(&part);
        lamp.record(&[reading(1.0)]).unwrap();
        *part.halves_left.borrow_mut() = halves;
        let mut taken = 1;
        for value in 2..4 {
            taken += u64::from(lamp.record(&[reading(f64::from(value))]).is_ok());
        }
        let mut lamp = {
            drop(lamp);
            again(&part)
        };
        lamp.record(&[reading(9.0)]).unwrap();
        let mut numbers = Vec::new();
        for (_, _, message) in drain(&mut lamp) {
            for item in Items::new(&message) {
                if let Item::Record(record) = item.unwrap() {
                    numbers.push(record.seq);
                }
            }
        }
        assert_eq!(numbers, (1..=taken + 1).collect::<Vec<_>>(), "{halves}");
    }
}

#[test]
fn a_full_spool_takes_nothing_and_goes_on_when_it_was_emptied() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let mut taken = 0;
    let error = loop {
        match lamp.record(&[reading(f64::from(taken))]) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error, taken > 3), (RecordError::Full, true));
    // The statement that opens the chain, and the readings.
    assert_eq!(drain(&mut lamp).len(), taken as usize + 1);
    for _ in 0..200 {
        lamp.record(&[reading(1.0)]).unwrap();
        lamp.tick(1_000_000);
        assert!(matches!(drain(&mut lamp).len(), 1 | 2));
    }
}

#[test]
fn a_reading_is_taken_when_a_poll_can_give_it_out_and_a_longer_one_is_not() {
    let part = Part { frame_bytes_max: 700, ..Part::new() };
    let mut lamp = joined(&part);
    let mut body = vec![0; 700 - FRAME_OVERHEAD_BYTES];
    let (mut delivered, mut longest) = (0, 0);
    for len in 400..600 {
        let text = "x".repeat(len);
        let said = Reading { value: Value::Text(&text), ..reading(0.0) };
        match lamp.record(&[said]) {
            Ok(()) => longest = len,
            Err(error) => assert!(matches!(error, RecordError::Reading(_)), "{len}: {error:?}"),
        }
        loop {
            let polled = answer(&mut lamp, Kind::Poll.code(), &u32::to_be_bytes(delivered), &mut body);
            assert_eq!(polled.0, Kind::Poll.answer(), "{len}");
            let Some(outgoing) = Outgoing::read(&body[..polled.1]) else { break };
            delivered = outgoing.number;
        }
    }
    assert!((450..480).contains(&longest), "{longest}");
}
