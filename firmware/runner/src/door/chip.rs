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
        let socket = folder.join("line");
        let _ = fs::remove_file(&socket);
        let mut emulator = chip.emulator("door");
        emulator.current_dir(folder).args(["-serial", "unix:line,server=on,wait=off"]);
        let said = fs::File::create(folder.join("said"))?;
        let mut emulator = emulator.stdout(said.try_clone()?).stderr(said).spawn()?;
        let started = Instant::now();
        let line = loop {
            match UnixStream::connect(&socket) {
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
