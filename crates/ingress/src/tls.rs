//! TLS over a socket without memory for buffers while nothing is on its way: an idle connection is its keys and states.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use zeroize::Zeroize;

/// Bytes of a record at most, with its header: RFC 8446, §5.2.
const RECORD_BYTES_MAX: usize = 5 + PLAIN_BYTES_MAX + 256;
/// Bytes of a record beyond what is said in it: header, type and tag.
const RECORD_BYTES_MORE: usize = 5 + 1 + 16;
/// Bytes said in a record at most: RFC 8446, §5.1.
const PLAIN_BYTES_MAX: usize = 1 << 14;
/// Bytes that wait for the rest of what they belong to at most: a message of a handshake can be of several records.
const INCOMING_BYTES_MAX: usize = 0xffff + RECORD_BYTES_MAX;
/// Bytes that wait for the socket before no more are taken.
const OUTGOING_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    /// Where a thread's connections read to and open what came.
    static MEMORY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The server's side of a connection.
pub(crate) struct TlsStream<S> {
    socket: S,
    connection: UnbufferedServerConnection,
    /// Of a record, or of a message of the handshake, that is not whole yet.
    incoming: Vec<u8>,
    /// What the client said beyond what somebody read.
    unread: Vec<u8>,
    /// Records, of which the first `sent` bytes are in the socket.
    outgoing: Vec<u8>,
    sent: usize,
    /// The client says no more.
    has_ended: bool,
    /// What came was not TLS as it should be.
    is_broken: bool,
}

