//! What a client asks for and what it is willing to hold.

use std::num::NonZeroU16;

use crate::codec::{Binary, Text, UserProperties, Will};

/// The settings of a [`Client`](super::Client).
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Names the session. Empty: the server chooses, and the choice is kept for the next connection.
    pub client_id: Text,
    /// Drop what an earlier session left, on the first connection. Later ones always take the session up again.
    pub clean_start: bool,
    /// Seconds that the session outlives its connection; `u32::MAX` is for ever.
    pub session_expiry_seconds: u32,
    /// Longest silence towards the server in seconds, 0 for any. The server may replace it.
    pub keep_alive_seconds: u16,
    /// Seconds that the server has for CONNACK and PINGRESP.
    pub response_seconds: u16,
    /// Published by the server when this client goes without saying so.
    pub will: Option<Will>,
    /// User name.
    pub username: Option<Text>,
    /// Password.
    pub password: Option<Binary>,
    /// Pairs for the server.
    pub user: UserProperties,
    /// Largest packet taken from the server, in bytes.
    pub packet_bytes_max: u32,
    /// Most QoS 1 and 2 messages taken from the server and not acknowledged yet.
    pub receive_maximum: NonZeroU16,
    /// Most QoS 1 and 2 messages in flight to the server. The server may ask for fewer.
    pub inflight_max: NonZeroU16,
    /// Most messages that wait to be sent.
    pub queue_messages_max: usize,
    /// Most payload bytes that wait to be sent.
    pub queue_bytes_max: usize,
}

impl ClientConfig {
    /// Bounds that suit a device with a session of one hour: 128 waiting messages in 1 MiB, 32 in flight each way,
    /// packets of 256 KiB.
    #[must_use]
    pub fn new(client_id: Text) -> Self {
        let inflight = NonZeroU16::MIN.saturating_add(31);
        Self {
            client_id,
            clean_start: false,
            session_expiry_seconds: 3600,
            keep_alive_seconds: 60,
            response_seconds: 10,
            will: None,
            username: None,
            password: None,
            user: Vec::new(),
            packet_bytes_max: 256 * 1024,
            receive_maximum: inflight,
            inflight_max: inflight,
            queue_messages_max: 128,
            queue_bytes_max: 1024 * 1024,
        }
    }
}
