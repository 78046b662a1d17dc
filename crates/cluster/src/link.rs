//! What two nodes say to each other: events of many connections, in order, sealed, and no more at a time than the other
//! takes.
//!
//! ```text
//! frame  = number(8, big endian) | sealed(taken(8) | event …)
//! event  = kind(1) | connection(8) | length(4) | bytes
//! ```
//!
//! Each link has keys of its own, one for each way, that both ends drew a part of: a frame opens in its place only, and a
//! hello that somebody says again begins nothing that was there before. NATS drops what nobody reads fast
//! enough and what is on its way when a server ends: a number that is not the next ends the link, and with it everything that it
//! carried. `taken` says how many bytes its writer has taken of the other's so far.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Client, Subscriber};
use bytes::{Buf, BufMut, Bytes};
use futures_util::StreamExt;
use rand_core::Rng;
use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{AeadKey, CryptoError, system_rng};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::nats::{Nats, NatsError};

/// Most bytes of events in a frame, save one event that is larger.
const FRAME_BYTES: usize = 256 * 1024;
/// Most bytes of one event.
pub const EVENT_BYTES_MAX: usize = 512 * 1024;
/// Bytes that may be on their way before the other has taken them.
const WINDOW_BYTES: u64 = 8 * 1024 * 1024;
/// Events that wait to be sent.
const WAITING_MAX: usize = 1024;
/// How often something is said when there is nothing to say.
const BEAT: Duration = Duration::from_secs(1);
/// Who said nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(4);
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = 8;
const EVENT_HEAD_BYTES: usize = 13;

/// Something about a connection. What kinds there are is for those at both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it is.
    pub kind: u8,
    /// Which connection.
    pub connection: u64,
    /// What belongs to it.
    pub bytes: Bytes,
}

/// The way to the other end. Clones lead to the same.
#[derive(Clone)]
pub struct Sender {
    events: mpsc::Sender<Event>,
    /// Becomes true when the link has ended.
    over: Arc<watch::Sender<bool>>,
}

/// What comes from the other end.
pub struct Receiver {
    frames: Subscriber,
    opening: Half,
    progress: Arc<Progress>,
    /// Bytes of the frame that was given last.
    given: u64,
    over: Arc<watch::Sender<bool>>,
}

/// How much both have taken.
#[derive(Default)]
struct Progress {
    /// By this end, of the other's.
    by_us: AtomicU64,
    /// By the other, of ours.
    by_them: AtomicU64,
    changed: Notify,
}

/// One way of a link.
struct Half {
    key: AeadKey,
    number: u64,
}

impl Half {
    fn new(key: &SealingKey, way: &str, (guest, host): (&Id, &Id)) -> Result<Self, CryptoError> {
        Ok(Self { key: key.derive(format!("thingward link {way} {guest} {host}").as_bytes())?, number: 0 })
    }

    fn nonce(&self) -> [u8; 12] {
        let mut nonce = [0; 12];
        if let Some(end) = nonce.last_chunk_mut() {
            *end = self.number.to_be_bytes();
        }
        nonce
    }

    fn seal(&mut self, mut plain: Vec<u8>) -> Result<Bytes, CryptoError> {
        let tag = self.key.seal(&self.nonce(), b"", &mut plain)?;
        let mut frame = Vec::with_capacity(HEAD_BYTES + plain.len() + TAG_BYTES);
        frame.put_u64(self.number);
        frame.extend_from_slice(&plain);
        frame.extend_from_slice(&tag);
        self.number += 1;
        Ok(frame.into())
    }

    fn open(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let (number, rest) = frame.split_first_chunk::<HEAD_BYTES>()?;
        let (text, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        if u64::from_be_bytes(*number) != self.number {
            return None;
        }
        let mut plain = text.to_vec();
        self.key.open(&self.nonce(), b"", &mut plain, tag).ok()?;
        self.number += 1;
        Some(plain)
    }
}

/// Whoever leads in a term waits here for links.
pub struct Host {
    nats: Nats,
    key: SealingKey,
    term: u64,
    asked: Subscriber,
}

impl Host {
    /// Waits from now on.
    ///
    /// # Errors
    ///
    /// [`NatsError`].
    pub async fn listen(nats: &Nats, key: SealingKey, term: u64) -> Result<Self, NatsError> {
        let asked = nats.jetstream.client().subscribe(hello(nats, term)).await;
        let asked = asked.map_err(NatsError::of("wait for other nodes"))?;
        Ok(Self { nats: nats.clone(), key, term, asked })
    }

