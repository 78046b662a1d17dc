//! How much work those may cause here of whom nothing is known: RFC 9175 §2.4 for where they are.
//!
//! There are handshakes for addresses that proved nothing, as long as they come slowly. Once they come fast an address
//! has to show that it hears what is sent to it, and then has a budget of its own. So a flood of made-up addresses costs one
//! hash each, and those who are there go on.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;
use thingward_crypto::sha256;
use zeroize::Zeroizing;

use crate::place;

/// Handshakes of addresses that proved nothing: so many at once, then so many a second.
const UNPROVED: Rate = Rate { burst: 24.0, per_second: 4.0 };
/// Handshakes of one place whose addresses did. Many things may be behind it.
const PROVED: Rate = Rate { burst: 32.0, per_second: 2.0 };
/// Handshakes of a site, which may have many places: a /48 of IPv6.
const OF_SITE: Rate = Rate { burst: 64.0, per_second: 8.0 };
/// Handshakes of all places together whose addresses did: what one core has done in half its time, so that members go on
/// whoever comes, and from however many places.
const ALL_PROVED: Rate = Rate { burst: 256.0, per_second: 128.0 };
/// Those of them that are for places that were not there lately.
const RESERVE: f64 = 64.0;
const LATELY: Duration = Duration::from_secs(60);
/// Most places and sites with a budget of their own.
const PLACES_MAX: usize = 1024;
/// How long what an address has to repeat is good: this to twice this.
const PROOF_LIFE: Duration = Duration::from_secs(30);
const PROOF_BYTES: usize = 8;

struct Rate {
    burst: f64,
    per_second: f64,
}

/// A bucket of tokens.
#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
    /// When one was taken last.
    taken: Option<Instant>,
}

impl Bucket {
    const fn full(rate: &Rate, now: Instant) -> Self {
        Self { tokens: rate.burst, at: now, taken: None }
    }

    fn fill(&mut self, rate: &Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * rate.per_second).min(rate.burst);
        self.at = now;
    }

    fn take(&mut self, rate: &Rate, now: Instant) -> bool {
        self.take_above(0.0, rate, now)
    }

    /// Takes one, unless fewer than these would be left.
    fn take_above(&mut self, left: f64, rate: &Rate, now: Instant) -> bool {
        self.fill(rate, now);
        let is_there = self.tokens >= 1.0 + left;
        if is_there {
            self.tokens -= 1.0;
            self.taken = Some(now);
        }
        is_there
    }

    fn was_there(&self, now: Instant) -> bool {
        self.taken.is_some_and(|at| now.saturating_duration_since(at) < LATELY)
    }
}

/// What the answer is, for whoever it is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Small,
    /// Certificates: many times the question, and for nobody who does not hear it.
    Large,
}

/// What becomes of a handshake.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Now,
    /// When these bytes are repeated.
    Proved([u8; PROOF_BYTES]),
    /// Not so soon.
    Later,
}

/// See the module.
pub(super) struct Budget {
    secret: Zeroizing<[u8; 32]>,
    start: Instant,
    unproved: Bucket,
    proved: Bucket,
    /// Sites are apart from places by their last bits, which a place of IPv6 has none of.
    places: HashMap<IpAddr, Bucket>,
}

impl Budget {
    /// `secret` is random.
    pub(super) fn new(secret: [u8; 32], now: Instant) -> Self {
        Self {
            secret: Zeroizing::new(secret),
            start: now,
            unproved: Bucket::full(&UNPROVED, now),
            proved: Bucket::full(&ALL_PROVED, now),
            places: HashMap::new(),
        }
    }

