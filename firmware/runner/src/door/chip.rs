//! An emulated chip with its serial port, from one loss of power to the next.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use thingward_device::link::{Decoder, Failure, Frame, Kind, encode};

use crate::Result;
use crate::chip::Chip;
use crate::output::Output;

const FRAME_BYTES: usize = 1200;
/// Where a board with one serial port looks whether its casing was opened.
const CASING: &str = "casing";
const STARTS_WITHIN: Duration = Duration::from_secs(10);
/// A question is answered in less, also when the emulator shares its processor.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

pub(super) struct Powered<'f> {
    emulator: Child,
    line: UnixStream,
    folder: &'f Path,
    sequence: u8,
}

impl<'f> Powered<'f> {
    /// Switches the chip on. What it keeps is in `memory` in the folder.
    pub(super) fn on(chip: &Chip, folder: &'f Path) -> Result<Self> {
        for left in ["line", "alarm", "monitor", CASING] {
            let _ = fs::remove_file(folder.join(left));
        }
        let mut emulator = chip.connected("door");
        emulator.current_dir(folder);
        let said = fs::File::create(folder.join("said"))?;
        let mut emulator = emulator.stdout(said.try_clone()?).stderr(said).spawn()?;
        let started = Instant::now();
        let line = loop {
            match UnixStream::connect(folder.join("line")) {
                Ok(line) => break line,
                Err(error) if started.elapsed() > STARTS_WITHIN => {
                    let _ = emulator.kill();
                    return Err(error.into());
                }
                Err(_) => sleep(Duration::from_millis(20)),
            }
        };
        line.set_read_timeout(Some(ANSWERS_WITHIN))?;
        Ok(Self { emulator, line, folder, sequence: 0 })
    }

    /// Asks for something that has an answer.
    pub(super) fn ask(&mut self, kind: Kind, body: &[u8]) -> Result<Vec<u8>> {
        let (answered, answer) = self.exchange(kind, body)?;
        if answered == kind.answer() {
            Ok(answer)
        } else {
            Err(format!("{kind:?} is answered with {answer:?}").into())
        }
    }

    /// Asks for something that the device refuses; why it does.
    pub(super) fn refusal(&mut self, kind: Kind, body: &[u8]) -> Result<Vec<u8>> {
        let (answered, answer) = self.exchange(kind, body)?;
        let is_known = answer.first().is_some_and(|code| Failure::from_code(*code).is_some());
        if answered == Kind::FAILED && is_known {
            Ok(answer)
        } else {
            Err(format!("{kind:?} is not refused").into())
        }
    }

    fn exchange(&mut self, kind: Kind, body: &[u8]) -> Result<(u8, Vec<u8>)> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        encode(&Frame { sequence: self.sequence, kind: kind.code(), body }, |byte| bytes.push(byte));
        self.noise(&bytes)?;
        let mut room = [0; FRAME_BYTES];
        let (mut frames, mut byte) = (Decoder::new(&mut room), [0]);
        loop {
            self.line.read_exact(&mut byte).map_err(|error| format!("{kind:?} has no answer: {error}"))?;
            if let Some(frame) = frames.take(byte[0]).filter(|frame| frame.sequence == self.sequence) {
                return Ok((frame.kind, frame.body.to_vec()));
            }
        }
    }

    /// Puts bytes on the line, whatever they are.
    pub(super) fn noise(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.line.write_all(bytes)?)
    }

    /// Opens the casing. A board with one serial port has a file for that.
    pub(super) fn open_casing(&self) -> Result<()> {
        fs::write(self.folder.join(CASING), [])?;
        Ok(UnixStream::connect(self.folder.join("alarm"))?.write_all(&[1])?)
    }

    /// All of its RAM, as it is now.
    pub(super) fn ram(&self, bytes: u32) -> Result<Vec<u8>> {
        let (file, started) = (self.folder.join("ram"), Instant::now());
        let _ = fs::remove_file(&file);
        let mut monitor = UnixStream::connect(self.folder.join("monitor"))?;
        monitor.write_all(format!("memsave 0x20000000 {bytes} ram\n").as_bytes())?;
        while started.elapsed() < STARTS_WITHIN {
            match fs::read(&file) {
                Ok(ram) if ram.len() == bytes as usize => return Ok(ram),
                _ => sleep(Duration::from_millis(20)),
            }
        }
        Err("the emulator does not show its RAM".into())
    }

    /// Cuts the power at once; what the chip had printed until then.
    pub(super) fn cut(mut self) -> Result<Output> {
        self.emulator.kill()?;
        self.emulator.wait()?;
        Output::parse(&fs::read_to_string(self.folder.join("said"))?, true)
    }
}

impl Drop for Powered<'_> {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}
