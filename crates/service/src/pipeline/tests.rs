//! What the pipeline keeps when the world changes under it.

use thingward_crypto::{AeadAlgorithm, SignatureAlgorithm, Signer, SoftwareKey, system_rng};
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
    writer: ChainWriter,
    open: Vec<u8>,
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
        directory.enrolled(at.tenant, at.device, Role::Device, key.public_key().clone());
        let ring = store.keys().get(&at.tenant).unwrap();
        let recipient = RecipientSecretKey::from_bytes(*ring.newest().recipient()).public_key().unwrap();
        let new = NewChain {
            subject: subject(&at),
            confidentiality: Confidentiality::Service,
            recipient: &recipient,
            cipher: AeadAlgorithm::Aes256Gcm,
            previous: None,
        };
        let mut out = [0; STATEMENT_BYTES_MAX];
        let (writer, len) = ChainWriter::open(&new, NOW, &key, &mut system_rng(), &mut out).unwrap();
        Self { _folder: folder, store, directory, at, writer, open: out[..len].to_vec() }
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
        let device = self.principal();
        let permit = self
            .directory
            .access
            .decide(&device.tenant, &Subject::Member(device), &Resource::Stream(device.name, self.at.stream))
            .unwrap();
        let taken = pipeline.take(&permit, self.at.device, self.at.stream, message, Route::TLS, NOW);
        self.store.commit(pipeline.drain().unwrap().0).unwrap();
        taken.map(|kept| kept.len())
    }

    fn rows(&self) -> usize {
        let page = self.store.readings(&self.at.tenant, &Filter::default(), None, 100, &Limits::default());
        page.unwrap().rows.len()
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
    bench.store.commit(pipeline.drain().unwrap().0).unwrap();
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
