//! What the pipeline keeps when the world changes under it.

use thingward_crypto::{
    AeadAlgorithm, RecipientSecretKey, SignatureAlgorithm, Signer, SoftwareKey, system_rng,
};
use thingward_model::{Principal, Role};
use thingward_seal::statement::STATEMENT_BYTES_MAX;
use thingward_seal::{ChainWriter, NewChain};
use thingward_store::query::{Filter, Limits};
use thingward_store::segment::RollPolicy;

use thingward_policy::{Resource, Subject};

use super::*;

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A tenant's store, and a device of it in the middle of a chain.
pub(crate) struct Bench {
    _folder: tempfile::TempDir,
    pub(crate) store: Arc<Store>,
    pub(crate) directory: Arc<Directory>,
    at: StreamKey,
    key: SoftwareKey,
    writer: ChainWriter,
    open: Vec<u8>,
}

fn open_chain(store: &Store, at: &StreamKey, key: &SoftwareKey) -> (ChainWriter, Vec<u8>) {
    let ring = store.keys().get(&at.tenant).unwrap();
    let recipient = RecipientSecretKey::from_bytes(*ring.newest().recipient()).public_key().unwrap();
    let new = NewChain {
        subject: subject(at),
        confidentiality: Confidentiality::Service,
        recipient: &recipient,
        cipher: AeadAlgorithm::Aes256Gcm,
        previous: None,
    };
    let mut out = [0; STATEMENT_BYTES_MAX];
    let (writer, len) = ChainWriter::open(&new, NOW, key, &mut system_rng(), &mut out).unwrap();
    (writer, out[..len].to_vec())
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&folder.path().join("data")).await.unwrap());
        let kek = folder.path().join("kek");
        thingward_crypto::sealed::write_private(&kek, &[7; 32]).unwrap();
        let reference = format!("file:{}", kek.display()).parse().unwrap();
        let (tenant, device) = ("acme".parse().unwrap(), "meter-1".parse().unwrap());
        let at = StreamKey { tenant, device, stream: "power".parse().unwrap() };
        store.keys().create(at.tenant, reference, NOW).await.unwrap();
        let key = SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng());
        let directory = Arc::new(Directory::default());
        directory.enrolled(at.tenant, at.device, Role::Device, key.public_key());
        let (writer, open) = open_chain(&store, &at, &key);
        Self { _folder: folder, store, directory, at, key, writer, open }
    }

    pub(crate) fn pipeline(&self) -> Pipeline {
        let metrics = Arc::new(Metrics::new());
        Pipeline::new(Arc::clone(&self.store), Arc::clone(&self.directory), metrics).unwrap()
    }

    fn principal(&self) -> Principal {
        Principal { tenant: self.at.tenant, role: Role::Device, name: self.at.device }
    }

    pub(crate) fn member(&self) -> thingward_ingress::Member {
        let (principal, link) = (self.principal(), thingward_model::Link::MutualTls);
        thingward_ingress::Member { principal, serial: vec![1], not_after: NOW, link }
    }

    fn read(&mut self, value: f64) -> Vec<u8> {
        let reading = thingward_model::Reading {
            field: None,
            unit: "W",
            time: NOW,
            value: thingward_model::Value::Number(value),
        };
        let mut out = [0; 256];
        let made = self.writer.append(&[reading], &mut out).unwrap();
        out[..made.len].to_vec()
    }

    /// What the device is told, and how many records were kept; all of it durable.
    fn take(&self, pipeline: &mut Pipeline, message: &[u8]) -> Result<usize, Refusal> {
        let taken = self.decide(pipeline, message);
        let group = pipeline.drain().unwrap();
        self.commit(pipeline, vec![group]);
        taken
    }

    fn commit(&self, pipeline: &Pipeline, groups: Vec<Drained>) {
        for group in groups {
            self.store.commit(group.batch).unwrap();
            pipeline.durable.store(group.group, Ordering::Release);
        }
    }

    /// What the device is told once it is durable, and how many records are kept then.
    fn decide(&self, pipeline: &mut Pipeline, message: &[u8]) -> Result<usize, Refusal> {
        let device = self.principal();
        let permit = self
            .directory
            .access
            .decide(&device.tenant, &Subject::Member(device), &Resource::Stream(device.name, self.at.stream))
            .unwrap();
        let taken = pipeline.take(&permit, self.at.device, self.at.stream, message, Route::TLS, NOW);
        taken.map(|kept| kept.len())
    }

    fn rows(&self) -> usize {
        let page = self.store.readings(&self.at.tenant, &Filter::default(), None, 1000, &Limits::default());
        assert_eq!(self.store.check().unwrap().problems.len(), 0);
        page.unwrap().rows.len()
    }

    fn checkpoint(&mut self) -> Vec<u8> {
        let mut out = [0; STATEMENT_BYTES_MAX];
        let len = self.writer.checkpoint(NOW, &self.key, &mut out).unwrap().unwrap();
        out[..len].to_vec()
    }

    /// How another chain of the stream begins, which follows nothing.
    fn another_open(&self) -> Vec<u8> {
        open_chain(&self.store, &self.at, &self.key).1
    }
}

