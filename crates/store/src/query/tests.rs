use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use thingward_model::{Assurance, Timestamp};

use super::*;
use crate::error::StoreError;
use crate::keys::tests::{NOW, tenant};
use crate::row::{Reading, Record, Route, Series, Value};
use crate::segment::RollPolicy;
use crate::segment::tests::{Bench, EVERYTHING, all, mixed};

const DEVICES: [&str; 3] = ["bulb", "meter-1", "pump"];
const STREAMS: [&str; 2] = ["main", "power"];

fn second(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// Few names and times, so that filters meet rows and times meet each other.
fn readings() -> impl Strategy<Value = Vec<Reading>> {
    let value = prop_oneof![
        3 => (-50_i32..50).prop_map(|v| Value::Number(f64::from(v) / 4.0)),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => "[a-c]{0,3}".prop_map(Value::Text),
        1 => Just(Value::Sealed(vec![1, 2])),
    ];
    let field = prop::sample::select(vec![None, Some("a"), Some("b")]);
    let unit = prop::sample::select(vec![None, Some("W")]);
    let reading = (field, 0_i64..100, value, unit).prop_map(|(field, time, value, unit)| Reading {
        field: field.map(|f: &str| f.parse().unwrap()),
        time: second(time),
        value,
        unit: unit.map(str::to_owned),
    });
    prop::collection::vec(reading, 1..5)
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let place = (prop::sample::select(DEVICES.to_vec()), prop::sample::select(STREAMS.to_vec()));
    let record = (place, readings()).prop_map(|((device, stream), readings)| Record {
        device: device.parse().unwrap(),
        stream: stream.parse().unwrap(),
        chain: [1; 8],
        seq: 0,
        received: NOW,
        assurance: Assurance::Transport,
        route: Route::TLS,
        readings,
    });
    prop::collection::vec(record, 1..60).prop_map(|mut records| {
        (0..).zip(&mut records).for_each(|(seq, r)| r.seq = seq);
        records
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let device = prop::option::of(prop::sample::select(DEVICES.to_vec()));
    let stream = prop::option::of(prop::sample::select(STREAMS.to_vec()));
    let field = prop::sample::select(vec![
        FieldFilter::Any,
        FieldFilter::Any,
        FieldFilter::Unnamed,
        FieldFilter::Named("a".parse().unwrap()),
    ]);
    let times = (prop::option::of(0_i64..100), prop::option::of(0_i64..100));
    let assurance = prop::sample::select(Assurance::ALL.to_vec());
    (device, stream, field, times, assurance).prop_map(
        |(device, stream, field, (from, to), assurance_min)| Filter {
            device: device.map(|d| d.parse().unwrap()),
            stream: stream.map(|s| s.parse().unwrap()),
            field,
            from: from.map(second),
            to: to.map(second),
            assurance_min,
            reader: None,
        },
    )
}

/// What the rows must be, found without index, file or block.
fn expected(records: &[Record], signed: &BTreeMap<(&str, &str), u64>, filter: &Filter) -> Vec<Row> {
    let mut rows: Vec<Row> = records.iter().cloned().flat_map(Record::into_rows).collect();
    for row in &mut rows {
        if signed.get(&(row.device.as_str(), row.stream.as_str())).is_some_and(|through| row.seq <= *through)
        {
            let sealed = matches!(row.value, Value::Sealed(_));
            row.assurance = if sealed { Assurance::EndToEnd } else { Assurance::DeviceSigned };
        }
    }
    rows.retain(|r| {
        filter.device.is_none_or(|d| d == r.device)
            && filter.stream.is_none_or(|s| s == r.stream)
            && (filter.field == FieldFilter::Any
                || filter.field == r.field.map_or(FieldFilter::Unnamed, FieldFilter::Named))
            && filter.from.is_none_or(|t| r.time >= t)
            && filter.to.is_none_or(|t| r.time < t)
            && r.assurance >= filter.assurance_min
    });
    rows.sort_by_key(Row::key);
    rows
}

fn paged(bench: &Bench, filter: &Filter, size: usize) -> Vec<Row> {
    let (mut rows, mut after) = (vec![], None);
    loop {
        let page = bench.store.readings(&tenant("acme"), filter, after, size, &Limits::default()).unwrap();
        assert!(page.rows.len() <= size);
        rows.extend(page.rows);
        after = page.next.map(|c| c.to_string().parse().unwrap());
        if after.is_none() {
            return rows;
        }
    }
}

fn expected_latest(rows: &[Row]) -> Vec<Row> {
    let latest: BTreeMap<_, Row> = rows.iter().map(|r| ((r.device, r.stream, r.field), r.clone())).collect();
    latest.into_values().collect()
}

fn expected_windows(rows: &[Row], every: i64) -> BTreeMap<(Series, i64), Vec<f64>> {
    let mut windows = BTreeMap::<_, Vec<f64>>::new();
    for row in rows {
        if let Value::Number(v) = row.value {
            let start = row.time.as_seconds() / every * every;
            windows.entry((Series::from(row.series()), start)).or_default().push(v);
        }
    }
    windows.values_mut().for_each(|v| v.sort_by(f64::total_cmp));
    windows
}

fn check_windows(bench: &Bench, filter: &Filter, rows: &[Row]) {
    let percentiles = [0.0, 50.0, 100.0].map(|p| Percentile::new(p).unwrap()).to_vec();
    let spec = WindowSpec { every: Duration::from_secs(15), percentiles };
    let got = bench.store.windows(&tenant("acme"), filter, &spec, &Limits::default()).unwrap();
    let want = expected_windows(rows, 15);
    assert_eq!(got.len(), want.len());
    for (got, ((series, start), values)) in got.iter().zip(want) {
        assert_eq!((&got.series, got.start), (&series, second(start)));
        let (min, max, n) = (values[0], values[values.len() - 1], values.len());
        // Quarters add up without rounding, so the mean is exact.
        let mean = values.iter().sum::<f64>() / f64::from(u32::try_from(n).unwrap());
        let median = (values[(n - 1) / 2] + values[n / 2]) / 2.0;
        assert_eq!((got.count, got.min, got.max, got.mean), (n as u64, min, max, mean));
        assert_eq!(got.percentiles, [min, median, max]);
    }
}

/// Random rows, some rolled into history in up to three segments, against a plain search over a list.
#[test]
fn answers_over_hot_and_history_are_those_of_a_plain_search() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(24) });
    let filters = prop::collection::vec(filter(), 8);
    let signed = prop::collection::vec(0_u64..60, DEVICES.len() * STREAMS.len());
    let cuts = prop::collection::vec((0_usize..60, any::<bool>()), 0..4);
    runner
        .run(
            &(records(), filters, signed, cuts, 1_usize..20),
            |(records, filters, through, mut cuts, size)| {
                let bench = runtime.block_on(Bench::new());
                bench.put("other", &[mixed("pump", "main", 1)]);
                let places = DEVICES.iter().flat_map(|d| STREAMS.iter().map(move |s| (*d, *s)));
                let signed: BTreeMap<_, _> = places.zip(through).collect();
                cuts.sort_by_key(|(at, _)| *at);
                let mut done = 0;
                for (at, only_signed) in cuts {
                    let at = at.min(records.len());
                    bench.put("acme", &records[done..at]);
                    done = at;
                    let policy = if only_signed { crate::segment::tests::SIGNED } else { EVERYTHING };
                    if only_signed {
                        signed.iter().for_each(|((d, s), seq)| bench.sign("acme", d, s, *seq));
                    }
                    bench.store.roll(&tenant("acme"), &policy, NOW).unwrap();
                }
                bench.put("acme", &records[done..]);
                signed.iter().for_each(|((d, s), seq)| bench.sign("acme", d, s, *seq));
                for filter in filters.iter().chain([&Filter::default()]) {
                    let want = expected(&records, &signed, filter);
                    prop_assert_eq!(&paged(&bench, filter, size), &want, "{:?}", filter);
                    let latest = bench.store.latest(&tenant("acme"), filter, &Limits::default()).unwrap();
                    prop_assert_eq!(latest, expected_latest(&want), "{:?}", filter);
                    check_windows(&bench, filter, &want);
                }
                Ok(())
            },
        )
        .unwrap();
}

