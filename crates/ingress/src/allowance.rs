//! How much a member may have done: what is more waits in its connections, which are open for as long.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use crate::link::READ_BYTES;

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
    turn: Option<Whose>,
}

#[derive(Debug)]
enum Whose {
    Here(Turn),
    There(There),
}

/// The turn of a connection that another node has: it is told, whatever became of the bytes.
#[derive(Debug)]
struct There {
    connection: u64,
    work: u64,
    to: mpsc::UnboundedSender<(u64, u64)>,
}

impl Drop for There {
    fn drop(&mut self) {
        let _ = self.to.send((self.connection, self.work));
    }
}

/// What a read holds on its way to the core.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The connection's only one, and as many of the member's bytes.
    pub(crate) _permits: [OwnedSemaphorePermit; 2],
    pub(crate) allowance: Arc<Allowance>,
}

impl Received {
    pub(crate) const fn new(bytes: BytesMut, turn: Turn) -> Self {
        Self { bytes, turn: Some(Whose::Here(turn)) }
    }

    /// Of a connection that another node has. When they are dropped, its number and the work that they made go to `to`; there
    /// is one for each connection at a time.
    #[must_use]
    pub fn from_there(bytes: BytesMut, connection: u64, to: mpsc::UnboundedSender<(u64, u64)>) -> Self {
        Self { bytes, turn: Some(Whose::There(There { connection, work: 0, to })) }
    }

    /// They made as much work as so many messages.
    pub fn had(mut self, messages: u64) {
        match &mut self.turn {
            Some(Whose::Here(Turn { allowance, .. })) => allowance.owe(messages),
            Some(Whose::There(there)) => there.work = messages,
            None => {}
        }
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
                Received::new(BytesMut::new(), Turn { _permits: [of_connection, room], allowance }).had(2700);
            }));
        }
        for one in waiting {
            one.await.unwrap();
            assert!(allowance.take(0.0) >= -2700.0);
        }
    }
}
