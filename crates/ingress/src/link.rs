//! The bytes of one connection, both ways, in one task: an idle connection holds no buffers.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use crate::output::Waiting;

/// Bytes read at a time.
pub(crate) const READ_BYTES: usize = 16 * 1024;
/// Longest time for one piece of output to a client that reads slowly.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client has for the last words of a connection that the core has ended.
pub(crate) const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(5);

thread_local! {
    /// Where a thread's connections read to before what came is copied to memory of its size.
    static READ: RefCell<Box<[u8; READ_BYTES]>> = RefCell::new(Box::new([0; READ_BYTES]));
}

/// A connection, and what waits for it.
pub(crate) struct Link<S> {
    stream: S,
    waiting: Waiting,
    writing: Bytes,
    /// Something may be in the stream's own buffers.
    is_unflushed: bool,
    /// Runs while the client does not take what it is sent.
    patience: Option<Pin<Box<Sleep>>>,
    /// The core has ended it; [`Self::patience`] is for its last words.
    is_ending: bool,
    /// The last words are written.
    has_said_all: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(crate) const fn new(stream: S, waiting: Waiting) -> Self {
        Self {
            stream,
            waiting,
            writing: Bytes::new(),
            is_unflushed: false,
            patience: None,
            is_ending: false,
            has_said_all: false,
        }
    }

    /// Writes what waits, and gives what the client sent; `None` when one of the two ended it, or the client takes too
    /// long.
    pub(crate) fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Option<BytesMut>> {
        if self.poll_sent(cx).is_ready() {
            return Poll::Ready(None);
        }
        self.poll_read(cx)
    }

    /// `None` at the end of what the client sends.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<BytesMut>> {
        READ.with_borrow_mut(|memory| {
            let mut buffer = ReadBuf::new(memory.as_mut_slice());
            let outcome = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            let came = buffer.filled_mut();
            let bytes = (outcome.is_ok() && !came.is_empty()).then(|| BytesMut::from(&*came));
            // The next connection may be another tenant's, and what came has passwords and keys in it.
            came.fill(0);
            Poll::Ready(bytes)
        })
    }

    /// Writes while something else is waited for; `None` when no more can be sent.
    pub(crate) async fn write_during<T>(&mut self, other: impl Future<Output = T>) -> Option<T> {
        let mut other = pin!(other);
        let both = |cx: &mut Context<'_>| {
            if self.poll_sent(cx).is_ready() { Poll::Ready(None) } else { other.as_mut().poll(cx).map(Some) }
        };
        poll_fn(both).await
    }

    /// Waits a little until the client has read the last words, and throws away what it says meanwhile: the system resets a connection
    /// that is closed before all of it is read, and what is on its way to the client is lost then.
    pub(crate) async fn linger(&mut self) {
        if self.has_said_all {
            let read = poll_fn(|cx| self.poll_thrown_away(cx));
            let _ = timeout(LAST_WORDS_TIMEOUT, read).await;
        }
    }

    /// Ready when the client has ended its side.
    fn poll_thrown_away(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while ready!(self.poll_read(cx)).is_some() {}
        Poll::Ready(())
    }

    /// Ready when no more can be sent.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_write(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending if self.is_stuck() => self.poll_patience(cx),
            Poll::Pending => {
                self.patience = None;
                Poll::Pending
            }
        }
    }

    /// Ready when no more comes and all of it is written, or it cannot be.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.writing.is_empty() {
                match self.waiting.poll_next(cx) {
                    Poll::Ready(Some(piece)) => {
                        self.writing = piece;
                        if !self.is_ending {
                            self.patience = None;
                        }
                    }
                    Poll::Ready(None) => {
                        self.is_unflushed = true;
                        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                        self.has_said_all = true;
                        return Poll::Ready(Ok(()));
                    }
                    Poll::Pending => {
                        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
                        self.is_unflushed = false;
                        return Poll::Pending;
                    }
                }
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.writing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.writing.advance(written);
            self.is_unflushed = true;
        }
    }

    const fn is_stuck(&self) -> bool {
        !self.writing.is_empty() || self.is_unflushed
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_ending && self.waiting.is_ended(cx) {
            self.is_ending = true;
            self.patience = Some(Box::pin(sleep(LAST_WORDS_TIMEOUT)));
        }
        self.patience.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT))).as_mut().poll(cx)
    }
}