#[tokio::test]
async fn a_query_during_a_roll_sees_every_row_once() {
    let bench = Bench::new().await;
    for chunk in 0..20 {
        let records: Vec<_> = (0..20).map(|i| mixed("pump", "main", chunk * 20 + i)).collect();
        bench.put("acme", &records);
    }
    let before = all(&bench.store, "acme").unwrap();
    let rolling = AtomicBool::new(true);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            // Not a number of whole records.
            let policy = RollPolicy { rows_max: 102, ..EVERYTHING };
            while bench.store.roll(&tenant("acme"), &policy, NOW).unwrap().is_some() {}
            rolling.store(false, Ordering::SeqCst);
        });
        let mut queries = 0;
        while rolling.load(Ordering::SeqCst) || queries == 0 {
            assert!(all(&bench.store, "acme").unwrap() == before, "query {queries}");
            queries += 1;
        }
    });
    let segments = bench.store.segments(&tenant("acme")).unwrap();
    assert!(segments.len() == 20 && segments.iter().all(|segment| segment.rows == 100));
    assert!(all(&bench.store, "acme").unwrap() == before);
}

#[tokio::test]
async fn a_question_that_costs_too_much_is_refused_and_says_what_of() {
    let bench = Bench::new().await;
    let acme = tenant("acme");
    bench.put("acme", &(0..10).map(|s| mixed("pump", "main", s)).collect::<Vec<_>>());
    let (filter, limits) = (Filter::default(), Limits::default());
    let spec =
        WindowSpec { every: Duration::from_secs(1), percentiles: vec![Percentile::new(95.0).unwrap()] };
    #[track_caller]
    fn check<T: std::fmt::Debug>(got: Result<T, StoreError>, what: &str) {
        assert!(matches!(got, Err(StoreError::Limit { what: w, .. }) if w == what), "{got:?}");
    }
    for _ in 0..2 {
        let few = Limits { rows_scanned_max: 49, ..limits };
        check(bench.store.readings(&acme, &filter, None, 10, &few), "rows to look at");
        check(bench.store.windows(&acme, &filter, &spec, &few), "rows to look at");
        let few = Limits { results_max: 4, ..limits };
        check(bench.store.readings(&acme, &filter, None, 5, &few), "rows in a page");
        check(bench.store.latest(&acme, &filter, &few), "fields");
        check(bench.store.windows(&acme, &filter, &spec, &few), "windows");
        let few = Limits { percentile_values_max: 9, ..limits };
        check(bench.store.windows(&acme, &filter, &spec, &few), "numbers to take percentiles of");
        bench.store.roll(&acme, &EVERYTHING, NOW).unwrap();
    }
    let no_length = WindowSpec { every: Duration::ZERO, percentiles: vec![] };
    let got = bench.store.windows(&acme, &filter, &no_length, &limits);
    assert!(matches!(got, Err(StoreError::Invalid { .. })));
    assert!(Percentile::new(100.1).is_err() && Percentile::new(f64::NAN).is_err());
}