    /// The next link. `None` when the connection to NATS is closed.
    pub async fn accept(&mut self) -> Option<(Sender, Receiver)> {
        loop {
            let asked = self.asked.next().await?;
            let guest = Id::open(&self.key, self.term, "guest", &asked.payload);
            let (Some(guest), Some(reply)) = (guest, asked.reply) else { continue };
            match self.answer(&guest, reply).await {
                Ok(both) => return Some(both),
                Err(error) => tracing::warn!(%error, "another node cannot be linked to"),
            }
        }
    }

    async fn answer(&self, guest: &Id, reply: async_nats::Subject) -> Result<(Sender, Receiver), NatsError> {
        let host = Id::draw();
        let frames = subscribe(&self.nats, "up", guest).await?;
        let both = begin(&self.nats, &self.key, frames, ["down", "up"], (guest, &host))?;
        let answer = host.seal(&self.key, self.term, "host")?;
        let client = self.nats.jetstream.client();
        client.publish(reply, answer).await.map_err(NatsError::of("link to another node"))?;
        Ok(both)
    }
}

/// A link to whoever leads in `term`.
///
/// # Errors
///
/// [`NatsError`] when nobody of this installation answers.
pub async fn connect(nats: &Nats, key: &SealingKey, term: u64) -> Result<(Sender, Receiver), NatsError> {
    let guest = Id::draw();
    let frames = subscribe(nats, "down", &guest).await?;
    let asked = guest.seal(key, term, "guest")?;
    let answer = nats.jetstream.client().request(hello(nats, term), asked).await;
    let answer = answer.map_err(NatsError::of("link to the leader"))?;
    let host = Id::open(key, term, "host", &answer.payload).ok_or(CryptoError);
    let host = host.map_err(NatsError::of("link to the leader"))?;
    begin(nats, key, frames, ["up", "down"], (&guest, &host))
}

fn hello(nats: &Nats, term: u64) -> String {
    format!("{}.lead.{term}", nats.prefix)
}

/// What one end draws for a link: 16 random bytes in hexadecimal digits.
struct Id(String);

impl Id {
    fn draw() -> Self {
        let mut id = [0; 16];
        system_rng().fill_bytes(&mut id);
        Self(id.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn label(term: u64, whose: &str) -> Vec<u8> {
        format!("thingward link {term} {whose}").into_bytes()
    }

    fn seal(&self, key: &SealingKey, term: u64, whose: &str) -> Result<Bytes, NatsError> {
        let sealed = key.seal(&Self::label(term, whose), self.0.as_bytes());
        sealed.map(Bytes::from).map_err(NatsError::of("link to another node"))
    }

    fn open(key: &SealingKey, term: u64, whose: &str, sealed: &[u8]) -> Option<Self> {
        let plain = key.open(&Self::label(term, whose), sealed).ok()?;
        let id = std::str::from_utf8(&plain).ok()?;
        let is_one = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
        is_one.then(|| Self(id.to_owned()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn subject(nats: &Nats, way: &str, guest: &Id) -> String {
    format!("{}.link.{way}.{guest}", nats.prefix)
}

/// What is subscribed to is there before anybody hears of it.
async fn subscribe(nats: &Nats, way: &str, guest: &Id) -> Result<Subscriber, NatsError> {
    let client = nats.jetstream.client();
    let frames = client.subscribe(subject(nats, way, guest)).await;
    let frames = frames.map_err(NatsError::of("link to another node"))?;
    client.flush().await.map_err(NatsError::of("link to another node"))?;
    Ok(frames)
}

/// One end of a link: it sends one way and reads the other.
fn begin(
    nats: &Nats,
    key: &SealingKey,
    frames: Subscriber,
    [out, back]: [&str; 2],
    ids: (&Id, &Id),
) -> Result<(Sender, Receiver), NatsError> {
    let half = |way| Half::new(key, way, ids).map_err(NatsError::of("link to another node"));
    let (sealing, opening) = (half(out)?, half(back)?);
    let (events, waiting) = mpsc::channel(WAITING_MAX);
    let (over, progress) = (Arc::new(watch::Sender::new(false)), Arc::new(Progress::default()));
    let writer = Writer {
        client: nats.jetstream.client(),
        subject: subject(nats, out, ids.0),
        sealing,
        progress: Arc::clone(&progress),
        sent: 0,
        told: 0,
    };
    let ended = Arc::clone(&over);
    tokio::spawn(async move {
        let mut end = ended.subscribe();
        tokio::select! {
            () = writer.run(waiting) => {}
            _ = end.wait_for(|over| *over) => {}
        }
        ended.send_replace(true);
    });
    let receiver = Receiver { frames, opening, progress, given: 0, over: Arc::clone(&over) };
    Ok((Sender { events, over }, receiver))
}

impl Sender {
    /// Waits while the other has enough to do. `false` when the link has ended.
    pub async fn send(&self, kind: u8, connection: u64, bytes: Bytes) -> bool {
        debug_assert!(bytes.len() <= EVENT_BYTES_MAX, "an event fits into a message");
        !*self.over.borrow() && self.events.send(Event { kind, connection, bytes }).await.is_ok()
    }
}

struct Writer {
    client: Client,
    subject: String,
    sealing: Half,
    progress: Arc<Progress>,
    /// Bytes of events that were sent.
    sent: u64,
    /// What the other knows that we have taken.
    told: u64,
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Event>) {
        // What is heard meanwhile does not put it off.
        let mut beat = Instant::now() + BEAT;
        loop {
            let progress = Arc::clone(&self.progress);
            let changed = progress.changed.notified();
            let room = self.sent.saturating_sub(progress.by_them.load(Ordering::Acquire)) < WINDOW_BYTES;
            let owes = progress.by_us.load(Ordering::Acquire) - self.told >= WINDOW_BYTES / 4;
            let first = tokio::select! {
                biased;
                () = std::future::ready(()), if owes => None,
                event = waiting.recv(), if room => match event {
                    Some(event) => Some(event),
                    None => return,
                },
                () = sleep_until(beat) => None,
                () = changed => continue,
            };
            let mut frame = Vec::with_capacity(256);
            self.told = progress.by_us.load(Ordering::Acquire);
            frame.put_u64(self.told);
            if let Some(first) = first {
                push(&mut frame, &first);
                while frame.len() < FRAME_BYTES {
                    let Ok(event) = waiting.try_recv() else { break };
                    push(&mut frame, &event);
                }
            }
            self.sent += frame.len() as u64;
            let Ok(frame) = self.sealing.seal(frame) else { return };
            if self.client.publish(self.subject.clone(), frame).await.is_err() {
                return;
            }
            beat = Instant::now() + BEAT;
        }
    }
}

fn push(frame: &mut Vec<u8>, event: &Event) {
    frame.put_u8(event.kind);
    frame.put_u64(event.connection);
    frame.put_u32(u32::try_from(event.bytes.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&event.bytes);
}

impl Receiver {
    /// The events of the next frame; those before count as taken. `None` when the link has ended: the other is silent, or
    /// something of it was lost or changed.
    pub async fn next(&mut self) -> Option<Vec<Event>> {
        self.progress.by_us.fetch_add(std::mem::take(&mut self.given), Ordering::AcqRel);
        self.progress.changed.notify_one();
        let mut over = self.over.subscribe();
        let frame = tokio::select! {
            frame = timeout(SILENCE, self.frames.next()) => frame.ok()??,
            _ = over.wait_for(|over| *over) => return None,
        };
        let mut plain = Bytes::from(self.opening.open(&frame.payload)?);
        self.given = plain.len() as u64;
        let taken = plain.try_get_u64().ok()?;
        self.progress.by_them.fetch_max(taken, Ordering::AcqRel);
        self.progress.changed.notify_one();
        read_events(plain)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.over.send_replace(true);
    }
}

/// The events of a frame that was opened, behind `taken`; `None` when it is cut short.
#[must_use]
pub fn read_events(mut frame: Bytes) -> Option<Vec<Event>> {
    let mut events = Vec::new();
    while !frame.is_empty() {
        if frame.len() < EVENT_HEAD_BYTES {
            return None;
        }
        let (kind, connection, length) = (frame.get_u8(), frame.get_u64(), frame.get_u32());
        let length = usize::try_from(length).ok().filter(|length| *length <= frame.len())?;
        events.push(Event { kind, connection, bytes: frame.split_to(length) });
    }
    Some(events)
}
