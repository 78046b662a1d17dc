//! What a device knows of the time. A device without a clock knows what signed beacons told it, and how much time its
//! own oscillator has counted since.

use thingward_model::Timestamp;

use crate::{Beacon, Nonce, Refusal};

/// How long after its question a device takes an answer for one, in microseconds: a minute. What it does not know is how
/// much of that the answer has spent on its way.
pub const ANSWER_MICROS_MAX: i64 = 60 * 1_000_000;
/// A beacon has whole seconds, so it is up to so much later than it says, in microseconds.
const BEACON_STEP_MICROS: i64 = 1_000_000;

/// What is known of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// Nothing.
    Unknown,
    /// It is this or later, nobody knows how much: from a beacon that answered nothing.
    AtLeast(Timestamp),
    /// It is between these, both included: from a clock, or a beacon that answered.
    Between {
        /// Not before this.
        earliest: Timestamp,
        /// Not after this.
        latest: Timestamp,
    },
}

/// What a device asked for the time with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Random, and of this question only.
    pub nonce: Nonce,
    /// How long ago it was sent, at most, in microseconds by the device's oscillator.
    pub micros_ago: i64,
}

impl Time {
    /// What a clock says that is right to within `error_micros` microseconds.
    #[must_use]
    pub const fn clock(now: Timestamp, error_micros: i64) -> Self {
        Self::Between { earliest: now.plus_micros(-error_micros), latest: now.plus_micros(error_micros) }
    }

    /// What is known after a verified beacon came. What was known to be past stays past, whatever a beacon says.
    #[must_use]
    pub fn told(self, beacon: &Beacon<'_>, question: Option<&Question>) -> Self {
        let (known, bound) = match self {
            Self::Unknown => (beacon.time, None),
            Self::AtLeast(earliest) => (earliest, None),
            Self::Between { earliest, latest } => (earliest, Some(latest)),
        };
        let earliest = known.max(beacon.time);
        let is_answer = |q: &&Question| {
            beacon.answers == Some(q.nonce) && (0..=ANSWER_MICROS_MAX).contains(&q.micros_ago)
        };
        let told = question
            .filter(is_answer)
            .map(|q| beacon.time.plus_micros(BEACON_STEP_MICROS).plus_micros(q.micros_ago));
        // A bound that the past has overtaken was wrong, and nothing is left of it.
        match told.or(bound).filter(|latest| *latest >= earliest) {
            Some(latest) => Self::Between { earliest, latest },
            None => Self::AtLeast(earliest),
        }
    }

    /// What is known when at least `least` and at most `most` microseconds have gone by, as far as the oscillator can be
    /// trusted. A device that slept for nobody knows how long passes [`i64::MAX`] for `most`.
    #[must_use]
    pub fn after(self, least: i64, most: i64) -> Self {
        let least = least.max(0);
        match self {
            Self::Unknown => Self::Unknown,
            Self::AtLeast(earliest) => Self::AtLeast(earliest.plus_micros(least)),
            Self::Between { earliest, latest } => Self::Between {
                earliest: earliest.plus_micros(least),
                latest: latest.plus_micros(most.max(least)),
            },
        }
    }

    /// Whether it is certain that a right counts that begins at `not_before` and ends at `expires`.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotYetValid`] or [`Refusal::Expired`] when the opposite is certain, [`Refusal::TimeUnknown`] when
    /// nothing is.
    pub fn check(self, not_before: Option<Timestamp>, expires: Option<Timestamp>) -> Result<(), Refusal> {
        let (earliest, latest) = match self {
            Self::Unknown => (None, None),
            Self::AtLeast(earliest) => (Some(earliest), None),
            Self::Between { earliest, latest } => (Some(earliest), Some(latest)),
        };
        if expires.is_some_and(|end| earliest.is_some_and(|now| now >= end)) {
            return Err(Refusal::Expired);
        }
        if not_before.is_some_and(|start| latest.is_some_and(|now| now < start)) {
            return Err(Refusal::NotYetValid);
        }
        let has_begun = not_before.is_none_or(|start| earliest.is_some_and(|now| now >= start));
        let is_left = expires.is_none_or(|end| latest.is_some_and(|now| now < end));
        if has_begun && is_left { Ok(()) } else { Err(Refusal::TimeUnknown) }
    }
}
