//! What waits to be told to the gateway.

use std::collections::VecDeque;

use crate::wire::{Counters, Report};

/// Most reports that wait. What others cause finds no room beyond; what the gateway asked for does.
const WAITING_MAX: usize = 1024;

#[derive(Default)]
pub(super) struct Reports {
    waiting: VecDeque<Report>,
    counters: Counters,
}

impl Reports {
    /// Tells something.
    pub(super) fn push(&mut self, report: Report) {
        if matches!(report, Report::Refused { .. }) {
            self.counters.refused = self.counters.refused.saturating_add(1);
        }
        let gives_way = matches!(report, Report::Readings(_) | Report::Refused { .. });
        if gives_way && self.waiting.len() >= WAITING_MAX {
            self.counters.dropped = self.counters.dropped.saturating_add(1);
        } else {
            self.waiting.push_back(report);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Report> {
        self.waiting.pop_front()
    }

    pub(super) const fn counters(&self) -> Counters {
        self.counters
    }
}
