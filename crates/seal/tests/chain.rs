//! A device's chain against the service's verifier: the honest way, and every way to bend it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

use std::collections::HashMap;

use proptest::prelude::*;
use thingward_crypto::{
    AeadAlgorithm, RecipientSecretKey, SignatureAlgorithm, Signer, SoftwareKey, system_rng,
};
use thingward_model::limits::RESENT_RECORDS_MAX;
use thingward_model::{Confidentiality, Reading, Timestamp, Value, senml};
use thingward_seal::statement::STATEMENT_BYTES_MAX;
use thingward_seal::verifier::verify_statement;
use thingward_seal::writer::Dropped;
use thingward_seal::{
    ChainState, ChainWriter, Earlier, FormatError, GapReason, Item, Items, NewChain, Record, RecordKey,
    RecordVerdict, SEQUENCE_MAX, Statement, StatementKind, StatementVerdict, Subject, Violation,
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn subject() -> Subject {
    Subject {
        tenant: "acme".parse().unwrap(),
        device: "thermometer-1".parse().unwrap(),
        stream: "climate".parse().unwrap(),
    }
}

struct Device {
    key: SoftwareKey,
    writer: ChainWriter,
    sent: Vec<Vec<u8>>,
}

impl Device {
    fn new(signature: SignatureAlgorithm, cipher: AeadAlgorithm, recipient: &RecipientSecretKey) -> Self {
        let key = SoftwareKey::generate(signature, &mut system_rng());
        let new = NewChain {
            subject: subject(),
            confidentiality: Confidentiality::Service,
            recipient: &recipient.public_key().unwrap(),
            cipher,
            previous: None,
        };
        let mut out = [0; STATEMENT_BYTES_MAX];
        let (writer, len) = ChainWriter::open(&new, NOW, &key, &mut system_rng(), &mut out).unwrap();
        Self { key, writer, sent: vec![out[..len].to_vec()] }
    }

    fn read(&mut self, value: f64) -> usize {
        let reading = Reading { field: None, unit: "Cel", time: NOW, value: Value::Number(value) };
        let mut out = [0; 256];
        let made = self.writer.append(&[reading], &mut out).unwrap();
        self.sent.push(out[..made.len].to_vec());
        self.sent.len() - 1
    }

    fn checkpoint(&mut self) -> usize {
        let mut out = [0; STATEMENT_BYTES_MAX];
        let len = self.writer.checkpoint(NOW, &self.key, &mut out).unwrap().unwrap();
        self.sent.push(out[..len].to_vec());
        self.sent.len() - 1
    }
}

struct Service {
    recipient: RecipientSecretKey,
    chain: Option<(ChainState, RecordKey)>,
    tags: HashMap<u64, [u8; 16]>,
    values: HashMap<u64, f64>,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Opened,
    Record(RecordVerdict),
    Statement(StatementVerdict),
    Refused(Violation),
}

impl Service {
    fn new() -> Self {
        let recipient = RecipientSecretKey::generate(&mut system_rng());
        Self { recipient, chain: None, tags: HashMap::new(), values: HashMap::new() }
    }

    fn take(&mut self, device: &Device, bytes: &[u8]) -> Seen {
        let item = Items::new(bytes).next().unwrap().unwrap();
        match item {
            Item::Statement(signed) => {
                let key = device.key.public_key();
                let key = (signed.key_id() == key.id()).then_some(key);
                let statement = match verify_statement(&signed, &subject(), key) {
                    Ok(statement) => statement,
                    Err(violation) => return Seen::Refused(violation),
                };
                if let StatementKind::Open { cipher, encapsulated, .. } = statement.kind {
                    let key = RecordKey::derive(
                        &self.recipient,
                        &encapsulated,
                        cipher,
                        &subject(),
                        &statement.chain,
                    );
                    self.chain = Some((ChainState::opened(statement.chain, signed.bytes), key.unwrap()));
                    return Seen::Opened;
                }
                let (state, _) = self.chain.as_mut().unwrap();
                Seen::Statement(state.statement(&statement))
            }
            Item::Record(record) => {
                let Some((state, key)) = self.chain.as_mut() else {
                    return Seen::Refused(Violation::UnknownChain);
                };
                let mut pack = [0; 2048];
                let opened = record.open(key, &mut pack);
                let verdict = state.record(&record, opened.is_ok(), |r| earlier(&self.tags, r));
                if matches!(verdict, RecordVerdict::Linked | RecordVerdict::Unlinked(_)) {
                    self.tags.insert(record.seq, record.tag());
                    senml::decode(&pack[..opened.unwrap()], NOW, |r| {
                        let Value::Number(v) = r.value else { panic!("a number was sent") };
                        self.values.insert(record.seq, v);
                    })
                    .unwrap();
                }
                Seen::Record(verdict)
            }
        }
    }

    fn is_signed(&self, seq: u64) -> bool {
        self.chain.as_ref().unwrap().0.is_signed(seq)
    }
}

fn pair() -> (Device, Service) {
    let service = Service::new();
    let device = Device::new(SignatureAlgorithm::EcdsaP256, AeadAlgorithm::Aes256Gcm, &service.recipient);
    (device, service)
}

fn earlier(tags: &HashMap<u64, [u8; 16]>, record: &Record<'_>) -> Earlier {
    match tags.get(&record.seq) {
        None => Earlier::Unknown,
        Some(tag) if *tag == record.tag() => Earlier::Same,
        Some(_) => Earlier::Other,
    }
}

const SIGNED: Seen = Seen::Statement(StatementVerdict::Signed);
const LINKED: Seen = Seen::Record(RecordVerdict::Linked);

#[test]
fn in_every_suite_a_chain_arrives_whole_and_signed() {
    for signature in [SignatureAlgorithm::Ed25519, SignatureAlgorithm::EcdsaP256] {
        for cipher in AeadAlgorithm::ALL {
            let mut service = Service::new();
            let mut device = Device::new(signature, cipher, &service.recipient);
            for i in 0..10 {
                device.read(f64::from(i) + 0.5);
            }
            device.checkpoint();
            let sent = device.sent.clone();
            assert_eq!(service.take(&device, &sent[0]), Seen::Opened);
            for item in &sent[1..11] {
                assert_eq!(service.take(&device, item), LINKED);
                assert!(!service.is_signed(1));
            }
            assert_eq!(service.take(&device, &sent[11]), SIGNED);
            for seq in 1..=10_u32 {
                assert!(service.is_signed(seq.into()));
                assert_eq!(service.values[&seq.into()], f64::from(seq) - 0.5);
            }
            assert!(!service.is_signed(11));
        }
    }
}

#[test]
fn a_missing_record_is_a_gap_and_what_follows_the_next_checkpoint_is_signed_again() {
    let (mut device, mut service) = pair();
    for i in 0..3 {
        device.read(f64::from(i));
    }
    device.checkpoint();
    device.read(3.0);
    device.checkpoint();
    let sent = device.sent.clone();
    service.take(&device, &sent[0]);
    assert_eq!(service.take(&device, &sent[1]), LINKED);
    assert_eq!(service.take(&device, &sent[3]), Seen::Record(RecordVerdict::Unlinked(Some(Violation::Gap))));
    let broken = Seen::Statement(StatementVerdict::Reanchored(Violation::CheckpointMismatch));
    assert_eq!(service.take(&device, &sent[4]), broken);
    assert_eq!(service.take(&device, &sent[5]), LINKED);
    assert_eq!(service.take(&device, &sent[6]), SIGNED);
    assert_eq!([1, 2, 3, 4].map(|s| service.is_signed(s)), [false, false, false, true]);
    assert_eq!(service.values.len(), 3);
}

#[test]
fn a_record_that_comes_late_is_a_reordering_and_one_that_comes_again_changes_nothing() {
    let (mut device, mut service) = pair();
    for i in 0..3 {
        device.read(f64::from(i));
    }
    let sent = device.sent.clone();
    service.take(&device, &sent[0]);
    service.take(&device, &sent[1]);
    assert_eq!(service.take(&device, &sent[1]), Seen::Record(RecordVerdict::Duplicate));
    service.take(&device, &sent[3]);
    let late = Seen::Record(RecordVerdict::Unlinked(Some(Violation::Reordering)));
    assert_eq!(service.take(&device, &sent[2]), late);
    assert_eq!(service.values.len(), 3);
}

#[test]
fn what_somebody_on_the_way_had_is_kept_once_whenever_it_comes() {
    let (mut device, mut service) = pair();
    for i in 0..4 {
        device.read(f64::from(i));
    }
    device.checkpoint();
    device.read(4.0);
    device.checkpoint();
    let sent = device.sent.clone();
    // The device went on another way before its second and third record were through.
    for at in [0, 1, 4, 5, 6, 7] {
        service.take(&device, &sent[at]);
    }
    assert!(service.is_signed(5));
    // Whatever was kept may be where nobody looks by then.
    service.tags.clear();
    let late = Seen::Record(RecordVerdict::Unlinked(Some(Violation::Reordering)));
    for at in [3, 2] {
        assert_eq!(service.take(&device, &sent[at]), late);
        service.tags.clear();
    }
    for item in &sent[1..5] {
        assert_eq!(service.take(&device, item), Seen::Record(RecordVerdict::Duplicate));
    }
    assert_eq!(service.values.len(), 5);
    assert_eq!([1, 2, 3, 4, 5].map(|seq| service.is_signed(seq)), [false, false, false, false, true]);
}

#[test]
fn an_old_record_that_nobody_remembers_is_a_replay_unless_its_sender_may_have_missed_the_answer() {
    let (mut device, mut service) = pair();
    for i in 0..=RESENT_RECORDS_MAX {
        device.read(f64::from(u32::try_from(i).unwrap()));
        if i % 200 == 0 {
            device.checkpoint();
        }
    }
    device.checkpoint();
    let sent = device.sent.clone();
    for item in &sent {
        service.take(&device, item);
    }
    service.tags.clear();
    // Behind the open statement: the first record, the checkpoint over it, the second record.
    assert_eq!(service.take(&device, &sent[1]), Seen::Record(RecordVerdict::Refused(Violation::Replay)));
    assert_eq!(service.take(&device, &sent[2]), Seen::Statement(StatementVerdict::Duplicate));
    assert_eq!(service.take(&device, &sent[3]), Seen::Record(RecordVerdict::Duplicate));
}

#[test]
fn an_unsigned_record_of_an_unbroken_chain_that_nobody_remembers_is_a_duplicate() {
    let (mut device, mut service) = pair();
    device.read(1.0);
    device.read(2.0);
    let sent = device.sent.clone();
    for item in &sent {
        service.take(&device, item);
    }
    service.tags.clear();
    assert_eq!(service.take(&device, &sent[1]), Seen::Record(RecordVerdict::Duplicate));
}

#[test]
fn two_continuations_of_one_chain_are_a_fork() {
    let (mut device, mut service) = pair();
    device.read(1.0);
    let state = device.writer.save();
    device.read(2.0);
    let mut clone = Device {
        key: SoftwareKey::from_pkcs8(&device.key.to_pkcs8().unwrap()).unwrap(),
        sent: Vec::new(),
        writer: ChainWriter::resume(subject(), &state).unwrap(),
    };
    clone.read(99.0);
    let sent = device.sent.clone();
    for item in &sent {
        service.take(&device, item);
    }
    let fork = Seen::Record(RecordVerdict::Refused(Violation::Fork));
    assert_eq!(service.take(&clone, &clone.sent[0].clone()), fork);
    assert_eq!(service.values[&2], 2.0);
}

#[test]
fn a_checkpoint_that_knows_more_than_came_is_a_truncation() {
    let (mut device, mut service) = pair();
    for i in 0..3 {
        device.read(f64::from(i));
    }
    device.checkpoint();
    let sent = device.sent.clone();
    service.take(&device, &sent[0]);
    service.take(&device, &sent[1]);
    let cut = Seen::Statement(StatementVerdict::Reanchored(Violation::Truncation));
    assert_eq!(service.take(&device, &sent[4]), cut);
    assert!(!service.is_signed(1));
}

#[test]
fn every_flipped_bit_of_every_item_is_noticed() {
    let (mut device, real) = pair();
    let record = device.read(21.5);
    let checkpoint = device.checkpoint();
    let sent = device.sent.clone();
    for (at, item) in [(0, &sent[0]), (record, &sent[record]), (checkpoint, &sent[checkpoint])] {
        for bit in 0..item.len() * 8 {
            let mut service = Service { recipient: real.recipient.clone(), ..Service::new() };
            let mut bent = item.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            let Some(Ok(_)) = Items::new(&bent).next() else { continue };
            if Items::new(&bent).count() > 1 {
                continue;
            }
            if at != 0 {
                service.take(&device, &sent[0]);
            }
            let seen = service.take(&device, &bent);
            let refused = matches!(
                seen,
                Seen::Refused(_)
                    | Seen::Record(RecordVerdict::Refused(_))
                    | Seen::Statement(StatementVerdict::Refused(_))
            );
            assert!(refused, "item {at}, bit {bit}: {seen:?}");
        }
    }
}

#[test]
fn a_statement_about_another_tenant_device_or_by_another_key_is_refused() {
    let (mut device, mut service) = pair();
    let (mut stranger, _) = pair();
    device.read(1.0);
    stranger.read(1.0);
    let at = stranger.checkpoint();
    service.take(&device, &device.sent[0].clone());
    assert_eq!(service.take(&device, &stranger.sent[at].clone()), Seen::Refused(Violation::WrongSigner));
    let item = Items::new(&device.sent[0]).next().unwrap().unwrap();
    let Item::Statement(signed) = item else { panic!("a chain starts with a statement") };
    let other = Subject { tenant: "other".parse().unwrap(), ..subject() };
    let verdict = verify_statement(&signed, &other, Some(device.key.public_key()));
    assert_eq!(verdict, Err(Violation::WrongSubject));
}

#[test]
fn after_a_power_loss_no_number_is_used_twice_and_the_gap_is_declared() {
    let (mut device, mut service) = pair();
    device.read(1.0);
    device.read(2.0);
    let saved = device.writer.save(); // durable with record 2
    let reading = Reading { field: None, unit: "", time: NOW, value: Value::Bool(true) };
    device.writer.append(&[reading], &mut [0; 256]).unwrap(); // number 3: lost with the power
    let mut writer = ChainWriter::resume(subject(), &saved).unwrap();
    let mut out = [0; STATEMENT_BYTES_MAX];
    let len = writer.skip_reserved(64, NOW, &device.key, &mut out).unwrap();
    device.sent.push(out[..len].to_vec());
    device.writer = writer;
    let next = device.read(65.0);
    device.checkpoint();

    let sent = device.sent.clone();
    for item in &sent[..3] {
        service.take(&device, item);
    }
    let gap = StatementVerdict::GapDeclared { missing: 62, reason: GapReason::PowerLoss };
    assert_eq!(service.take(&device, &sent[3]), Seen::Statement(gap));
    assert_eq!(service.take(&device, &sent[next]), LINKED);
    assert_eq!(service.take(&device, &sent[next + 1]), SIGNED);
    assert!(service.is_signed(1) && service.is_signed(2) && service.is_signed(65));
}

#[test]
fn records_dropped_from_a_full_buffer_are_a_declared_gap() {
    let (mut device, mut service) = pair();
    device.read(1.0);
    let before = device.writer.link();
    device.read(2.0);
    device.read(3.0);
    let dropped = Dropped {
        first: 2,
        last: 3,
        before: before.head,
        head: device.writer.link().head,
        reason: GapReason::BufferFull,
    };
    let mut out = [0; STATEMENT_BYTES_MAX];
    let len = device.writer.declare_dropped(&dropped, NOW, &device.key, &mut out).unwrap();
    device.read(4.0);
    device.checkpoint();
    let sent = device.sent.clone();
    service.take(&device, &sent[0]);
    service.take(&device, &sent[1]);
    let gap = StatementVerdict::GapDeclared { missing: 2, reason: GapReason::BufferFull };
    assert_eq!(service.take(&device, &out[..len]), Seen::Statement(gap));
    assert_eq!(service.take(&device, &sent[4]), LINKED);
    assert_eq!(service.take(&device, &sent[5]), SIGNED);
    assert!(service.is_signed(1) && service.is_signed(4));
}

#[test]
fn a_device_that_never_signs_is_cut_off_from_assurance_not_from_the_service() {
    let (device, mut service) = pair();
    service.take(&device, &device.sent[0].clone());
    let (_, key) = service.chain.clone().unwrap();
    let chain = service.chain.as_ref().unwrap().0.chain;
    let reading = Reading { field: None, unit: "", time: NOW, value: Value::Number(0.0) };
    for seq in 1..=257 {
        let mut out = [0; 256];
        let len = key.seal(&chain, seq, &[reading], &mut out).unwrap();
        let want = if seq <= 256 {
            LINKED
        } else {
            Seen::Record(RecordVerdict::Unlinked(Some(Violation::CheckpointOverdue)))
        };
        assert_eq!(service.take(&device, &out[..len]), want, "{seq}");
    }
}

/// Records and statements whose numbers are the first, the last and one beside, of the chain that `device` opened.
fn items_at_the_ends(device: &Device, key: &RecordKey) -> Vec<Vec<u8>> {
    const MAX: u64 = SEQUENCE_MAX;
    let (chain, mut items) = (device.writer.link().chain, Vec::new());
    for seq in [1, 2, MAX - 1, MAX] {
        let reading = Reading { field: None, unit: "Cel", time: NOW, value: Value::Number(1.0) };
        let mut out = [0; 256];
        let len = key.seal(&chain, seq, &[reading], &mut out).unwrap();
        items.push(out[..len].to_vec());
    }
    let mut sign = |kind| {
        let mut out = [0; STATEMENT_BYTES_MAX];
        let statement = Statement { subject: subject(), chain, time: NOW, kind };
        let len = statement.sign(&device.key, &mut out).unwrap();
        items.push(out[..len].to_vec());
    };
    for (first, last) in [(1, 1), (1, MAX), (MAX - 1, MAX), (MAX, MAX)] {
        let (before, head, reason) = ([7; 32], [8; 32], GapReason::PowerLoss);
        sign(StatementKind::Checkpoint { first, last, head });
        sign(StatementKind::Gap { first, last, before, head, reason });
    }
    items
}

#[test]
fn no_order_of_items_at_the_ends_of_the_numbers_stops_the_verifier() {
    let (device, mut service) = pair();
    assert_eq!(service.take(&device, &device.sent[0]), Seen::Opened);
    let (opened, key) = service.chain.unwrap();
    let bytes = items_at_the_ends(&device, &key);
    let items: Vec<_> = bytes.iter().map(|bytes| Items::new(bytes).next().unwrap().unwrap()).collect();
    for row in 0..items.len().pow(4) {
        let mut state = opened;
        for place in 0..4 {
            match &items[row / items.len().pow(place) % items.len()] {
                Item::Record(record) => drop(state.record(record, true, |_| Earlier::Unknown)),
                Item::Statement(signed) => drop(state.statement(signed.claimed_unverified())),
            }
        }
    }
}

#[test]
fn a_number_past_the_last_one_is_malformed() {
    let (device, mut service) = pair();
    assert_eq!(service.take(&device, &device.sent[0]), Seen::Opened);
    let (_, key) = service.chain.unwrap();
    let (chain, head, mut out) = (device.writer.link().chain, [8; 32], [0; STATEMENT_BYTES_MAX]);
    let reading = Reading { field: None, unit: "Cel", time: NOW, value: Value::Number(1.0) };
    let len = key.seal(&chain, SEQUENCE_MAX + 1, &[reading], &mut out).unwrap();
    assert_eq!(Items::new(&out[..len]).next(), Some(Err(FormatError::Malformed)));
    let kind = StatementKind::Checkpoint { first: 1, last: SEQUENCE_MAX + 1, head };
    let statement = Statement { subject: subject(), chain, time: NOW, kind };
    let len = statement.sign(&device.key, &mut out).unwrap();
    assert_eq!(Items::new(&out[..len]).next(), Some(Err(FormatError::Malformed)));
}

#[test]
fn an_item_in_another_encoding_is_no_item() {
    let service = Service::new();
    let mut device =
        Device::new(SignatureAlgorithm::Ed25519, AeadAlgorithm::AsconAead128, &service.recipient);
    device.read(21.5);
    for item in &device.sent {
        assert!(Items::new(item).next().unwrap().is_ok());
        // Tag and array, whose length has a byte of its own here.
        let longer = [&[item[0], 0x98, item[1] & 0x1f], &item[2..]].concat();
        assert_eq!(Items::new(&longer).next(), Some(Err(FormatError::Malformed)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn in_whatever_order_items_come_each_record_is_kept_once(
        order in proptest::collection::vec(1_usize..21, 1..60),
        is_remembered in any::<bool>(),
    ) {
        let (mut device, mut service) = pair();
        for i in 0..16 {
            device.read(f64::from(i));
            if i % 4 == 3 {
                device.checkpoint();
            }
        }
        service.take(&device, &device.sent[0].clone());
        let mut kept = Vec::new();
        let mut came = std::collections::BTreeSet::new();
        for at in order {
            let item = device.sent[at].clone();
            let seq = match Items::new(&item).next().unwrap().unwrap() {
                Item::Record(record) => Some(record.seq),
                Item::Statement(_) => None,
            };
            let seen = service.take(&device, &item);
            came.extend(seq);
            if let Seen::Record(RecordVerdict::Linked | RecordVerdict::Unlinked(_)) = seen {
                kept.extend(seq);
            }
            if !is_remembered {
                service.tags.clear();
            }
        }
        kept.sort_unstable();
        // More ranges than there is room for would have records kept again that nobody remembers: of 16 there are at most 8.
        prop_assert_eq!(kept, came.into_iter().collect::<Vec<_>>());
    }
}
