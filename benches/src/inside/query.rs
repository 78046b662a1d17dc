//! A question over a million sealed values, beside DuckDB over the same rows in a Parquet file that is not sealed.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value as Json;
use thingward_model::{Assurance, Timestamp};
use thingward_store::hot::Batch;
use thingward_store::query::{Filter, Format, Limits, WindowSpec};
use thingward_store::segment::RollPolicy;
use thingward_store::{Reading, Record, Route, Store, Value};

use crate::bed::Bed;
use crate::clock::{Rounds, spent};

const ROUNDS: usize = 5;
const DEVICES: u32 = 100;
/// Of each device, with so many values each.
const RECORDS: u32 = 2_500;
const FIELDS: u32 = 4;
const EVERY_SECONDS: i64 = 10;
const HOUR: Duration = Duration::from_secs(3600);

/// Seconds of the processor.
#[derive(Default)]
pub(crate) struct Query {
    pub(crate) sealed: Rounds,
    pub(crate) plain: Rounds,
}

fn record(device: u32, number: u32, start: Timestamp) -> Record {
    let time = start.plus_micros(i64::from(number) * EVERY_SECONDS * 1_000_000);
    let reading = |field: u32| {
        // No two alike, as of a sensor with noise.
        let noise =
            f64::from((device * 31 + number * 17 + field * 7).wrapping_mul(2_654_435_761) >> 12) / 1e6;
        let value = Value::Number(20.0 + f64::from(field) + noise);
        Reading {
            field: Some(format!("f{field}").parse().unwrap()),
            time,
            value,
            unit: Some("Cel".to_owned()),
        }
    };
    Record {
        device: format!("sensor-{device}").parse().unwrap(),
        stream: "climate".parse().unwrap(),
        chain: u64::from(device).to_be_bytes(),
        seq: u64::from(number),
        received: time,
        assurance: Assurance::Transport,
        route: Route::TLS,
        readings: (0..FIELDS).map(reading).collect(),
    }
}

/// Takes them in as the service does, and rolls all of them to history.
fn fill(bed: &Bed) {
    let Bed { store, tenant, now, .. } = bed;
    for device in 0..DEVICES {
        let mut batch = Batch::new();
        let mut block = store.block(tenant, &record(device, 0, *now)).unwrap();
        for number in 1..RECORDS {
            let record = record(device, number, *now);
            if !block.add(&record).unwrap() {
                batch.put_block(
                    std::mem::replace(&mut block, store.block(tenant, &record).unwrap()).seal().unwrap(),
                );
            }
        }
        batch.put_block(block.seal().unwrap());
        store.commit(batch).unwrap();
    }
    let policy = RollPolicy { unsigned_before: now.plus_micros(1 << 50), rows_min: 1, rows_max: 1_000_000 };
    while store.roll(tenant, &policy, *now).unwrap().is_some() {}
}

pub(crate) fn measure(python: &Path) -> Query {
    let bed = Bed::new();
    fill(&bed);
    let (csv, plain) = (bed.folder.path().join("rows.csv"), bed.folder.path().join("rows.parquet"));
    let out = BufWriter::new(File::create(&csv).unwrap());
    bed.store.export(&bed.tenant, &Filter::default(), Format::Csv, out, || ()).unwrap();
    let mut query = Query::default();
    for _ in 0..ROUNDS {
        let (ours, theirs) =
            (sealed(&bed.store, &bed, &mut query.sealed), unsealed(python, &csv, &plain, &mut query.plain));
        assert_eq!(ours, theirs, "windows and values");
    }
    query
}

/// How many windows and values there are.
fn sealed(store: &Store, bed: &Bed, rounds: &mut Rounds) -> (u64, u64) {
    let spec = WindowSpec { every: HOUR, percentiles: Vec::new() };
    let (windows, time) =
        spent(|| store.windows(&bed.tenant, &Filter::default(), &spec, &Limits::default()).unwrap());
    rounds.push(time.as_secs_f64());
    (windows.len() as u64, windows.iter().map(|window| window.count).sum())
}

fn unsealed(python: &Path, csv: &Path, plain: &Path, rounds: &mut Rounds) -> (u64, u64) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/duckdb-windows.py");
    let output = Command::new(python).arg(script).args([csv, plain]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Json = serde_json::from_slice(&output.stdout).unwrap();
    rounds.push(said["seconds"].as_f64().unwrap());
    (said["windows"].as_u64().unwrap(), said["values"].as_u64().unwrap())
}
