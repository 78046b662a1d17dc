//! Commands to a TPM and its answers: the kernel's device, or the socket of a software TPM.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::TpmError;
use crate::wire::{Reader, Writer};

/// Longest answer that is read; the specification's own bound of a buffer is 4 KiB.
const ANSWER_BYTES_MAX: usize = 4096;
const HEADER_BYTES: usize = 10;
/// A software TPM that takes longer is not there. The kernel has its own bounds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
/// The session that is a password: `TPM_RS_PW`.
const PASSWORD: u32 = 0x4000_0009;

/// How a command is authorised.
#[derive(Clone, Copy)]
pub(crate) enum Auth<'a> {
    /// It needs none.
    None,
    /// By the password of its first handle.
    Password(&'a [u8]),
    /// By the passwords of its first two handles.
    Passwords([&'a [u8]; 2]),
    /// By a policy session, which ends with the command.
    Policy(u32),
}

impl Auth<'_> {
    /// The authorisation area: part 1, 18.9.
    fn area(self) -> Writer {
        let password = |writer: Writer, secret| writer.u32(PASSWORD).sized(&[]).u8(0).sized(secret);
        match self {
            Self::None => Writer::default(),
            Self::Password(secret) => password(Writer::default(), secret),
            Self::Passwords(secrets) => secrets.into_iter().fold(Writer::default(), password),
            Self::Policy(session) => Writer::default().u32(session).sized(&[]).u8(0).sized(&[]),
        }
    }
}

/// A command: name, `TPM_CC`, how many handles its answer has.
#[derive(Clone, Copy)]
pub(crate) struct Command(pub(crate) &'static str, pub(crate) u32, pub(crate) usize);

/// An answer: handles, then parameters.
pub(crate) struct Answer {
    pub(crate) handle: u32,
    pub(crate) parameters: Zeroizing<Vec<u8>>,
}

pub(crate) enum Connection {
    Device(File),
    Socket(UnixStream),
}

impl Connection {
    pub(crate) fn open(path: &Path) -> Result<Self, TpmError> {
        let open = || -> io::Result<Self> {
            if fs::metadata(path)?.file_type().is_socket() {
                let socket = UnixStream::connect(path)?;
                socket.set_read_timeout(Some(ANSWER_TIME_MAX))?;
                socket.set_write_timeout(Some(ANSWER_TIME_MAX))?;
                return Ok(Self::Socket(socket));
            }
            OpenOptions::new().read(true).write(true).open(path).map(Self::Device)
        };
        open().map_err(|source| TpmError::Open { path: path.to_owned(), source })
    }

    /// One command and its answer.
    pub(crate) fn run(
        &mut self,
        Command(name, code, handles_out): Command,
        handles: &[u32],
        auth: Auth<'_>,
        parameters: &Writer,
    ) -> Result<Answer, TpmError> {
        let area = auth.area();
        let has_sessions = !matches!(auth, Auth::None);
        let mut body = handles.iter().fold(Writer::default(), |w, handle| w.u32(*handle));
        if has_sessions {
            body = body.u32(length(area.as_bytes())).bytes(area.as_bytes());
        }
        let body = body.bytes(parameters.as_bytes());
        let size = length(body.as_bytes()).saturating_add(length(&[0; HEADER_BYTES]));
        let tag = if has_sessions { SESSIONS } else { NO_SESSIONS };
        let command = Writer::default().u16(tag).u32(size).u32(code).bytes(body.as_bytes());
        let answer = self.exchange(command.as_bytes())?;

        let mut reader = Reader(&answer);
        let tag = reader.u16()?;
        let (_, code) = (reader.u32()?, reader.u32()?);
        if code != 0 {
            return Err(TpmError::of(name, code));
        }
        let handle = if handles_out > 0 { reader.u32()? } else { 0 };
        // What stands behind the parameters are the sessions, which say nothing about passwords.
        let parameters = match tag {
            SESSIONS => {
                let len = usize::try_from(reader.u32()?).map_err(|_| TpmError::Malformed)?;
                reader.bytes(len)?
            }
            NO_SESSIONS => reader.0,
            _ => return Err(TpmError::Malformed),
        };
        Ok(Answer { handle, parameters: Zeroizing::new(parameters.to_vec()) })
    }

    /// The whole answer. The kernel gives it with one read; a socket in pieces.
    fn exchange(&mut self, command: &[u8]) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        let mut buffer = Zeroizing::new(vec![0; ANSWER_BYTES_MAX]);
        let stream: &mut dyn ReadWrite = match self {
            Self::Device(file) => file,
            Self::Socket(socket) => socket,
        };
        stream.write_all(command)?;
        let mut len = 0;
        loop {
            let read = stream.read(buffer.get_mut(len..).unwrap_or_default())?;
            if read == 0 {
                return Err(TpmError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            len += read;
            if let Some(size) = size(buffer.get(..len).unwrap_or_default()) {
                if !(HEADER_BYTES..=ANSWER_BYTES_MAX).contains(&size) || len > size {
                    return Err(TpmError::Malformed);
                }
                if len == size {
                    buffer.truncate(len);
                    return Ok(buffer);
                }
            }
        }
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// The size that an answer says it has, once so much of it is there.
fn size(answer: &[u8]) -> Option<usize> {
    let mut reader = Reader(answer);
    reader.u16().ok()?;
    usize::try_from(reader.u32().ok()?).ok()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
