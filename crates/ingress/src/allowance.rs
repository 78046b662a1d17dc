//! How much a member may have done: what is more waits in its connections, which are open for as long.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use thingward_mqtt::broker::ConnId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use crate::crowd::Presence;
use crate::link::READ_BYTES;
use crate::listener::Core;

/// The part of a second that may be said at once.
const BURST: f64 = 0.1;

/// A member's bucket of messages, of all its connections together. It fills at the rate. What is in bytes is known behind them, so
/// it is overdrawn by one read, which is all that the member has on its way to the core.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// Messages in a second.
    rate: f64,
    level: Mutex<(f64, Instant)>,
    /// Bytes that may be on their way.
    room: Arc<Semaphore>,
}

impl Allowance {
    pub(crate) fn new(messages_per_second: u32) -> Self {
        let rate = f64::from(messages_per_second.max(1));
        let room = Arc::new(Semaphore::new(READ_BYTES));
        Self { rate, level: Mutex::new((rate * BURST, Instant::now())), room }
    }

    /// Whether nothing is on its way and all is paid: a new one would be the same.
    pub(crate) fn is_full(&self) -> bool {
        self.room.available_permits() == READ_BYTES && self.take(0.0) >= self.rate * BURST
    }

    /// What is in it after these are taken out.
    fn take(&self, messages: f64) -> f64 {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let filled = level.0 + self.rate * now.saturating_duration_since(level.1).as_secs_f64();
        *level = (filled.min(self.rate * BURST) - messages, now);
        level.0
    }

    /// Takes out what so many messages cost.
    pub(crate) fn owe(&self, messages: u64) {
        self.take(f64::from(u32::try_from(messages).unwrap_or(u32::MAX)));
    }

    /// Waits while it is overdrawn, and for room for a read of so many bytes; who came first goes first.
    pub(crate) async fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes.min(READ_BYTES)).ok()?;
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.ok()?;
        loop {
            let level = self.take(0.0);
            if level >= 0.0 {
                return Some(room);
            }
            tokio::time::sleep(Duration::from_secs_f64(-level / self.rate)).await;
        }
    }
}

/// Bytes of a connection. The next are handed over when these are dropped, so that nobody fills the core's queue alone.
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub bytes: BytesMut,
    turn: Option<Turn>,
}

/// What a read holds on its way to the core.
#[derive(Debug)]
struct Turn {
    connection: OfConnection,
    /// As many of the member's bytes.
    _room: OwnedSemaphorePermit,
    allowance: Arc<Allowance>,
}

/// The only turn of a connection.
#[derive(Debug)]
pub(crate) enum OfConnection {
    Here(#[expect(dead_code, reason = "it is there as long as this is")] OwnedSemaphorePermit),
    There(There),
}

/// The turn of a connection that another node has is over: its number, and the work that it made.
pub type TurnOver = (u64, u64);

/// The turn of a connection that another node has: it is told, whatever became of the bytes.
#[derive(Debug)]
pub(crate) struct There {
    connection: u64,
    work: u64,
    to: mpsc::UnboundedSender<TurnOver>,
}

impl Drop for There {
    fn drop(&mut self) {
        let _ = self.to.send((self.connection, self.work));
    }
}

impl Received {
    /// They made as much work as so many messages.
    pub fn had(mut self, messages: u64) {
        let Some(turn) = &mut self.turn else { return };
        turn.allowance.owe(messages);
        if let OfConnection::There(there) = &mut turn.connection {
            there.work = messages;
        }
    }
}

impl Presence {
    /// Hands what a connection said to the core when the member may have so much done. Meanwhile the core hears that the
    /// connection is alive: another one may have said too much.
    pub(crate) async fn hand_over(
        &self,
        bytes: BytesMut,
        conn: ConnId,
        connection: OfConnection,
        core: &impl Core,
    ) {
        const HEARD_EVERY: Duration = Duration::from_secs(1);
        let mut room = pin!(self.allowance.room_for(bytes.len()));
        let room = loop {
            match timeout(HEARD_EVERY, &mut room).await {
                Ok(room) => break room,
                Err(_) => core.heard(conn).await,
            }
        };
        let Some(room) = room else { return };
        let turn = Turn { connection, _room: room, allowance: Arc::clone(&self.allowance) };
        core.received(conn, Received { bytes, turn: Some(turn) }).await;
    }

    /// Hands over what a connection said that another node has, where it is number `connection`. When that is done with, `to`
    /// is told; it is one for each connection at a time.
    pub async fn hand_over_from_there(
        &self,
        bytes: BytesMut,
        conn: ConnId,
        (connection, to): (u64, mpsc::UnboundedSender<TurnOver>),
        core: &impl Core,
    ) {
        let there = OfConnection::There(There { connection, work: 0, to });
        self.hand_over(bytes, conn, there, core).await;
    }
}

/// Of somebody whose share is bounded elsewhere.
impl From<BytesMut> for Received {
    fn from(bytes: BytesMut) -> Self {
        Self { bytes, turn: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_member_says_as_much_as_it_may_over_any_longer_time() {
        let (allowance, start) = (Allowance::new(1000), Instant::now());
        let mut said = 0.0;
        loop {
            let _room = allowance.room_for(1000).await.unwrap();
            if start.elapsed() > Duration::from_secs(10) {
                break;
            }
            allowance.take(455.0);
            said += 455.0;
        }
        assert!((10_000.0..10_600.0).contains(&said), "{said}");
        assert!(!allowance.is_full());
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(allowance.is_full());
        assert!(allowance.take(0.0) <= 100.0, "what was not said is not saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_connections_it_has_a_member_overdraws_by_one_read() {
        let allowance = Arc::new(Allowance::new(1000));
        let turns = Arc::new(Semaphore::new(64));
        let mut waiting = Vec::new();
        for _ in 0..64 {
            let (allowance, turns) = (Arc::clone(&allowance), Arc::clone(&turns));
            waiting.push(tokio::spawn(async move {
                let of_connection = turns.acquire_owned().await.unwrap();
                let room = allowance.room_for(READ_BYTES).await.unwrap();
                assert!(allowance.take(0.0) >= 0.0);
                tokio::task::yield_now().await;
                let turn = Turn { connection: OfConnection::Here(of_connection), _room: room, allowance };
                Received { bytes: BytesMut::new(), turn: Some(turn) }.had(2700);
            }));
        }
        for one in waiting {
            one.await.unwrap();
            assert!(allowance.take(0.0) >= -2700.0);
        }
    }
}
