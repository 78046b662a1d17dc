//! Bounds of connections.

use std::time::Duration;

/// Bounds of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Most connections of one listener.
    pub connections_max: usize,
    /// Most connections of one member to one listener.
    pub connections_per_member_max: usize,
    /// Most messages of one member to one listener in a second, over all its connections, or what costs as much: other packets,
    /// filters in them, and retained messages that a subscription asks for. More wait on its side.
    pub messages_per_second_max: u32,
    /// Most TLS handshakes at a time of one listener. One more ends the oldest of the address that has most.
    pub handshakes_max: usize,
    /// Longest handshake.
    pub handshake_timeout: Duration,
}

impl Default for ConnectionLimits {
    /// 10 000 connections, 64 of a member and 10 000 messages of it in a second, and 256 handshakes of at most 10 seconds.
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_member_max: 64,
            messages_per_second_max: 10_000,
            handshakes_max: 256,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}