#[tokio::test]
async fn segments_that_cannot_match_are_not_opened() {
    let bench = Bench::new().await;
    let acme = tenant("acme");
    bench.put("acme", &[mixed("bulb", "main", 1)]);
    let info = bench.store.roll(&acme, &EVERYTHING, NOW).unwrap().unwrap();
    std::fs::remove_file(bench.store.segment_file(&acme, &info).unwrap()).unwrap();
    let ask = |filter: Filter| bench.store.readings(&acme, &filter, None, 10, &Limits::default());
    assert!(ask(Filter::default()).is_err());
    assert!(ask(Filter { device: Some("pump".parse().unwrap()), ..Filter::default() }).is_ok());
    assert!(ask(Filter { to: Some(info.time_min), ..Filter::default() }).is_ok());
    assert!(ask(Filter { from: Some(info.time_max.plus_micros(1)), ..Filter::default() }).is_ok());
    assert!(ask(Filter { from: Some(info.time_max), ..Filter::default() }).is_err());
}

#[tokio::test]
async fn row_groups_that_cannot_match_are_not_read() {
    const GROUP_ROWS: u64 = 65_536;
    let bench = Bench::new().await;
    let acme = tenant("acme");
    for device in ["bulb", "pump"] {
        let records = (0..GROUP_ROWS / 64).map(|seq| {
            let mut record = mixed(device, "main", seq);
            record.readings = vec![record.readings[0].clone(); 64];
            record
        });
        bench.put("acme", &records.collect::<Vec<_>>());
    }
    let info = bench.store.roll(&acme, &EVERYTHING, NOW).unwrap().unwrap();
    assert_eq!(info.rows, 2 * GROUP_ROWS);
    let limits = Limits { rows_scanned_max: GROUP_ROWS, ..Limits::default() };
    let spec = WindowSpec { every: Duration::from_secs(86_400), percentiles: vec![] };
    let ask = |device: Option<&str>| {
        let filter = Filter { device: device.map(|d| d.parse().unwrap()), ..Filter::default() };
        bench.store.windows(&acme, &filter, &spec, &limits).map(|w| w.iter().map(|w| w.count).sum::<u64>())
    };
    assert_eq!(ask(Some("bulb")).unwrap(), GROUP_ROWS);
    assert_eq!(ask(Some("pump")).unwrap(), GROUP_ROWS);
    assert_eq!(ask(Some("meter-1")).unwrap(), 0);
    assert!(matches!(ask(None), Err(StoreError::Limit { .. })));
}

