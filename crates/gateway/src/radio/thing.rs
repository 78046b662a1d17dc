//! A thing of a radio, as a device of its own: a chip in this process, whose key the gateway keeps.
//!
//! It is the same device core as on chips, and the gateway speaks with it as with those on serial lines. Its keys come from
//! a secret of its own and from its address on the radio: under another address it is nobody whom the service knows.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use thingward_crypto::sealed::SealingKey;
use thingward_device::link::{Decoder, Failure, Frame, Kind, encode};
use thingward_device::{Device, Dice, Measurement, RecordError};
use thingward_model::clock::now;
use thingward_model::{Link, Reading, Timestamp, Value};
use thingward_radio::wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Notify, mpsc};

use super::memory::{Memory, SECRET_FILE, Secret};
use super::part::Part;
use super::room::Taken;
use crate::serial::SharedLink;

/// Largest frame, in bytes between the flags.
const FRAME_BYTES: u16 = 4096;
/// Most messages of a thing that wait for room.
const WAITING_MAX: usize = 256;
/// Most that wait to be looked at.
const HEARD_MAX: usize = 64;
/// How often the time is told.
const TURN: Duration = Duration::from_secs(1);

type Machine = Device<Dice<Secret>, Memory, Part>;

/// What a thing said.
pub(super) struct Heard {
    /// How it was protected.
    pub(super) link: Link,
    /// When.
    pub(super) time: Timestamp,
    /// What, all at one time.
    pub(super) readings: Vec<wire::Reading>,
    /// The room that it takes.
    pub(super) _room: Arc<Taken>,
}

/// What is counted of a thing. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Counts {
    /// Messages that found no room.
    pub(super) dropped: Arc<AtomicU64>,
}

/// The ways into a thing that runs.
pub(super) struct Ways {
    /// What it says.
    pub(super) heard: mpsc::Sender<Heard>,
    /// The lines on which it is spoken with.
    pub(super) ends: mpsc::Sender<DuplexStream>,
}

/// A thing that is served.
pub(super) struct Server {
    machine: Arc<Mutex<Option<Machine>>>,
    heard: mpsc::Receiver<Heard>,
    ends: mpsc::Receiver<DuplexStream>,
    waiting: VecDeque<Heard>,
    /// Whether everything that was recorded is safe in the queue: then the link may change.
    is_drained: bool,
    link: SharedLink,
    ring: Arc<Notify>,
    counts: Counts,
    last: Instant,
}

/// Opens the thing in this folder.
///
/// # Errors
///
/// When its files are not to be had, or are another's.
pub(super) fn open(
    folder: &Path,
    key: SealingKey,
    part: Part,
    link: SharedLink,
    ring: Arc<Notify>,
    counts: Counts,
) -> io::Result<(Server, Ways)> {
    let mut address = Measurement::default();
    address.take(part.address.as_str().as_bytes());
    let secret = Secret::open(folder.join(SECRET_FILE), key)?;
    let keys = Dice::start(secret, &address).map_err(|_| other("its secret does not open"))?;
    let mut machine = None;
    let memory = Memory::open(&folder.join("memory"))?;
    Machine::start(&mut machine, keys, memory, part, FRAME_BYTES)
        .map_err(|_| other("its memory does not open"))?;
    let (say, heard) = mpsc::channel(HEARD_MAX);
    let (connect, ends) = mpsc::channel(1);
    let server = Server {
        machine: Arc::new(Mutex::new(machine)),
        heard,
        ends,
        waiting: VecDeque::new(),
        is_drained: false,
        link,
        ring,
        counts,
        last: Instant::now(),
    };
    Ok((server, Ways { heard: say, ends: connect }))
}

fn other(what: &str) -> io::Error {
    io::Error::other(format!("a thing's {what}"))
}

impl Server {
    /// Serves until nobody has a way into it.
    pub(super) async fn run(mut self) {
        let mut line: Option<DuplexStream> = None;
        let mut frames = Decoder::new(vec![0; usize::from(FRAME_BYTES)]);
        let mut room = [0; 512];
        let mut turn = tokio::time::interval(TURN);
        loop {
            tokio::select! {
                end = self.ends.recv() => match end {
                    None => return,
                    end => line = end,
                },
                heard = self.heard.recv() => match heard {
                    None => return,
                    Some(heard) => self.take(heard).await,
                },
                read = read(line.as_mut(), &mut room) => match read {
                    0 => line = None,
                    read => {
                        for byte in room.get(..read).unwrap_or_default() {
                            let Some(Frame { sequence, kind, body }) = frames.take(*byte) else { continue };
                            let answer = self.answer(sequence, kind, body.to_vec()).await;
                            if let Some(stream) = &mut line
                                && stream.write_all(&answer).await.is_err()
                            {
                                line = None;
                            }
                        }
                    }
                },
                _ = turn.tick() => self.turn().await,
            }
        }
    }

