//! A WebSocket (RFC 6455) over bytes that somebody else carries.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::MidHandshake;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

/// Longest message: what a server tells of a large network at once.
pub(super) const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest row of answers to pings that waits.
const WRITE_BYTES_MAX: usize = 256 * 1024;
const READ_BUFFER_BYTES: usize = 16 * 1024;
/// The server serves one thing, and does not look at who it is asked as.
const REQUEST: &str = "ws://localhost/";

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    /// The other side ended it.
    #[error("the server ended the connection{0}")]
    Ended(String),
    /// The other side does not speak WebSocket, or not by its rules.
    #[error("no WebSocket: {0}")]
    Protocol(String),
    /// A message is longer than any that is taken.
    #[error("a message of more than {} MiB", MESSAGE_BYTES_MAX / 1024 / 1024)]
    TooLong,
    /// Something is neither text nor what keeps the connection.
    #[error("a message in bytes, where text belongs")]
    Bytes,
}

impl From<Error> for SocketError {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(_) => Self::TooLong,
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Ended(String::new()),
            other => Self::Protocol(other.to_string()),
        }
    }
}

/// The client's end.
pub(super) struct Socket {
    phase: Box<Phase>,
}

enum Phase {
    Handshake(MidHandshake<ClientHandshake<Pipe>>),
    Open(WebSocket<Pipe>),
    Over,
}

/// Bytes that came, and bytes that go.
#[derive(Debug, Default)]
struct Pipe {
    came: VecDeque<u8>,
    goes: Vec<u8>,
}

impl Socket {
    /// Asks for the connection.
    pub(super) fn open() -> Result<Self, SocketError> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let request = REQUEST.into_client_request()?;
        let asking = ClientHandshake::start(Pipe::default(), request, Some(config))?;
        let mut socket = Self { phase: Box::new(Phase::Handshake(asking)) };
        socket.shake_hands()?;
        Ok(socket)
    }

    /// Bytes came. The messages in them have to be taken before more is given.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<(), SocketError> {
        if let Some(pipe) = self.pipe() {
            pipe.came.extend(bytes);
        }
        self.shake_hands()
    }

    /// Bytes for the line.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        self.pipe().map(|pipe| std::mem::take(&mut pipe.goes)).unwrap_or_default()
    }

    /// The next text that is whole.
    pub(super) fn take(&mut self) -> Result<Option<String>, SocketError> {
        let Phase::Open(socket) = &mut *self.phase else { return Ok(None) };
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => return Ok(Some(text.as_str().to_owned())),
                Ok(Message::Binary(_)) => return Err(SocketError::Bytes),
                Ok(Message::Close(frame)) => {
                    let why = frame.map(|frame| format!(": {}", frame.reason)).filter(|why| why.len() > 2);
                    return Err(SocketError::Ended(why.unwrap_or_default()));
                }
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends a text, once the connection is open.
    pub(super) fn send(&mut self, text: String) -> Result<(), SocketError> {
        self.message(Message::text(text))
    }

    /// Asks the other side for a sign of life.
    pub(super) fn ping(&mut self) -> Result<(), SocketError> {
        self.message(Message::Ping(Vec::new().into()))
    }

    fn message(&mut self, message: Message) -> Result<(), SocketError> {
        let Phase::Open(socket) = &mut *self.phase else { return Ok(()) };
        Ok(socket.send(message)?)
    }

    fn pipe(&mut self) -> Option<&mut Pipe> {
        match &mut *self.phase {
            Phase::Handshake(asking) => Some(asking.get_mut().get_mut()),
            Phase::Open(socket) => Some(socket.get_mut()),
            Phase::Over => None,
        }
    }

    fn shake_hands(&mut self) -> Result<(), SocketError> {
        match std::mem::replace(&mut *self.phase, Phase::Over) {
            Phase::Handshake(asking) => match asking.handshake() {
                Ok((socket, _)) => *self.phase = Phase::Open(socket),
                Err(HandshakeError::Interrupted(asking)) => *self.phase = Phase::Handshake(asking),
                Err(HandshakeError::Failure(error)) => return Err(error.into()),
            },
            other => *self.phase = other,
        }
        Ok(())
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.came.is_empty() && !buffer.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.came.read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.goes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
