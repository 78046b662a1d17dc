//! A line that loses, damages and repeats octets, and a coordinator at its other end, which is written here after the
//! document and not after the host.

use std::time::Duration;

use proptest::prelude::*;
use thingward_zigbee::ash::{AshFrame, AshHost, AshOutput, LineDecoder, LineEvent};

/// The coordinator's end, which sends everything that it gets back to the host.
#[derive(Default)]
struct Echo {
    line: LineDecoder,
    expected: u8,
    next: u8,
    waiting: Vec<Vec<u8>>,
    received: Vec<Vec<u8>>,
    rejecting: bool,
    in_flight: bool,
}

impl Echo {
    fn receive(&mut self, octets: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for event in self.line.receive(octets) {
            match event {
                LineEvent::Frame(AshFrame::Reset) => {
                    *self = Self::default();
                    out.push(AshFrame::ResetDone { version: 2, code: 0x0b }.to_line());
                }
                LineEvent::Frame(AshFrame::Data { number, again, acknowledges, data }) => {
                    self.acknowledged(acknowledges);
                    if number == self.expected {
                        self.expected = (number + 1) % 8;
                        self.rejecting = false;
                        self.received.push(data.clone());
                        self.waiting.push(data);
                        out.push(self.ack());
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

    fn again(&self) -> Option<Vec<u8>> {
        self.in_flight.then(|| self.frame(true))
    }
}

/// What a line does to some of what goes over it.
fn disturb(mut octets: Vec<u8>, fault: u8) -> Vec<u8> {
    let at = usize::from(fault) % octets.len().max(1);
    match fault % 16 {
        0 => octets.clear(),
        1 => octets[at] ^= 0x04,
        2 => octets.truncate(at),
        3 => octets = [octets.clone(), octets].concat(),
        _ => {}
    }
    octets
}

proptest! {
    #[test]
    fn over_a_noisy_line_messages_come_whole_in_order_and_once(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 3..40), 1..12),
        faults in prop::collection::vec(any::<u8>(), 400),
    ) {
        let (mut host, mut echo) = (AshHost::default(), Echo::default());
        let mut now = Duration::ZERO;
        let mut faults = faults.into_iter().chain(std::iter::repeat(15));
        let mut received = Vec::new();
        let mut to_send = messages.clone();
        // The reset goes over a line that is quiet yet.
        let mut outputs = host.reset(now);
        let mut quiet = true;
        let mut failed = false;
        for _ in 0..2000 {
            let mut to_coordinator = Vec::new();
            for output in std::mem::take(&mut outputs) {
                match output {
                    AshOutput::Write(octets) => to_coordinator.push(octets),
                    AshOutput::Received(message) => received.push(message),
                    AshOutput::Open { .. } => quiet = false,
                    AshOutput::Failed(_) => failed = true,
                }
            }
            let mut over = |octets: Vec<u8>| if quiet { octets } else { disturb(octets, faults.next().unwrap()) };
            let to_host: Vec<_> =
                to_coordinator.into_iter().flat_map(|octets| echo.receive(&over(octets))).collect();
            for octets in to_host {
                outputs.extend(host.receive(&over(octets), now));
            }
            now += Duration::from_millis(300);
            outputs.extend(host.tick(now));
            // The coordinator's timer.
            if let Some(octets) = echo.again() {
                outputs.extend(host.receive(&over(octets), now));
            }
            if !quiet && !to_send.is_empty() && let Ok(more) = host.send(&to_send[0], now) {
                to_send.remove(0);
                outputs.extend(more);
            }
            if failed || received.len() == messages.len() {
                break;
            }
        }
        // A line that is too bad ends; what came until then is right.
        prop_assert!(messages.starts_with(&received));
        prop_assert!(messages.starts_with(&echo.received));
        prop_assert!(failed || received.len() == messages.len());
    }
}
