//! What the protocol of a radio is to the process around it.

use std::time::Duration;

use crate::wire::{Counters, Order, Report};

/// What a protocol wants done.
#[derive(Debug)]
pub enum Output {
    /// These bytes go onto the line.
    Line(Vec<u8>),
    /// The gateway hears this.
    Report(Report),
    /// It cannot go on with this line: the process ends, and the gateway starts another.
    End,
}

/// The protocol of one kind of radio, without I/O: bytes of the line, orders of the gateway and the time go in. Time is since
/// the start of the process.
pub trait Radio {
    /// The gateway orders something. [`Order::Start`] is the first, and comes once.
    fn order(&mut self, order: Order, now: Duration);

    /// Bytes came over the line.
    fn receive(&mut self, bytes: &[u8], now: Duration);

    /// Time went by.
    fn tick(&mut self, now: Duration);

    /// When [`Radio::tick`] is due.
    fn due(&self) -> Option<Duration>;

    /// What it refused or let go without a report each, since the start; nothing where it reports all.
    fn unsaid(&self) -> Counters {
        Counters::default()
    }

    /// What is to be done next. Called until there is nothing.
    fn output(&mut self) -> Option<Output>;
}