    /// A handshake is to begin.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        address: SocketAddr,
        size: Size,
        proof: Option<&[u8]>,
    ) -> Admission {
        let epoch = now.saturating_duration_since(self.start).as_secs() / PROOF_LIFE.as_secs();
        let Some(proof) = proof else {
            let is_slow = size == Size::Small && self.unproved.take(&UNPROVED, now);
            return if is_slow { Admission::Now } else { Admission::Proved(self.proof(address, epoch)) };
        };
        let is_fresh = [Some(epoch), epoch.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|e| self.proof(address, e).ct_eq(proof).into());
        if !is_fresh {
            return Admission::Proved(self.proof(address, epoch));
        }
        if self.take_all(now, address.ip()).is_some() { Admission::Now } else { Admission::Later }
    }

    /// Takes one of the place, its site, and all, or nothing.
    fn take_all(&mut self, now: Instant, address: IpAddr) -> Option<()> {
        let mut own: Vec<(IpAddr, &Rate, Bucket)> = Vec::with_capacity(2);
        for (at, rate) in
            site(address).map(|site| (site, &OF_SITE)).into_iter().chain([(place(address), &PROVED)])
        {
            let mut bucket = self.places.get(&at).copied().unwrap_or(Bucket::full(rate, now));
            bucket.fill(rate, now);
            own.push((at, rate, bucket));
        }
        let was_there = own.last().is_some_and(|(.., place)| place.was_there(now));
        let are_there = own.iter_mut().all(|(_, rate, bucket)| bucket.take(rate, now));
        let reserve = if was_there { RESERVE } else { 0.0 };
        if !are_there || !self.has_room_for(&own, now) || !self.proved.take_above(reserve, &ALL_PROVED, now) {
            return None;
        }
        self.places.extend(own.into_iter().map(|(at, _, bucket)| (at, bucket)));
        Some(())
    }

    /// Whether these may have budgets of their own. Who would have a full one needs none.
    fn has_room_for(&mut self, own: &[(IpAddr, &Rate, Bucket)], now: Instant) -> bool {
        let new = own.iter().filter(|(at, ..)| !self.places.contains_key(at)).count();
        if self.places.len() + new > PLACES_MAX {
            self.places.retain(|at, bucket| {
                let rate = if is_site(at) { &OF_SITE } else { &PROVED };
                bucket.fill(rate, now);
                bucket.tokens < rate.burst
            });
        }
        self.places.len() + new <= PLACES_MAX
    }

    /// What this address has to repeat. Nobody else can say it who does not hear what is sent there.
    fn proof(&self, address: SocketAddr, epoch: u64) -> [u8; PROOF_BYTES] {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let digest = sha256(&[
            self.secret.as_slice(),
            &ip.octets(),
            &address.port().to_be_bytes(),
            &epoch.to_be_bytes(),
        ]);
        digest.first_chunk().copied().unwrap_or_default()
    }
}

/// The site of an address of IPv6, as an address that no place has.
fn site(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address.to_canonical() else { return None };
    Some(Ipv6Addr::from_bits(address.to_bits() >> 80 << 80 | 1).into())
}

