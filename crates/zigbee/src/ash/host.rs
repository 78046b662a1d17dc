//! The host's side: numbers, acknowledgements, and sending again (section 3 and 5).

use std::collections::VecDeque;
use std::time::Duration;

use super::line::{CANCEL_BEGUN, LineDecoder, LineEvent};
use super::output::{AshFailure, AshOutput, SendError};
use super::{AshFrame, DATA_BYTES_MAX, DATA_BYTES_MIN};
use crate::Octets;

/// Frames on their way that nobody acknowledged yet: of at most 7, what a coordinator has room for in any case.
const WINDOW: usize = 1;
/// Messages that wait for their turn.
const QUEUE_MAX: usize = 64;
/// How long an acknowledgement may take at first, at least and at most: 5.6, T_RX_ACK.
const ACK_INIT: Duration = Duration::from_millis(1600);
const ACK_MIN: Duration = Duration::from_millis(400);
const ACK_MAX: Duration = Duration::from_millis(3200);
/// Acknowledgements in a row that may fail to come: 5.6.
const ACK_TIMEOUTS: u32 = 4;
/// How long a reset may take, and how often it is asked for.
const RESET_TIMEOUT: Duration = Duration::from_millis(3200);
const RESETS: u32 = 5;
/// The version of the protocol.
const VERSION: u8 = 2;

/// The host's end of a line. `now` is the time since any moment that stays the same.
#[derive(Debug)]
pub struct AshHost {
    line: LineDecoder,
    state: State,
    /// The number of the next new frame.
    next: u8,
    /// The number of the frame that is expected.
    expected: u8,
    /// Sent and not acknowledged, oldest first, and what waits behind them.
    queue: VecDeque<Octets>,
    in_flight: usize,
    /// A NAK was sent, and the frame that it asks for did not come yet.
    rejecting: bool,
    ack_time: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was sent yet.
    Closed,
    Resetting {
        deadline: Duration,
        attempts: u32,
    },
    Open {
        sent: Duration,
        deadline: Option<Duration>,
        timeouts: u32,
    },
    Failed,
}

impl Default for AshHost {
    fn default() -> Self {
        Self {
            line: LineDecoder::default(),
            state: State::Closed,
            next: 0,
            expected: 0,
            queue: VecDeque::new(),
            in_flight: 0,
            rejecting: false,
            ack_time: ACK_INIT,
        }
    }
}

impl AshHost {
    /// Asks for a reset, which forgets everything that was on its way.
    pub fn reset(&mut self, now: Duration) -> Vec<AshOutput> {
        let state = State::Resetting { deadline: now + RESET_TIMEOUT, attempts: 1 };
        *self = Self { state, ..Self::default() };
        vec![reset()]
    }

    /// Sends a message, now or when others have gone.
    ///
    /// # Errors
    ///
    /// When it cannot go.
    pub fn send(&mut self, message: &[u8], now: Duration) -> Result<Vec<AshOutput>, SendError> {
        if !matches!(self.state, State::Open { .. }) {
            return Err(SendError::NotOpen);
        }
        if !(DATA_BYTES_MIN..=DATA_BYTES_MAX).contains(&message.len()) {
            return Err(SendError::Length(message.len()));
        }
        if self.queue.len() >= QUEUE_MAX {
            return Err(SendError::Full);
        }
        self.queue.push_back(message.to_vec().into());
        Ok(self.send_waiting(now))
    }

