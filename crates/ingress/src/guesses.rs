//! How often a place may be wrong: with claim codes, with links and passkeys.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thingward_model::Timestamp;

use crate::place;

/// Most wrong claim codes of one place in a window.
pub const GUESSES_MAX: u8 = 5;
/// Length of a window, in seconds.
pub const GUESS_WINDOW_SECONDS: i64 = 60;
/// Most places remembered. Past it those of a window that is over go; when none is over, new places are counted by the wider one
/// that they are in, so that one network cannot keep everybody else out.
const PLACES_MAX: usize = 10_000;
/// Most wider places remembered beside them; when none is over, all new places wait.
const WIDE_PLACES_MAX: usize = 10_000;

/// Wrong codes by [`place`].
#[derive(Debug)]
pub struct Guesses {
    places: Places,
    wide: Places,
    wrong_max: u8,
}

/// Windows of so many places at most.
#[derive(Debug)]
struct Places {
    windows: HashMap<IpAddr, Window>,
    max: usize,
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

impl Places {
    fn new(max: usize) -> Self {
        Self { windows: HashMap::new(), max }
    }

    /// Whether something is known of the place, or there is room for it.
    fn takes(&self, place: IpAddr, now: Timestamp) -> bool {
        self.windows.len() < self.max
            || self.windows.contains_key(&place)
            || self.windows.values().any(|window| window.is_over(now))
    }

    fn allows(&self, place: IpAddr, wrong_max: u8, now: Timestamp) -> bool {
        let has_room = |window: &Window| window.is_over(now) || window.wrong < wrong_max;
        self.windows.get(&place).map_or_else(|| self.takes(place, now), has_room)
    }

    fn wrong(&mut self, place: IpAddr, now: Timestamp) {
        if self.windows.len() >= self.max {
            self.windows.retain(|_, window| !window.is_over(now));
        }
        let fresh = Window { start: now, wrong: 0 };
        let window = self.windows.entry(place).or_insert(fresh);
        if window.is_over(now) {
            *window = fresh;
        }
        window.wrong = window.wrong.saturating_add(1);
    }
}

impl Guesses {
    /// None yet, of which so many are too many.
    #[must_use]
    pub fn new(wrong_max: u8) -> Self {
        Self { places: Places::new(PLACES_MAX), wide: Places::new(WIDE_PLACES_MAX), wrong_max }
    }

    /// Whether a code from `from` is looked at.
    #[must_use]
    pub fn allows(&self, from: IpAddr, now: Timestamp) -> bool {
        let place = place(from);
        if self.places.takes(place, now) {
            self.places.allows(place, self.wrong_max, now)
        } else {
            self.wide.allows(wide_place(place), self.wrong_max, now)
        }
    }

    /// A code from `from` was wrong.
    pub fn wrong(&mut self, from: IpAddr, now: Timestamp) {
        let place = place(from);
        if self.places.takes(place, now) {
            self.places.wrong(place, now);
        } else {
            self.wide.wrong(wide_place(place), now);
        }
    }
}

/// The network that a [`place`] is in, as large as one owner may have at no cost: /24 of IPv4, /48 of IPv6.
fn wide_place(place: IpAddr) -> IpAddr {
    match place {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> 48)).into(),
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
        for n in 0..4_000_000_u32 {
            let from = IpAddr::from((n * 997).to_be_bytes());
            guesses.wrong(from, START);
            if guesses.wide.windows.len() == WIDE_PLACES_MAX {
                break;
            }
        }
        assert_eq!(guesses.places.windows.len(), PLACES_MAX);
        assert!(!guesses.allows("2001:db8::1".parse().unwrap(), START), "nobody is left to count it with");
        guesses.wrong("192.0.2.1".parse().unwrap(), after(61));
        assert_eq!(guesses.places.windows.len(), 1);
    }

    #[test]
    fn a_network_with_many_places_keeps_itself_out_and_nobody_else() {
        let mut guesses = Guesses::new(GUESSES_MAX);
        let own = |n: u16| IpAddr::from([0x2001, 0xdb8, 1, n, 0, 0, 0, 1]);
        (0..=u16::MAX).for_each(|n| guesses.wrong(own(n), START));
        assert!(!guesses.allows(own(u16::MAX), START) && guesses.allows(own(3), START));
        let other = "2001:db9::1".parse().unwrap();
        for n in 0..5 {
            assert!(
                guesses.allows(other, after(n)) && guesses.allows("192.0.2.1".parse().unwrap(), after(n))
            );
            guesses.wrong(other, after(n));
        }
        assert!(!guesses.allows(other, after(6)) && guesses.allows(other, after(61)));
    }
}
