//! The host's side: the version first, then one command after the other, with news in between.

use std::collections::VecDeque;
use std::time::Duration;

use super::{EzspFrame, EzspMessage, FrameKind, VERSIONS};
use crate::Octets;
use crate::ash::{AshFailure, AshHost, AshOutput, SendError};
use crate::bytes::Malformed;

/// How long an answer may take: a coordinator answers before it does what it was told.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Commands that wait for their turn.
const QUEUE_MAX: usize = 64;
/// The number of the command that asks for the version.
const VERSION: u16 = 0x0000;
/// The number of the answer that says that there is no such command.
const INVALID: u16 = 0x0058;

/// A host over a line. `now` is the time since any moment that stays the same.
#[derive(Debug, Default)]
pub struct EzspHost {
    ash: AshHost,
    state: State,
    version: u8,
    sequence: u8,
    queue: VecDeque<EzspMessage>,
    asked: Option<Asked>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Closed,
    /// The line is being reset.
    Opening,
    /// The version was asked for in the format of old.
    Asking,
    /// It is asked for again in the format that is spoken from then on.
    Agreeing,
    Ready,
}

/// A command that was sent and not answered.
#[derive(Debug, Clone, Copy)]
struct Asked {
    sequence: u8,
    id: u16,
    until: Duration,
}

/// What there is to do.
#[derive(Debug, PartialEq)]
pub enum EzspOutput {
    /// Write this to the line.
    Write(Octets),
    /// Commands are taken; the protocol's version.
    Ready(u8),
    /// The answer to the oldest command that has none.
    Answer(EzspMessage),
    /// The coordinator knows no such command, or not in its state, for this reason: the answer to the oldest command.
    Refused(u8),
    /// The answer to the oldest command cannot be read, or is another command's.
    BadAnswer(Malformed),
    /// News.
    News(EzspMessage),
    /// News came faster than the coordinator could hand them over, and some are lost.
    NewsLost,
    /// A frame came damaged over the line, which is asked for again.
    Damaged,
    /// A frame that cannot be read, which was left out.
    Unreadable(Malformed),
    /// Nothing goes any more until the next opening.
    Failed(EzspFailure),
}

/// Why nothing goes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EzspFailure {
    /// The line ended.
    #[error(transparent)]
    Line(AshFailure),
    /// A command could not be sent.
    #[error(transparent)]
    Send(SendError),
    /// The coordinator speaks another version.
    #[error("the coordinator speaks version {0} of EZSP, not 8 to 19")]
    Version(u8),
    /// No answer came.
    #[error("the coordinator does not answer command {0:#06x}")]
    NoAnswer(u16),
}

/// Why a command was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The version is not agreed yet, or the line has ended.
    #[error("the coordinator is not ready")]
    NotReady,
    /// Too many wait.
    #[error("too many commands wait")]
    Full,
    /// Its fields are not what it takes.
    #[error(transparent)]
    Fields(#[from] Malformed),
}

impl EzspHost {
    /// Resets the coordinator and agrees on a version.
    pub fn open(&mut self, now: Duration) -> Vec<EzspOutput> {
        *self = Self { state: State::Opening, ..Self::default() };
        let outputs = self.ash.reset(now);
        self.line(outputs, now)
    }

    /// Sends a command, now or when others have been answered. Answers come in the order of commands.
    ///
    /// # Errors
    ///
    /// When it cannot be taken.
    pub fn command(&mut self, command: EzspMessage, now: Duration) -> Result<Vec<EzspOutput>, CommandError> {
        if self.state != State::Ready {
            return Err(CommandError::NotReady);
        }
        if self.queue.len() >= QUEUE_MAX {
            return Err(CommandError::Full);
        }
        command.command(0, self.version)?;
        self.queue.push_back(command);
        Ok(self.next(now))
    }

    /// Takes what came over the line.
    pub fn receive(&mut self, octets: &[u8], now: Duration) -> Vec<EzspOutput> {
        let outputs = self.ash.receive(octets, now);
        self.line(outputs, now)
    }