    /// When [`tick`](Self::tick) has something to do.
    #[must_use]
    pub const fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Resetting { deadline, .. } => Some(deadline),
            State::Open { deadline, .. } => deadline,
            State::Closed | State::Failed => None,
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Duration) -> Vec<AshOutput> {
        match self.state {
            State::Resetting { deadline, attempts } if now >= deadline => {
                if attempts >= RESETS {
                    return self.fail(AshFailure::NoReset);
                }
                self.state = State::Resetting { deadline: now + RESET_TIMEOUT, attempts: attempts + 1 };
                vec![reset()]
            }
            State::Open { sent, deadline: Some(deadline), timeouts } if now >= deadline => {
                if timeouts + 1 >= ACK_TIMEOUTS {
                    return self.fail(AshFailure::NoAcknowledgement);
                }
                self.ack_time = (self.ack_time * 2).min(ACK_MAX);
                let deadline = Some(now + self.ack_time);
                self.state = State::Open { sent, deadline, timeouts: timeouts + 1 };
                self.again()
            }
            _ => Vec::new(),
        }
    }

    /// Takes what came over the line.
    pub fn receive(&mut self, octets: &[u8], now: Duration) -> Vec<AshOutput> {
        let mut outputs = Vec::new();
        for event in self.line.receive(octets) {
            match (event, self.state) {
                (LineEvent::Frame(AshFrame::ResetDone { version, code }), _) => {
                    outputs.extend(self.reset_done(version, code));
                }
                (LineEvent::Frame(AshFrame::Error { code, .. }), State::Open { .. }) => {
                    outputs.extend(self.fail(AshFailure::Stopped(code)));
                }
                (LineEvent::Frame(frame), State::Open { .. }) => outputs.extend(self.frame(frame, now)),
                (LineEvent::Damaged(_), State::Open { .. }) => {
                    outputs.push(AshOutput::Damaged);
                    outputs.extend(self.reject());
                }
                // Before the reset, what comes belongs to nobody.
                (LineEvent::Frame(_) | LineEvent::Damaged(_), _) => {}
            }
        }
        outputs
    }

    fn reset_done(&mut self, version: u8, code: u8) -> Vec<AshOutput> {
        match self.state {
            State::Resetting { .. } if version == VERSION => {
                let state = State::Open { sent: Duration::ZERO, deadline: None, timeouts: 0 };
                *self = Self { state, ..Self::default() };
                vec![AshOutput::Open { code }]
            }
            State::Resetting { .. } => self.fail(AshFailure::Version(version)),
            State::Open { .. } => self.fail(AshFailure::Restarted(code)),
            State::Closed | State::Failed => Vec::new(),
        }
    }

    fn frame(&mut self, frame: AshFrame, now: Duration) -> Vec<AshOutput> {
        match frame {
            AshFrame::Data { number, again, acknowledges, data } => {
                let mut outputs = self.data(number, again, data);
                outputs.extend(self.acknowledged(acknowledges, now));
                outputs
            }
            AshFrame::Ack { acknowledges, .. } => self.acknowledged(acknowledges, now),
            AshFrame::Nak { acknowledges, .. } => {
                let mut outputs = self.acknowledged(acknowledges, now);
                outputs.extend(self.again());
                outputs
            }
            // A coordinator does not ask for resets, and the others were dealt with.
            AshFrame::Reset | AshFrame::ResetDone { .. } | AshFrame::Error { .. } => Vec::new(),
        }
    }

    fn data(&mut self, number: u8, again: bool, data: Octets) -> Vec<AshOutput> {
        if number == self.expected {
            self.expected = (self.expected + 1) % 8;
            self.rejecting = false;
            return vec![self.ack(), AshOutput::Received(data)];
        }
        // What was sent again had come: its acknowledgement had not.
        if again { vec![self.ack()] } else { self.reject() }
    }

    fn ack(&self) -> AshOutput {
        let ack = AshFrame::Ack { not_ready: false, acknowledges: self.expected };
        AshOutput::Write(ack.to_line())
    }

    /// Asks once for what did not come.
    fn reject(&mut self) -> Vec<AshOutput> {
        if std::mem::replace(&mut self.rejecting, true) {
            return Vec::new();
        }
        let nak = AshFrame::Nak { not_ready: false, acknowledges: self.expected };
        vec![AshOutput::Write(nak.to_line())]
    }

    /// The number of the oldest frame on its way.
    fn oldest(&self) -> u8 {
        let in_flight = u8::try_from(self.in_flight).unwrap_or(0);
        (self.next + 8 - in_flight) % 8
    }

    /// All frames before this number came. A number that is on none of them says nothing.
    fn acknowledged(&mut self, number: u8, now: Duration) -> Vec<AshOutput> {
        let count = usize::from((number + 8 - self.oldest()) % 8);
        let State::Open { sent, .. } = self.state else { return Vec::new() };
        if count == 0 || count > self.in_flight {
            return Vec::new();
        }
        self.queue.drain(..count);
        self.in_flight -= count;
        // How long it takes, with more weight on what was: 5.6.
        let took = now.saturating_sub(sent);
        self.ack_time = (self.ack_time * 7 / 8 + took / 2).clamp(ACK_MIN, ACK_MAX);
        let deadline = (self.in_flight > 0).then_some(now + self.ack_time);
        self.state = State::Open { sent, deadline, timeouts: 0 };
        self.send_waiting(now)
    }

    fn send_waiting(&mut self, now: Duration) -> Vec<AshOutput> {
        let mut outputs = Vec::new();
        while self.in_flight < WINDOW
            && let Some(data) = self.queue.get(self.in_flight)
        {
            let frame = AshFrame::Data {
                number: self.next,
                again: false,
                acknowledges: self.expected,
                data: data.clone(),
            };
            outputs.push(AshOutput::Write(frame.to_line()));
            self.next = (self.next + 1) % 8;
            self.in_flight += 1;
            self.state = State::Open { sent: now, deadline: Some(now + self.ack_time), timeouts: 0 };
        }
        outputs
    }

    /// Everything that is on its way, again.
    fn again(&self) -> Vec<AshOutput> {
        let numbers = (0..8).map(|i| (self.oldest() + i) % 8);
        let frames = self.queue.iter().take(self.in_flight).zip(numbers);
        let again = frames.map(|(data, number)| {
            let acknowledges = self.expected;
            AshFrame::Data { number, again: true, acknowledges, data: data.clone() }
        });
        again.map(|frame| AshOutput::Write(frame.to_line())).collect()
    }

    fn fail(&mut self, failure: AshFailure) -> Vec<AshOutput> {
        *self = Self { state: State::Failed, ..Self::default() };
        vec![AshOutput::Failed(failure)]
    }
}

fn reset() -> AshOutput {
    AshOutput::Write(AshFrame::Reset.to_line_behind(&[CANCEL_BEGUN]))
}
