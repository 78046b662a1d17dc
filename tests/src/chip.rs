//! A chip at the end of a serial line: a door that opens for those who may, and tells every second how often it did.
//!
//! It is the device core on this machine; or, where `THINGWARD_CHIP` has a command that starts one, the emulated chip that
//! `firmware/` builds. The line is a Unix socket, and what lasts without power outlives [`Chip::cut`].

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thingward_device::link::{Decoder, Frame, encode};
use thingward_device::{Call, Device, DeviceSecret, Dice, Flash, FlashError, Measurement, Thing};
use thingward_grant::{Permission, Scope};
use thingward_model::{NameRef, Reading, Value};
use thingward_seal::command::Refusal;
use zeroize::Zeroizing;

const MEMORY_BYTES: usize = 4064;
/// Largest frame, in bytes between the flags.
const FRAME_BYTES: u16 = 1200;
const READING_EVERY: Duration = Duration::from_secs(1);
/// How long the line is listened to before the chip does something else.
const TURN: Duration = Duration::from_millis(20);
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// See the module.
pub struct Chip {
    folder: PathBuf,
    memory: Memory,
    firmware: Vec<u8>,
    power: Option<Power>,
}

/// What is running.
enum Power {
    Here { is_off: Arc<AtomicBool>, thread: JoinHandle<()> },
    Emulated(Child),
}

impl Chip {
    /// A new chip without power, with its line in this folder. Each number is another chip.
    pub fn new(folder: &Path, number: u8) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let memory = Memory::new(number);
        let secret = memory.secret.lock().unwrap().unwrap();
        std::fs::write(folder.join("memory"), [&[0xff; MEMORY_BYTES][..], &secret].concat()).unwrap();
        let firmware = b"the device core on this machine".to_vec();
        Self { folder: folder.to_owned(), memory, firmware, power: None }
    }

    /// Puts other firmware on it, which runs from the next start on; whether that can be done.
    pub fn install(&mut self, firmware: &[u8]) -> bool {
        self.firmware = firmware.to_vec();
        std::env::var("THINGWARD_CHIP").is_err()
    }

    /// The socket in place of a terminal.
    pub fn line(&self) -> PathBuf {
        self.folder.join("line")
    }

    /// Switches it on.
    pub fn on(&mut self) {
        self.cut();
        let _ = std::fs::remove_file(self.line());
        self.power = Some(match std::env::var("THINGWARD_CHIP") {
            Ok(command) => self.emulated(&command),
            Err(_) => self.here(),
        });
    }

    /// Cuts its power.
    pub fn cut(&mut self) {
        match self.power.take() {
            None => {}
            Some(Power::Here { is_off, thread }) => {
                is_off.store(true, Ordering::Relaxed);
                thread.join().unwrap();
            }
            Some(Power::Emulated(mut child)) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        let _ = std::fs::remove_file(self.line());
    }

    /// Opens its casing.
    pub fn open_casing(&self) {
        match &self.power {
            Some(Power::Emulated(_)) => {
                UnixStream::connect(self.folder.join("alarm")).unwrap().write_all(&[1]).unwrap();
            }
            _ => self.memory.is_open.store(true, Ordering::Relaxed),
        }
    }

    /// How often the door was opened; `None` when only an emulated chip knows.
    pub fn opened(&self) -> Option<u32> {
        let is_here = std::env::var("THINGWARD_CHIP").is_err();
        is_here.then(|| self.memory.opened.load(Ordering::Relaxed))
    }

    fn here(&self) -> Power {
        let listener = UnixListener::bind(self.line()).unwrap();
        let (is_off, memory) = (Arc::new(AtomicBool::new(false)), self.memory.clone());
        let mut measurement = Measurement::default();
        measurement.take(&self.firmware);
        let thread = thread::spawn({
            let is_off = Arc::clone(&is_off);
            move || serve(&listener, &measurement, memory, &is_off)
        });
        Power::Here { is_off, thread }
    }

    fn emulated(&self, command: &str) -> Power {
        let mut shell = Command::new("sh");
        // A group of its own, so that no key on the terminal reaches it.
        let shell = shell.args(["-c", &format!("exec {command}")]).current_dir(&self.folder).process_group(0);
        let child = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while !self.line().exists() {
            assert!(started.elapsed() < STARTS_WITHIN, "{command} opens no line");
            thread::sleep(TURN);
        }
        Power::Emulated(child)
    }
}

impl Drop for Chip {
    fn drop(&mut self) {
        self.cut();
    }
}

