//! What the gateway hears.

use std::time::Duration;

use thingward_zigbee::address::Eui64;

use super::ZigbeeRadio;
use crate::Output;
use crate::wire::{Address, RefusalKind, Report, Sentence};

/// Refusals that are told in one second, which are those that the process counts.
const REFUSALS_MAX: u32 = 8;

/// How many refusals were told of late.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    since: Duration,
    count: u32,
}

/// A thing's name for its gateway.
pub(super) fn address(eui64: Eui64) -> Address {
    Address::fitting(&format!("{:016x}", eui64.0))
}

/// The thing of a name.
pub(super) fn eui64(address: &str) -> Option<Eui64> {
    let digits = address.len() == 16 && address.bytes().all(|digit| digit.is_ascii_hexdigit());
    u64::from_str_radix(address, 16).ok().filter(|_| digits).map(Eui64)
}

impl ZigbeeRadio {
    /// The process takes all of it after each thing that it tells, and what has no room there is counted there.
    pub(super) fn say(&mut self, report: Report) {
        self.outputs.push_back(Output::Report(report));
    }

    pub(super) fn done(&mut self, id: u32, failure: Option<&str>) {
        self.say(Report::Done { id, failure: failure.map(Sentence::fitting) });
    }

    pub(super) fn refuse(&mut self, thing: Option<Eui64>, kind: RefusalKind, reason: &str, now: Duration) {
        if now.saturating_sub(self.refusals.since) >= Duration::from_secs(1) {
            self.refusals = Refusals { since: now, count: 0 };
        }
        self.refusals.count += 1;
        if self.refusals.count <= REFUSALS_MAX {
            let reason = Sentence::fitting(reason);
            self.say(Report::Refused { thing: thing.map(address), kind, reason });
        }
    }

    /// Something on the line that is none of the coordinator's messages.
    pub(super) fn unreadable(&mut self, reason: &str, now: Duration) {
        self.refuse(None, RefusalKind::Malformed, reason, now);
    }
}
