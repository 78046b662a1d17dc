//! How much a member may say: what is more waits in its connections, and is neither refused nor lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// The part of a second that may be said at once.
const BURST: f64 = 0.1;

/// A member's bucket of messages, of all its connections together. It fills at the rate, and may be overdrawn once.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// Messages in a second.
    rate: f64,
    level: Mutex<(f64, Instant)>,
}

impl Allowance {
    pub(crate) fn new(messages_per_second: u32) -> Self {
        let rate = f64::from(messages_per_second.max(1));
        Self { rate, level: Mutex::new((rate * BURST, Instant::now())) }
    }

    /// What is in it after these are taken out.
    fn take(&self, messages: f64) -> f64 {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let filled = level.0 + self.rate * now.saturating_duration_since(level.1).as_secs_f64();
        *level = (filled.min(self.rate * BURST) - messages, now);
        level.0
    }

    /// Waits while it is overdrawn.
    pub(crate) async fn refilled(&self) {
        loop {
            let level = self.take(0.0);
            if level >= 0.0 {
                return;
            }
            tokio::time::sleep(Duration::from_secs_f64(-level / self.rate)).await;
        }
    }
}

/// Bytes of a connection. The next are read when these are dropped, so that nobody fills the core's queue alone.
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub bytes: BytesMut,
    turn: Option<(OwnedSemaphorePermit, Arc<Allowance>)>,
}

impl Received {
    pub(crate) const fn new(bytes: BytesMut, turn: OwnedSemaphorePermit, allowance: Arc<Allowance>) -> Self {
        Self { bytes, turn: Some((turn, allowance)) }
    }

    /// There were so many messages in it.
    pub fn had(self, messages: u64) {
        if let Some((_, allowance)) = &self.turn {
            allowance.take(f64::from(u32::try_from(messages).unwrap_or(u32::MAX)));
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
            allowance.refilled().await;
            if start.elapsed() > Duration::from_secs(10) {
                break;
            }
            allowance.take(455.0);
            said += 455.0;
        }
        assert!((10_000.0..10_600.0).contains(&said), "{said}");
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(allowance.take(0.0) <= 100.0, "what was not said is not saved up");
    }
}
