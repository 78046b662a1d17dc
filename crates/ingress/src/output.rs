//! What waits to be written to a client: bounded in bytes, and ended from either side.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

/// Bytes that may wait for a client before some more: what the core gives at once may go beyond it.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes that are taken at once.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// The core's end. Dropping it ends the connection once its last words are written.
#[derive(Debug)]
pub struct Output(Arc<Mutex<State>>);

/// The connection's end. Dropping it has the core's words go nowhere.
#[derive(Debug)]
pub struct Waiting(Arc<Mutex<State>>);

/// Packets of different moments are together here, so that what a group of events gives is written at once.
#[derive(Debug, Default)]
struct State {
    bytes: BytesMut,
    /// No more comes.
    is_ended: bool,
    /// Nobody takes any more.
    is_gone: bool,
    reader: Option<Waker>,
}

/// The client does not read as fast as it is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSlow;

/// What waits for one connection: an end for the core, and one for the connection.
#[must_use]
pub fn output() -> (Output, Waiting) {
    let state = Arc::default();
    (Output(Arc::clone(&state)), Waiting(state))
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Output {
    /// Puts whole packets behind what waits.
    ///
    /// # Errors
    ///
    /// [`TooSlow`]: too much waits already, and nothing was added.
    pub fn send(&self, packets: &[u8]) -> Result<(), TooSlow> {
        let mut state = locked(&self.0);
        if state.bytes.len() > WAITING_BYTES_MAX {
            return Err(TooSlow);
        }
        // A connection that is gone reads no more, and the core hears of it by itself.
        if !state.is_gone {
            state.bytes.extend_from_slice(packets);
        }
        wake(state);
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let mut state = locked(&self.0);
        state.is_ended = true;
        wake(state);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = locked(&self.0);
        state.is_gone = true;
        state.bytes = BytesMut::new();
    }
}

/// Behind the lock, which whoever is woken takes.
fn wake(mut state: MutexGuard<'_, State>) {
    let reader = state.reader.take();
    drop(state);
    if let Some(reader) = reader {
        reader.wake();
    }
}

impl Waiting {
    /// Whether no more comes than what waits. If not, `cx` is woken by the next word and by the end.
    pub(crate) fn is_ended(&mut self, cx: &Context<'_>) -> bool {
        let mut state = locked(&self.0);
        if !state.is_ended {
            remember(&mut state, cx);
        }
        state.is_ended
    }

    /// The next piece, of at most 64 KiB and not always of whole packets; `None` when no more comes.
    pub fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = locked(&self.0);
        if let Some(piece) = state.take() {
            return Poll::Ready(Some(piece));
        }
        if state.is_ended {
            return Poll::Ready(None);
        }
        remember(&mut state, cx);
        Poll::Pending
    }

    /// As [`Self::poll_next`].
    pub async fn next(&mut self) -> Option<Bytes> {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}

fn remember(state: &mut State, cx: &Context<'_>) {
    if !state.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
        state.reader = Some(cx.waker().clone());
    }
}

impl State {
    /// All of it leaves no memory behind for a connection that is idle.
    fn take(&mut self) -> Option<Bytes> {
        let piece = if self.bytes.len() > PIECE_BYTES_MAX {
            self.bytes.split_to(PIECE_BYTES_MAX)
        } else {
            std::mem::take(&mut self.bytes)
        };
        (!piece.is_empty()).then(|| piece.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_for_a_client_is_bounded_in_bytes() {
        let (output, mut waiting) = output();
        let piece = vec![0; 1 << 20];
        let sent = (0..100).take_while(|_| output.send(&piece).is_ok()).count();
        assert_eq!(sent, 5);
        assert_eq!(output.send(b"x"), Err(TooSlow));
        for _ in 0..16 {
            assert_eq!(waiting.next().await.unwrap().len(), PIECE_BYTES_MAX);
        }
        assert_eq!(output.send(b"x"), Ok(()));
    }

    #[tokio::test]
    async fn last_words_are_there_after_the_end_and_nothing_is_kept_for_who_is_gone() {
        let (output, mut waiting) = super::output();
        output.send(b"a").unwrap();
        output.send(b"b").unwrap();
        drop(output);
        assert_eq!(waiting.next().await.unwrap(), "ab");
        assert_eq!(waiting.next().await, None);

        let (output, waiting) = super::output();
        drop(waiting);
        let much = vec![0; WAITING_BYTES_MAX];
        (0..10).for_each(|_| output.send(&much).unwrap());
        assert!(locked(&output.0).bytes.is_empty());
    }
}
