//! Nonces that the device made, and remembers nothing of until somebody has answered one: whoever asks for many takes no room.

use std::collections::{BTreeMap, VecDeque};

use rand_core::Rng;
use subtle::ConstantTimeEq;
use thingward_crypto::mac::{MAC_KEY_BYTES, MacKey};
use thingward_crypto::system_rng;
use thingward_device::NONCE_MICROS;
use thingward_grant::Nonce;
use thingward_model::Timestamp;

const LIFE_SECONDS: u32 = NONCE_MICROS / 1_000_000;
/// Most permitted answers that are remembered, each until its nonce is over. There are never so many: each is a use that is counted.
const SPENT_MAX: usize = 4096;
/// Most refused answers that are remembered: anybody can make many, so that the oldest gives way.
const REFUSED_MAX: usize = 1024;
/// Bytes of a nonce in front of its tag: four of seconds, the others random.
const TOLD_BYTES: usize = 10;

/// See the module.
pub(super) struct Nonces {
    /// Of this start: what was made before is over.
    key: MacKey,
    /// With the second in which it was made.
    spent: BTreeMap<Nonce, u32>,
    refused: VecDeque<Nonce>,
}

impl Default for Nonces {
    fn default() -> Self {
        let mut key = [0; MAC_KEY_BYTES];
        system_rng().fill_bytes(&mut key);
        Self { key: MacKey::new(&key), spent: BTreeMap::new(), refused: VecDeque::new() }
    }
}

/// The clock of nonces, which goes round in 136 years.
const fn seconds(time: Timestamp) -> u32 {
    let [_, _, _, _, last @ ..] = time.as_seconds().to_be_bytes();
    u32::from_be_bytes(last)
}

impl Nonces {
    /// Makes a nonce for one presentation.
    pub(super) fn make(&self, now: Timestamp) -> Nonce {
        let mut told = [0; TOLD_BYTES];
        system_rng().fill_bytes(&mut told);
        let (time, _) = told.split_at_mut(4);
        time.copy_from_slice(&seconds(now).to_be_bytes());
        self.with_tag(&told)
    }

    fn with_tag(&self, told: &[u8; TOLD_BYTES]) -> Nonce {
        let tag = self.key.tag(&[told]);
        let mut nonce = Nonce::default();
        nonce.iter_mut().zip(told.iter().chain(&tag)).for_each(|(to, from)| *to = *from);
        nonce
    }

    /// Whether the device made this nonce lately, and it is not spent.
    pub(super) fn is_open(&self, nonce: &Nonce, now: Timestamp) -> bool {
        let Some((told, _)) = nonce.split_first_chunk() else { return false };
        let Some((made, _)) = told.split_first_chunk() else { return false };
        let is_ours: bool = self.with_tag(told).ct_eq(nonce).into();
        is_ours
            && is_fresh(u32::from_be_bytes(*made), now)
            && !self.spent.contains_key(nonce)
            && !self.refused.contains(nonce)
            && self.spent.len() < SPENT_MAX
    }

    /// Its answer was refused, and is refused from here on.
    pub(super) fn refuse(&mut self, nonce: Nonce) {
        if self.refused.len() >= REFUSED_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back(nonce);
    }

    /// Its answer was permitted, and counts once.
    pub(super) fn spend(&mut self, nonce: Nonce, now: Timestamp) {
        self.spent.retain(|_, made| is_fresh(*made, now));
        let made = nonce.first_chunk().map_or(0, |made| u32::from_be_bytes(*made));
        self.spent.insert(nonce, made);
    }
}

/// A clock that was set back ends nonces too.
const fn is_fresh(made: u32, now: Timestamp) -> bool {
    seconds(now).wrapping_sub(made) < LIFE_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + seconds)
    }

    #[test]
    fn a_nonce_is_spent_once_and_within_a_minute() {
        let mut nonces = Nonces::default();
        let [one, late, back] = [0, 0, 10].map(|s| nonces.make(at(s)));
        assert!(nonces.is_open(&one, at(1)));
        nonces.spend(one, at(1));
        assert!(!nonces.is_open(&one, at(1)) && nonces.is_open(&late, at(59)));
        assert!(!nonces.is_open(&late, at(60)));
        assert!(!nonces.is_open(&back, at(9)), "the clock was set back");
        assert!(nonces.is_open(&back, at(10)));
    }

    #[test]
    fn nothing_but_what_this_device_made_since_its_start_is_open() {
        let nonces = Nonces::default();
        let nonce = nonces.make(at(0));
        assert!(!nonces.is_open(&Nonce::default(), at(1)));
        assert!(!Nonces::default().is_open(&nonce, at(1)), "made before a restart");
        for bit in 0..nonce.len() * 8 {
            let mut bent = nonce;
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(!nonces.is_open(&bent, at(1)), "{bit}");
        }
    }

    #[test]
    fn who_asks_for_many_takes_nobodys_nonce() {
        let mut nonces = Nonces::default();
        let first = nonces.make(at(0));
        let many: std::collections::BTreeSet<_> = (0..10_000).map(|_| nonces.make(at(0))).collect();
        assert!(many.len() == 10_000 && nonces.is_open(&first, at(1)) && nonces.spent.is_empty());
        many.iter().for_each(|nonce| nonces.refuse(*nonce));
        assert!(nonces.is_open(&first, at(1)) && nonces.refused.len() == REFUSED_MAX);
        assert!(!nonces.is_open(many.last().unwrap(), at(1)));
        many.iter().take(100).for_each(|nonce| nonces.spend(*nonce, at(1)));
        assert_eq!(nonces.spent.len(), 100);
        nonces.spend(nonces.make(at(61)), at(61));
        assert_eq!(nonces.spent.len(), 1, "those that are over are forgotten");
    }
}