#[tokio::test]
async fn the_latest_value_of_one_field_is_found_without_older_segments() {
    let bench = Bench::new().await;
    let acme = tenant("acme");
    let filter = Filter {
        device: Some("pump".parse().unwrap()),
        stream: Some("main".parse().unwrap()),
        field: FieldFilter::Unnamed,
        ..Filter::default()
    };
    for seq in 0..3 {
        bench.put("acme", &[mixed("pump", "main", seq)]);
        let info = bench.store.roll(&acme, &EVERYTHING, NOW).unwrap().unwrap();
        let latest = bench.store.latest(&acme, &filter, &Limits::default()).unwrap();
        assert_eq!(latest.iter().map(|r| r.seq).collect::<Vec<_>>(), [seq]);
        if seq < 2 {
            std::fs::remove_file(bench.store.segment_file(&acme, &info).unwrap()).unwrap();
        }
    }
    let any = Filter { field: FieldFilter::Any, ..filter };
    assert!(bench.store.latest(&acme, &any, &Limits::default()).is_err());
}

#[tokio::test]
async fn of_two_rows_with_one_time_the_latest_is_the_one_with_the_higher_number() {
    let filter = Filter {
        device: Some("pump".parse().unwrap()),
        stream: Some("main".parse().unwrap()),
        field: FieldFilter::Unnamed,
        ..Filter::default()
    };
    for (rolled, hot) in [(1, 2), (2, 1)] {
        let bench = Bench::new().await;
        let at_one_time =
            |seq| Record { readings: mixed("pump", "main", 0).readings, ..mixed("pump", "main", seq) };
        bench.put("acme", &[at_one_time(rolled)]);
        bench.store.roll(&tenant("acme"), &EVERYTHING, NOW).unwrap().unwrap();
        bench.put("acme", &[at_one_time(hot)]);
        let latest = bench.store.latest(&tenant("acme"), &filter, &Limits::default()).unwrap();
        assert_eq!(latest.iter().map(|r| r.seq).collect::<Vec<_>>(), [2], "{rolled} rolled");
    }
}

