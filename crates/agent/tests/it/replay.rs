use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use thingward_agent::reading::OwnedReading;
use thingward_agent::replay::{Replay, ReplayError, ReplayMap, Speed, Table};

use crate::installation::Installation;
use crate::{enrolled, private_folder, start};

fn replay(file: &Path, map: &[&str]) -> Replay {
    Replay {
        file: file.to_owned(),
        map: ReplayMap::parse(map).unwrap(),
        stream: "table".parse().unwrap(),
        speed: Speed::Full,
        again: false,
    }
}

fn rows(replay: &Replay) -> Vec<Vec<OwnedReading>> {
    let mut table = Table::open(&replay.file, &replay.map).unwrap();
    std::iter::from_fn(|| table.next_row().unwrap()).map(|row| row.readings).collect()
}

/// A table of `count` rows.
fn csv(folder: &Path, count: u32) -> PathBuf {
    let path = folder.join("table.csv");
    let mut text = "time,a,b [K],c\n".to_owned();
    for n in 0..count {
        text += &format!("2020-01-01 00:{:02}:{:02},{n},{},word\n", n / 60 % 60, n % 60, n / 2);
    }
    fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_killed_again_and_again_sends_every_row_once() {
    let installation = Installation::start().await;
    let folder = tempfile::tempdir().unwrap();
    let home_path = folder.path().join("home");
    let replay = replay(&csv(folder.path(), 3000), &["time=time"]);
    installation.faults.cut_every.store(11, Ordering::SeqCst);
    let mut kills = 0;
    loop {
        let home = enrolled(&installation, &home_path, "meter-1").await;
        let agent = start(&home);
        // Half a second each time, so that it is killed wherever it happens to be.
        let wait = std::time::Duration::from_millis(150 + 100 * kills);
        let run = replay.run(&agent, |_| {});
        match tokio::time::timeout(wait, run).await {
            Err(_) => kills += 1,
            Ok(done) => {
                let done = done.unwrap();
                assert_eq!((done.durable, done.delivered, done.total), (3000, 3000, 3000));
                agent.stop().await.unwrap();
                break;
            }
        }
    }
    assert!(kills > 0, "never killed");
    let ledger = installation.ledger.lock().unwrap();
    assert_eq!(ledger.records["meter-1/table"], rows(&replay));
    assert!(ledger.said.is_empty(), "{:?}", ledger.said);
    drop(ledger);
    installation.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_replay_is_signed_to_the_end_though_its_agent_dies_at_once() {
    let installation = Installation::start().await;
    let folder = tempfile::tempdir().unwrap();
    let home = enrolled(&installation, &folder.path().join("home"), "meter-1").await;
    let replay = replay(&csv(folder.path(), 70), &["time=time"]);
    let agent = start(&home);
    replay.run(&agent, |_| {}).await.unwrap();
    drop(agent);
    let ledger = installation.ledger.lock().unwrap();
    assert_eq!(ledger.records["meter-1/table"], rows(&replay));
    assert_eq!(ledger.unsigned("meter-1/table"), 0);
    drop(ledger);
    installation.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_replay_has_nothing_to_do_unless_it_is_wanted_again() {
    let installation = Installation::start().await;
    let folder = tempfile::tempdir().unwrap();
    let home = enrolled(&installation, &folder.path().join("home"), "meter-1").await;
    let mut replay = replay(&csv(folder.path(), 100), &["time=time"]);
    let agent = start(&home);
    for (again, rows) in [(false, 100), (false, 100), (true, 200)] {
        replay.again = again;
        replay.run(&agent, |_| {}).await.unwrap();
        assert_eq!(installation.ledger.lock().unwrap().records["meter-1/table"].len(), rows, "{again}");
    }
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_has_grown_goes_on_where_it_ended_and_a_shorter_one_is_an_error() {
    let installation = Installation::start().await;
    let folder = tempfile::tempdir().unwrap();
    let home = enrolled(&installation, &folder.path().join("home"), "meter-1").await;
    let agent = start(&home);
    for count in [3, 10, 600] {
        let replay = replay(&csv(folder.path(), count), &["time=time"]);
        replay.run(&agent, |_| {}).await.unwrap();
        assert_eq!(installation.ledger.lock().unwrap().records["meter-1/table"], rows(&replay), "{count}");
    }
    let shorter = replay(&csv(folder.path(), 500), &["time=time"]).run(&agent, |_| {}).await;
    assert!(matches!(shorter, Err(ReplayError::Shorter { rows: 500, wanted: 600 })), "{shorter:?}");
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn scaled_time_keeps_the_distances() {
    let installation = Installation::start().await;
    let folder = tempfile::tempdir().unwrap();
    let home = enrolled(&installation, &folder.path().join("home"), "meter-1").await;
    let agent = start(&home);
    let mut replay = replay(&csv(folder.path(), 11), &["time=time"]);
    replay.speed = Speed::Times(10.0);
    let started = std::time::Instant::now();
    replay.run(&agent, |_| {}).await.unwrap();
    assert!(started.elapsed().as_secs_f64() >= 1.0, "ten seconds, ten times as fast");
    agent.stop().await.unwrap();
}

#[test]
fn a_row_with_another_number_of_columns_or_without_a_time_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let map = ReplayMap::parse(&["time=t"]).unwrap();
    let error = |text: &str| {
        fs::write(&path, text).unwrap();
        let mut table = Table::open(&path, &map)?;
        while table.next_row()?.is_some() {}
        Ok::<_, ReplayError>(())
    };
    assert!(matches!(error("t,a\n2020-01-01 00:00:00,1\nx,2\n"), Err(ReplayError::Time { row: 2 })));
    let text = "t,a\n2020-01-01 00:00:00,1\n2020-01-01 00:00:00,1,2\n";
    assert!(matches!(error(text), Err(ReplayError::Columns { row: 2, .. })));
    assert!(matches!(error("t,a\n"), Ok(())));
    assert!(matches!(error(""), Err(ReplayError::NoColumn { .. })));
    assert!(matches!(error("t,a\n2020-01-01 00:00:00,\n,\n"), Ok(())), "rows without values");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shared_telemetry_arrives_exactly() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/telemetry");
    if !shared.exists() {
        println!("skipped: the shared vectors are not here (telemetry)");
        return;
    }
    let files: [(&str, &[&str], usize); 5] = [
        ("occupancy_datatest", &["time=date"], 7),
        ("occupancy_datatraining", &["time=date"], 7),
        ("appliances_energy", &["time=date"], 31),
        ("air_quality_uci", &["time=Date+Time"], 13),
        ("ai4i2020", &["time=row", "start=2024-01-01T00:00:00Z", "step=60"], 14),
    ];
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    let agent = start(&home);
    for (name, map, columns) in files {
        let mut replay = replay(&shared.join(format!("{name}.csv.gz")), map);
        replay.stream = name.parse().unwrap();
        let started = std::time::Instant::now();
        let done = replay.run(&agent, |_| {}).await.unwrap();
        println!("{name}: {} rows in {:?}", done.total, started.elapsed());
        let want = rows(&replay);
        assert_eq!(want.len() as u64, done.total, "{name}");
        assert_eq!(want[0].len(), columns, "{name}");
        let ledger = installation.ledger.lock().unwrap();
        assert!(ledger.records[&format!("meter-1/{name}")] == want, "{name} differs");
    }
    agent.stop().await.unwrap();
    installation.assert_clean();
}
