use std::collections::BTreeMap;
use std::sync::Arc;

use thingward_crypto::{RecipientSecretKey, SignatureAlgorithm, SoftwareKey};
use thingward_model::{Value, senml};
use thingward_seal::{ChainState, Earlier, Record, RecordKey, RecordVerdict, StatementVerdict};

use super::*;
use crate::disk::memory::MemoryDisk;

struct Bench {
    disk: MemoryDisk,
    recipient: RecipientSecretKey,
    signer: SharedSigner,
    key: SealingKey,
    limits: SpoolLimits,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + seconds)
}

impl Bench {
    fn new(limits: SpoolLimits) -> Self {
        let mut rng = system_rng();
        Self {
            disk: MemoryDisk::default(),
            recipient: RecipientSecretKey::generate(&mut rng),
            signer: Arc::new(SoftwareKey::generate(SignatureAlgorithm::Ed25519, &mut rng)),
            key: SealingKey::generate(&mut rng).unwrap(),
            limits,
        }
    }

    fn subject() -> Subject {
        let name = "t".parse().unwrap();
        Subject { tenant: "acme".parse().unwrap(), device: name, stream: "climate".parse().unwrap() }
    }

    fn open(&self, now: Timestamp) -> Result<Stream<MemoryDisk>, StreamError> {
        let settings = StreamSettings {
            confidentiality: Confidentiality::Service,
            recipient: self.recipient.public_key().unwrap(),
            cipher: AeadAlgorithm::Aes256Gcm,
            limits: self.limits,
            checkpoint_every: Duration::from_secs(10),
        };
        Stream::open(self.disk.clone(), Self::subject(), settings, self.key.clone(), self.signer.clone(), now)
    }
}

fn push(stream: &mut Stream<MemoryDisk>, value: f64, now: Timestamp) -> Result<(), StreamError> {
    let reading = Reading { field: None, unit: "Cel", time: now, value: Value::Number(value) };
    stream.push(&[reading], now)
}

/// What a service makes of the messages: values in order, and everything it had to say.
#[derive(Default)]
struct Service {
    chain: Option<(ChainState, RecordKey)>,
    values: Vec<f64>,
    said: Vec<String>,
    tags: BTreeMap<u64, [u8; 16]>,
}

impl Service {
    fn take(&mut self, bench: &Bench, payload: &[u8]) {
        for item in Items::new(payload) {
            match item.unwrap() {
                Item::Statement(signed) => {
                    let statement = signed.verify(bench.signer.public_key()).unwrap();
                    if let StatementKind::Open { cipher, encapsulated, .. } = statement.kind {
                        let subject = Bench::subject();
                        let key = RecordKey::derive(
                            &bench.recipient,
                            &encapsulated,
                            cipher,
                            &subject,
                            &statement.chain,
                        );
                        if self.chain.as_ref().is_none_or(|(s, _)| s.chain != statement.chain) {
                            assert!(self.chain.is_none(), "a second chain");
                            self.chain =
                                Some((ChainState::opened(statement.chain, signed.bytes), key.unwrap()));
                        }
                        continue;
                    }
                    match self.chain.as_mut().unwrap().0.statement(&statement) {
                        StatementVerdict::Signed | StatementVerdict::Duplicate => {}
                        other => self.said.push(format!("{other:?}")),
                    }
                }
                Item::Record(record) => {
                    let (state, key) = self.chain.as_mut().unwrap();
                    let mut pack = [0; 2048];
                    let len = record.open(key, &mut pack).unwrap();
                    match state.record(&record, true, |r| earlier(&self.tags, r)) {
                        RecordVerdict::Linked => {}
                        RecordVerdict::Duplicate => continue,
                        other => self.said.push(format!("{other:?}")),
                    }
                    assert!(self.tags.insert(record.seq, record.tag()).is_none(), "a number came twice");
                    senml::decode(&pack[..len], at(0), |r| {
                        let Value::Number(v) = r.value else { panic!("a number was sent") };
                        self.values.push(v);
                    })
                    .unwrap();
                }
            }
        }
    }

    fn drain(&mut self, bench: &Bench, stream: &mut Stream<MemoryDisk>) {
        while let Some((id, payload)) = stream.next_message().unwrap() {
            self.take(bench, &payload);
            stream.delivered(id).unwrap();
        }
    }
}