#[test]
fn a_store_goes_to_other_threads() {
    fn sent<T: Send + Sync>() {}
    fn future<T: Send>(_: T) {}
    sent::<crate::Store>();
    future(crate::Store::open(std::path::Path::new("/nowhere")));
}

async fn exported(format: Format, device: &str) -> Vec<u8> {
    let bench = Bench::new().await;
    bench.put("acme", &[mixed("pump", "main", 7)]);
    bench.store.roll(&tenant("acme"), &EVERYTHING, NOW).unwrap();
    let filter = Filter { device: Some(device.parse().unwrap()), ..Filter::default() };
    let mut out = vec![];
    let count = bench.store.export(&tenant("acme"), &filter, format, &mut out, || ()).unwrap();
    assert_eq!(count, if device == "pump" { 5 } else { 0 });
    out
}

#[tokio::test]
async fn csv_quotes_what_must_be_quoted() {
    let text = String::from_utf8(exported(Format::Csv, "pump").await).unwrap();
    let lines: Vec<_> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(
        lines[1],
        "2023-11-14T22:13:27Z,pump,main,,number,0.7,Cel,transport,2026-11-18T11:06:40Z,0101010101010101,7,0,\
         serial,hall,2026-11-18T11:06:39Z"
    );
    assert!(lines[3].contains(r#",note,text,"größe ""7"", ok",,"#), "{}", lines[3]);
    let none = String::from_utf8(exported(Format::Csv, "bulb").await).unwrap();
    assert_eq!(none.lines().count(), 1);
}

#[tokio::test]
async fn json_lines_are_objects_with_typed_values() {
    let text = String::from_utf8(exported(Format::JsonLines, "pump").await).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(
        (&lines[0]["value"], &lines[0]["unit"], &lines[0]["field"]),
        (&0.7.into(), &"Cel".into(), &().into())
    );
    assert_eq!((&lines[1]["value"], &lines[1]["field"]), (&false.into(), &"open".into()));
    assert_eq!((&lines[3]["value"], &lines[3]["kind"]), (&"AP8H".into(), &"data".into()));
}

#[tokio::test]
async fn plain_parquet_has_the_rows_of_the_query() {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    let folder = tempfile::tempdir().unwrap();
    for (device, count) in [("pump", 5), ("bulb", 0)] {
        let path = folder.path().join(device);
        std::fs::write(&path, exported(Format::Parquet, device).await).unwrap();
        let file = std::fs::File::open(path).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        assert_eq!(reader.map(|b| b.unwrap().num_rows()).sum::<usize>(), count);
    }
}

#[tokio::test]
async fn senml_has_names_units_times_and_sealed_rows_as_data() {
    let bench = Bench::new().await;
    bench.put("acme", &[mixed("pump", "main", 7)]);
    let mut out = vec![];
    bench.store.export(&tenant("acme"), &Filter::default(), Format::SenmlJson, &mut out, || ()).unwrap();
    let got: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let sealed = "CQkJ".repeat(13) + "CQ";
    assert_eq!(
        got,
        serde_json::json!([
            {"n": "pump/main", "u": "Cel", "v": 0.7, "t": 1_700_000_007},
            {"n": "pump/main/open", "vb": false, "t": 1_700_000_007.000_001},
            {"n": "pump/main/note", "vs": "größe \"7\", ok", "t": 1_700_000_007.000_002},
            {"n": "pump/main/raw", "vd": "AP8H", "t": 1_700_000_007.000_003},
            {"n": "pump/main/secret", "vd": sealed, "t": 1_700_000_007.000_004},
        ])
    );
}
