//! What the broker did, and everything that it refused or dropped, by reason.

/// Counts since the broker was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were accepted.
    pub connections_accepted: u64,
    /// Connections that were refused by the gate.
    pub connections_refused_gate: u64,
    /// Connections that were refused for another reason, which CONNACK tells.
    pub connections_refused: u64,
    /// Connections that sent no CONNECT in time, or another packet first.
    pub handshakes_failed: u64,
    /// Connections that ended because bytes were no packet.
    pub packets_malformed: u64,
    /// Connections that ended because a packet was not allowed then.
    pub protocol_errors: u64,
    /// Connections that ended because nothing was heard.
    pub keep_alive_timeouts: u64,
    /// Connections that ended because another took the session over.
    pub sessions_taken_over: u64,
    /// Connections that were cut by an administrator.
    pub connections_cut: u64,
    /// Stored sessions that ended because their time was over.
    pub sessions_expired: u64,
    /// Messages that were lost to their receiver because its session ended.
    pub messages_ended_with_session: u64,
    /// Messages taken from clients and from the service.
    pub messages_received: u64,
    /// Messages sent to clients, repetitions included.
    pub messages_sent: u64,
    /// Publications that the gate refused.
    pub publishes_refused_gate: u64,
    /// Publications refused because a subscriber's queue was full.
    pub publishes_refused_queue_full: u64,
    /// Publications refused because no more retained messages fit.
    pub publishes_refused_retained_full: u64,
    /// Publications refused because the payload is not what its format indicator says.
    pub publishes_refused_payload_format: u64,
    /// Messages for those with room that a session did not get because its queue was full.
    pub announcements_dropped: u64,
    /// Wills that the gate refused.
    pub wills_refused_gate: u64,
    /// Wills that no room was left for.
    pub wills_refused_full: u64,
    /// Subscriptions that the gate refused.
    pub subscriptions_refused_gate: u64,
    /// Subscriptions refused because there were too many, or too many retained messages for the queue.
    pub subscriptions_refused_full: u64,
    /// Deliveries that the gate withheld.
    pub deliveries_withheld: u64,
    /// Deliveries dropped because the message had expired.
    pub deliveries_expired: u64,
    /// Deliveries dropped because the client takes no packet that large.
    pub deliveries_too_large: u64,
    /// QoS 0 deliveries dropped because more would have gathered than a bound for unsent output allows.
    pub deliveries_too_slow: u64,
    /// QoS 0 deliveries dropped because the subscriber was away.
    pub deliveries_absent_qos0: u64,
    /// Stored entries that could not be read back.
    pub records_unreadable: u64,
}

impl Counters {
    /// Every count with its name, for metrics.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 28] {
        [
            ("connections_accepted", self.connections_accepted),
            ("connections_refused_gate", self.connections_refused_gate),
            ("connections_refused", self.connections_refused),
            ("handshakes_failed", self.handshakes_failed),
            ("packets_malformed", self.packets_malformed),
            ("protocol_errors", self.protocol_errors),
            ("keep_alive_timeouts", self.keep_alive_timeouts),
            ("sessions_taken_over", self.sessions_taken_over),
            ("connections_cut", self.connections_cut),
            ("sessions_expired", self.sessions_expired),
            ("messages_ended_with_session", self.messages_ended_with_session),
            ("messages_received", self.messages_received),
            ("messages_sent", self.messages_sent),
            ("publishes_refused_gate", self.publishes_refused_gate),
            ("publishes_refused_queue_full", self.publishes_refused_queue_full),
            ("publishes_refused_retained_full", self.publishes_refused_retained_full),
            ("publishes_refused_payload_format", self.publishes_refused_payload_format),
            ("announcements_dropped", self.announcements_dropped),
            ("wills_refused_gate", self.wills_refused_gate),
            ("wills_refused_full", self.wills_refused_full),
            ("subscriptions_refused_gate", self.subscriptions_refused_gate),
            ("subscriptions_refused_full", self.subscriptions_refused_full),
            ("deliveries_withheld", self.deliveries_withheld),
            ("deliveries_expired", self.deliveries_expired),
            ("deliveries_too_large", self.deliveries_too_large),
            ("deliveries_too_slow", self.deliveries_too_slow),
            ("deliveries_absent_qos0", self.deliveries_absent_qos0),
            ("records_unreadable", self.records_unreadable),
        ]
    }
}
