//! A driver with a scripted radio, and both of its ends.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use thingward_radio::Kind;
use thingward_radio::wire::{FrameDecoder, Order, Report, Start, encode};

/// The program.
pub(crate) const DRIVER: &str = env!("CARGO_BIN_EXE_scripted-driver");

/// The other end of a line.
pub(crate) struct Line {
    pub(crate) path: PathBuf,
    listener: UnixListener,
    _folder: TempDir,
}

impl Line {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("line");
        let listener = UnixListener::bind(&path).unwrap();
        Self { path, listener, _folder: folder }
    }

    /// Waits for a driver to open it.
    pub(crate) fn accept(&self) -> UnixStream {
        self.listener.accept().unwrap().0
    }
}

/// A driver without a supervisor, and the other end of its line.
pub(crate) struct Driver<L = UnixStream> {
    pub(crate) child: Child,
    pub(crate) orders: Option<ChildStdin>,
    pub(crate) line: L,
    decoder: FrameDecoder,
}

impl Driver {
    /// One that was not told to start.
    pub(crate) fn new() -> Self {
        let line = Line::new();
        Self::on(&[line.path.to_str().unwrap()], || line.accept())
    }

    /// One of this kind.
    pub(crate) fn of(kind: Kind) -> Self {
        let line = Line::new();
        Self::on(&[line.path.to_str().unwrap(), kind.as_str()], || line.accept())
    }

    pub(crate) fn started() -> Self {
        let mut driver = Self::new();
        driver.start();
        driver
    }
}

impl<L: Write> Driver<L> {
    /// One on this line, whose other end is there when the driver has opened it.
    pub(crate) fn on(arguments: &[&str], accept: impl FnOnce() -> L) -> Self {
        let mut child = Command::new(DRIVER)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        Self { child, orders, line: accept(), decoder: FrameDecoder::default() }
    }

    pub(crate) fn start(&mut self) {
        self.order(&Order::Start(Start::default()));
        assert!(matches!(self.report(), Some(Report::Ready { .. })));
    }

    pub(crate) fn order(&mut self, order: &Order) {
        self.orders.as_mut().unwrap().write_all(&encode(order)).unwrap();
    }

    pub(crate) fn script(&mut self, words: &str) {
        self.line.write_all(words.as_bytes()).unwrap();
    }

    /// What it says next; `None` at the end.
    pub(crate) fn report(&mut self) -> Option<Report> {
        loop {
            if let Some(report) = self.decoder.take().unwrap() {
                return Some(report);
            }
            let mut room = [0; 4096];
            let len = self.child.stdout.as_mut().unwrap().read(&mut room).unwrap();
            if len == 0 {
                return None;
            }
            self.decoder.push(&room[..len]);
        }
    }

    /// How it ended, and what it wrote to standard error. One that does not end is a failed test.
    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        for _ in 0..1000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut words = String::new();
                self.child.stderr.as_mut().unwrap().read_to_string(&mut words).unwrap();
                return (status, words);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }
}

impl<L> Drop for Driver<L> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
