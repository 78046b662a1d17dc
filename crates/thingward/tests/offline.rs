//! A building whose service is away for an hour: fifty thermometers on Zigbee say something once in a minute meanwhile, the
//! driver of their radio dies and their gateway dies. Real service, gateway and driver; the coordinator is emulated behind the
//! driver's line. The minutes are as short as the disk allows.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use common::{Place, Running, shown, wait_for};
use tempfile::TempDir;
use thingward_zigbee::emulated::{Coordinator, Kind, Line, Node};

const THINGS: u16 = 50;
const MINUTES: u16 = 60;
/// Address of the first of them, and its place in the network.
const FIRST: u64 = 0x0015_8d00_0000_0001;
const FIRST_SHORT: u16 = 0x2001;
const TEMPERATURE: u16 = 0x0402;
/// What a thermometer measures in each minute, in hundredths of a degree: less than anything that it says when it joins.
const STEP: i128 = 10;
/// How often the line is looked at.
const TICK: Duration = Duration::from_millis(2);
/// For so long nothing is written when everything is.
const QUIET: Duration = Duration::from_secs(2);
/// After so long without anything nothing more comes.
const STUCK: Duration = Duration::from_secs(30);

/// A minute in which each of them says this, and who waits until the driver has all of it.
type Minute = (i128, SyncSender<()>);

/// Serves one driver after the other, in a thread of its own.
fn serve(listener: &UnixListener, minutes: &Receiver<Minute>) {
    let node = |at: u16| {
        let mut node = Node::new(Kind::Thermometer, FIRST + u64::from(at), FIRST_SHORT + at, None);
        // Once, when it joins.
        node.period = Duration::from_secs(86_400);
        node.tries_at = Duration::from_millis(200) * at.into();
        node
    };
    let mut line = Line::new(Coordinator::with((0..THINGS).map(node).collect()));
    let begun = Instant::now();
    let mut waits = None;
    for driver in listener.incoming() {
        line.connected();
        let _ = attend(&mut line, driver.unwrap(), begun, minutes, &mut waits);
    }
}

/// Until the driver goes away.
fn attend(
    line: &mut Line,
    mut driver: UnixStream,
    begun: Instant,
    minutes: &Receiver<Minute>,
    waits: &mut Option<SyncSender<()>>,
) -> std::io::Result<()> {
    driver.set_read_timeout(Some(TICK))?;
    let mut room = [0; 1024];
    loop {
        match driver.read(&mut room) {
            Ok(0) => return Ok(()),
            Ok(len) => line.receive(&room[..len], begun.elapsed()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if let Ok((measured, done)) = minutes.try_recv() {
            say(line, measured);
            *waits = Some(done);
        }
        line.tick(begun.elapsed());
        while let Some(bytes) = line.output() {
            driver.write_all(&bytes)?;
        }
        if line.is_quiet()
            && let Some(done) = waits.take()
        {
            let _ = done.send(());
        }
    }
}

/// Every thermometer reports this.
fn say(line: &mut Line, measured: i128) {
    let said: Vec<_> = line.coordinator(|coordinator| {
        let report = |node: &mut Node| {
            let fields = [&[0, 0, 0x29][..], &i16::try_from(measured).unwrap().to_le_bytes()[..]].concat();
            node.command(TEMPERATURE, 0x18, 0x0a, &fields)
        };
        coordinator.nodes.iter_mut().map(report).collect()
    });
    for (at, said) in said.into_iter().enumerate() {
        line.say(at, said);
    }
}

/// A building with a gateway.
struct Building {
    place: Place,
    line: PathBuf,
    _lines: TempDir,
    minutes: Sender<Minute>,
}

impl Drop for Building {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.place.logs());
        }
    }
}

impl Building {
    fn new() -> (Self, Running) {
        let lines = tempfile::tempdir().unwrap();
        let line = lines.path().join("line");
        let listener = UnixListener::bind(&line).unwrap();
        let (minutes, heard) = channel();
        std::thread::spawn(move || serve(&listener, &heard));
        let radio = format!("[gateway.radio.zigbee-1]\nkind = \"zigbee\"\nline = \"{}\"", shown(&line));
        let place = Place::with(&radio);
        let service = place.service(&["acme"]);
        place.enrol("acme", "gateway", "gateway");
        place.done(&["policy", "apply", shown(&policies(&place))]);
        (Self { place, line, _lines: lines, minutes }, service)
    }

