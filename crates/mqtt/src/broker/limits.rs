//! Every bound of the broker, with its default.

use crate::codec::PACKET_BYTES_PROTOCOL_MAX;

/// How much the broker holds and takes. Nothing in it grows without one of these.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest packet taken, in bytes. Default 256 KiB, as the other parts of the product assume.
    pub packet_bytes_max: usize,
    /// Most sessions, connected and stored. Default 100 000.
    pub sessions_max: usize,
    /// Most sessions, connected and stored, of one scope. Default 64.
    pub sessions_per_scope_max: usize,
    /// Most subscriptions of one session. Default 256.
    pub subscriptions_per_session_max: usize,
    /// Most QoS 1 and 2 messages waiting in one session. Default 1 000.
    pub queue_messages_max: usize,
    /// Most bytes waiting in one session: payloads, topics, properties. Default 4 MiB.
    pub queue_bytes_max: usize,
    /// Most messages in flight to one client; a client may ask for fewer. Default 32.
    pub inflight_max: u16,
    /// Most unfinished QoS 2 messages from one MQTT 5.0 client. Older clients cannot be told and may use every packet
    /// identifier. Default 32.
    pub receive_maximum: u16,
    /// Highest topic alias taken from a client. Default 16.
    pub topic_alias_max: u16,
    /// Most topic aliases used towards a client; a client may ask for fewer. Default 16.
    pub topic_alias_out_max: u16,
    /// Most retained messages. Default 100 000.
    pub retained_messages_max: usize,
    /// Most bytes of retained messages: payloads, topics, properties. Default 64 MiB.
    pub retained_bytes_max: usize,
    /// Most retained messages of one share. Default 1 000.
    pub retained_messages_per_share_max: usize,
    /// Most bytes of retained messages of one share. Default 4 MiB.
    pub retained_bytes_per_share_max: usize,
    /// From how many bytes on between two drains QoS 0 deliveries are dropped, as for a reader that is too slow.
    /// Default 64 MiB.
    pub output_bytes_max: usize,
    /// The same for one connection. Default 8 MiB.
    pub output_bytes_per_connection_max: usize,
    /// Longest life of a session without its connection, in seconds; `u32::MAX` is for ever. Default 7 days.
    pub session_expiry_seconds_max: u32,
    /// Longest keep alive in seconds, 0 for any. Replaces that of MQTT 5.0 clients. Default 1 hour.
    pub keep_alive_seconds_max: u16,
    /// Seconds between the connection and its CONNECT. Default 10.
    pub handshake_seconds_max: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes_max: 256 * 1024,
            sessions_max: 100_000,
            sessions_per_scope_max: 64,
            subscriptions_per_session_max: 256,
            queue_messages_max: 1_000,
            queue_bytes_max: 4 * 1024 * 1024,
            inflight_max: 32,
            receive_maximum: 32,
            topic_alias_max: 16,
            topic_alias_out_max: 16,
            retained_messages_max: 100_000,
            retained_bytes_max: 64 * 1024 * 1024,
            retained_messages_per_share_max: 1_000,
            retained_bytes_per_share_max: 4 * 1024 * 1024,
            output_bytes_max: 64 * 1024 * 1024,
            output_bytes_per_connection_max: 8 * 1024 * 1024,
            session_expiry_seconds_max: 7 * 24 * 3600,
            keep_alive_seconds_max: 3600,
            handshake_seconds_max: 10,
        }
    }
}

impl Limits {
    /// What the published packet sequences for conformance tests assume: 20 messages in flight each way, 10 topic
    /// aliases, packets and keep-alives as large as the protocol has them, and all clients in one scope. Not for a service.
    #[must_use]
    pub fn conformance() -> Self {
        let default = Self::default();
        Self {
            packet_bytes_max: PACKET_BYTES_PROTOCOL_MAX,
            receive_maximum: 20,
            inflight_max: 20,
            topic_alias_max: 10,
            keep_alive_seconds_max: 0,
            sessions_per_scope_max: default.sessions_max,
            retained_messages_per_share_max: default.retained_messages_max,
            retained_bytes_per_share_max: default.retained_bytes_max,
            ..default
        }
    }
}
