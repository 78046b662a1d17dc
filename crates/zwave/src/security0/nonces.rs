//! Nonces: ours, which others may use once and soon, and those that others told us.

use std::collections::VecDeque;
use std::time::Duration;

use rand_core::CryptoRng;

use super::Nonce;
use crate::NodeId;

/// How long a nonce of ours may be used: CC, Security 0, "nonce timers" (3 to 20 seconds, 10 recommended).
const LIFETIME: Duration = Duration::from_secs(10);
/// Nonces that are out at one time: a flood of requests pushes out the oldest.
const OUT_MAX: usize = 32;

/// Our nonces that are out.
#[derive(Default)]
pub struct OwnNonces {
    out: VecDeque<(NodeId, Nonce, Duration)>,
}

impl OwnNonces {
    /// A nonce for a node. Its first byte, which names it, is not that of another that is out for this node.
    pub fn tell(&mut self, node: NodeId, now: Duration, rng: &mut impl CryptoRng) -> Nonce {
        self.expire(now);
        let mut nonce = Nonce::default();
        loop {
            rng.fill_bytes(&mut nonce);
            if !self.out.iter().any(|(to, out, _)| *to == node && out.first() == nonce.first()) {
                break;
            }
        }
        if self.out.len() == OUT_MAX {
            self.out.pop_front();
        }
        self.out.push_back((node, nonce, now));
        nonce
    }

    /// The nonce that a node names, once.
    pub fn take(&mut self, node: NodeId, id: u8, now: Duration) -> Option<Nonce> {
        self.expire(now);
        let named = |(to, nonce, _): &(NodeId, Nonce, Duration)| *to == node && nonce.first() == Some(&id);
        let at = self.out.iter().position(named)?;
        self.out.remove(at).map(|(_, nonce, _)| nonce)
    }

    fn expire(&mut self, now: Duration) {
        self.out.retain(|(_, _, told)| now.saturating_sub(*told) < LIFETIME);
    }
}
