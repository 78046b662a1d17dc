//! How much an endpoint keeps, and the times of RFC 7252 §4.8.

use core::time::Duration;

/// What an endpoint keeps at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Own requests and observations that are not over.
    pub exchanges_max: usize,
    /// Requests of others that were not answered, and by themselves responses that were not acknowledged.
    pub asked_max: usize,
    /// Those who observe something here.
    pub observers_max: usize,
    /// Bodies that come or go in blocks at this end as the server.
    pub transfers_max: usize,
    /// Messages that are remembered for 247 seconds, so that they are not taken twice: 512 are two a second. Where more
    /// come, the oldest of the peer that sent most is forgotten.
    pub seen_max: usize,
    /// Of requests, responses, observers and transfers those that one peer may have; of transfers under a security context
    /// those that the context may have.
    pub per_peer_max: usize,
    /// Longest datagram in bytes that is taken. In memory one may be some thirty times as large: each option has its own.
    pub datagram_bytes_max: usize,
    /// Longest body in bytes, whichever way it goes.
    pub body_bytes_max: usize,
    /// As [`Self::body_bytes_max`], of requests without a security context: anybody may make those.
    pub open_body_bytes_max: usize,
    /// Size of a block as RFC 7959 §2.2 has it: 0 for 16 bytes to 6 for 1024.
    pub block_exponent: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            exchanges_max: 64,
            asked_max: 64,
            observers_max: 64,
            transfers_max: 16,
            seen_max: 512,
            per_peer_max: 8,
            datagram_bytes_max: 2048,
            body_bytes_max: 64 * 1024,
            open_body_bytes_max: 64 * 1024,
            block_exponent: 6,
        }
    }
}

/// ACK_TIMEOUT; the first wait is this to one and a half times this (ACK_RANDOM_FACTOR).
pub(super) const ACK_TIMEOUT: Duration = Duration::from_secs(2);
pub(super) const MAX_RETRANSMIT: u32 = 4;
/// EXCHANGE_LIFETIME: how long a message id means the same message, and a request may be answered.
pub(super) const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);
/// After so long an acknowledgement goes without the response: well within ACK_TIMEOUT, §5.2.2.
pub(super) const ACK_DELAY: Duration = Duration::from_secs(1);
/// RFC 7641 §3.4: after so long any notification is newer.
pub(super) const NOTIFICATION_AGE: Duration = Duration::from_secs(128);
