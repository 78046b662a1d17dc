//! Who is at the other end of the line: the chip, another one, or what only says so.

use thingward_attest::{Claims, Endorsement, Root};

use super::*;

/// What a token says of part and firmware, when the key that it names has signed it.
fn endorsement(token: &[u8]) -> Endorsement {
    let key = Claims::endorsed_key(token).unwrap();
    let claims = Claims::verify(token, &key, |nonce| nonce == EVIDENCE_NONCE, &mut [0; 1024]).unwrap();
    let Some(Root::Firmware(said)) = claims.root else { panic!("no word of the part") };
    said
}

#[tokio::test]
async fn a_chip_proves_itself_once_when_it_comes_and_again_when_it_is_renewed_or_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut chip = chip(&folder, 1);
    let mut talk = Talk::with(&chip, None).await;
    let first = endorsement(&talk.shown(1).await[0]);
    for _ in 0..3 {
        talk.message().await;
    }
    assert_eq!(talk.shown(1).await.len(), 1);
    talk.state.lock().unwrap().renewal_due = true;
    talk.evidence.notify_one();
    assert_eq!(endorsement(&talk.shown(2).await[1]), first);
    chip.cut();
    let (_, record) = talk.end().await;
    // With other firmware it is not the one that was enrolled. Its evidence says why.
    if chip.install(b"other firmware") {
        chip.on();
        let talk = Talk::with(&chip, record).await;
        let second = endorsement(&talk.shown(1).await[0]);
        assert_eq!(second.part, first.part);
        assert!(second.firmware != first.firmware && second.key != first.key);
        let (end, _) = talk.end().await;
        assert!(matches!(end, End::NotEnrolled(OfficeError::OtherChip)), "{end}");
    }
}

#[tokio::test]
async fn another_chip_on_the_line_is_refused_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (chip(&folder, 1), chip(&folder, 2));
    let mut of_second = Talk::with(&second, None).await;
    while numbers(&of_second.message().await.1).0.is_empty() {}
    of_second.end.abort();
    let _ = of_second.end.await;
    let mut talk = Talk::with(&first, None).await;
    talk.message().await;
    drop(first);
    let record = talk.end().await.1;

    let mut talk = Talk::with(&second, record.clone()).await;
    let end = loop {
        assert!(talk.delivered.try_recv().is_err(), "it was asked for messages");
        if talk.end.is_finished() {
            break talk.end().await.0;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(matches!(end, End::NotEnrolled(OfficeError::OtherChip)), "{end}");
}

#[tokio::test]
async fn a_chip_that_is_a_member_elsewhere_is_let_be() {
    let folder = tempfile::tempdir().unwrap();
    let chip = chip(&folder, 1);
    let mut talk = Talk::with(&chip, None).await;
    talk.message().await;
    talk.end.abort();
    let _ = talk.end.await;
    let stream = UnixStream::connect(chip.line()).await.unwrap();
    let mut talk = Talk::over(stream, None, "other".parse().unwrap());
    assert!(tokio::time::timeout(Duration::from_secs(5), talk.delivered.recv()).await.unwrap().is_none());
    let (end, record) = talk.end().await;
    assert!(matches!(end, End::Elsewhere) && record.is_none(), "{end}");
}

/// A line with noise in both directions, in front of every piece.
async fn noisy(mut far: UnixStream, mut near: DuplexStream) {
    const NOISE: &[u8] = b"\x7e\x7d\x7e\x00\xff\x7d";
    let (mut up, mut down) = ([0; 256], [0; 256]);
    loop {
        let done = tokio::select! {
            read = near.read(&mut up) => match read {
                Ok(read) if read > 0 => far.write_all(&[NOISE, &up[..read]].concat()).await,
                _ => return,
            },
            read = far.read(&mut down) => match read {
                Ok(read) if read > 0 => near.write_all(&down[..read]).await,
                _ => return,
            },
        };
        if done.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn noise_on_the_line_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let chip = chip(&folder, 1);
    let (near, far) = duplex(4096);
    tokio::spawn(noisy(UnixStream::connect(chip.line()).await.unwrap(), far));
    let mut talk = Talk::over(near, None, tenant());
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(numbers(&talk.message().await.1).0);
    }
    assert_eq!(seen, [1, 2]);
}

#[tokio::test]
async fn what_speaks_in_another_way_or_not_at_all_is_no_chip() {
    let (near, mut far) = duplex(4096);
    let talk = Talk::over(near, None, tenant());
    // It says what it hears.
    tokio::spawn(async move {
        let mut room = [0; 256];
        while let Ok(read @ 1..) = far.read(&mut room).await {
            if far.write_all(&room[..read]).await.is_err() {
                return;
            }
        }
    });
    let (end, _) = talk.end().await;
    assert!(matches!(end, End::Ask(AskError::Silent)), "{end}");
}

#[tokio::test]
async fn a_chip_whose_casing_was_opened_says_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let chip = chip(&folder, 1);
    let mut talk = Talk::with(&chip, None).await;
    while numbers(&talk.message().await.1).0.is_empty() {}
    chip.open_casing();
    loop {
        let (records, signed) = numbers(&talk.message().await.1);
        // A record and the signature over it in one message.
        if signed.is_some() && signed == records.last().copied() {
            break;
        }
    }
    let (end, _) = talk.end().await;
    assert!(matches!(end, End::Destroyed), "{end}");
}

/// Says that its keys are destroyed, and then this, whatever it is polled for.
async fn liar(mut far: DuplexStream, says: Vec<u8>) {
    let mut decoder = Decoder::new(vec![0; 8192]);
    let mut room = [0; 256];
    while let Ok(read @ 1..) = far.read(&mut room).await {
        for byte in &room[..read] {
            let Some(frame) = decoder.take(*byte) else { continue };
            let failed = [Failure::Destroyed.code(), 0];
            let (kind, body): (u8, &[u8]) = match frame.kind == Kind::Poll.code() {
                true => (Kind::Poll.answer(), &says),
                false => (Kind::FAILED, &failed),
            };
            let mut answer = Vec::new();
            encode(&Frame { sequence: frame.sequence, kind, body }, |byte| answer.push(byte));
            if far.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test]
async fn last_words_that_the_chip_did_not_sign_are_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let chip = chip(&folder, 1);
    let mut talk = Talk::with(&chip, None).await;
    let (_, mut readings) = talk.message().await;
    *readings.last_mut().unwrap() ^= 1;
    drop(chip);
    let (_, record) = talk.end().await;
    let unsigned = [&u32::MAX.to_be_bytes()[..], &[1], b"door\0\0\0\0\0\0\0\0\0\0\0\0", &readings].concat();
    let (near, far) = duplex(4096);
    tokio::spawn(liar(far, unsigned));
    let mut talk = Talk::over(near, record, tenant());
    assert!(talk.delivered.recv().await.is_none());
    let (end, _) = talk.end().await;
    assert!(matches!(end, End::Unproved), "{end}");
}
