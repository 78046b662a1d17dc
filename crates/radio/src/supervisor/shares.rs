//! Fair shares of what a gateway takes from one radio.

use std::collections::HashMap;
use std::time::Duration;

use crate::wire::Address;

/// Reports per second of one thing, and how many it may save up.
const OF_ONE_THING: f64 = 50.0;
const OF_ONE_THING_SAVED: f64 = 100.0;
/// Reports per second of a radio, and how many it may save up.
const IN_ALL: f64 = 2000.0;
const IN_ALL_SAVED: f64 = 4000.0;
/// Most things that are counted each for itself. The others have one share together.
const THINGS_MAX: usize = 2048;

/// How often those who were quiet are forgotten, when there is no room for others.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// What is taken from whom.
pub(super) struct Shares {
    things: HashMap<Address, Share>,
    forget_at: Duration,
    others: Share,
    radio: Share,
}

/// What becomes of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    Taken,
    /// It is dropped, as the first of a flood of this thing.
    Flood,
    /// It is dropped, as the first of a flood of all things together.
    RadioFlood,
    /// It is dropped.
    Dropped,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            things: HashMap::new(),
            forget_at: Duration::ZERO,
            others: Share::of_one_thing(),
            radio: Share::full(IN_ALL, IN_ALL_SAVED),
        }
    }
}

impl Shares {
    /// Decides about a report of this thing.
    pub(super) fn take(&mut self, thing: &Address, now: Duration) -> Fate {
        let is_known = self.things.contains_key(thing);
        if !is_known && self.things.len() >= THINGS_MAX && now >= self.forget_at {
            self.things.retain(|_, share| !share.is_full(now));
            self.forget_at = now + FORGET_EVERY;
        }
        let share = if is_known || self.things.len() < THINGS_MAX {
            self.things.entry(thing.clone()).or_insert_with(Share::of_one_thing)
        } else {
            &mut self.others
        };
        // Of what one thing has too much of, the others lose nothing.
        match share.take(now) {
            Taken::No => return Fate::Dropped,
            Taken::NotAnyMore => return Fate::Flood,
            Taken::Yes => {}
        }
        match self.radio.take(now) {
            Taken::No => Fate::Dropped,
            Taken::NotAnyMore => Fate::RadioFlood,
            Taken::Yes => Fate::Taken,
        }
    }
}

/// A token bucket.
pub(super) struct Share {
    per_second: f64,
    most: f64,
    left: f64,
    at: Duration,
    is_flooded: bool,
}

/// Whether there was something left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    /// For the first time since all was saved up.
    NotAnyMore,
    No,
}

impl Share {
    /// So many each second, and so many that are saved up: from the start.
    pub(super) const fn full(per_second: f64, most: f64) -> Self {
        Self { per_second, most, left: most, at: Duration::ZERO, is_flooded: false }
    }

    const fn of_one_thing() -> Self {
        Self::full(OF_ONE_THING, OF_ONE_THING_SAVED)
    }

    pub(super) fn take(&mut self, now: Duration) -> Taken {
        self.is_flooded &= !self.is_full(now);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Taken::Yes;
        }
        if std::mem::replace(&mut self.is_flooded, true) { Taken::No } else { Taken::NotAnyMore }
    }

    fn is_full(&mut self, now: Duration) -> bool {
        let past = now.saturating_sub(self.at).as_secs_f64();
        self.left = past.mul_add(self.per_second, self.left).min(self.most);
        self.at = self.at.max(now);
        self.left >= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Address {
        Address::fitting(name)
    }

    /// How many of so many reports, one after another over a second, are taken.
    fn taken(shares: &mut Shares, thing: &Address, count: u32, from: Duration) -> u32 {
        let at = |number| from + Duration::from_secs(1) * number / count;
        (0..count).map(|number| u32::from(shares.take(thing, at(number)) == Fate::Taken)).sum()
    }

    #[test]
    fn a_thing_has_what_it_saved_up_and_its_share_from_then_on() {
        let mut shares = Shares::default();
        let seconds = |second| Duration::from_secs(second);
        assert_eq!(taken(&mut shares, &named("loud"), 10_000, seconds(1)), 149);
        let later = taken(&mut shares, &named("loud"), 10_000, seconds(2));
        assert!((49..=51).contains(&later), "{later}");
        assert_eq!(taken(&mut shares, &named("other"), 50, seconds(2)), 50);
    }

    #[test]
    fn a_flood_is_told_once_until_the_thing_was_quiet() {
        let mut shares = Shares::default();
        let mut floods = |second: u64| {
            let fates = (0..1000).map(|_| shares.take(&named("loud"), Duration::from_secs(second)));
            fates.filter(|fate| *fate == Fate::Flood).count()
        };
        assert_eq!([floods(0), floods(1), floods(2), floods(4), floods(5)], [1, 0, 0, 1, 0]);
    }

    #[test]
    fn names_that_are_made_up_take_neither_memory_nor_more_than_the_share_of_the_radio() {
        let mut shares = Shares::default();
        let (mut all, mut radio_floods) = (0, 0);
        for number in 0..100_000_u32 {
            match shares.take(&named(&number.to_string()), Duration::from_secs(1) * number / 10_000) {
                Fate::Taken => all += 1,
                Fate::RadioFlood => radio_floods += 1,
                Fate::Flood | Fate::Dropped => {}
            }
        }
        assert!(shares.things.len() <= THINGS_MAX);
        assert!(all <= 4000 + 10 * 2000, "{all}");
        assert!(radio_floods <= 1);
    }
}
