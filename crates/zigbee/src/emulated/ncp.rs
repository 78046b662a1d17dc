//! The coordinator's end of a line, which is written here after the document and not after the host.

use std::collections::VecDeque;

use crate::ash::{AshFrame, LineDecoder, LineEvent};

/// The coordinator's end. What it answers to a message is any number of messages.
pub struct Ncp<R> {
    respond: R,
    line: LineDecoder,
    /// Messages of the host, since the line was reset.
    pub received: Vec<Vec<u8>>,
    numbers: Numbers,
}

/// What a reset forgets.
#[derive(Default)]
struct Numbers {
    expected: u8,
    next: u8,
    waiting: VecDeque<Vec<u8>>,
    rejecting: bool,
    in_flight: bool,
}

impl<R: FnMut(&[u8]) -> Vec<Vec<u8>>> Ncp<R> {
    /// Of a coordinator that answers so.
    pub fn new(respond: R) -> Self {
        Self { respond, line: LineDecoder::default(), received: Vec::new(), numbers: Numbers::default() }
    }

    /// Takes what came over the line; what goes back.
    pub fn receive(&mut self, octets: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for event in self.line.receive(octets) {
            match event {
                LineEvent::Frame(AshFrame::Reset) => {
                    self.numbers = Numbers::default();
                    self.received.clear();
                    out.push(AshFrame::ResetDone { version: 2, code: 0x0b }.to_line().to_vec());
                }
                LineEvent::Frame(AshFrame::Data { number, again, acknowledges, data }) => {
                    self.numbers.acknowledged(acknowledges);
                    if number == self.numbers.expected {
                        self.numbers.expected = (number + 1) % 8;
                        self.numbers.rejecting = false;
                        out.push(self.numbers.ack());
                        self.numbers.waiting.extend((self.respond)(&data));
                        self.received.push(data.to_vec());
                    } else if again {
                        out.push(self.numbers.ack());
                    } else {
                        out.extend(self.numbers.nak());
                    }
                }
                LineEvent::Frame(AshFrame::Ack { acknowledges, .. }) => {
                    self.numbers.acknowledged(acknowledges);
                }
                LineEvent::Frame(AshFrame::Nak { acknowledges, .. }) => {
                    self.numbers.acknowledged(acknowledges);
                    out.extend(self.again());
                }
                LineEvent::Frame(AshFrame::ResetDone { .. } | AshFrame::Error { .. }) => {}
                LineEvent::Damaged(_) => out.extend(self.numbers.nak()),
            }
        }
        out.extend(self.next());
        out
    }

    /// News that nobody asked for, which go when those before them have arrived; what goes now.
    pub fn tell(&mut self, news: Vec<Vec<u8>>) -> Option<Vec<u8>> {
        self.numbers.waiting.extend(news);
        self.next()
    }

    /// News that go without waiting for anybody's acknowledgement.
    pub fn flood(&mut self, news: Vec<Vec<u8>>) -> Vec<u8> {
        let mut out = Vec::new();
        for message in news {
            self.numbers.waiting = VecDeque::from([message]);
            out.extend(self.numbers.frame(false).into_iter().flatten());
            self.numbers.next = (self.numbers.next + 1) % 8;
        }
        self.numbers.waiting.clear();
        out
    }

    /// Whether everything that was told has arrived.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.numbers.waiting.is_empty()
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.numbers.in_flight {
            return None;
        }
        let frame = self.numbers.frame(false)?;
        self.numbers.in_flight = true;
        Some(frame)
    }

    /// What its timer makes it send again.
    #[must_use]
    pub fn again(&self) -> Option<Vec<u8>> {
        self.numbers.frame(true).filter(|_| self.numbers.in_flight)
    }
}

impl Numbers {
    fn ack(&self) -> Vec<u8> {
        AshFrame::Ack { not_ready: false, acknowledges: self.expected }.to_line().to_vec()
    }

    fn nak(&mut self) -> Option<Vec<u8>> {
        let nak = AshFrame::Nak { not_ready: false, acknowledges: self.expected };
        (!std::mem::replace(&mut self.rejecting, true)).then(|| nak.to_line().to_vec())
    }

    fn acknowledged(&mut self, number: u8) {
        if self.in_flight && number == (self.next + 1) % 8 {
            self.next = number;
            self.in_flight = false;
            self.waiting.pop_front();
        }
    }

    fn frame(&self, again: bool) -> Option<Vec<u8>> {
        let (acknowledges, data) = (self.expected, self.waiting.front()?.clone().into());
        Some(AshFrame::Data { number: self.next, again, acknowledges, data }.to_line().to_vec())
    }
}
