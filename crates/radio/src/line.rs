//! The line to a radio: a terminal device, a Unix socket in its place, or TCP.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::OFlags;
use rustix::termios::{ControlModes, OptionalActions, ioctl_tiocexcl, tcgetattr, tcsetattr};
use thiserror::Error;

/// The speed of a terminal when nothing is said, in bits per second.
pub const BAUD: u32 = 115_200;

/// Where a line is. Written `PATH`, `PATH?baud=57600` or `tcp:HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A terminal device with its speed in bits per second, or a Unix socket, which has none.
    Path {
        /// Where.
        path: PathBuf,
        /// How fast.
        baud: u32,
    },
    /// `HOST:PORT`.
    Tcp(String),
}

/// What is written is no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a line is PATH, PATH?baud=NUMBER or tcp:HOST:PORT")]
pub struct NoAddress;

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if let Some(peer) = text.strip_prefix("tcp:") {
            let (host, port) = peer.rsplit_once(':').ok_or(NoAddress)?;
            let is_one = !host.is_empty() && port.parse::<u16>().is_ok();
            return is_one.then(|| Self::Tcp(peer.to_owned())).ok_or(NoAddress);
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
            Self::Tcp(peer) => {
                let stream = TcpStream::connect(peer)?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            }
            Self::Path { path, .. } if path.metadata()?.file_type().is_socket() => {
                let stream = UnixStream::connect(path)?;
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            }
            Self::Path { path, baud } => Ok(open_terminal(path, *baud)?.into()),
        }
    }
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
    use super::*;

    #[test]
    fn lines_are_paths_with_a_speed_or_peers_over_tcp() {
        let path = |path: &str, baud| Ok(Address::Path { path: path.into(), baud });
        assert_eq!("/dev/ttyUSB0".parse(), path("/dev/ttyUSB0", BAUD));
        assert_eq!("/dev/ttyUSB0?baud=57600".parse(), path("/dev/ttyUSB0", 57_600));
        assert_eq!("tcp:bridge.lan:6638".parse(), Ok(Address::Tcp("bridge.lan:6638".to_owned())));
        assert_eq!("tcp:[::1]:1883".parse(), Ok(Address::Tcp("[::1]:1883".to_owned())));
        for wrong in [
            "",
            "/dev/ttyUSB0?baud=",
            "/dev/ttyUSB0?baud=0",
            "?baud=9600",
            "tcp:",
            "tcp:a",
            "tcp::1",
            "tcp:a:65536",
        ] {
            assert_eq!(wrong.parse::<Address>(), Err(NoAddress), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_device_is_not_opened() {
        let error = "/etc/passwd".parse::<Address>().unwrap().open().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
