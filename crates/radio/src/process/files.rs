//! Files that are read and written without waiting.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// The same file, with reads and writes that do not wait.
pub(super) fn without_waiting(file: io::Result<OwnedFd>) -> io::Result<File> {
    let file = file?;
    fcntl_setfl(&file, fcntl_getfl(&file)? | OFlags::NONBLOCK)?;
    Ok(file.into())
}

/// Whether one only has to wait.
pub(super) fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// What is there; nothing at all at the end, and `None` when one has to wait.
pub(super) fn read<'b>(from: &mut File, room: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
    match from.read(room) {
        Ok(len) => Ok(room.get(..len)),
        Err(error) if is_later(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
