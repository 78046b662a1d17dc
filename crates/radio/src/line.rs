//! The line to a radio: a terminal device, a Unix socket in its place, or TCP.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_user_timeout,
};
use rustix::termios::{ControlModes, OptionalActions, ioctl_tiocexcl, tcgetattr, tcsetattr};
use thiserror::Error;

/// The speed of a terminal when nothing is said, in bits per second.
pub const BAUD: u32 = 115_200;

/// So long a peer over TCP has to answer that it is there, at first and whenever it said nothing for as long.
const PEER_TIME: Duration = Duration::from_secs(5);
/// How often it is asked before the line is over, and for how many milliseconds it may leave bytes unacknowledged.
const PEER_ASKED: u32 = 3;
const PEER_SILENT_MS: u32 = 20_000;

/// Where a line is. Written `PATH`, `PATH?baud=57600`, `tcp:HOST:PORT`, or `tcp+insecure:HOST:PORT`.
///
/// Nothing protects what goes over TCP: keys of networks, passwords and whatever things say. Another host than this one is a peer
/// only where that is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A terminal device with its speed in bits per second, or a Unix socket, which has none.
    Path {
        /// Where.
        path: PathBuf,
        /// How fast.
        baud: u32,
    },
    /// `HOST:PORT` on this host: `localhost`, or a loopback address.
    Loopback(String),
    /// `HOST:PORT` anywhere, in the open.
    InsecureTcp(String),
}

/// What is written is no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a line is PATH, PATH?baud=NUMBER, tcp:localhost:PORT, or, where everything may go in the open, \
    tcp+insecure:HOST:PORT"
)]
pub struct NoAddress;

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if let Some(peer) = text.strip_prefix("tcp:") {
            let is_here = is_loopback(host(peer)?);
            return is_here.then(|| Self::Loopback(peer.to_owned())).ok_or(NoAddress);
        }
        if let Some(peer) = text.strip_prefix("tcp+insecure:") {
            return host(peer).map(|_| Self::InsecureTcp(peer.to_owned()));
        }
        let (path, baud) = match text.rsplit_once("?baud=") {
            Some((path, baud)) => (path, baud.parse().map_err(|_| NoAddress)?),
            None => (text, BAUD),
        };
        if path.is_empty() || baud == 0 {
            return Err(NoAddress);
        }
        Ok(Self::Path { path: path.into(), baud })
    }
}

impl Address {
    /// Opens it, for reads and writes that do not wait.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Loopback(peer) => {
                let here = peer.to_socket_addrs()?.filter(|address| address.ip().is_loopback());
                Ok(open_tcp(here)?.into())
            }
            Self::InsecureTcp(peer) => Ok(open_tcp(peer.to_socket_addrs()?)?.into()),
            Self::Path { path, .. } if path.metadata()?.file_type().is_socket() => {
                let stream = UnixStream::connect(path)?;
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            }
            Self::Path { path, baud } => Ok(open_terminal(path, *baud)?.into()),
        }
    }
}

/// The host of a peer that is written `HOST:PORT`.
fn host(peer: &str) -> Result<&str, NoAddress> {
    let (host, port) = peer.rsplit_once(':').ok_or(NoAddress)?;
    let is_one = !host.is_empty() && port.parse::<u16>().is_ok();
    is_one.then_some(host).ok_or(NoAddress)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Connects to the first that answers, before time is up for all of them. One that goes away without a word is noticed.
fn open_tcp(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let until = Instant::now() + PEER_TIME;
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address that is wanted");
    for address in addresses {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                set_socket_keepalive(&stream, true)?;
                set_tcp_keepidle(&stream, PEER_TIME)?;
                set_tcp_keepintvl(&stream, PEER_TIME)?;
                set_tcp_keepcnt(&stream, PEER_ASKED)?;
                set_tcp_user_timeout(&stream, PEER_SILENT_MS)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Opens a terminal for raw bytes at this speed, and for reads and writes that do not wait. It is nobody else's from then on.
///
/// # Errors
///
/// What the system says; [`io::ErrorKind::InvalidInput`] when it is no device.
pub fn open_terminal(path: &Path, baud: u32) -> io::Result<File> {
    if !path.metadata()?.file_type().is_char_device() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a terminal nor a socket"));
    }
    let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let terminal = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    ioctl_tiocexcl(&terminal)?;
    let mut settings = tcgetattr(&terminal)?;
    settings.make_raw();
    settings.set_speed(baud)?;
    settings.control_modes.insert(ControlModes::CLOCAL | ControlModes::CREAD);
    settings.control_modes.remove(ControlModes::CRTSCTS);
    tcsetattr(&terminal, OptionalActions::Flush, &settings)?;
    Ok(terminal)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustix::net::sockopt::{socket_keepalive, tcp_keepidle, tcp_user_timeout};

    use super::*;

    #[test]
    fn lines_are_paths_with_a_speed_or_peers_over_tcp() {
        let path = |path: &str, baud| Ok(Address::Path { path: path.into(), baud });
        assert_eq!("/dev/ttyUSB0".parse(), path("/dev/ttyUSB0", BAUD));
        assert_eq!("/dev/ttyUSB0?baud=57600".parse(), path("/dev/ttyUSB0", 57_600));
        for here in ["localhost:1883", "127.0.0.1:1883", "[::1]:1883"] {
            assert_eq!(format!("tcp:{here}").parse(), Ok(Address::Loopback(here.to_owned())));
        }
        for anywhere in ["bridge.lan:6638", "localhost:1883", "[2001:db8::1]:6638"] {
            let open = Ok(Address::InsecureTcp(anywhere.to_owned()));
            assert_eq!(format!("tcp+insecure:{anywhere}").parse(), open);
        }
        for wrong in [
            "",
            "/dev/ttyUSB0?baud=",
            "/dev/ttyUSB0?baud=0",
            "?baud=9600",
            "tcp:",
            "tcp:a",
            "tcp::1",
            "tcp:127.0.0.1:65536",
            "tcp:bridge.lan:6638",
            "tcp:192.0.2.1:6638",
            "tcp:localhost.lan:6638",
            "tcp+insecure:a",
            "tcp+insecure::1",
        ] {
            assert_eq!(wrong.parse::<Address>(), Err(NoAddress), "{wrong}");
        }
    }

    #[test]
    fn a_peer_that_goes_away_without_a_word_is_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let line: Address = format!("tcp:{}", listener.local_addr().unwrap()).parse().unwrap();
        let line = line.open().unwrap();
        assert!(socket_keepalive(&line).unwrap());
        assert_eq!(tcp_keepidle(&line).unwrap(), PEER_TIME);
        assert_eq!(tcp_user_timeout(&line).unwrap(), PEER_SILENT_MS);
    }

    /// A listener takes no more connections than it was told, and leaves the others without an answer.
    #[test]
    fn a_peer_that_does_not_answer_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let begun = Instant::now();
        let filling: Vec<_> = (0..4)
            .map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok())
            .collect();
        assert!(filling.len() < 4);
        let line = Address::Loopback(address.to_string());
        assert_eq!(line.open().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < PEER_TIME * 2);
    }

    #[test]
    fn what_is_no_device_is_not_opened() {
        let error = "/etc/passwd".parse::<Address>().unwrap().open().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