type Machine = Device<Dice<Memory>, Memory, Memory>;

fn serve(listener: &UnixListener, firmware: &Measurement, memory: Memory, is_off: &AtomicBool) {
    let keys = Dice::start(memory.clone(), firmware).unwrap();
    let mut place = None;
    let device = Device::start(&mut place, keys, memory.clone(), memory, FRAME_BYTES).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut clock = Clock { last: Instant::now(), since_reading: READING_EVERY };
    while !is_off.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((line, _)) => converse(&line, device, &mut clock, is_off),
            Err(_) => thread::sleep(TURN),
        }
        clock.turn(device);
    }
}

/// Until the other end closes the line, or power is cut.
fn converse(mut line: &UnixStream, device: &mut Machine, clock: &mut Clock, is_off: &AtomicBool) {
    line.set_nonblocking(false).unwrap();
    line.set_read_timeout(Some(TURN)).unwrap();
    let mut frames = Decoder::new(vec![0; usize::from(FRAME_BYTES)]);
    let mut bytes = [0; 64];
    while !is_off.load(Ordering::Relaxed) {
        clock.turn(device);
        let read = match line.read(&mut bytes) {
            Ok(0) => return,
            Ok(read) => read,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => return,
        };
        for byte in &bytes[..read] {
            let Some(Frame { sequence, kind, body }) = frames.take(*byte) else { continue };
            let (len, room) = (body.len(), frames.body_mut());
            let (kind, len) = device.answer(kind, room, len);
            let mut answer = Vec::new();
            encode(&Frame { sequence, kind, body: &room[..len] }, |byte| answer.push(byte));
            if line.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

struct Clock {
    last: Instant,
    since_reading: Duration,
}

impl Clock {
    /// Takes a reading when it is time. Before the device is a member, without a time or without room there is none.
    fn turn(&mut self, device: &mut Machine) {
        let elapsed = self.last.elapsed();
        self.last += elapsed;
        device.tick(u32::try_from(elapsed.as_micros()).unwrap());
        if device.thing().is_open.swap(false, Ordering::Relaxed) {
            device.tamper();
        }
        self.since_reading += elapsed;
        if self.since_reading < READING_EVERY {
            return;
        }
        self.since_reading = Duration::ZERO;
        if let Some(time) = device.now() {
            let opened = device.thing().opened.load(Ordering::Relaxed);
            let value = Value::Number(f64::from(opened));
            let _ = device.record(&[Reading { field: None, unit: "", time, value }]);
        }
    }
}

/// What is left of the chip without power.
#[derive(Clone)]
struct Memory {
    flash: Arc<Mutex<Vec<u8>>>,
    secret: Arc<Mutex<Option<[u8; 32]>>>,
    opened: Arc<AtomicU32>,
    is_open: Arc<AtomicBool>,
}

impl Memory {
    fn new(number: u8) -> Self {
        Self {
            flash: Arc::new(Mutex::new(vec![0xff; MEMORY_BYTES])),
            secret: Arc::new(Mutex::new(Some([number; 32]))),
            opened: Arc::default(),
            is_open: Arc::default(),
        }
    }
}

impl Flash for Memory {
    const BYTES: usize = MEMORY_BYTES;

    fn read(&mut self, at: usize, out: &mut [u8]) -> Result<(), FlashError> {
        out.copy_from_slice(&self.flash.lock().unwrap()[at..at + out.len()]);
        Ok(())
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), FlashError> {
        self.flash.lock().unwrap()[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

impl DeviceSecret for Memory {
    fn read(&mut self) -> Option<Zeroizing<[u8; 32]>> {
        self.secret.lock().unwrap().map(Zeroizing::new)
    }

    fn erase(&mut self) {
        *self.secret.lock().unwrap() = None;
    }
}

impl Thing for Memory {
    const STREAM: &'static str = "door";
    const FIRMWARE: (&'static str, &'static str) = ("door", "1");
    type Failure = &'static str;

    fn opened<'b>(&self, room: &'b mut [u8; 128]) -> &'b [u8] {
        let permissions = [Permission { action: NameRef::new("open").unwrap(), bounds: &[] }];
        Scope::write(&permissions, room).unwrap().as_bytes()
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Refusal> {
        match (call.action(), call.arguments_len()) {
            ("open", 0) => Ok(()),
            ("open", _) => Err(Refusal::BadInput),
            _ => Err(Refusal::UnknownAction),
        }
    }

    fn perform(&mut self, _: &Call<'_>) -> Result<(), &'static str> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
