//! Nonces that the device made and nobody has answered yet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rand_core::Rng;
use thingward_crypto::system_rng;
use thingward_device::NONCE_MICROS;
use thingward_grant::Nonce;
use thingward_model::Timestamp;

const LIFE_MICROS: i64 = NONCE_MICROS as i64;
/// Most nonces that wait.
const OPEN_MAX: usize = 256;
/// Most of them for one peer. Its oldest gives way to its next, so that nobody takes the room of the others.
const OPEN_OF_PEER_MAX: usize = 8;

/// As many nonces are open as the device keeps; one that is not answered ends after a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many others ask; ask again in a minute")]
pub struct Busy;

struct Open {
    peer: IpAddr,
    made: Timestamp,
}

/// See the module.
#[derive(Default)]
pub(super) struct Nonces(BTreeMap<Nonce, Open>);

impl Nonces {
    /// Makes a nonce for a presentation by `peer`.
    pub(super) fn make(&mut self, peer: IpAddr, now: Timestamp) -> Result<Nonce, Busy> {
        // A clock that was set back ends them too.
        self.0.retain(|_, open| (0..LIFE_MICROS).contains(&now.micros_since(open.made)));
        let own = self.0.iter().filter(|(_, open)| open.peer == peer);
        if own.clone().count() >= OPEN_OF_PEER_MAX
            && let Some(oldest) = own.min_by_key(|(_, open)| open.made).map(|(nonce, _)| *nonce)
        {
            self.0.remove(&oldest);
        }
        if self.0.len() >= OPEN_MAX {
            return Err(Busy);
        }
        let mut nonce = Nonce::default();
        system_rng().fill_bytes(&mut nonce);
        self.0.insert(nonce, Open { peer, made: now });
        Ok(nonce)
    }

    /// Whether the device made this nonce lately. It is spent then.
    pub(super) fn spend(&mut self, nonce: &Nonce, now: Timestamp) -> bool {
        let open = self.0.remove(nonce);
        open.is_some_and(|open| (0..LIFE_MICROS).contains(&now.micros_since(open.made)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> IpAddr {
        [127, 0, 1, n].into()
    }

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + seconds)
    }

    #[test]
    fn a_nonce_is_spent_once_and_within_a_minute() {
        let mut nonces = Nonces::default();
        let [one, late, back] = [0, 0, 10].map(|s| nonces.make(peer(1), at(s)).unwrap());
        assert!(nonces.spend(&one, at(1)) && !nonces.spend(&one, at(1)));
        assert!(!nonces.spend(&late, at(60)));
        assert!(!nonces.spend(&back, at(9)), "the clock was set back");
        assert!(!nonces.spend(&Nonce::default(), at(1)));
    }

    #[test]
    fn who_asks_for_many_loses_his_own_oldest_and_nobody_elses() {
        let mut nonces = Nonces::default();
        let other = nonces.make(peer(2), at(0)).unwrap();
        let first = nonces.make(peer(1), at(0)).unwrap();
        let next: Vec<_> = (0..8).map(|n| nonces.make(peer(1), at(1).plus_micros(n)).unwrap()).collect();
        assert!(!nonces.spend(&first, at(2)));
        assert!(nonces.spend(&other, at(2)));
        assert!(next.iter().all(|nonce| nonces.spend(nonce, at(2))));
    }

    #[test]
    fn what_many_peers_left_open_ends_after_a_minute() {
        let mut nonces = Nonces::default();
        let peers = (0..40).map(peer);
        let refused = peers.flat_map(|p| [p; 8]).filter(|p| nonces.make(*p, at(0)).is_err()).count();
        assert_eq!(refused, 40 * 8 - OPEN_MAX);
        assert!(nonces.make(peer(99), at(59)).is_err());
        assert!(nonces.make(peer(99), at(60)).is_ok());
    }
}
