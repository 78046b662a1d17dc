//! How often a place may be wrong: with claim codes, with links and passkeys.

use std::collections::HashMap;
use std::net::IpAddr;

use thingward_model::Timestamp;

use crate::place;

/// Most wrong claim codes of one place in a window.
pub const GUESSES_MAX: u8 = 5;
/// Length of a window, in seconds.
pub const GUESS_WINDOW_SECONDS: i64 = 60;
/// Most places remembered. Past it the ones whose window is over go; when none is over, all new places wait.
const PLACES_MAX: usize = 10_000;

/// Wrong codes by [`place`].
#[derive(Debug)]
pub struct Guesses {
    places: HashMap<IpAddr, Window>,
    wrong_max: u8,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    start: Timestamp,
    wrong: u8,
}

impl Window {
    fn is_over(self, now: Timestamp) -> bool {
        let seconds = now.micros_since(self.start).div_euclid(1_000_000);
        !(0..GUESS_WINDOW_SECONDS).contains(&seconds)
    }
}

impl Guesses {
    /// None yet, of which so many are too many.
    #[must_use]
    pub fn new(wrong_max: u8) -> Self {
        Self { places: HashMap::new(), wrong_max }
    }

    /// Whether a code from `from` is looked at.
    #[must_use]
    pub fn allows(&self, from: IpAddr, now: Timestamp) -> bool {
        match self.places.get(&place(from)) {
            Some(window) => window.is_over(now) || window.wrong < self.wrong_max,
            None => self.places.len() < PLACES_MAX || self.places.values().any(|w| w.is_over(now)),
        }
    }

    /// A code from `from` was wrong.
    pub fn wrong(&mut self, from: IpAddr, now: Timestamp) {
        if self.places.len() >= PLACES_MAX {
            self.places.retain(|_, window| !window.is_over(now));
        }
        let window = self.places.entry(place(from)).or_insert(Window { start: now, wrong: 0 });
        if window.is_over(now) {
            *window = Window { start: now, wrong: 0 };
        }
        window.wrong = window.wrong.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn after(seconds: i64) -> Timestamp {
        START.plus_micros(seconds * 1_000_000)
    }

    #[test]
    fn five_wrong_codes_in_a_minute_close_the_door_for_that_place_only() {
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let mut guesses = Guesses::new(GUESSES_MAX);
        for n in 0..5 {
            assert!(guesses.allows(one, after(n)), "{n}");
            guesses.wrong(one, after(n));
        }
        assert!(!guesses.allows(one, after(59)));
        assert!(guesses.allows(other, after(59)));
        assert!(guesses.allows(one, after(60)));
        guesses.wrong(one, after(60));
        assert!(guesses.allows(one, after(61)));
    }

    #[test]
    fn a_network_of_ipv6_is_one_place() {
        let mut guesses = Guesses::new(GUESSES_MAX);
        for n in 1..=5 {
            guesses.wrong(format!("2001:db8::{n}").parse().unwrap(), START);
        }
        assert!(!guesses.allows("2001:db8::ffff".parse().unwrap(), START));
        assert!(guesses.allows("2001:db8:0:1::1".parse().unwrap(), START));
    }

    #[test]
    fn memory_stays_bounded_when_everyone_guesses() {
        let mut guesses = Guesses::new(GUESSES_MAX);
        for n in 0..12_000_u32 {
            let from = IpAddr::from(n.to_be_bytes());
            if guesses.allows(from, START) {
                guesses.wrong(from, START);
            }
        }
        assert_eq!(guesses.places.len(), PLACES_MAX);
        guesses.wrong("192.0.2.1".parse().unwrap(), after(61));
        assert_eq!(guesses.places.len(), 1);
    }
}
