use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::{fs, io};

use thingward_model::{Assurance, Link, TenantName, Timestamp};

use super::*;
use crate::error::StoreError;
use crate::hot::{Batch, FjallHot, SignedPart};
use crate::keys::KekReference;
use crate::keys::tests::{NOW, key_file, tenant};
use crate::query::{Filter, Limits};
use crate::registry::Registry;
use crate::row::{Hop, Reading, Record, Route, Row, Value};
use crate::shelf::{Depot, Shelf};
use crate::store::{Problem, Report, Store};

pub(crate) const EVERYTHING: RollPolicy = RollPolicy {
    unsigned_before: Timestamp::from_seconds(i64::MAX / 1_000_000),
    rows_min: 1,
    rows_max: 1_000_000,
};
pub(crate) const SIGNED: RollPolicy =
    RollPolicy { unsigned_before: Timestamp::from_micros(i64::MIN), rows_min: 1, rows_max: 1_000_000 };

/// A data directory with the tenants `acme` and `other`, each with a customer key of its own.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).await.unwrap();
        for (name, fill) in [("acme", 1), ("other", 2)] {
            let key = KekReference::File(key_file(folder.path(), name, fill));
            store.keys().create(tenant(name), key, NOW).await.unwrap();
        }
        Self { folder, store }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn put(&self, of: &str, records: &[Record]) {
        let mut batch = Batch::new();
        for record in records {
            batch.put_block(self.store.block(&tenant(of), record).unwrap().seal().unwrap());
        }
        self.store.commit(batch).unwrap();
    }

    pub(crate) fn sign(&self, of: &str, device: &str, stream: &str, seq: u64) {
        let mut batch = Batch::new();
        let (device, stream) = (device.parse().unwrap(), stream.parse().unwrap());
        let part = SignedPart { through: seq, exceptions: vec![] };
        batch.set_signed(&tenant(of), &device, &stream, [1; 8], &part);
        self.store.commit(batch).unwrap();
    }

    /// Ends without an orderly end of the roll, and starts again.
    async fn restart(self) -> Self {
        let Self { folder, store } = self;
        drop(store);
        let store = Store::open(&folder.path().join("data")).await.unwrap();
        Self { folder, store }
    }
}

pub(crate) fn all(store: &Store, of: &str) -> Result<Vec<Row>, StoreError> {
    store.readings(&tenant(of), &Filter::default(), None, 100_000, &Limits::default()).map(|p| p.rows)
}

/// One record with every kind of value.
pub(crate) fn mixed(device: &str, stream: &str, seq: u64) -> Record {
    let at = i64::try_from(seq).unwrap();
    let values = [
        (None, Value::Number(f64::from(u32::try_from(seq).unwrap()) / 10.0), Some("Cel")),
        (Some("open"), Value::Bool(seq.is_multiple_of(2)), None),
        (Some("note"), Value::Text(format!("größe \"{seq}\", ok")), None),
        (Some("raw"), Value::Data(vec![0, 255, at.to_le_bytes()[0]]), None),
        (Some("secret"), Value::Sealed(vec![9; 40]), None),
    ];
    let readings = (0_i64..).zip(values).map(|(i, (field, value, unit))| Reading {
        field: field.map(|f| f.parse().unwrap()),
        time: Timestamp::from_micros(1_700_000_000_000_000 + at * 1_000_000 + i),
        value,
        unit: unit.map(str::to_owned),
    });
    Record {
        device: device.parse().unwrap(),
        stream: stream.parse().unwrap(),
        chain: [1; 8],
        seq,
        received: NOW,
        assurance: Assurance::Transport,
        // Every other one came through a gateway, and of the rest every other one over CoAP.
        route: match seq % 4 {
            0 => Route::TLS,
            2 => Route::Direct(Link::Oscore),
            _ => Route::Through(Hop {
                gateway: "hall".parse().unwrap(),
                link: Link::Serial,
                received: NOW.plus_micros(-1_000_000),
            }),
        },
        readings: readings.collect(),
    }
}

fn town() -> Vec<Record> {
    ["bulb", "meter-1", "pump"].into_iter().flat_map(|d| (0..40).map(move |s| mixed(d, "main", s))).collect()
}