    /// When [`tick`](Self::tick) has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let answer = self.asked.map(|asked| asked.until);
        answer.into_iter().chain(self.ash.deadline()).min()
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Duration) -> Vec<EzspOutput> {
        if let Some(asked) = self.asked.filter(|asked| now >= asked.until) {
            return self.fail(EzspFailure::NoAnswer(asked.id));
        }
        let outputs = self.ash.tick(now);
        self.line(outputs, now)
    }

    fn line(&mut self, outputs: Vec<AshOutput>, now: Duration) -> Vec<EzspOutput> {
        let mut all = Vec::new();
        for output in outputs {
            match output {
                AshOutput::Write(octets) => all.push(EzspOutput::Write(octets)),
                AshOutput::Open { .. } => {
                    self.state = State::Asking;
                    let ask = EzspFrame::ask_version(self.sequence, *VERSIONS.end());
                    all.extend(self.send(VERSION, &ask, now));
                }
                AshOutput::Received(message) => all.extend(self.message(&message, now)),
                AshOutput::Damaged => all.push(EzspOutput::Damaged),
                AshOutput::Failed(failure) => all.extend(self.fail(EzspFailure::Line(failure))),
            }
        }
        all
    }

    fn message(&mut self, bytes: &[u8], now: Duration) -> Vec<EzspOutput> {
        if matches!(self.state, State::Asking | State::Agreeing) {
            return match EzspFrame::read_version(bytes) {
                Ok(version) => self.version(version, now),
                // News from before the reset, in whatever format.
                Err(malformed) => vec![EzspOutput::Unreadable(malformed)],
            };
        }
        let frame = match EzspFrame::read(bytes) {
            Ok(frame) => frame,
            Err(malformed) => return vec![EzspOutput::Unreadable(malformed)],
        };
        let (header, message) = (frame.header, EzspMessage::read(&frame, self.version));
        let mut outputs = Vec::new();
        if header.overflowed() {
            outputs.push(EzspOutput::NewsLost);
        }
        match (header.kind(), self.asked) {
            (FrameKind::Response, Some(asked)) if asked.sequence == header.sequence => {
                self.asked = None;
                outputs.push(answer(asked, message));
                outputs.extend(self.next(now));
            }
            (FrameKind::Callback, _) => {
                outputs.push(message.map_or_else(EzspOutput::Unreadable, EzspOutput::News));
            }
            // An answer that nobody waits for any more, or a command, which coordinators do not send.
            (FrameKind::Response | FrameKind::Command, _) => {}
        }
        outputs
    }

    fn version(&mut self, version: u8, now: Duration) -> Vec<EzspOutput> {
        self.asked = None;
        if !VERSIONS.contains(&version) {
            return self.fail(EzspFailure::Version(version));
        }
        if self.state == State::Agreeing {
            self.state = State::Ready;
            self.version = version;
            return vec![EzspOutput::Ready(version)];
        }
        self.state = State::Agreeing;
        let header = super::EzspHeader::command(self.sequence, VERSION);
        let frame = EzspFrame { header, parameters: vec![version].into() };
        self.send(VERSION, &frame.to_bytes(), now)
    }

    /// Sends the command that waits longest, where none is unanswered.
    fn next(&mut self, now: Duration) -> Vec<EzspOutput> {
        if self.asked.is_some() {
            return Vec::new();
        }
        let Some(command) = self.queue.pop_front() else { return Vec::new() };
        match command.command(self.sequence, self.version) {
            Ok(frame) => self.send(command.info.id, &frame.to_bytes(), now),
            // It was written before, as it was taken.
            Err(malformed) => vec![EzspOutput::Unreadable(malformed)],
        }
    }

    fn send(&mut self, id: u16, frame: &[u8], now: Duration) -> Vec<EzspOutput> {
        self.asked = Some(Asked { sequence: self.sequence, id, until: now + ANSWER_TIMEOUT });
        self.sequence = self.sequence.wrapping_add(1);
        match self.ash.send(frame, now) {
            Ok(outputs) => self.line(outputs, now),
            Err(error) => self.fail(EzspFailure::Send(error)),
        }
    }

    fn fail(&mut self, failure: EzspFailure) -> Vec<EzspOutput> {
        *self = Self::default();
        vec![EzspOutput::Failed(failure)]
    }
}

fn answer(asked: Asked, message: Result<EzspMessage, Malformed>) -> EzspOutput {
    match message {
        Ok(message) if message.info.id == asked.id => EzspOutput::Answer(message),
        Ok(message) if message.info.id == INVALID => {
            let reason = message.record.number("reason").and_then(|reason| u8::try_from(reason).ok());
            EzspOutput::Refused(reason.unwrap_or(0))
        }
        Ok(message) => EzspOutput::BadAnswer(Malformed::unknown("ezsp.frame_id", message.info.id)),
        Err(malformed) => EzspOutput::BadAnswer(malformed),
    }
}
