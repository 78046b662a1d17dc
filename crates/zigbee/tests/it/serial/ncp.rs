//! The coordinator's end of a line, which is written here after the document and not after the host.

use thingward_zigbee::ash::{AshFrame, LineDecoder, LineEvent};

/// What a coordinator answers to a message: any number of messages.
pub(super) type Respond = fn(&[u8]) -> Vec<Vec<u8>>;

/// The coordinator's end.
pub(super) struct Ncp {
    respond: Respond,
    line: LineDecoder,
    expected: u8,
    next: u8,
    waiting: Vec<Vec<u8>>,
    pub(super) received: Vec<Vec<u8>>,
    rejecting: bool,
    in_flight: bool,
}

impl Ncp {
    pub(super) fn new(respond: Respond) -> Self {
        Self {
            respond,
            line: LineDecoder::default(),
            expected: 0,
            next: 0,
            waiting: Vec::new(),
            received: Vec::new(),
            rejecting: false,
            in_flight: false,
        }
    }

    pub(super) fn receive(&mut self, octets: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for event in self.line.receive(octets) {
            match event {
                LineEvent::Frame(AshFrame::Reset) => {
                    *self = Self::new(self.respond);
                    out.push(AshFrame::ResetDone { version: 2, code: 0x0b }.to_line());
                }
                LineEvent::Frame(AshFrame::Data { number, again, acknowledges, data }) => {
                    self.acknowledged(acknowledges);
                    if number == self.expected {
                        self.expected = (number + 1) % 8;
                        self.rejecting = false;
                        out.push(self.ack());
                        self.waiting.extend((self.respond)(&data));
                        self.received.push(data);
                    } else if again {
                        out.push(self.ack());
                    } else {
                        out.extend(self.nak());
                    }
                }
                LineEvent::Frame(AshFrame::Ack { acknowledges, .. }) => self.acknowledged(acknowledges),
                LineEvent::Frame(AshFrame::Nak { acknowledges, .. }) => {
                    self.acknowledged(acknowledges);
                    out.extend(self.again());
                }
                LineEvent::Frame(AshFrame::ResetDone { .. } | AshFrame::Error { .. }) => {}
                LineEvent::Damaged(_) => out.extend(self.nak()),
            }
        }
        if !self.in_flight && !self.waiting.is_empty() {
            self.in_flight = true;
            out.push(self.frame(false));
        }
        out
    }

    fn ack(&self) -> Vec<u8> {
        AshFrame::Ack { not_ready: false, acknowledges: self.expected }.to_line()
    }

    fn nak(&mut self) -> Option<Vec<u8>> {
        let nak = AshFrame::Nak { not_ready: false, acknowledges: self.expected };
        (!std::mem::replace(&mut self.rejecting, true)).then(|| nak.to_line())
    }

    fn acknowledged(&mut self, number: u8) {
        if self.in_flight && number == (self.next + 1) % 8 {
            self.next = number;
            self.in_flight = false;
            self.waiting.remove(0);
        }
    }

    fn frame(&self, again: bool) -> Vec<u8> {
        let (acknowledges, data) = (self.expected, self.waiting[0].clone());
        AshFrame::Data { number: self.next, again, acknowledges, data }.to_line()
    }

    /// What its timer makes it send again.
    pub(super) fn again(&self) -> Option<Vec<u8>> {
        self.in_flight.then(|| self.frame(true))
    }
}