const fn is_site(at: &IpAddr) -> bool {
    matches!(at, IpAddr::V6(at) if at.to_bits() & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], 5683))
    }

    #[test]
    fn a_flood_of_addresses_leaves_those_who_hear_their_answers_served() {
        let now = Instant::now();
        let mut budget = Budget::new([7; 32], now);
        let spoofed =
            (0..200).filter(|host| budget.admit(now, address(*host), Size::Small, None) == Admission::Now);
        assert_eq!(spoofed.count(), 24);
        let honest = address(250);
        let Admission::Proved(proof) = budget.admit(now, honest, Size::Small, None) else {
            panic!("no proof is asked")
        };
        assert_eq!(budget.admit(now, honest, Size::Small, Some(&proof)), Admission::Now);
        assert!(matches!(budget.admit(now, address(251), Size::Small, Some(&proof)), Admission::Proved(_)));
        assert!(matches!(budget.admit(now, honest, Size::Small, Some(&[0; 8])), Admission::Proved(_)));
        let later = now + 3 * PROOF_LIFE;
        assert!(matches!(budget.admit(later, honest, Size::Small, Some(&proof)), Admission::Proved(_)));
        assert_eq!(budget.admit(later, honest, Size::Small, None), Admission::Now);
    }

    #[test]
    fn certificates_are_sent_to_nobody_who_has_not_shown_that_they_hear_it() {
        let now = Instant::now();
        let mut budget = Budget::new([7; 32], now);
        let proof = match budget.admit(now, address(1), Size::Large, None) {
            Admission::Proved(proof) => proof,
            other => panic!("{other:?}"),
        };
        assert_eq!(budget.admit(now, address(1), Size::Large, Some(&proof)), Admission::Now);
        assert_eq!(budget.admit(now, address(1), Size::Small, None), Admission::Now);
    }

    #[test]
    fn all_places_together_have_a_bound_and_it_is_there_again_soon() {
        let now = Instant::now();
        let mut budget = Budget::new([7; 32], now);
        let taken = |budget: &mut Budget, now: Instant| {
            let one_each = (0..1000_u16).filter(|host| {
                let [high, low] = host.to_be_bytes();
                let far = SocketAddr::from(([198, 18, high, low], 1));
                let Admission::Proved(proof) = budget.admit(now, far, Size::Large, None) else { panic!() };
                budget.admit(now, far, Size::Large, Some(&proof)) == Admission::Now
            });
            one_each.count()
        };
        assert_eq!(taken(&mut budget, now), 256);
        assert_eq!(taken(&mut budget, now), 0);
        // Half of it by places that were there a moment ago, half by others.
        assert_eq!(taken(&mut budget, now + Duration::from_secs(1)), 128);
    }

    #[test]
    fn an_address_that_proved_itself_has_its_own_bounds() {
        let now = Instant::now();
        let mut budget = Budget::new([7; 32], now);
        budget.unproved.tokens = 0.0;
        let proof_of = |budget: &mut Budget, who| match budget.admit(now, who, Size::Small, None) {
            Admission::Proved(proof) => proof,
            other => panic!("{other:?}"),
        };
        let (one, other) = (proof_of(&mut budget, address(1)), proof_of(&mut budget, address(2)));
        let taken = (0..100)
            .filter(|_| budget.admit(now, address(1), Size::Small, Some(&one)) == Admission::Now)
            .count();
        assert_eq!(taken, 32);
        assert_eq!(budget.admit(now, address(1), Size::Small, Some(&one)), Admission::Later);
        assert_eq!(budget.admit(now, address(2), Size::Small, Some(&other)), Admission::Now);
    }

    fn admitted(budget: &mut Budget, now: Instant, from: SocketAddr) -> bool {
        let Admission::Proved(proof) = budget.admit(now, from, Size::Large, None) else { panic!() };
        budget.admit(now, from, Size::Large, Some(&proof)) == Admission::Now
    }

    #[test]
    fn a_site_with_a_thousand_places_leaves_most_to_others() {
        let now = Instant::now();
        let mut budget = Budget::new([7; 32], now);
        let places = (0..1000_u16).map(|n| SocketAddr::from(([0x2001, 0xdb8, 7, n, 0, 0, 0, 1], 1)));
        let taken = places.filter(|from| admitted(&mut budget, now, *from)).count();
        assert_eq!((taken, budget.places.len()), (64, 65));
        assert!(admitted(&mut budget, now, address(1)));
    }

    #[test]
    fn who_was_there_a_moment_ago_leaves_a_reserve_to_who_was_not() {
        let mut now = Instant::now();
        let mut budget = Budget::new([7; 32], now);
        for _ in 0..1000 {
            now += Duration::from_millis(10);
            for host in 0..200 {
                admitted(&mut budget, now, address(host));
            }
        }
        assert!((0..50).all(|host| admitted(&mut budget, now, SocketAddr::from(([198, 51, 100, host], 1)))));
    }
}
