//! A controller is made to tell what it hears (Bluetooth Core 5.4, Vol 4 Part E §7.3, §7.4, §7.8). It only listens: nothing is asked
//! of those that advertise.

use super::input::Came;

const COMMAND: u8 = 0x01;
const COMMAND_COMPLETE: u8 = 0x0e;
const COMMAND_STATUS: u8 = 0x0f;

const READ_ADDRESS: u16 = 0x1009;

/// What it is told, in this order: reset; the default events and those of LE; advertisements; its address; to listen all the time,
/// passively (10 ms of each 10 ms); to begin, and to tell of each advertisement as often as it comes.
const COMMANDS: [(u16, &[u8]); 6] = [
    (0x0c03, &[]),
    (0x0c01, &[0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0x00, 0x20]),
    (0x2001, &[0x02, 0, 0, 0, 0, 0, 0, 0]),
    (READ_ADDRESS, &[]),
    (0x200b, &[0x00, 0x10, 0x00, 0x10, 0x00, 0x00, 0x00]),
    (0x200c, &[0x01, 0x00]),
];

/// A controller that refuses something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the controller refuses command {command:#06x} with status {status:#04x}")]
pub(super) struct Refused {
    command: u16,
    status: u8,
}

/// How far it is.
#[derive(Debug, Default)]
pub(super) struct Controller {
    done: usize,
    /// Its own address, in the order of the air.
    pub(super) address: Option<[u8; 6]>,
}

/// What an event changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: it is another event.
    None,
    /// This goes out next.
    Next(Vec<u8>),
    /// It listens.
    Ready,
}

impl Controller {
    /// What is due to be sent.
    pub(super) fn command(&self) -> Vec<u8> {
        let Some((command, parameters)) = COMMANDS.get(self.done) else { return Vec::new() };
        let [low, high] = command.to_le_bytes();
        let length = u8::try_from(parameters.len()).unwrap_or_default();
        [&[COMMAND, low, high, length], *parameters].concat()
    }

    /// Whether it listens.
    pub(super) const fn is_ready(&self) -> bool {
        self.done >= COMMANDS.len()
    }

    /// Takes an event of it.
    pub(super) fn receive(&mut self, came: &Came) -> Result<Step, Refused> {
        let Some((wanted, _)) = COMMANDS.get(self.done) else { return Ok(Step::None) };
        let (command, status, rest): (_, _, &[u8]) = match (came.code, came.parameters.as_slice()) {
            (COMMAND_COMPLETE, [_, low, high, status, rest @ ..]) => ([*low, *high], *status, rest),
            (COMMAND_STATUS, [status, _, low, high]) if *status != 0 => ([*low, *high], *status, &[]),
            _ => return Ok(Step::None),
        };
        let command = u16::from_le_bytes(command);
        if command != *wanted {
            return Ok(Step::None);
        }
        if status != 0 {
            return Err(Refused { command, status });
        }
        if command == READ_ADDRESS {
            self.address = rest.first_chunk().copied();
        }
        self.done += 1;
        Ok(if self.is_ready() { Step::Ready } else { Step::Next(self.command()) })
    }
}
