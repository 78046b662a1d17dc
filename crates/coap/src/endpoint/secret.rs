//! What nobody outside can guess: tokens, and how long to wait.

use core::time::Duration;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::limits::ACK_TIMEOUT;
use crate::message::Token;

/// Numbers from a seed, so that the endpoint needs no source of randomness.
pub(super) struct Unguessable {
    seed: Zeroizing<[u8; 32]>,
    count: u64,
}

impl Unguessable {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { seed: Zeroizing::new(seed), count: 0 }
    }

    fn next(&mut self) -> [u8; 8] {
        self.count += 1;
        let digest = Sha256::new().chain_update(self.seed.as_slice()).chain_update(self.count.to_be_bytes());
        digest.finalize().first_chunk().copied().unwrap_or_default()
    }

    /// RFC 7252 §5.3.1: so that nobody can answer who has not seen the request.
    pub(super) fn token(&mut self) -> Token {
        Token::new(&self.next()).unwrap_or_default()
    }

    pub(super) fn message_id(&mut self) -> u16 {
        let [high, low, ..] = self.next();
        u16::from_be_bytes([high, low])
    }

    /// The first wait for an acknowledgement: RFC 7252 §4.2.
    pub(super) fn ack_timeout(&mut self) -> Duration {
        let [byte, ..] = self.next();
        ACK_TIMEOUT + ACK_TIMEOUT * u32::from(byte) / 512
    }
}