fn earlier(tags: &BTreeMap<u64, [u8; 16]>, record: &Record<'_>) -> Earlier {
    match tags.get(&record.seq) {
        None => Earlier::Unknown,
        Some(tag) if *tag == record.tag() => Earlier::Same,
        Some(_) => Earlier::Other,
    }
}

#[test]
fn readings_arrive_in_order_once_and_signed_over_clean_restarts() {
    let bench = Bench::new(SpoolLimits::default());
    let mut service = Service::default();
    let mut n = 0.0;
    for round in 0..5 {
        let mut stream = bench.open(at(round * 100)).unwrap();
        for _ in 0..150 {
            push(&mut stream, n, at(round * 100)).unwrap();
            n += 1.0;
        }
        if round % 2 == 0 {
            stream.commit(at(round * 100)).unwrap();
            service.drain(&bench, &mut stream);
        }
        stream.close(at(round * 100 + 1)).unwrap();
    }
    let mut stream = bench.open(at(1000)).unwrap();
    service.drain(&bench, &mut stream);
    assert!(stream.is_delivered());
    assert_eq!(service.values, (0..750).map(f64::from).collect::<Vec<_>>());
    assert_eq!(service.said, Vec::<String>::new());
    assert!(service.chain.unwrap().0.is_signed(750));
}

#[test]
fn a_disk_that_dies_at_any_write_loses_nothing_durable_and_repeats_no_number() {
    for n in 0.. {
        let bench = Bench::new(SpoolLimits { bytes_max: 1 << 20, ..SpoolLimits::default() });
        let mut service = Service::default();
        bench.disk.failing.replace(n..u32::MAX);
        let mut durable = Vec::new();
        let mut attempt = || -> Result<(), StreamError> {
            let mut stream = bench.open(at(0))?;
            for i in 0..6 {
                push(&mut stream, f64::from(i), at(0))?;
                stream.commit(at(i64::from(i) * 20))?;
                durable.push(f64::from(i));
                if i == 2 {
                    // The ack of what was sent is lost with the power.
                    while let Some((_, payload)) = stream.next_message()? {
                        service.take(&bench, &payload);
                    }
                }
            }
            stream.close(at(200))
        };
        let survived = attempt().is_ok();
        bench.disk.failing.take();
        let mut stream = bench.open(at(300)).unwrap();
        push(&mut stream, 99.0, at(300)).unwrap();
        stream.commit_signed(at(300)).unwrap();
        service.drain(&bench, &mut stream);
        durable.push(99.0);
        // A write that failed may still have arrived whole in the file's first half never; it is never more.
        assert_eq!(service.values, durable, "write {n}");
        let unexpected: Vec<_> = service.said.iter().filter(|s| !s.starts_with("GapDeclared")).collect();
        assert!(unexpected.is_empty(), "write {n}: {unexpected:?}");
        if survived {
            assert!(n > 6, "the disk never broke");
            return;
        }
    }
}

#[test]
fn a_disk_that_fails_for_a_while_at_any_write_loses_nothing_that_was_tried_again() {
    for n in 0.. {
        for length in 1..=3 {
            let bench = Bench::new(SpoolLimits { bytes_max: 32 * 1024, ..SpoolLimits::default() });
            bench.disk.failing.replace(n..n + length);
            let mut stream = loop {
                if let Ok(stream) = bench.open(at(0)) {
                    break stream;
                }
            };
            for i in 0..30 {
                push(&mut stream, f64::from(i), at(0)).unwrap();
                while stream.commit(at(i64::from(i))).is_err() {}
            }
            drop(stream);
            bench.disk.failing.take();
            let was_whole = *bench.disk.writes.borrow() <= n;
            let mut service = Service::default();
            service.drain(&bench, &mut bench.open(at(100)).unwrap());
            assert_eq!(service.values, (0..30).map(f64::from).collect::<Vec<_>>(), "write {n}, {length}");
            assert!(service.said.iter().all(|s| s.starts_with("GapDeclared")), "{:?}", service.said);
            if was_whole {
                return;
            }
        }
    }
}