/// What to say once everything that came is looked at.
enum Say<'a> {
    Nothing,
    Bytes(&'a [u8]),
    Goodbye,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Makes the handshake.
    ///
    /// # Errors
    ///
    /// What the system says, and [`io::ErrorKind::InvalidData`] with what is wrong, which the client is told.
    pub(crate) async fn accept(config: Arc<ServerConfig>, socket: S) -> io::Result<Self> {
        let mut stream = Self {
            socket,
            connection: UnbufferedServerConnection::new(config).map_err(invalid)?,
            incoming: Vec::new(),
            unread: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            has_ended: false,
            is_broken: false,
        };
        let outcome = poll_fn(|cx| stream.poll_handshake(cx)).await;
        if stream.is_broken {
            let _ = poll_fn(|cx| stream.poll_sent(cx)).await;
        }
        outcome.map(|()| stream)
    }

    /// What the client showed, its own first.
    pub(crate) fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.connection.peer_certificates()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.connection.is_handshaking() {
            ready!(self.poll_sent(cx))?;
            ready!(self.poll_came(cx, &mut ReadBuf::new(&mut [])))?;
        }
        self.poll_sent(cx)
    }

    /// Reads from the socket and looks at it: what the client said goes into `out`, and behind it into `unread`.
    fn poll_came(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        MEMORY.with_borrow_mut(|memory| {
            memory.extend_from_slice(&self.incoming);
            let came = self.poll_more(cx, memory);
            let outcome = came.map(|more| more.and_then(|()| self.look_at(memory, out, Say::Nothing)));
            // The next connection may be another tenant's, and what came has passwords and keys in it.
            memory.fill(0);
            memory.clear();
            memory.shrink_to(2 * RECORD_BYTES_MAX);
            outcome
        })
    }

    /// Puts what comes behind what is there.
    fn poll_more(&mut self, cx: &mut Context<'_>, memory: &mut Vec<u8>) -> Poll<io::Result<()>> {
        if memory.len() > INCOMING_BYTES_MAX {
            return Poll::Ready(Err(invalid("a message of the handshake is too long")));
        }
        memory.reserve(RECORD_BYTES_MAX);
        match ready!(pin!(self.socket.read_buf(memory)).poll(cx))? {
            // Without a goodbye it may have been cut off by somebody else.
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Opens all records in `came`, says `say`, and keeps what is not whole.
    fn look_at(&mut self, came: &mut [u8], out: &mut ReadBuf<'_>, say: Say<'_>) -> io::Result<()> {
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let outcome = self.process(came, out, say);
        self.is_broken = outcome.is_err();
        self.incoming = outcome?.to_vec();
        Ok(())
    }

    /// Gives what is not whole.
    fn process<'c>(
        &mut self,
        mut came: &'c mut [u8],
        out: &mut ReadBuf<'_>,
        mut say: Say<'_>,
    ) -> io::Result<&'c [u8]> {
        let mut wrong = None;
        loop {
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(came);
            let is_done = match state {
                // Also what is said of an error.
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    put(&mut self.outgoing, 0, |room| data.encode(room).map_err(Refused::from))?;
                    false
                }
                _ if wrong.is_some() => true,
                Err(error) => {
                    wrong = Some(error);
                    false
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        discard += record.discard;
                        give(record.payload, out, &mut self.unread);
                    }
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.has_ended = true;
                    false
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    match std::mem::replace(&mut say, Say::Nothing) {
                        Say::Nothing => true,
                        Say::Bytes(bytes) => {
                            put(&mut self.outgoing, bytes.len() + RECORD_BYTES_MORE, |room| {
                                traffic.encrypt(bytes, room).map_err(Refused::from)
                            })?;
                            false
                        }
                        Say::Goodbye => {
                            put(&mut self.outgoing, RECORD_BYTES_MORE, |room| {
                                traffic.queue_close_notify(room).map_err(Refused::from)
                            })?;
                            false
                        }
                    }
                }
                // The handshake waits for more, or both have said goodbye.
                Ok(_) => true,
            };
            came = came.get_mut(discard..).unwrap_or_default();
            if is_done {
                return wrong.map_or(Ok(&*came), |error| Err(invalid(error)));
            }
        }
    }

    fn say(&mut self, say: Say<'_>) -> io::Result<()> {
        let mut came = std::mem::take(&mut self.incoming);
        self.look_at(&mut came, &mut ReadBuf::new(&mut []), say)
    }

    /// Ready when all records are in the socket.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.outgoing.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.socket).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        (self.outgoing, self.sent) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// What is left of what was read before.
    fn read_rest(&mut self, out: &mut ReadBuf<'_>) {
        let here = out.remaining().min(self.unread.len());
        out.put_slice(self.unread.get(..here).unwrap_or_default());
        let behind = self.unread.split_off(here);
        self.unread.zeroize();
        self.unread = behind;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        let before = out.filled().len();
        if !me.unread.is_empty() {
            me.read_rest(out);
        }
        while out.filled().len() == before && !me.has_ended {
            let came = ready!(me.poll_came(cx, out));
            // Answers of TLS itself, also of what is wrong. Who writes waits for them, who reads does not.
            let _ = me.poll_sent(cx)?;
            came?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        if me.outgoing.len() > OUTGOING_BYTES_MAX {
            ready!(me.poll_sent(cx))?;
        }
        let bytes = bytes.get(..PLAIN_BYTES_MAX).unwrap_or(bytes);
        me.say(Say::Bytes(bytes))?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        ready!(me.poll_sent(cx))?;
        Pin::new(&mut me.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        // Said again it is nothing.
        me.say(Say::Goodbye)?;
        ready!(me.poll_sent(cx))?;
        Pin::new(&mut me.socket).poll_shutdown(cx)
    }
}

/// What the client said: into `out` what there is room for, and the rest behind what is unread.
fn give(said: &[u8], out: &mut ReadBuf<'_>, unread: &mut Vec<u8>) {
    let here = if unread.is_empty() { out.remaining().min(said.len()) } else { 0 };
    let (here, behind) = said.split_at(here);
    out.put_slice(here);
    unread.extend_from_slice(behind);
}

/// Why records are not made.
enum Refused {
    Small(InsufficientSizeError),
    Never,
}

impl From<EncodeError> for Refused {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(size) => Self::Small(size),
            EncodeError::AlreadyEncoded => Self::Never,
        }
    }
}

impl From<EncryptError> for Refused {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(size) => Self::Small(size),
            EncryptError::EncryptExhausted => Self::Never,
        }
    }
}

/// Puts records behind what is there: in `room` bytes, or as many as it takes.
fn put(
    outgoing: &mut Vec<u8>,
    mut room: usize,
    mut make: impl FnMut(&mut [u8]) -> Result<usize, Refused>,
) -> io::Result<()> {
    let before = outgoing.len();
    loop {
        outgoing.resize(before + room, 0);
        match make(outgoing.get_mut(before..).unwrap_or_default()) {
            Ok(made) => {
                outgoing.truncate(before + made);
                return Ok(());
            }
            Err(Refused::Small(size)) if size.required_size > room => room = size.required_size,
            Err(_) => return Err(io::Error::other("the keys of the connection are used up")),
        }
    }
}

fn invalid(error: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

#[cfg(test)]
mod tests;