async fn fsck(data_dir: &Path) -> Result<Report, StoreError> {
    Store::open_to_look(data_dir).await?.check()
}

#[tokio::test]
async fn rows_are_the_same_in_history_as_they_were_hot() {
    let bench = Bench::new().await;
    bench.put("acme", &town());
    let hot = all(&bench.store, "acme").unwrap();
    assert_eq!(hot.len(), 3 * 40 * 5);
    let info = bench.store.roll(&tenant("acme"), &EVERYTHING, NOW).unwrap().unwrap();
    assert_eq!((info.rows, info.device_min.as_str(), info.device_max.as_str()), (600, "bulb", "pump"));
    assert_eq!(all(&bench.store, "acme").unwrap(), hot);
    assert_eq!(bench.store.roll(&tenant("acme"), &EVERYTHING, NOW).unwrap(), None);
    let bench = bench.restart().await;
    assert_eq!(all(&bench.store, "acme").unwrap(), hot);
    assert_eq!(all(&bench.store, "other").unwrap(), []);
}

#[tokio::test]
async fn only_signed_or_old_rows_leave_the_hot_part() {
    let bench = Bench::new().await;
    let acme = tenant("acme");
    bench.put("acme", &town());
    assert_eq!(bench.store.roll(&acme, &SIGNED, NOW).unwrap(), None);
    bench.sign("acme", "pump", "main", 9);
    let many = RollPolicy { rows_min: 51, ..SIGNED };
    assert_eq!(bench.store.roll(&acme, &many, NOW).unwrap(), None);
    assert_eq!(bench.store.roll(&acme, &SIGNED, NOW).unwrap().unwrap().rows, 50);
    let rows = all(&bench.store, "acme").unwrap();
    for row in &rows {
        let want = match (row.device.as_str(), row.seq, &row.value) {
            ("pump", 0..=9, Value::Sealed(_)) => Assurance::EndToEnd,
            ("pump", 0..=9, _) => Assurance::DeviceSigned,
            _ => Assurance::Transport,
        };
        assert_eq!(row.assurance, want, "{row:?}");
    }
    // Rolled for their age first, signed later: the checkpoint still counts.
    assert_eq!(bench.store.roll(&acme, &EVERYTHING, NOW).unwrap().unwrap().rows, 550);
    bench.sign("acme", "bulb", "main", 39);
    let late = all(&bench.store, "acme").unwrap();
    let bulb = late.iter().filter(|r| r.device.as_str() == "bulb");
    assert!(bulb.clone().all(|r| r.assurance >= Assurance::DeviceSigned) && bulb.count() == 200);
}

#[tokio::test]
async fn a_stop_after_any_step_of_a_roll_neither_loses_nor_doubles_a_row() {
    let acme = tenant("acme");
    for stop_after in ["select", "write", "place", "commit"] {
        let bench = Bench::new().await;
        bench.put("acme", &town());
        let before = all(&bench.store, "acme").unwrap();
        let segments = bench.data().join("segments");
        {
            let keys = bench.store.keys().get(&acme).unwrap();
            let selected =
                select(&*bench.store.hot().snapshot(), &acme, &keys, &EVERYTHING).unwrap().unwrap();
            if stop_after != "select" {
                let written = selected.write(&segments, &acme, &keys, NOW).unwrap();
                if stop_after != "write" {
                    let placed = written.place(&segments, &acme).unwrap();
                    if stop_after != "place" {
                        placed.commit(bench.store.hot(), &acme).unwrap();
                    }
                }
            }
        }
        assert_eq!(all(&bench.store, "acme").unwrap(), before, "stop after {stop_after}");
        let data = bench.data();
        let Bench { folder, store } = bench;
        drop(store);
        let orphans = fsck(&data).await.unwrap().problems.len();
        assert_eq!(orphans, usize::from(matches!(stop_after, "write" | "place")), "stop after {stop_after}");
        let bench = Bench { store: Store::open(&data).await.unwrap(), folder };
        assert_eq!(all(&bench.store, "acme").unwrap(), before, "restart after {stop_after}");
        let files = fs::read_dir(segments.join("acme")).map_or(0, Iterator::count);
        assert_eq!(
            files,
            usize::from(matches!(stop_after, "place" | "commit")),
            "restart after {stop_after}"
        );
        let rolled = bench.store.roll(&acme, &EVERYTHING, NOW).unwrap();
        assert_eq!(rolled.is_some(), stop_after != "commit");
        assert_eq!(all(&bench.store, "acme").unwrap(), before, "roll after {stop_after}");
    }
}

