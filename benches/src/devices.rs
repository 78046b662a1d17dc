//! What many devices cost the one core of a service: their sessions, keep-alives and messages, with the real disk under it and
//! without sockets and TLS in front of it.

use std::fmt;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, system_rng};
use thingward_ingress::{Member, Waiting, output};
use thingward_model::{DeviceName, Link, Principal, Role, TenantName, Timestamp};
use thingward_mqtt::broker::Limits;
use thingward_service::core::stepped::SteppedCore;
use thingward_service::directory::Directory;
use thingward_store::segment::RollPolicy;

use crate::bed::Bed;
use crate::clock::spent;

/// Events that the core takes together, as it does behind its threads.
const GROUP: usize = 512;
/// Seconds in which each device says that it is there.
pub(crate) const KEEP_ALIVE_SECONDS: u16 = 600;
const EXPIRY_SECONDS: u32 = 86_400;
/// So many devices also send readings.
const SENDERS: usize = 100_000;
/// Readings of each, behind a first one.
const READINGS: usize = 2;
/// Different things that devices say.
const SAYINGS: usize = 997;
const BLOCK_BYTES: f64 = 512.0;

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Devices {
    pub(crate) count: usize,
    /// Connected in a second of the processor.
    pub(crate) connected: f64,
    /// Heard of in a second of the processor.
    pub(crate) heard: f64,
    /// Readings of 128 bytes with QoS 1 in a second of the processor, behind the first of each device.
    pub(crate) messages: f64,
    /// Memory of one more device that is connected, in bytes: directory, connection, session.
    pub(crate) memory: f64,
    /// Disk of its session, in bytes.
    pub(crate) disk: f64,
    /// Seconds until a core that starts has all their sessions.
    pub(crate) restored: f64,
    /// Disk of a reading that is hot, and of one of its values in history, in bytes.
    pub(crate) hot: f64,
    pub(crate) history: f64,
}

fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}

fn packet(kind: u8, body: &[u8]) -> Bytes {
    let mut bytes = vec![kind];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length % 128).unwrap();
        length /= 128;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes.into()
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn connect(client: &str) -> Bytes {
    let head: &[u8] = b"\0\x04MQTT\x05\0";
    let (alive, expiry) = (KEEP_ALIVE_SECONDS.to_be_bytes(), EXPIRY_SECONDS.to_be_bytes());
    packet(0x10, &[head, &alive, &[5, 0x11], &expiry, &text(client)].concat())
}

/// Some reading of 128 bytes.
fn publish(number: usize) -> Bytes {
    let [a, b, c] = [7, 31, 101].map(|step| number * step % 90 + 10);
    let payload = format!(
        r#"{{"temperature":{a}.5,"humidity":{b}.25,"pressure":10{c}.{a},"voltage":3.{b},"counter_kwh":{},"rssi":-{c},"doors":false,"ok":true}}"#,
        1_000_000 + number
    );
    assert_eq!(payload.len(), 128);
    packet(0x32, &[&text("devices/me/telemetry/climate"), &[0, 1, 0][..], payload.as_bytes()].concat())
}

struct Town {
    core: SteppedCore,
    connections: Vec<Waiting>,
    now: Timestamp,
}

impl Town {
    /// Has the core do something for each of these devices, in groups, and takes what it answers.
    fn each(&mut self, devices: Range<usize>, mut event: impl FnMut(&mut SteppedCore, usize)) {
        for first in devices.clone().step_by(GROUP) {
            let group = first..(first + GROUP).min(devices.end);
            group.clone().for_each(|device| event(&mut self.core, device));
            let decision = self.core.decide(self.now).unwrap();
            self.core.commit(vec![decision]).unwrap();
            for waiting in &mut self.connections[group.start..] {
                let nothing = Context::from_waker(Waker::noop());
                match waiting.poll_next(&nothing) {
                    Poll::Ready(Some(_)) => {}
                    Poll::Ready(None) => panic!("the core has ended a connection"),
                    Poll::Pending => break,
                }
            }
        }
    }
}

fn name(device: usize) -> DeviceName {
    format!("device-{device}").parse().unwrap()
}

fn who(tenant: TenantName, device: usize, not_after: Timestamp) -> Member {
    let principal = Principal { tenant, role: Role::Device, name: name(device) };
    Member { principal, serial: device.to_be_bytes().to_vec(), not_after, link: Link::MutualTls }
}

impl Devices {
    /// With so many devices, in a process of its own each time: the median of `rounds` for each figure.
    pub(crate) fn measured(count: usize, rounds: usize) -> Self {
        let mut figures: Vec<[f64; FIGURES]> = (0..rounds).map(|_| Self::elsewhere(count)).collect();
        let mut median = |at: usize| {
            figures.sort_by(|a, b| a[at].total_cmp(&b[at]));
            figures[rounds / 2][at]
        };
        Self::of(count, std::array::from_fn(&mut median))
    }

