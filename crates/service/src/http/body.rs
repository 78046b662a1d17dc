//! Requests that are bounded, and answers that are streamed.

use std::io;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use serde::de::DeserializeOwned;
use thingward_store::StoreError;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::time::Instant;

use super::app::App;
use super::error::ApiError;

/// Largest JSON body, in bytes. The largest are a maker's certificates.
const JSON_BYTES_MAX: usize = 256 * 1024;
/// Most bytes of a body that nobody wants which are read so that its sender gets the answer.
const DISCARDED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a streamed answer that are sent in one piece. An answer that fails before its first piece is full
/// is an error with a status; later, it breaks off.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces of a streamed answer that wait for a slow reader.
const PIECES_MAX: usize = 4;
/// How long a reader may let a piece wait. After that the answer breaks off, and what it holds is free.
pub(super) const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads a body to its end.
pub(super) async fn read(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    let all = async {
        match Limited::new(body, bytes_max).collect().await {
            Err(e) if e.is::<LengthLimitError>() => Err(ApiError::TooLarge(bytes_max)),
            Err(_) => Err(ApiError::Invalid("the body broke off".to_owned())),
            Ok(all) => Ok(all.to_bytes()),
        }
    };
    tokio::time::timeout(BODY_TIMEOUT, all).await.unwrap_or(Err(ApiError::Slow))
}

/// A request's body that is taken from the connection to its end, also when the answer is given without it: closing
/// with bytes unread resets the connection, and the client would not see the answer.
pub(super) struct HeardOut {
    body: Option<Incoming>,
    /// How long its sender has.
    until: Instant,
}

impl HeardOut {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body: Some(body), until: Instant::now() + BODY_TIMEOUT }
    }
}

impl hyper::body::Body for HeardOut {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.body.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Incoming::size_hint)
    }
}

impl Drop for HeardOut {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout_at(self.until, discard(body)));
        }
    }
}

async fn discard(mut body: Incoming) {
    let mut left = DISCARDED_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(bytes) else { return };
        left = rest;
    }
}

/// A JSON body.
pub(super) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Sent<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _app: &Arc<App>) -> Result<Self, ApiError> {
        Self::read(request.into_body()).await
    }
}

impl<T: DeserializeOwned> Sent<T> {
    /// For handlers that look at the caller first.
    pub(super) async fn read(body: Body) -> Result<Self, ApiError> {
        let body = read(body, JSON_BYTES_MAX).await?;
        serde_json::from_slice(&body).map(Self).map_err(|e| ApiError::Invalid(format!("JSON body: {e}")))
    }
}

/// A writer on a blocking thread whose bytes become a body.
pub(super) struct PieceWriter {
    piece: Vec<u8>,
    to: mpsc::Sender<Result<Bytes, StoreError>>,
    timeout: Duration,
}

impl PieceWriter {
    fn send(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        let sent = self.to.send_timeout(Ok(piece), self.timeout);
        tokio::runtime::Handle::current().block_on(sent).map_err(|e| match e {
            SendTimeoutError::Timeout(_) => io::ErrorKind::TimedOut.into(),
            SendTimeoutError::Closed(_) => io::ErrorKind::BrokenPipe.into(),
        })
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() + bytes.len() > PIECE_BYTES && !self.piece.is_empty() {
            self.send()?;
        }
        self.piece.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Keeps the bytes: whoever writes may flush often, and small pieces cost more than they help.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `write` on a blocking thread and streams what it writes. What goes wrong before the first piece is
/// answered with a status.
pub(super) async fn streamed<F>(media_type: &'static str, write: F) -> Result<Response, ApiError>
where
    F: FnOnce(&mut PieceWriter) -> Result<(), StoreError> + Send + 'static,
{
    let (to, mut pieces) = mpsc::channel(PIECES_MAX);
    tokio::task::spawn_blocking(move || {
        let mut writer = PieceWriter { piece: Vec::new(), to, timeout: PIECE_TIMEOUT };
        match write(&mut writer) {
            // Nobody reads any more when this fails.
            Ok(()) => drop(writer.send()),
            // Dropping the sender would look like the end, so whoever does not read is waited for once more.
            Err(e) => {
                let sent = writer.to.send_timeout(Err(e), PIECE_TIMEOUT);
                drop(tokio::runtime::Handle::current().block_on(sent));
            }
        }
    });
    let first = match pieces.recv().await {
        Some(Ok(piece)) => piece,
        Some(Err(e)) => return Err(e.into()),
        None => return Err(ApiError::Internal),
    };
    Ok(stream_response(media_type, Pieces { first: Some(first), rest: pieces }))
}

/// A body of pieces that are sent as they come. Ends when the sender is dropped; an error breaks it off.
pub(super) fn stream_response(media_type: &'static str, pieces: Pieces) -> Response {
    let kind = HeaderValue::from_static(media_type);
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], Body::new(pieces)).into_response()
}

/// Pieces of a body.
pub(super) struct Pieces {
    pub(super) first: Option<Bytes>,
    pub(super) rest: mpsc::Receiver<Result<Bytes, StoreError>>,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StoreError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        self.rest.poll_recv(context).map(|next| next.map(|piece| piece.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reader_that_stalls_is_given_up() {
        let (to, pieces) = mpsc::channel(PIECES_MAX);
        let writing = tokio::task::spawn_blocking(move || {
            let mut writer = PieceWriter { piece: Vec::new(), to, timeout: Duration::from_millis(50) };
            loop {
                if let Err(e) = writer.write_all(&[0; PIECE_BYTES]) {
                    return e.kind();
                }
            }
        });
        assert_eq!(writing.await.unwrap(), io::ErrorKind::TimedOut);
        assert_eq!(pieces.len(), PIECES_MAX);
    }
}