    /// Does something with the device, which may write to the disk or wait for the thing.
    async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Machine) -> R + Send + 'static,
    ) -> Option<R> {
        let machine = Arc::clone(&self.machine);
        let done = tokio::task::spawn_blocking(move || {
            machine.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(work)
        });
        done.await.ok().flatten()
    }

    async fn turn(&mut self) {
        let micros = u32::try_from(self.last.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.last = Instant::now();
        self.with(move |device| {
            device.tick(micros);
            device.set_time(now());
        })
        .await;
        self.record().await;
        self.ring.notify_one();
    }

    /// A frame of the gateway, and what is answered.
    async fn answer(&mut self, sequence: u8, kind: u8, mut body: Vec<u8>) -> Vec<u8> {
        // What it proves would be the gateway's word about itself.
        let answered = if kind == Kind::Evidence.code() {
            Some((Kind::FAILED, vec![Failure::Malformed.code(), 0]))
        } else {
            self.with(move |device| {
                device.set_time(now());
                let len = body.len();
                body.resize(usize::from(FRAME_BYTES), 0);
                let (kind, len) = device.answer(kind, &mut body, len);
                body.truncate(len);
                (kind, body)
            })
            .await
        };
        let (answer, body) = answered.unwrap_or((Kind::FAILED, vec![Failure::Memory.code(), 0]));
        if kind == Kind::Poll.code() && answer == Kind::Poll.answer() && body.is_empty() {
            self.is_drained = true;
            self.record().await;
        }
        let mut bytes = Vec::with_capacity(body.len() + 16);
        encode(&Frame { sequence, kind: answer, body: &body }, |byte| bytes.push(byte));
        bytes
    }

    async fn take(&mut self, heard: Heard) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.waiting.push_back(heard);
        self.record().await;
    }

    /// Puts what waits into the chain, as far as there is room, and as it came over one link.
    async fn record(&mut self) {
        while let Some(heard) = self.waiting.pop_front() {
            if heard.link != self.link.get() {
                if !self.is_drained {
                    self.waiting.push_front(heard);
                    return;
                }
                self.link.set(heard.link);
            }
            match self.with(move |device| record(device, heard)).await {
                None => return,
                Some(Recorded { rest, is_waiting, dropped, recorded }) => {
                    self.counts.dropped.fetch_add(dropped, Ordering::Relaxed);
                    if recorded {
                        self.is_drained = false;
                        self.ring.notify_one();
                    }
                    for heard in rest.into_iter().rev() {
                        self.waiting.push_front(heard);
                    }
                    if is_waiting {
                        return;
                    }
                }
            }
        }
    }
}

/// What became of a message.
struct Recorded {
    /// What is left of it, in its order.
    rest: Vec<Heard>,
    /// Whether that has to wait.
    is_waiting: bool,
    dropped: u64,
    recorded: bool,
}

fn record(device: &mut Machine, heard: Heard) -> Recorded {
    device.set_time(now());
    let readings: Vec<Reading<'_>> =
        heard.readings.iter().filter_map(|reading| of_wire(reading, heard.time)).collect();
    let nameless = u64::try_from(heard.readings.len() - readings.len()).unwrap_or_default();
    let done = |recorded, dropped| Recorded { rest: Vec::new(), is_waiting: false, dropped, recorded };
    if readings.is_empty() {
        return done(false, nameless);
    }
    match device.record(&readings) {
        Ok(()) => done(true, nameless),
        Err(RecordError::Reading(_)) => match split(heard) {
            Some(rest) => Recorded { rest, is_waiting: false, dropped: 0, recorded: false },
            None => done(false, 1),
        },
        Err(RecordError::Destroyed) => done(false, 1),
        Err(RecordError::Full | RecordError::NotJoined | RecordError::NoTime | RecordError::Memory) => {
            Recorded { rest: vec![heard], is_waiting: true, dropped: 0, recorded: false }
        }
    }
}

/// What is too much for one record as two messages; `None` when it is one reading.
fn split(heard: Heard) -> Option<Vec<Heard>> {
    let Heard { link, time, mut readings, _room: room } = heard;
    let half = readings.len() / 2;
    let second = readings.split_off(half);
    let halves = [readings, second].map(|readings| Heard { link, time, readings, _room: Arc::clone(&room) });
    (half > 0).then(|| halves.into())
}

/// `None` when its name cannot be one.
fn of_wire(reading: &wire::Reading, time: Timestamp) -> Option<Reading<'_>> {
    let value = match &reading.value {
        wire::Value::Number(number) => Value::Number(*number),
        wire::Value::Bool(value) => Value::Bool(*value),
        wire::Value::Text(text) => Value::Text(text.as_str()),
        wire::Value::Data(bytes) => Value::Data(bytes),
    };
    Some(Reading {
        field: Some(reading.name.as_str().parse().ok()?),
        unit: reading.unit.as_str(),
        time,
        value,
    })
}

/// Reads what there is; without a line, never.
async fn read(line: Option<&mut DuplexStream>, room: &mut [u8]) -> usize {
    match line {
        Some(line) => line.read(room).await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
