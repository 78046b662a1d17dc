//! One question at a time and the answer that belongs to it, without I/O: bytes of the line go in and out, and the time is an
//! argument.

use std::time::{Duration, Instant};

use thingward_device::link::{Decoder, FRAME_OVERHEAD_BYTES, Failure, Frame, Kind, encode};

/// Largest frame that is taken from a chip, in bytes: a message with everything has less.
const FRAME_BYTES_MAX: usize = 8 * 1024;
/// How often a question is asked that may be asked again.
const ATTEMPTS: u8 = 3;
/// How long a chip may take to answer. Its slowest signature takes a second.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long it may take when it does something for the answer.
const ACTS_WITHIN: Duration = Duration::from_secs(30);

/// What a chip answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// What it was asked for.
    Good(Vec<u8>),
    /// It does not do it, and the word of the grants' list that says why, where it has one.
    Failed(Failure, u8),
}

/// What is to be done when no answer came in time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// To put the question on the line again.
    Again(Vec<u8>),
    /// To give up.
    Gone,
}

/// See the module.
pub(super) struct Driver {
    decoder: Decoder<Vec<u8>>,
    sequence: u8,
    asked: Option<Asked>,
    was_late: bool,
}

struct Asked {
    kind: Kind,
    body: Vec<u8>,
    until: Instant,
    attempts_left: u8,
}

impl Driver {
    pub(super) fn new() -> Self {
        Self { decoder: Decoder::new(vec![0; FRAME_BYTES_MAX]), sequence: 0, asked: None, was_late: false }
    }

    /// The bytes that ask. What was asked before has no answer any more.
    pub(super) fn ask(&mut self, now: Instant, kind: Kind, body: &[u8]) -> Vec<u8> {
        let attempts_left = if may_be_repeated(kind) { ATTEMPTS } else { 1 };
        self.put(now, Asked { kind, body: body.to_vec(), until: now, attempts_left })
    }

    /// Each attempt has a number of its own: of the answer to an earlier one nobody knows what it is worth.
    fn put(&mut self, now: Instant, asked: Asked) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let frame = Frame { sequence: self.sequence, kind: asked.kind.code(), body: &asked.body };
        let mut bytes = Vec::with_capacity(asked.body.len() + FRAME_OVERHEAD_BYTES + 2);
        encode(&frame, |byte| bytes.push(byte));
        let (until, attempts_left) = (now + patience(asked.kind), asked.attempts_left - 1);
        self.asked = Some(Asked { until, attempts_left, ..asked });
        bytes
    }

    /// Takes what came over the line; the answer, when it is there. Whatever else came is let go.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Option<Answer> {
        let mut answer = None;
        for byte in bytes {
            let Some(frame) = self.decoder.take(*byte) else { continue };
            let Some(asked) = self.asked.as_ref().filter(|_| frame.sequence == self.sequence) else {
                continue;
            };
            let Some(read) = read(asked.kind, &frame) else { continue };
            self.asked = None;
            answer = Some(read);
        }
        answer
    }

    /// Until when the answer has to be there.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.asked.as_ref().map(|asked| asked.until)
    }

    /// No answer came in time.
    pub(super) fn late(&mut self, now: Instant) -> Late {
        self.was_late = true;
        match self.asked.take() {
            Some(asked) if asked.attempts_left > 0 => Late::Again(self.put(now, asked)),
            _ => Late::Gone,
        }
    }

    /// Whether an answer was late since the last call: the chip may have lost power, or be another one.
    pub(super) fn take_was_late(&mut self) -> bool {
        std::mem::take(&mut self.was_late)
    }
}

fn read(kind: Kind, frame: &Frame<'_>) -> Option<Answer> {
    if frame.kind == kind.answer() {
        return Some(Answer::Good(frame.body.to_vec()));
    }
    match frame.body {
        [failure, word] if frame.kind == Kind::FAILED => {
            Failure::from_code(*failure).map(|failure| Answer::Failed(failure, *word))
        }
        _ => None,
    }
}

/// A nonce is good for one presentation, so one that was shown is not shown again. And a poll says up to where messages are
/// safe: when no answer comes, another chip may be on the line, whose messages are not.
fn may_be_repeated(kind: Kind) -> bool {
    !matches!(kind, Kind::Use | Kind::Poll)
}

fn patience(kind: Kind) -> Duration {
    if matches!(kind, Kind::Use | Kind::Command) { ACTS_WITHIN } else { ANSWERS_WITHIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_line(sequence: u8, kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&Frame { sequence, kind, body }, |byte| bytes.push(byte));
        bytes
    }

    #[test]
    fn only_the_answer_to_the_question_that_is_open_is_one() {
        let (mut driver, now) = (Driver::new(), Instant::now());
        assert_eq!(driver.ask(now, Kind::Question, &[]), on_line(1, Kind::Question.code(), &[]));
        let answer = Kind::Question.answer();
        for wrong in [
            b"\x7e\x7e garbage \x7d\x7e".to_vec(),
            on_line(0, answer, b"late"),
            on_line(1, Kind::Nonce.answer(), b"of another question"),
            on_line(1, Kind::FAILED, &[99, 0]),
            on_line(1, Kind::FAILED, &[4]),
            on_line(1, answer, &[7; FRAME_BYTES_MAX]),
        ] {
            assert_eq!(driver.receive(&wrong), None);
        }
        let bytes = on_line(1, answer, b"nonce");
        let (first, rest) = bytes.split_at(4);
        assert_eq!(driver.receive(first), None);
        assert_eq!(driver.receive(rest), Some(Answer::Good(b"nonce".to_vec())));
        assert_eq!(driver.receive(&bytes), None, "an answer comes once");
        driver.ask(now, Kind::Command, &[1; 16]);
        let failed = on_line(2, Kind::FAILED, &[Failure::NoTime.code(), 0]);
        assert_eq!(driver.receive(&failed), Some(Answer::Failed(Failure::NoTime, 0)));
    }

    #[test]
    fn a_question_is_asked_three_times_and_the_answer_to_the_second_is_none_to_the_third() {
        let (mut driver, now) = (Driver::new(), Instant::now());
        driver.ask(now, Kind::Hello, &[0; 32]);
        for sequence in [2, 3] {
            let at = driver.deadline().unwrap();
            assert_eq!(driver.late(at), Late::Again(on_line(sequence, Kind::Hello.code(), &[0; 32])));
        }
        assert_eq!(driver.receive(&on_line(2, Kind::Hello.answer(), &[])), None);
        assert_eq!(driver.deadline(), Some(now + 3 * ANSWERS_WITHIN));
        assert_eq!(driver.late(now), Late::Gone);
        assert!(driver.take_was_late() && !driver.take_was_late());
    }

    #[test]
    fn a_presentation_is_shown_and_a_message_called_safe_once() {
        let (mut driver, now) = (Driver::new(), Instant::now());
        driver.ask(now, Kind::Use, b"presentation");
        assert_eq!(driver.deadline(), Some(now + ACTS_WITHIN));
        assert_eq!(driver.late(now + ACTS_WITHIN), Late::Gone);
        driver.ask(now, Kind::Poll, &7_u32.to_be_bytes());
        assert_eq!(driver.late(now + ANSWERS_WITHIN), Late::Gone);
    }
}