#[test]
fn damage_that_looks_like_a_torn_write_does_not_bring_a_number_twice() {
    let bench = Bench::new(SpoolLimits::default());
    let mut service = Service::default();
    let mut stream = bench.open(at(0)).unwrap();
    let name = "0000000000000000.spool";
    stream.commit_signed(at(0)).unwrap();
    service.drain(&bench, &mut stream);
    let length_at = bench.disk.files.borrow()[name].len();
    // Many more than are set aside at a time, in the part of the file that an entry could take.
    for i in 0..3000 {
        push(&mut stream, f64::from(i), at(0)).unwrap();
    }
    stream.commit_signed(at(0)).unwrap();
    service.drain(&bench, &mut stream);
    drop(stream);
    bench.disk.files.borrow_mut().get_mut(name).unwrap()[length_at + 1] = 7;
    let mut stream = bench.open(at(1)).unwrap();
    push(&mut stream, 4000.0, at(1)).unwrap();
    stream.commit_signed(at(1)).unwrap();
    // The service would not let a number come twice.
    service.drain(&bench, &mut stream);
    assert_eq!(service.values.last(), Some(&4000.0));
}

#[test]
fn a_full_buffer_drops_the_oldest_as_a_signed_gap() {
    let bench = Bench::new(SpoolLimits { bytes_max: 32 * 1024, ..SpoolLimits::default() });
    let mut stream = bench.open(at(0)).unwrap();
    for i in 0..2000 {
        push(&mut stream, f64::from(i), at(0)).unwrap();
        if i % 10 == 9 {
            stream.commit(at(0)).unwrap();
        }
        assert!(stream.backlog().1 < 40 * 1024);
    }
    stream.close(at(1)).unwrap();
    let mut service = Service::default();
    let mut stream = bench.open(at(2)).unwrap();
    service.drain(&bench, &mut stream);
    assert_eq!(service.said.len(), 1, "{:?}", service.said);
    assert!(service.said[0].contains("BufferFull"), "{:?}", service.said);
    let first = service.values[0];
    assert!(first > 0.0);
    let want: Vec<f64> = (0..2000).map(f64::from).filter(|v| *v >= first).collect();
    assert_eq!(service.values, want);
    assert!(service.chain.unwrap().0.is_signed(2000));
}

#[test]
fn a_checkpoint_alone_in_its_file_at_the_front_keeps_no_bound_from_holding() {
    let bytes_max = 4_000;
    let bench = Bench::new(SpoolLimits { bytes_max, ..SpoolLimits::default() });
    let mut stream = bench.open(at(0)).unwrap();
    push(&mut stream, 0.0, at(0)).unwrap();
    stream.commit(at(0)).unwrap();
    while let Some((id, _)) = stream.next_message().unwrap() {
        stream.delivered(id).unwrap();
    }
    stream.commit_signed(at(1)).unwrap();
    for n in 1..200 {
        push(&mut stream, f64::from(n), at(2)).unwrap();
        stream.commit(at(2)).unwrap();
        let (_, bytes) = stream.backlog();
        assert!(bytes <= bytes_max, "{bytes} bytes at {n}");
    }
}

#[test]
fn readings_older_than_the_bound_are_dropped_as_a_signed_gap() {
    let limits = SpoolLimits { bytes_max: 16 * 1024, age_max: Duration::from_secs(60) };
    let bench = Bench::new(limits);
    let mut stream = bench.open(at(0)).unwrap();
    for i in 0..20_i32 {
        push(&mut stream, f64::from(i), at(i64::from(i) * 20)).unwrap();
        stream.commit_signed(at(i64::from(i) * 20)).unwrap();
    }
    let mut service = Service::default();
    service.drain(&bench, &mut stream);
    assert!(service.said[0].contains("TooOld"), "{:?}", service.said);
    assert_eq!(service.values.last(), Some(&19.0));
    assert!(service.values[0] > 10.0);
}

