//! A serial line: a terminal device, or a Unix socket in its place.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use thingward_device::link::{Failure, Kind};
use thingward_radio::line::open_terminal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time::{Instant, timeout_at};

use super::driver::{Answer, Driver, Late};

/// Both directions of a line.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Opens what is at `path`. A terminal is set to raw bytes at this speed, and is nobody else's from then on.
///
/// # Errors
///
/// What the system says.
pub(super) async fn open(path: &Path, baud: u32) -> io::Result<Box<dyn Stream>> {
    let kind = tokio::fs::metadata(path).await?.file_type();
    if kind.is_socket() {
        return Ok(Box::new(UnixStream::connect(path).await?));
    }
    let terminal = open_terminal(path, baud)?;
    // Nothing in these two is of pipes only.
    let sender = pipe::Sender::from_file_unchecked(terminal.try_clone()?)?;
    let receiver = pipe::Receiver::from_file_unchecked(terminal)?;
    Ok(Box::new(tokio::io::join(receiver, sender)))
}

/// Why a question has no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The line failed, or was closed at the other end.
    #[error("the line: {0}")]
    Line(#[from] io::Error),
    /// Nobody answers.
    #[error("the chip does not answer")]
    Silent,
    /// The chip does not do it.
    #[error("the chip answers {0:?} to {1:?}")]
    Failed(Failure, Kind, u8),
}

/// Asks over a line.
pub(super) struct Line<S> {
    stream: S,
    driver: Driver,
}

impl<S: Stream> Line<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, driver: Driver::new() }
    }

    /// Asks, again when no answer comes and that does no harm.
    pub(super) async fn ask(&mut self, kind: Kind, body: &[u8]) -> Result<Vec<u8>, AskError> {
        let mut bytes = self.driver.ask(Instant::now().into_std(), kind, body);
        loop {
            match self.answer(&bytes).await? {
                Some(Answer::Good(answer)) => return Ok(answer),
                Some(Answer::Failed(failure, word)) => return Err(AskError::Failed(failure, kind, word)),
                None => match self.driver.late(Instant::now().into_std()) {
                    Late::Again(again) => bytes = again,
                    Late::Gone => return Err(AskError::Silent),
                },
            }
        }
    }

    /// Whether an answer was late since the last call.
    pub(super) fn take_was_late(&mut self) -> bool {
        self.driver.take_was_late()
    }

    /// Puts bytes on the line and waits for the answer; `None` when it is late.
    async fn answer(&mut self, bytes: &[u8]) -> io::Result<Option<Answer>> {
        let Some(deadline) = self.driver.deadline().map(Instant::from_std) else { return Ok(None) };
        // A line that takes no bytes is as silent as one that brings none.
        match timeout_at(deadline, self.stream.write_all(bytes)).await {
            Ok(written) => written?,
            Err(_) => return Ok(None),
        }
        let mut room = [0; 512];
        loop {
            let Ok(read) = timeout_at(deadline, self.stream.read(&mut room)).await else { return Ok(None) };
            let read = read?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(answer) = self.driver.receive(room.get(..read).unwrap_or_default()) {
                return Ok(Some(answer));
            }
        }
    }
}