#[tokio::test]
async fn a_record_that_was_refused_because_the_key_went_is_kept_when_it_comes_again() {
    let mut bench = Bench::new().await;
    let mut pipeline = bench.pipeline();
    bench.take(&mut pipeline, &bench.open.clone()).unwrap();
    let (first, second) = (bench.read(1.0), bench.read(2.0));
    assert_eq!(bench.take(&mut pipeline, &first).unwrap(), 1);
    // The key goes after `take` looked for it.
    bench.store.keys().withdraw(&bench.at.tenant, NOW).await.unwrap();
    let at = bench.at;
    assert!(matches!(pipeline.take_items(&at, &second, Route::TLS, NOW), Err(Refusal::Store(_))));
    bench.store.commit(pipeline.drain().unwrap().batch).unwrap();
    bench.store.keys().restore(&bench.at.tenant).await.unwrap();
    assert_eq!(bench.take(&mut pipeline, &second).unwrap(), 1);
    assert_eq!(bench.rows(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unacknowledged_record_that_comes_again_after_a_restart_and_a_roll_is_kept_once() {
    let mut bench = Bench::new().await;
    let mut pipeline = bench.pipeline();
    bench.take(&mut pipeline, &bench.open.clone()).unwrap();
    let record = bench.read(1.0);
    assert_eq!(bench.take(&mut pipeline, &record).unwrap(), 1);
    let all = RollPolicy { unsigned_before: NOW.plus_micros(1), rows_min: 1, rows_max: 100 };
    bench.store.roll(&bench.at.tenant, &all, NOW).unwrap().unwrap();
    let mut after_restart = bench.pipeline();
    assert_eq!(bench.take(&mut after_restart, &record).unwrap(), 0);
    assert_eq!(bench.rows(), 1);
}

/// The numbers of 300 records are behind a gap, and none of them is durable when the first ones and one in their midst come again.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_again_before_it_is_durable_is_kept_once_however_much_is_on_its_way() {
    let mut bench = Bench::new().await;
    let mut pipeline = bench.pipeline();
    bench.take(&mut pipeline, &bench.open.clone()).unwrap();
    bench.read(0.0);
    // A carrier lets no checkpoint through.
    bench.checkpoint();
    let mut records: Vec<Vec<u8>> = (1..=200).map(|n| bench.read(f64::from(n))).collect();
    bench.checkpoint();
    records.extend((201..=300).map(|n| bench.read(f64::from(n))));
    for record in &records {
        assert_eq!(bench.decide(&mut pipeline, record).unwrap(), 1);
    }
    let first = pipeline.drain().unwrap();
    for record in records.iter().take(8).chain(&records[30..31]) {
        assert_eq!(bench.decide(&mut pipeline, record).unwrap(), 0);
    }
    let second = pipeline.drain().unwrap();
    bench.commit(&pipeline, vec![first, second]);
    assert_eq!(bench.rows(), 300);
    for record in &records {
        assert_eq!(bench.take(&mut pipeline, record).unwrap(), 0);
    }
    assert_eq!(bench.rows(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_on_its_way_does_not_begin_again() {
    let bench = Bench::new().await;
    let mut pipeline = bench.pipeline();
    assert_eq!(bench.decide(&mut pipeline, &bench.open).unwrap(), 0);
    let first = pipeline.drain().unwrap();
    assert_eq!(bench.decide(&mut pipeline, &bench.another_open()).unwrap(), 0);
    let again = bench.decide(&mut pipeline, &bench.open);
    assert!(matches!(again, Err(Refusal::Chain(Violation::Replay))), "{again:?}");
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_come_again_have_their_block_opened_once() {
    let mut bench = Bench::new().await;
    let mut pipeline = bench.pipeline();
    bench.decide(&mut pipeline, &bench.open.clone()).unwrap();
    let all = (0..64).flat_map(|n| bench.read(f64::from(n))).collect::<Vec<u8>>();
    assert_eq!(bench.take(&mut pipeline, &all).unwrap(), 64);
    let mut after_restart = bench.pipeline();
    assert_eq!(bench.take(&mut after_restart, &all).unwrap(), 0);
    assert_eq!(after_restart.records_opened(), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_is_told_of_what_was_kept_of_a_message_that_failed_behind_it() {
    let mut bench = Bench::new().await;
    let mut pipeline = bench.pipeline();
    bench.decide(&mut pipeline, &bench.open.clone()).unwrap();
    let (first, second) = (bench.read(1.0), bench.read(2.0));
    let at = bench.at;
    pipeline.take_items(&at, &first, Route::TLS, NOW).unwrap();
    bench.store.keys().withdraw(&at.tenant, NOW).await.unwrap();
    // Not next to the first, so in a block of its own, which takes the key.
    let third = bench.read(3.0);
    drop(second);
    assert!(matches!(pipeline.take_items(&at, &third, Route::TLS, NOW), Err(Refusal::Store(_))));
    assert_eq!(pipeline.accepted().len(), 1);
}
