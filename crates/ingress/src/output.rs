//! What waits to be written to a client: bounded in bytes, and ended from either side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// Bytes that may wait for a client before one more piece: what the core gives at once may go beyond it.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The core's end. Dropping it ends the connection once its last words are written.
#[derive(Debug)]
pub struct Output {
    pieces: mpsc::UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
    /// Dropped with the rest: tells the other end that no more comes.
    _ended: oneshot::Sender<()>,
}

/// The connection's end.
#[derive(Debug)]
pub struct Waiting {
    pieces: mpsc::UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// Resolves when the core's end is dropped.
pub type Ended = oneshot::Receiver<()>;

/// The client does not read as fast as it is sent to, or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSlow;

/// What waits for one connection: an end for the core, one for the connection, and the news of the core's end.
#[must_use]
pub fn output() -> (Output, Waiting, Ended) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (ended, end) = oneshot::channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let output = Output { pieces: sender, waiting: Arc::clone(&waiting), _ended: ended };
    (output, Waiting { pieces: receiver, waiting }, end)
}

impl Output {
    /// Puts whole packets behind what waits.
    ///
    /// # Errors
    ///
    /// [`TooSlow`]: too much waits already, and nothing was added.
    pub fn send(&self, bytes: Bytes) -> Result<(), TooSlow> {
        if self.waiting.load(Ordering::Relaxed) > WAITING_BYTES_MAX {
            return Err(TooSlow);
        }
        self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        // A connection that is gone reads no more, and the core hears of it by itself.
        let _ = self.pieces.send(bytes);
        Ok(())
    }
}

impl Waiting {
    /// The next piece; `None` when no more comes.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let bytes = self.pieces.recv().await?;
        self.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
        Some(bytes)
    }

    /// What waits just now.
    ///
    /// # Errors
    ///
    /// Nothing waits, or no more comes.
    pub fn try_next(&mut self) -> Result<Bytes, mpsc::error::TryRecvError> {
        let bytes = self.pieces.try_recv()?;
        self.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
        Ok(bytes)
    }

    /// Whether nothing waits just now.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}