/// A depot that takes what comes, or does not answer.
#[derive(Default)]
struct Door {
    is_open: AtomicBool,
}

impl Depot for Door {
    fn put(&self, _name: &str, _file: &Path) -> Result<(), StoreError> {
        let is_open = self.is_open.load(Ordering::Relaxed);
        if is_open { Ok(()) } else { Err(StoreError::io("put")(io::ErrorKind::TimedOut.into())) }
    }

    fn get(&self, _name: &str, _file: &Path) -> Result<(), StoreError> {
        Err(StoreError::NotFound { what: "file" })
    }

    fn remove(&self, _name: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn what_a_depot_does_not_take_stays_hot_and_leaves_no_file() {
    let bench = Bench::new().await;
    bench.put("acme", &town());
    let (data, before) = (bench.data(), all(&bench.store, "acme").unwrap());
    let Bench { folder: _folder, store } = bench;
    drop(store);
    let registry = Registry::open(&data.join("registry.sqlite")).await.unwrap();
    let (hot, door) = (Box::new(FjallHot::open(&data.join("hot")).unwrap()), Arc::new(Door::default()));
    let depot: Arc<dyn Depot> = Arc::<Door>::clone(&door);
    let store = Store::over(hot, registry, &data, Some(depot)).await.unwrap();
    let files = || fs::read_dir(data.join("segments/acme")).unwrap().count();
    for _ in 0..3 {
        assert!(matches!(store.roll(&tenant("acme"), &EVERYTHING, NOW), Err(StoreError::Io { .. })));
        assert_eq!(files(), 0);
        assert_eq!(all(&store, "acme").unwrap(), before);
    }
    door.is_open.store(true, Ordering::Relaxed);
    assert!(store.roll(&tenant("acme"), &EVERYTHING, NOW).unwrap().is_some());
    assert_eq!(files(), 1);
    assert_eq!(all(&store, "acme").unwrap(), before);
}

/// Remembers what it was given.
#[derive(Default)]
struct Names(Mutex<Vec<String>>);

impl Depot for Names {
    fn put(&self, name: &str, _file: &Path) -> Result<(), StoreError> {
        self.0.lock().unwrap().push(name.to_owned());
        Ok(())
    }

    fn get(&self, _name: &str, _file: &Path) -> Result<(), StoreError> {
        Err(StoreError::NotFound { what: "file" })
    }

    fn remove(&self, _name: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_file_that_belongs_to_nothing_is_not_kept_for_nodes() {
    let bench = Bench::new().await;
    bench.put("acme", &town());
    bench.store.roll(&tenant("acme"), &EVERYTHING, NOW).unwrap().unwrap();
    let file = the_file(&bench, &tenant("acme"));
    fs::copy(&file, file.with_file_name("left.parquet")).unwrap();
    let depot = Names::default();
    assert_eq!(bench.store.keep_files(&depot).unwrap(), 1);
    let name = format!("segments/acme/{}", file.file_name().unwrap().to_str().unwrap());
    assert_eq!(*depot.0.lock().unwrap(), [name]);
}

#[tokio::test]
async fn history_without_its_log_is_no_start_and_stays_where_it_is() {
    let bench = Bench::new().await;
    bench.put("acme", &town());
    bench.store.roll(&tenant("acme"), &EVERYTHING, NOW).unwrap().unwrap();
    let (file, data) = (the_file(&bench, &tenant("acme")), bench.data());
    let Bench { folder: _folder, store } = bench;
    drop(store);
    fs::rename(data.join("hot"), data.join("away")).unwrap();
    assert!(matches!(fsck(&data).await, Err(StoreError::NotFound { .. })));
    assert!(!data.join("hot").exists(), "a check makes nothing");
    for _ in 0..2 {
        let opened = Store::open(&data).await.map(drop);
        assert!(matches!(opened, Err(StoreError::Conflict { what }) if what.contains("`segments`")));
    }
    assert!(file.exists());
    fs::remove_dir_all(data.join("hot")).unwrap();
    fs::rename(data.join("away"), data.join("hot")).unwrap();
    assert_eq!(all(&Store::open(&data).await.unwrap(), "acme").unwrap().len(), 600);
}

#[tokio::test]
async fn a_data_directory_that_others_may_look_into_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for (mode, opens) in [(0o755, false), (0o750, false), (0o701, false), (0o700, true)] {
        fs::create_dir_all(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(mode)).unwrap();
        match Store::open(&data).await.map(drop) {
            Ok(()) => assert!(opens, "{mode:o}"),
            Err(e) => assert!(!opens && e.to_string().contains("chmod 700"), "{mode:o}: {e}"),
        }
    }
}

fn the_file(bench: &Bench, of: &TenantName) -> PathBuf {
    bench.store.segment_file(of, &bench.store.segments(of).unwrap()[0]).unwrap()
}

#[tokio::test]
async fn one_flipped_bit_anywhere_is_an_error_and_never_a_value() {
    let bench = Bench::new().await;
    bench.put("acme", &(0..8).map(|s| mixed("pump", "main", s)).collect::<Vec<_>>());
    bench.store.roll(&tenant("acme"), &EVERYTHING, NOW).unwrap().unwrap();
    let path = the_file(&bench, &tenant("acme"));
    let whole = fs::read(&path).unwrap();
    assert!(all(&bench.store, "acme").is_ok());
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        let got = all(&bench.store, "acme");
        assert!(matches!(got, Err(StoreError::Corrupt { .. })), "byte {at}: {:?}", got.map(|r| r.len()));
    }
    for cut in [0, 4, 8, 11, 12, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(matches!(all(&bench.store, "acme"), Err(StoreError::Corrupt { .. })), "cut to {cut}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(all(&bench.store, "acme"), Err(StoreError::NotFound { what: "segment file" })));
    fs::write(&path, &whole).unwrap();
    assert!(all(&bench.store, "acme").is_ok());
}

#[tokio::test]
async fn a_segment_says_nothing_without_its_tenants_key() {
    let bench = Bench::new().await;
    let (acme, other) = (tenant("acme"), tenant("other"));
    bench.put("acme", &town());
    let info = bench.store.roll(&acme, &EVERYTHING, NOW).unwrap().unwrap();
    let file = fs::read(the_file(&bench, &acme)).unwrap();
    for plain in [&b"meter-1"[..], b"main", b"Cel", b"gr\xc3\xb6"] {
        assert!(!file.windows(plain.len()).any(|w| w == plain), "{plain:?}");
    }
    // The same file, offered as the other tenant's.
    fs::create_dir_all(bench.data().join("segments/other")).unwrap();
    fs::write(bench.data().join("segments").join(file_of(&other, info.id)), &file).unwrap();
    let keys = bench.store.keys().get(&other).unwrap();
    let got = open_segment(&Shelf::new(&bench.data(), "segments", None), &other, &info, keys).map(drop);
    assert!(matches!(got, Err(StoreError::WrongKey { .. })), "{got:?}");

    bench.store.keys().withdraw(&acme, NOW).await.unwrap();
    assert!(matches!(all(&bench.store, "acme"), Err(StoreError::KeyWithdrawn { .. })));
    assert!(matches!(bench.store.roll(&acme, &EVERYTHING, NOW), Err(StoreError::KeyWithdrawn { .. })));
    assert!(matches!(bench.store.block(&acme, &town()[0]), Err(StoreError::KeyWithdrawn { .. })));
    bench.store.keys().restore(&acme).await.unwrap();
    assert_eq!(all(&bench.store, "acme").unwrap().len(), 600);
}

#[tokio::test]
async fn segments_of_an_older_tenant_key_stay_readable() {
    let bench = Bench::new().await;
    bench.put("acme", &[mixed("pump", "main", 0)]);
    bench.store.roll(&tenant("acme"), &EVERYTHING, NOW).unwrap().unwrap();
    bench.put("acme", &[mixed("pump", "main", 1)]);
    bench.store.keys().rotate(&tenant("acme"), NOW).await.unwrap();
    bench.put("acme", &[mixed("pump", "main", 2)]);
    bench.store.roll(&tenant("acme"), &EVERYTHING, NOW).unwrap().unwrap();
    let bench = bench.restart().await;
    assert_eq!(all(&bench.store, "acme").unwrap().len(), 15);
}

#[tokio::test]
async fn a_check_reads_everything_and_names_what_is_wrong() {
    let bench = Bench::new().await;
    let (acme, other) = (tenant("acme"), tenant("other"));
    bench.put("acme", &town());
    bench.store.roll(&acme, &EVERYTHING, NOW).unwrap().unwrap();
    bench.put("acme", &[mixed("pump", "main", 100)]);
    bench.put("other", &[mixed("pump", "main", 1)]);
    bench.store.keys().withdraw(&other, NOW).await.unwrap();
    let file = the_file(&bench, &acme);
    let data = bench.data();
    let Bench { folder: _folder, store } = bench;
    assert!(matches!(fsck(&data).await, Err(StoreError::Conflict { .. })));
    drop(store);

    let report = fsck(&data).await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!((report.blocks, report.segments, report.rows, report.locked), (1, 1, 605, 1));

    let mut bytes = fs::read(&file).unwrap();
    bytes[500] ^= 1;
    fs::write(&file, bytes).unwrap();
    fs::write(data.join("segments/acme/left.parquet.tmp"), b"x").unwrap();
    let report = fsck(&data).await.unwrap();
    assert_eq!(report.segments, 0);
    assert!(
        matches!(report.problems.as_slice(), [Problem::Segment { .. }, Problem::Orphan(_)]),
        "{:?}",
        report.problems
    );
}

/// The interpreter that has pyarrow and cryptography: `THINGWARD_PYTHON`, else `python3`.
fn python() -> Option<String> {
    let python = std::env::var("THINGWARD_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let imports = ["-c", "import pyarrow.parquet.encryption, cryptography"];
    let works = Command::new(&python).args(imports).output().is_ok_and(|o| o.status.success());
    works.then_some(python)
}

/// Runs the script on a segment with a customer's key file; its answer is JSON Lines as our own export writes it.
fn read_with_pyarrow(python: &str, segment: &Path, key: &Path) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_segment.py");
    let out = Command::new(python).arg(script).arg(segment).arg(key).output().unwrap();
    let text = if out.status.success() { &out.stdout } else { &out.stderr };
    (out.status.success(), String::from_utf8_lossy(text).into_owned())
}

#[tokio::test]
async fn pyarrow_with_the_customers_key_reads_exactly_our_rows() {
    let Some(python) = python() else {
        println!("skipped: no Python with pyarrow and cryptography; name one in THINGWARD_PYTHON");
        return;
    };
    let bench = Bench::new().await;
    bench.put("acme", &town());
    bench.store.roll(&tenant("acme"), &EVERYTHING, NOW).unwrap().unwrap();
    let file = the_file(&bench, &tenant("acme"));
    let key = |name: &str| bench.folder.path().join(name);

    let (good, theirs) = read_with_pyarrow(&python, &file, &key("acme"));
    assert!(good, "{theirs}");
    let mut ours = vec![];
    bench
        .store
        .export(&tenant("acme"), &Filter::default(), crate::query::Format::JsonLines, &mut ours, || ())
        .unwrap();
    let lines = |text: &str| {
        let parse = |l| serde_json::from_str::<serde_json::Value>(l).unwrap();
        let mut lines: Vec<_> = text.lines().map(|l| parse(l).to_string()).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&theirs), lines(std::str::from_utf8(&ours).unwrap()));

    let (good, error) = read_with_pyarrow(&python, &file, &key("other"));
    assert!(!good && error.contains("InvalidTag"), "{error}");
    let whole = fs::read(&file).unwrap();
    for at in [whole.len() / 5, whole.len() / 2, whole.len() - 100] {
        let mut bad = whole.clone();
        bad[at] ^= 4;
        fs::write(&file, bad).unwrap();
        let (good, text) = read_with_pyarrow(&python, &file, &key("acme"));
        assert!(!good, "byte {at}: {text}");
    }
}
