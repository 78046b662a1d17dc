//! What waits until a thing is asked or told it: calls first, and those not for ever.

use std::collections::VecDeque;
use std::time::Duration;

use thingward_zigbee::address::Eui64;

use super::ZigbeeRadio;
use super::job::Job;

/// What waits for one thing at most.
const JOBS_MAX: usize = 128;
/// Messages of a thing that are known again.
const SEEN_MAX: usize = 16;
/// After how long a thing that was not reached is told again what it was not told, when it speaks.
const MISSED_PAUSE: Duration = Duration::from_secs(60);

/// What is going on with a thing.
#[derive(Default)]
pub(super) struct Talk {
    pub(super) jobs: VecDeque<Waiting>,
    /// What it was to be told once and was not, and since when.
    missed: Vec<Job>,
    missed_at: Duration,
    /// Numbers of its last messages, with hashes of them.
    seen: VecDeque<(u8, [u8; 16])>,
}

/// What waits for its turn, and how often it was tried.
pub(super) struct Waiting {
    pub(super) job: Job,
    pub(super) tries: u8,
}

impl Talk {
    /// How many calls wait: they are in front, in their own order.
    pub(super) fn calls(&self) -> usize {
        self.jobs.iter().take_while(|waiting| matches!(waiting.job, Job::Call { .. })).count()
    }

    /// When the first of its calls is given up.
    fn due(&self) -> Option<Duration> {
        match self.jobs.front() {
            Some(Waiting { job: Job::Call { due, .. }, .. }) => Some(*due),
            _ => None,
        }
    }

    /// Whether a message came before; it is known from now on.
    pub(super) fn repeats(&mut self, counter: u8, digest: [u8; 16]) -> bool {
        if self.seen.contains(&(counter, digest)) {
            return true;
        }
        if self.seen.len() >= SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back((counter, digest));
        false
    }
}

impl ZigbeeRadio {
    /// Has a thing asked or told something, when it is its turn; not where too much waits.
    pub(super) fn put(&mut self, node: Eui64, job: Job) -> bool {
        let talk = self.talks.entry(node).or_default();
        if talk.jobs.len() >= JOBS_MAX {
            return false;
        }
        // People wait for calls.
        let at = if matches!(job, Job::Call { .. }) { talk.calls() } else { talk.jobs.len() };
        talk.jobs.insert(at, Waiting { job, tries: 0 });
        true
    }

    /// Has a thing told what it has to be told once, now or when there is room for it.
    pub(super) fn put_once(&mut self, node: Eui64, job: Job) {
        let talk = self.talks.entry(node).or_default();
        if talk.jobs.len() < JOBS_MAX {
            talk.jobs.push_back(Waiting { job, tries: 0 });
        } else {
            talk.missed.push(job);
        }
    }

    /// What a thing was not told, it is told when it speaks: then it listens.
    pub(super) fn tell_missed(&mut self, node: Eui64, now: Duration) {
        if self.is_busy(node) {
            return;
        }
        let is_time = |talk: &&mut Talk| now >= talk.missed_at + MISSED_PAUSE;
        let missed = self.talks.get_mut(&node).filter(is_time).map(|talk| std::mem::take(&mut talk.missed));
        for job in missed.into_iter().flatten() {
            self.put_once(node, job);
        }
    }

    /// Whether a thing was not told something.
    pub(super) fn has_missed(&self, node: Eui64) -> bool {
        self.talks.get(&node).is_some_and(|talk| !talk.missed.is_empty())
    }

    /// When the next call that waits is given up.
    pub(super) fn calls_due(&self) -> Option<Duration> {
        self.talks.values().filter_map(Talk::due).min()
    }

    /// What a thing has to be told once was not.
    pub(super) fn miss(&mut self, node: Eui64, job: Job, now: Duration) {
        if let Some(talk) = self.talks.get_mut(&node) {
            talk.missed.push(job);
            talk.missed_at = now;
        }
    }

    /// Calls that waited for too long are not done any more: whoever called does not listen.
    pub(super) fn expire_calls(&mut self, now: Duration) {
        let late = |talk: &mut Talk| talk.jobs.pop_front_if(|waiting| is_late(waiting, now));
        let late: Vec<Waiting> =
            self.talks.values_mut().flat_map(|talk| std::iter::from_fn(|| late(talk))).collect();
        for Waiting { job, .. } in late {
            if let Job::Call { id, .. } = job {
                self.done(id, Some("it was not told: what was before it took too long"));
            }
        }
    }
}

fn is_late(waiting: &Waiting, now: Duration) -> bool {
    matches!(waiting.job, Job::Call { due, .. } if now >= due)
}
