//! What a protocol wants done, until the process does it.

use std::collections::VecDeque;

use thingward_model::Link;

use crate::Output;
use crate::wire::{Address, Counters, READINGS_MAX, Reading, Readings, RefusalKind, Report, Sentence};

/// Most that waits. The process takes all of it after each thing that it tells; more than this is a flood.
const WAITING_MAX: usize = 4096;

/// Waiting output, with the counters of what came.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Output>,
    /// What is counted.
    pub(crate) counters: Counters,
}

impl Outbox {
    /// Bytes for the line.
    pub(crate) fn line(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.waiting.push_back(Output::Line(bytes));
        }
    }

    /// The gateway hears this.
    pub(crate) fn report(&mut self, report: Report) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(Output::Report(report));
        } else {
            self.counters.dropped += 1;
        }
    }

    /// A thing said something, in as many reports as it takes.
    pub(crate) fn readings(&mut self, thing: &Address, link: Link, readings: &[Reading]) {
        for some in readings.chunks(READINGS_MAX) {
            let readings = some.to_vec();
            self.report(Report::Readings(Readings { thing: thing.clone(), link, readings }));
        }
    }

    /// What became of a call.
    pub(crate) fn done(&mut self, id: u32, failure: Option<&str>) {
        self.report(Report::Done { id, failure: failure.map(Sentence::fitting) });
    }

    /// Something is not believed or not let in.
    pub(crate) fn refused(&mut self, thing: Option<Address>, kind: RefusalKind, reason: &str) {
        self.counters.refused += 1;
        self.report(Report::Refused { thing, kind, reason: Sentence::fitting(reason) });
    }

    /// The next.
    pub(crate) fn take(&mut self) -> Option<Output> {
        self.waiting.pop_front()
    }
}