    /// Lets all of them in, and waits until each was heard.
    fn admit(&self) {
        self.place.done(&["gateway", "admit", "gateway", "--for", "5m", "--radio", "zigbee-1"]);
        let mut heard = BTreeSet::new();
        wait_for("all things", || {
            let rows = self.place.readings("acme");
            heard.extend(rows.iter().map(|row| row["device"].as_str().unwrap().to_owned()));
            heard.len() == usize::from(THINGS)
        });
        self.place.done(&["gateway", "close", "gateway"]);
    }

    /// These minutes go by, and everything that was said in them is written down at the gateway.
    fn pass(&self, minutes: std::ops::Range<u16>) {
        for minute in minutes {
            let (done, wait) = sync_channel(1);
            self.minutes.send(((i128::from(minute) + 1) * STEP, done)).unwrap();
            wait.recv_timeout(Duration::from_secs(30)).unwrap();
        }
        let home = self.place.path("gateway");
        wait_for("the disk", || written(&home).elapsed().is_ok_and(|since| since > QUIET));
    }

    fn driver(&self) -> Option<u32> {
        let words = format!("radio-driver zigbee {}", shown(&self.line));
        let found = Command::new("pgrep").args(["-f", &words]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().lines().next().and_then(|id| id.parse().ok())
    }

    /// Kills the driver, and waits for another.
    fn kill_driver(&self) {
        let first = self.driver().unwrap();
        assert!(Command::new("kill").args(["-KILL", &first.to_string()]).status().unwrap().success());
        wait_for("another driver", || self.driver().is_some_and(|id| id != first));
    }

    /// Waits for so many of what they measured, as long as there are more and more.
    fn wait_for_all(&self, wanted: usize) {
        let (mut there, mut since) = (0, Instant::now());
        while there < wanted {
            assert!(since.elapsed() < STUCK, "{there} of {wanted} came");
            std::thread::sleep(Duration::from_millis(200));
            let now = self.measured().values().map(Vec::len).sum();
            if now > there {
                (there, since) = (now, Instant::now());
            }
        }
    }

    /// What each thing measured in these minutes, in the order of its chain, in hundredths of a degree.
    fn measured(&self) -> BTreeMap<String, Vec<i64>> {
        let rows = self.place.readings("acme");
        let mut all: BTreeMap<String, Vec<(u64, i64)>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row["field"] == "temperature") {
            #[expect(clippy::cast_possible_truncation, reason = "it is some hundreds")]
            let hundredths = (row["value"].as_f64().unwrap() * 100.0).round() as i64;
            if hundredths <= i64::from(MINUTES) * 10 {
                let thing = row["device"].as_str().unwrap().to_owned();
                all.entry(thing).or_default().push((row["seq"].as_u64().unwrap(), hundredths));
            }
        }
        let in_order = |mut rows: Vec<(u64, i64)>| {
            rows.sort_unstable();
            rows.into_iter().map(|(_, hundredths)| hundredths).collect()
        };
        all.into_iter().map(|(thing, rows)| (thing, in_order(rows))).collect()
    }
}

/// That all of them may join without an install code.
fn policies(place: &Place) -> PathBuf {
    let mut text = String::new();
    for at in 0..u64::from(THINGS) {
        let thing = format!("zigbee-1/{:016x}", FIRST + at);
        writeln!(
            text,
            "@reason(\"emulated\") permit (principal == Thing::\"{thing}\", \
             action == Action::\"things:join-weakly\", resource == Gateway::\"gateway\");"
        )
        .unwrap();
    }
    let path = place.path("own.cedar");
    std::fs::write(&path, text).unwrap();
    path
}

/// When something in this folder was written last.
fn written(folder: &Path) -> SystemTime {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    // What goes away meanwhile was written just now.
    let at = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => written(&entry.path()),
        Ok(metadata) => metadata.modified().unwrap(),
        Err(_) => SystemTime::now(),
    };
    entries.map(at).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

#[test]
fn an_hour_without_the_service_is_there_afterwards_once_and_in_order_though_driver_and_gateway_died_in_it() {
    let (building, service) = Building::new();
    let gateway = building.place.gateway();
    building.admit();

    drop(service);
    building.pass(0..20);
    building.kill_driver();
    building.pass(20..40);
    drop(gateway);
    let _gateway = building.place.gateway();
    wait_for("the driver", || building.driver().is_some());
    building.pass(40..MINUTES);

    let _service = building.place.service(&[]);
    let hour: Vec<i64> = (1..=i64::from(MINUTES)).map(|minute| minute * 10).collect();
    let wanted = usize::from(THINGS) * hour.len();
    building.wait_for_all(wanted);
    let measured = building.measured();
    assert_eq!(measured.len(), usize::from(THINGS));
    for (thing, said) in measured {
        assert_eq!(said, hour, "{thing}");
    }
}