    fn elsewhere(count: usize) -> [f64; FIGURES] {
        let program = std::env::current_exe().unwrap();
        let said = Command::new(program).args(["devices", &count.to_string()]).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let said = String::from_utf8(said.stdout).unwrap();
        let figures: Vec<f64> = said.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
        figures.try_into().unwrap()
    }

    fn of(count: usize, figures: [f64; FIGURES]) -> Self {
        let [connected, heard, messages, memory, disk, restored, hot, history] = figures;
        Self { count, connected, heard, messages, memory, disk, restored, hot, history }
    }
}

/// As [`Devices::of`] takes them, without the count.
const FIGURES: usize = 8;

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connected, heard, messages, memory, disk, restored, hot, history, .. } = self;
        write!(f, "{connected} {heard} {messages} {memory} {disk} {restored} {hot} {history}")
    }
}

/// With so many devices.
pub(crate) fn measure(count: usize) -> Devices {
    let Bed { runtime, folder, store, tenant, now } = Bed::new();
    let data = folder.path().join("data");
    let sealing = SealingKey::generate(&mut system_rng()).unwrap();
    let key = SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng());
    let directory = Arc::new(Directory::default());
    let limits = Limits { sessions_max: count + 1, ..Limits::default() };
    let open = || {
        let (store, directory) = (Arc::clone(&store), Arc::clone(&directory));
        let open = SteppedCore::open(store, directory, &sealing, "town.example", limits.clone(), now);
        runtime.block_on(open).unwrap()
    };
    let mut town = Town { core: open(), connections: Vec::with_capacity(count), now };
    let not_after = now.plus_micros(1 << 50);
    let join = |town: &mut Town, devices: Range<usize>| {
        devices
            .clone()
            .for_each(|device| directory.enrolled(tenant, name(device), Role::Device, key.public_key()));
        let mut outputs = Vec::with_capacity(devices.len());
        for _ in devices.clone() {
            let (to, from) = output();
            outputs.push(to);
            town.connections.push(from);
        }
        let mut outputs = outputs.into_iter();
        let ((), took) = spent(|| {
            town.each(devices, |core, device| {
                let conn = device as u64 + 1;
                core.accept(conn, who(tenant, device, not_after), outputs.next().unwrap());
                core.received(conn, connect(name(device).as_str()));
            });
        });
        took
    };
    // What is there once comes with the first ones.
    let (first, others) = (0..count / 10, count / 10..count);
    join(&mut town, first);
    let (before, other) = (resident(), others.len());
    let connecting = join(&mut town, others);
    let memory = (resident() - before) / other as f64;
    let alive = Bytes::from_static(b"\xc0\0");
    // Each is heard of once, as late as it may be: the clock goes on meanwhile.
    let ((), hearing) = spent(|| {
        for round in 1..=2 {
            town.now = now.plus_micros(round * i64::from(KEEP_ALIVE_SECONDS) * 1_000_000);
            town.each(0..count, |core, device| core.received(device as u64 + 1, alive.clone()));
        }
    });
    let disk = size(&data.join("hot"));
    let senders = count.min(SENDERS);
    let messages: Vec<Bytes> = (0..SAYINGS).map(publish).collect();
    let say = |town: &mut Town, round: usize| {
        town.each(0..senders, |core, device| {
            core.received(device as u64 + 1, messages[(device + round) % SAYINGS].clone());
        });
    };
    say(&mut town, 0);
    let ((), sending) = spent(|| (1..=READINGS).for_each(|round| say(&mut town, round)));
    drop(town);
    let hot = (size(&data.join("hot")) - disk) / ((1 + READINGS) * senders) as f64;
    let policy = RollPolicy { unsigned_before: now.plus_micros(1 << 50), rows_min: 1, rows_max: 1_000_000 };
    let segment = store.roll(&tenant, &policy, now).unwrap().expect("readings");
    let start = Instant::now();
    drop(open());
    let restored = start.elapsed().as_secs_f64();
    let rate = |events: usize, time: std::time::Duration| events as f64 / time.as_secs_f64();
    Devices {
        count,
        connected: rate(other, connecting),
        heard: rate(2 * count, hearing),
        messages: rate(READINGS * senders, sending),
        memory,
        disk: disk / count as f64,
        restored,
        hot,
        history: segment.bytes as f64 / segment.rows as f64,
    }
}

/// What files take of the disk: what is only laid out in them takes nothing.
fn size(folder: &std::path::Path) -> f64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let sizes = entries.map(|entry| match entry.metadata().unwrap() {
        folder if folder.is_dir() => size(&entry.path()),
        file => file.blocks() as f64 * BLOCK_BYTES,
    });
    sizes.sum()
}