#[test]
fn a_reading_that_nothing_follows_is_dropped_too_when_it_is_too_old() {
    let limits = SpoolLimits { age_max: Duration::from_secs(60), ..SpoolLimits::default() };
    for signed in [false, true] {
        let bench = Bench::new(limits);
        let mut stream = bench.open(at(0)).unwrap();
        for i in 0..3 {
            push(&mut stream, f64::from(i), at(0)).unwrap();
            if signed { stream.commit_signed(at(0)) } else { stream.commit(at(0)) }.unwrap();
        }
        push(&mut stream, 3.0, at(5)).unwrap();
        stream.commit(at(5)).unwrap();
        let waiting = stream.backlog().0;
        stream.tick(at(60)).unwrap();
        assert!(stream.backlog().0 >= waiting, "nothing is too old yet");
        stream.tick(at(62)).unwrap();
        let mut service = Service::default();
        service.drain(&bench, &mut stream);
        assert_eq!(service.values, [3.0]);
        // Dropped stays dropped, also when the gap is delivered and nothing was written since.
        drop(stream);
        let mut stream = bench.open(at(63)).unwrap();
        service.drain(&bench, &mut stream);
        stream.tick(at(200)).unwrap();
        service.drain(&bench, &mut stream);
        push(&mut stream, 4.0, at(201)).unwrap();
        stream.commit_signed(at(201)).unwrap();
        service.drain(&bench, &mut stream);
        assert_eq!(service.values, [3.0, 4.0]);
        let unexpected: Vec<_> = service.said.iter().filter(|s| !s.starts_with("GapDeclared")).collect();
        assert!(unexpected.is_empty() && service.said[0].contains("TooOld"), "{:?}", service.said);
    }
}

#[test]
fn a_clock_that_is_set_back_does_not_put_off_the_checkpoint() {
    let bench = Bench::new(SpoolLimits::default());
    let mut service = Service::default();
    let mut stream = bench.open(at(0)).unwrap();
    for time in [at(-3600), at(-3595), at(-3589)] {
        push(&mut stream, 1.0, time).unwrap();
        stream.commit(time).unwrap();
    }
    service.drain(&bench, &mut stream);
    assert!(service.chain.unwrap().0.is_signed(3));
}

#[test]
fn a_changed_byte_in_the_buffer_is_damage_and_not_another_value() {
    let bench = Bench::new(SpoolLimits::default());
    let mut stream = bench.open(at(0)).unwrap();
    for i in 0..3 {
        push(&mut stream, f64::from(i), at(0)).unwrap();
        stream.commit(at(0)).unwrap();
    }
    drop(stream);
    let name = "0000000000000000.spool";
    let len = bench.disk.files.borrow()[name].len();
    bench.disk.files.borrow_mut().get_mut(name).unwrap()[len / 2] ^= 1;
    assert!(matches!(bench.open(at(1)), Err(StreamError::Spool(SpoolError::Damaged { .. }))));
}

#[test]
fn a_stream_does_not_go_on_without_the_file_that_says_which_numbers_were_used() {
    let bench = Bench::new(SpoolLimits { bytes_max: 32 * 1024, ..SpoolLimits::default() });
    let mut stream = bench.open(at(0)).unwrap();
    for i in 0..100 {
        push(&mut stream, f64::from(i), at(0)).unwrap();
        stream.commit(at(0)).unwrap();
    }
    drop(stream);
    let whole = bench.disk.files.borrow().clone();
    let segments: Vec<_> = whole.keys().filter(|name| name.ends_with(".spool")).cloned().collect();
    assert!(segments.len() > 2, "older segments wait");
    for lost in [segments.last().unwrap().as_str(), CHAIN_FILE] {
        bench.disk.files.borrow_mut().remove(lost);
        let Err(StreamError::Spool(SpoolError::Missing { file })) = bench.open(at(1)).map(drop) else {
            panic!("opened without {lost}");
        };
        assert_eq!(file, lost);
        bench.disk.files.borrow_mut().clone_from(&whole);
    }
    // Nothing of a stream is as good as a new one: its chain has another key.
    bench.disk.files.borrow_mut().clear();
    bench.open(at(1)).unwrap();
}

#[test]
fn a_note_survives_with_exactly_the_readings_it_was_left_with() {
    for n in 0.. {
        let bench = Bench::new(SpoolLimits::default());
        let mut service = Service::default();
        bench.disk.failing.replace(n..u32::MAX);
        let attempt = || -> Result<(), StreamError> {
            let mut stream = bench.open(at(0))?;
            // More than one message holds, so that some are written by `push`.
            for i in 1..=200_u32 {
                push(&mut stream, f64::from(i), at(0))?;
                stream.set_note(u64::from(i));
            }
            stream.commit(at(0))
        };
        let survived = attempt().is_ok();
        bench.disk.failing.take();
        let mut stream = bench.open(at(1)).unwrap();
        let note = stream.note();
        service.drain(&bench, &mut stream);
        assert_eq!(service.values.len() as u64, note, "write {n}");
        assert_eq!(stream.delivered_note().unwrap_or(0), note);
        if survived {
            assert_eq!(note, 200);
            return;
        }
    }
}

