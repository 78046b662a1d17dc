//! What a protocol wants done, until the process does it.

use std::collections::VecDeque;

use thingward_model::Link;

use crate::Output;
use crate::wire::{Address, READINGS_MAX, Reading, Readings, RefusalKind, Report, Sentence};

/// Waiting output. The process takes all of it after each thing that it tells, so that there is no more than some bytes of the
/// line give.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Output>,
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
        self.waiting.push_back(Output::Report(report));
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
        self.report(Report::Refused { thing, kind, reason: Sentence::fitting(reason) });
    }

    /// It cannot go on, and why.
    pub(crate) fn end(&mut self, why: &str) {
        self.report(Report::Trouble(Sentence::fitting(why)));
        self.waiting.push_back(Output::End);
    }

    /// The next.
    pub(crate) fn take(&mut self) -> Option<Output> {
        self.waiting.pop_front()
    }
}
