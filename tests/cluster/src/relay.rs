//! A way to a server that can be cut, for a server that is others' as well.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// How often it is looked whether somebody comes.
const LOOK: Duration = Duration::from_millis(5);

/// Passes on what comes to its socket until it is dropped. Then the socket is gone, and every connection is over.
pub struct Relay {
    at: PathBuf,
    is_cut: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
    streams: Arc<Mutex<Vec<UnixStream>>>,
}

impl Relay {
    /// From a new socket to that of a server.
    ///
    /// # Panics
    ///
    /// When the socket cannot be made.
    #[must_use]
    pub fn start(at: &Path, server: &Path) -> Self {
        let listener = UnixListener::bind(at).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (is_cut, streams) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let accepting = spawn({
            let (is_cut, streams, server) = (Arc::clone(&is_cut), Arc::clone(&streams), server.to_path_buf());
            move || {
                while !is_cut.load(Ordering::SeqCst) {
                    match listener.accept() {
                        Ok((client, _)) => drop(pass_on(&client, &server, &streams)),
                        Err(_) => std::thread::sleep(LOOK),
                    }
                }
            }
        });
        Self { at: at.to_owned(), is_cut, accepting: Some(accepting), streams }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_cut.store(true, Ordering::SeqCst);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        let _ = std::fs::remove_file(&self.at);
        for stream in self.streams.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass_on(client: &UnixStream, server: &Path, streams: &Mutex<Vec<UnixStream>>) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let server = UnixStream::connect(server)?;
    let mut all = streams.lock().unwrap_or_else(PoisonError::into_inner);
    for (from, to) in [(client, &server), (&server, client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        all.push(to.try_clone()?);
        spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}