#[test]
fn readings_of_long_ago_that_came_just_now_are_not_too_old() {
    let limits = SpoolLimits { bytes_max: 16 * 1024, age_max: Duration::from_secs(60) };
    let bench = Bench::new(limits);
    let mut stream = bench.open(at(0)).unwrap();
    for i in 0..20_i32 {
        let time = Timestamp::from_seconds(i64::from(i));
        let reading = Reading { field: None, unit: "", time, value: Value::Number(f64::from(i)) };
        stream.push(&[reading], at(0)).unwrap();
        stream.commit_signed(at(0)).unwrap();
    }
    let mut service = Service::default();
    service.drain(&bench, &mut stream);
    assert_eq!(service.values.len(), 20, "{:?}", service.said);
}

#[test]
fn a_chain_is_not_silently_sealed_for_somebody_else_than_the_settings_say() {
    let bench = Bench::new(SpoolLimits::default());
    bench.open(at(0)).unwrap();
    let settings = StreamSettings {
        confidentiality: Confidentiality::Customer,
        recipient: bench.recipient.public_key().unwrap(),
        cipher: AeadAlgorithm::Aes256Gcm,
        limits: bench.limits,
        checkpoint_every: Duration::from_secs(10),
    };
    let (key, signer) = (bench.key.clone(), bench.signer.clone());
    let opened = Stream::open(bench.disk.clone(), Bench::subject(), settings, key, signer, at(1));
    assert!(matches!(opened.map(|_| ()), Err(StreamError::Confidentiality { .. })));
}

#[test]
fn what_was_delivered_before_the_last_write_is_not_sent_again_after_a_restart() {
    let bench = Bench::new(SpoolLimits::default());
    let mut service = Service::default();
    let mut stream = bench.open(at(0)).unwrap();
    for i in 0..100_i32 {
        push(&mut stream, f64::from(i), at(0)).unwrap();
        stream.commit(at(0)).unwrap();
        if i < 90 {
            service.drain(&bench, &mut stream);
        }
    }
    drop(stream);
    let mut stream = bench.open(at(1)).unwrap();
    let messages = std::iter::from_fn(|| stream.next_message().unwrap()).count();
    assert_eq!(messages, 12, "the open statement, ten records, and the gap of the restart");
}

/// A measurement, for a machine that does nothing else: `cargo test --release -p thingward-agent -- --ignored
/// --nocapture rows_per_second`.
#[test]
#[ignore = "a measurement"]
fn rows_per_second_through_push_and_commit() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(SpoolLimits { bytes_max: 1 << 30, ..SpoolLimits::default() });
    for algorithm in [SignatureAlgorithm::EcdsaP256, SignatureAlgorithm::Ed25519] {
        let disk = crate::disk::Directory::open(&folder.path().join(format!("{algorithm:?}"))).unwrap();
        let signer: SharedSigner = Arc::new(SoftwareKey::generate(algorithm, &mut system_rng()));
        let settings = StreamSettings {
            confidentiality: Confidentiality::Service,
            recipient: bench.recipient.public_key().unwrap(),
            cipher: AeadAlgorithm::Aes256Gcm,
            limits: bench.limits,
            checkpoint_every: Duration::from_secs(10),
        };
        let mut stream =
            Stream::open(disk, Bench::subject(), settings, bench.key.clone(), signer, at(0)).unwrap();
        let started = std::time::Instant::now();
        let rows = 50_000_u32;
        for row in 0..rows {
            let names = ["a", "b", "c", "d", "e", "f", "g"].map(|n| Some(n.parse().unwrap()));
            let reading = |field| Reading {
                field,
                unit: "",
                time: at(row.into()),
                value: Value::Number(f64::from(row) / 7.0),
            };
            stream.push(&names.map(reading), at(0)).unwrap();
            if row % 512 == 511 {
                stream.commit(at(0)).unwrap();
            }
        }
        stream.close(at(0)).unwrap();
        println!("{algorithm:?}: {:.0} rows/s", f64::from(rows) / started.elapsed().as_secs_f64());
    }
}
