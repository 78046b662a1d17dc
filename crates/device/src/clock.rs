//! What a device without a clock knows of the time: what beacons said, and what its oscillator has counted since.

use thingward_grant::{Beacon, Nonce, Question, Time};
use thingward_model::Timestamp;

/// An oscillator is off by at most one part in so many: 1.5 percent covers an uncalibrated one.
const OSCILLATOR_ERROR: u32 = 64;

pub(crate) struct Clock {
    time: Time,
    asked: Option<Question>,
}

impl Clock {
    /// It is at least `mark`, which was durable.
    pub(crate) fn since(mark: Timestamp) -> Self {
        let time = if mark == Timestamp::EPOCH { Time::Unknown } else { Time::AtLeast(mark) };
        Self { time, asked: None }
    }

    pub(crate) const fn time(&self) -> Time {
        self.time
    }

    /// The earliest that it can be, when it is known to within something.
    pub(crate) const fn now(&self) -> Option<Timestamp> {
        match self.time {
            Time::Between { earliest, .. } => Some(earliest),
            Time::Unknown | Time::AtLeast(_) => None,
        }
    }

    /// A clock that is right says what time it is.
    pub(crate) const fn set(&mut self, now: Timestamp) {
        self.time = Time::Between { earliest: now, latest: now };
    }

    pub(crate) fn tick(&mut self, micros: u32) {
        let (micros, error) = (i64::from(micros), i64::from(micros / OSCILLATOR_ERROR + 1));
        self.time = self.time.after(micros - error, micros + error);
        if let Some(asked) = &mut self.asked {
            asked.micros_ago = asked.micros_ago.saturating_add(micros + error);
        }
    }

    pub(crate) const fn asked(&mut self, nonce: Nonce) {
        self.asked = Some(Question { nonce, micros_ago: 0 });
    }

    pub(crate) fn told(&mut self, beacon: &Beacon<'_>) {
        self.time = self.time.told(beacon, self.asked.as_ref());
        if self.asked.is_some_and(|asked| beacon.answers == Some(asked.nonce)) {
            self.asked = None;
        }
    }
}
