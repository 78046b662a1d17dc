//! What the service counts, in OpenMetrics. Labels come from fixed sets, never from what a peer sent.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use thingward_mqtt::broker;

/// One word of a fixed set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Kind {
    /// The word.
    kind: String,
}

/// Everything that is counted. Shared by all threads.
pub struct Metrics {
    registry: Registry,
    /// Readings kept.
    pub readings_accepted: Counter,
    /// Records that came again and changed nothing.
    pub records_duplicate: Counter,
    /// Checkpoints and declared gaps that matched.
    pub checkpoints_accepted: Counter,
    /// Payloads of standard clients that were no readings.
    pub payloads_refused: Counter,
    /// Calls that a policy did not allow.
    pub requests_denied: Counter,
    /// Sessions begun.
    pub sign_ins: Counter,
    /// Sign-ins that did not hold.
    pub sign_ins_refused: Counter,
    /// Messages taken out of gateways' envelopes.
    pub envelopes_accepted: Counter,
    /// Open connections to the MQTT listener.
    pub connections: Gauge,
    /// Connections that did not become sessions.
    pub connections_refused: Counter,
    /// Clients that did not read fast enough and were cut.
    pub clients_too_slow: Counter,
    /// Groups of changes made durable.
    pub commits: Counter,
    /// Findings for which there was no room in the list.
    pub findings_dropped: Counter,
    /// Cosignatures of witnesses under the audit logs.
    pub cosignatures: Counter,
    /// Entries of audit logs that are in no published checkpoint.
    pub log_entries_unpublished: Gauge,
    /// For how long the log that waits longest has had too few cosignatures.
    pub log_quorum_missing_seconds: Gauge,
    cosignatures_failed: Family<Kind, Counter>,
    violations: Family<Kind, Counter>,
    broker: Mutex<broker::Counters>,
}

impl Metrics {
    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("thingward");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let readings_accepted = counter("readings_accepted", "Readings kept");
        let records_duplicate = counter("records_duplicate", "Records that came again and changed nothing");
        let checkpoints_accepted = counter("checkpoints_accepted", "Signed statements that matched");
        let payloads_refused = counter("payloads_refused", "Payloads that were no readings");
        let requests_denied = counter("requests_denied", "Calls that a policy did not allow");
        let sign_ins = counter("sign_ins", "Sessions begun");
        let sign_ins_refused = counter("sign_ins_refused", "Sign-ins that did not hold");
        let envelopes_accepted = counter("envelopes_accepted", "Messages taken from gateways");
        let connections_refused = counter("connections_refused", "Connections that did not become sessions");
        let clients_too_slow = counter("clients_too_slow", "Clients cut because they did not read");
        let commits = counter("commits", "Groups of changes made durable");
        let findings_dropped = counter("findings_dropped", "Findings for which there was no room");
        let cosignatures = counter("cosignatures", "Cosignatures of witnesses under the audit logs");
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let log_entries_unpublished =
            gauge("log_entries_unpublished", "Entries of audit logs that wait for witnesses");
        let log_quorum_missing_seconds = gauge(
            "log_quorum_missing_seconds",
            "How long the log that waits longest has waited for witnesses",
        );
        let cosignatures_failed = Family::default();
        registry.register(
            "cosignatures_failed",
            "Cosignatures that a witness did not give",
            cosignatures_failed.clone(),
        );
        let connections = Gauge::default();
        registry.register("connections", "Open connections of the MQTT listener", connections.clone());
        let violations = Family::default();
        registry.register("violations", "Broken rules by kind", violations.clone());
        Self {
            registry,
            readings_accepted,
            records_duplicate,
            checkpoints_accepted,
            payloads_refused,
            requests_denied,
            sign_ins,
            sign_ins_refused,
            envelopes_accepted,
            connections,
            connections_refused,
            clients_too_slow,
            commits,
            findings_dropped,
            cosignatures,
            log_entries_unpublished,
            log_quorum_missing_seconds,
            cosignatures_failed,
            violations,
            broker: Mutex::default(),
        }
    }

    /// Counts a broken rule; `kind` is one of a fixed set of words.
    pub fn violation(&self, kind: &str) {
        self.violations.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    /// Counts a cosignature that was not given; `kind` is one of a fixed set of words.
    pub fn cosignature_failed(&self, kind: &str) {
        self.cosignatures_failed.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    /// What the broker has counted so far.
    pub fn set_broker(&self, counters: broker::Counters) {
        *self.broker.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }

    /// The OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        const END: &str = "# EOF\n";
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            return END.to_owned();
        }
        text.truncate(text.trim_end_matches(END).len());
        let counters = *self.broker.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, count) in counters.named() {
            let _ =
                writeln!(text, "# TYPE thingward_mqtt_{name} counter\nthingward_mqtt_{name}_total {count}");
        }
        text + END
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
