//! What is done when nothing goes any more: whoever waits is told so, and it is tried again after a while, from the start.
//! What only people can put right is not tried again.

use std::time::Duration;

use super::ask::Asking;
use super::roll::Roll;
use super::start::Step;
use super::{Phase, ZigbeeRadio};
use crate::wire::{AdmissionState, Report, Sentence};

/// After how long it is tried again at first, and at most.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(300);

impl ZigbeeRadio {
    /// The coordinator does not do what it has to.
    pub(super) fn fail(&mut self, reason: &str) {
        if matches!(self.phase, Phase::Starting(..) | Phase::Running) {
            self.cease(reason);
            self.phase = Phase::Broken(None);
        }
    }

    /// Something is wrong that does not change by itself.
    pub(super) fn stop(&mut self, reason: &str) {
        if self.phase != Phase::Stopped {
            self.cease(reason);
            self.phase = Phase::Stopped;
        }
    }

    fn cease(&mut self, reason: &str) {
        for id in self.calls() {
            self.done(id, Some("the radio is in trouble"));
        }
        self.exchanges.clear();
        self.talks.clear();
        self.joining.clear();
        self.asking = Asking::default();
        self.backup.clear();
        self.roll = Roll::default();
        self.keeper.interrupt();
        if self.admission.take().is_some() {
            self.say(Report::Admission(AdmissionState::Closed));
        }
        self.say(Report::Trouble(Sentence::fitting(reason)));
    }

    /// It is tried again when it is time.
    pub(super) fn recover(&mut self, at: Option<Duration>, now: Duration) {
        match at {
            None => {
                self.pause = (self.pause * 2).clamp(PAUSE, PAUSE_MAX);
                self.phase = Phase::Broken(Some(now + self.pause));
            }
            Some(at) if now >= at => {
                self.step(Step::Opening, now);
                let outputs = self.host.open(now);
                self.hosted(outputs, now);
            }
            Some(_) => {}
        }
    }

    /// It works: a later failure is a new one.
    pub(super) fn recovered(&mut self) {
        self.pause = Duration::ZERO;
    }
}
