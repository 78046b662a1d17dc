//! What the service has for children, on its way down to them.

use std::time::Instant;

use bytes::Bytes;
use thingward_model::DeviceName;
use thingward_mqtt::broker::Message;
use thingward_mqtt::codec::{MessageProperties, QoS};
use thingward_mqtt::topic::TopicName;

/// What a child with a session is told beside commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tell {
    /// What was taken back of grants, signed.
    Revocation(Bytes),
    /// That the service asks for evidence.
    Evidence,
}

impl Tell {
    const fn topic(&self) -> &'static str {
        match self {
            Self::Revocation(_) => REVOCATION,
            Self::Evidence => EVIDENCE,
        }
    }

    /// As the broker routes it.
    pub(super) fn message(self, child: &DeviceName) -> Option<Message> {
        let topic = format!("{}{}", own_of(child), self.topic());
        let payload = match self {
            Self::Revocation(payload) => payload,
            Self::Evidence => Bytes::new(),
        };
        Some(Message {
            topic: TopicName::try_from(topic.as_str()).ok()?,
            payload,
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: MessageProperties::default(),
            author: Bytes::new(),
        })
    }
}

/// A command on its way down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChildCommand {
    /// For whom.
    pub(crate) child: DeviceName,
    /// What stands behind `devices/me/commands/`.
    pub(crate) id: String,
    /// The signed command.
    pub(crate) payload: Bytes,
    /// Seconds that it stays of use.
    pub(crate) expires_in: Option<u32>,
    /// When it came.
    pub(crate) arrived: Instant,
}

/// Longest time in seconds that a command waits here for its child: the service sends it again as long as it counts.
const COMMAND_WAIT_MAX_SECONDS: u32 = 3600;

impl ChildCommand {
    /// Reads what the service sent to the gateway: `devices/me/children/<child>/commands/<id>`.
    pub(crate) fn read(topic: &str, payload: Bytes, expires_in: Option<u32>) -> Option<Self> {
        let (child, rest) = topic.strip_prefix("devices/me/children/")?.split_once('/')?;
        let id = rest.strip_prefix("commands/").filter(|id| !id.is_empty() && !id.contains('/'))?;
        Some(Self {
            child: child.parse().ok()?,
            id: id.to_owned(),
            payload,
            expires_in,
            arrived: Instant::now(),
        })
    }

    /// Seconds that it waits here at most.
    fn wait_max(&self) -> u32 {
        self.expires_in.unwrap_or(u32::MAX).min(COMMAND_WAIT_MAX_SECONDS)
    }

    /// Whether it has waited so long that it is let go.
    pub(crate) fn is_over(&self) -> bool {
        self.arrived.elapsed().as_secs() >= self.wait_max().into()
    }

    /// As the broker routes it: to the child's session when it has one, and else to nobody.
    pub(super) fn message(self) -> Option<Message> {
        let wait = self.wait_max();
        Some(Message {
            topic: TopicName::try_from(format!("{}{COMMANDS}{}", own_of(&self.child), self.id).as_str())
                .ok()?,
            payload: self.payload,
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: MessageProperties { message_expiry: Some(wait), ..MessageProperties::default() },
            author: Bytes::new(),
        })
    }
}

/// What the broker's own names of what is a child's begin with.
pub(super) fn own_of(child: &DeviceName) -> String {
    format!("children/{child}/")
}

/// What the child's names of that begin with.
pub(super) const OWN: &str = "devices/me/";
/// What stands behind that for commands, what was taken back of grants, and questions for evidence.
const COMMANDS: &str = "commands/";
const REVOCATION: &str = "grants/revocation";
const EVIDENCE: &str = "attestation";

/// Whether a child may listen to this of its own.
pub(super) fn is_told(rest: &str) -> bool {
    rest.starts_with(COMMANDS) || rest == REVOCATION || rest == EVIDENCE
}
