//! What a host is told.

use super::settings::KnownNode;
use crate::command_class::security::KexFail;
use crate::security0::EncapsulationError;
use crate::security2::Unopened;
use crate::{Command, HomeId, LinkSecurity, NodeId, ParseError, SecurityClass};

/// Names a request to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The controller said who it is; requests are taken from here on.
    Ready {
        /// Its network.
        home: HomeId,
        /// Its own node.
        own: NodeId,
        /// Nodes of the network that are not known to have joined with a key: they are refused.
        strangers: Vec<NodeId>,
    },
    /// The controller did not say who it is, or nonsense.
    ControllerFailed(ControllerFault),
    /// It waits for a node that wants to join.
    Including,
    /// The protocol has let a node in; whether it is given keys is to be seen.
    Joining(NodeId),
    /// A joining node shows its key without the first five digits; [`super::Controller::confirm`] tells them.
    PinNeeded {
        /// Who.
        node: NodeId,
        /// The last 14 bytes of the device-specific key.
        rest: [u8; 14],
    },
    /// A joining node has Security 0 only; [`super::Controller::permit_s0`] lets it in.
    S0Asked(NodeId),
    /// A node joined and holds keys. What is to be kept of it.
    Included(KnownNode),
    /// A node was asked what it can do, and answered as far as it did.
    Interviewed(KnownNode),
    /// A node was not let in, and nothing of it is believed.
    Refused(NodeId, Refusal),
    /// Nobody joined.
    InclusionEnded,
    /// It waits for a node that wants to leave.
    Excluding,
    /// A node left.
    Excluded(NodeId),
    /// Nobody left.
    ExclusionEnded,
    /// A node said something.
    Report {
        /// Who.
        node: NodeId,
        /// Which part of it; 0 is the whole.
        endpoint: u8,
        /// How it was protected on the link.
        security: LinkSecurity,
        /// What.
        command: Command,
    },
    /// What became of a request.
    Done(RequestId, Outcome),
    /// A node that sleeps is awake; what waited for it is being sent.
    Awake(NodeId),
    /// Something came that is not believed. Nothing changed.
    Unsound(Option<NodeId>, Unsound),
}

/// What is the matter with a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControllerFault {
    /// It does not answer.
    #[error("the controller does not answer")]
    Silent,
    /// It answers something else than was asked.
    #[error("the controller answers something else than was asked")]
    Confused,
    /// It is of another network than the one that was kept: its nodes are not those that joined.
    #[error("the controller is of network {found}, and what was kept is of {kept}")]
    Network {
        /// What was kept.
        kept: HomeId,
        /// What it says.
        found: HomeId,
    },
    /// It lacks a function that a host cannot do without.
    #[error("the controller has no function {0:#04x}")]
    Function(u8),
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The node's radio acknowledged it. The node does not say whether it did it.
    Delivered,
    /// The node did it.
    Confirmed,
    /// The node began and says no more.
    Begun,
    /// The node could not.
    Failed,
    /// The node has no such command, or not over this link.
    NotSupported,
    /// The answer.
    Answered(Command),
    /// It arrived and nothing came back in time.
    NoAnswer,
    /// It did not arrive.
    NotReachable,
    /// The node did not tell its half of a nonce in time.
    NoNonce,
    /// The node left.
    Gone,
}

/// What was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// It was never sent.
    Unsent,
    /// It was sent once, and the node fell asleep before it said that it had got it.
    Sent,
}

/// Why a node was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is in the network already, and not known to have joined with a key.
    #[error("it is in the network without a key that is known")]
    Stranger,
    /// It has no link security.
    #[error("it has no link security")]
    NoSecurity,
    /// It has Security 0 only, and nobody permitted that for it.
    #[error("it has Security 0 only, and nobody permitted that for it")]
    S0NotPermitted,
    /// We ended it: what went wrong.
    #[error("the key exchange was ended: {0}")]
    Exchange(KexFail),
    /// The node ended it.
    #[error("the node ended the key exchange: {0}")]
    Node(KexFail),
    /// The digits of its device-specific key were not told in time.
    #[error("the digits of its device-specific key were not told in time")]
    NoPin,
    /// It shows another device-specific key than the one that was expected, or none.
    #[error("it does not show the device-specific key that was expected")]
    OtherDsk,
    /// Its public key has nothing in common with any other.
    #[error("its public key is of small order")]
    PublicKey,
    /// It did not go on in time.
    #[error("it did not go on in time")]
    Timeout,
    /// The caller wants nothing of it any more.
    #[error("it was removed")]
    Removed,
    /// The caller ended it.
    #[error("it was cancelled")]
    Cancelled,
}

/// Why something that came is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// A frame of the line was broken.
    #[error("a frame of the line was broken")]
    Line,
    /// A message of the controller is none.
    #[error("a message of the controller: {0}")]
    Message(ParseError),
    /// A command is none.
    #[error("a command: {0}")]
    Command(ParseError),
    /// From a node that is not there, or of another network.
    #[error("from a node that is not there")]
    Stranger,
    /// From a node that was refused.
    #[error("from a node that was refused")]
    Refused,
    /// Protected less than its sender always does.
    #[error("protected by {seen:?} where its sender holds a key of {granted:?}")]
    Below {
        /// How it came.
        seen: LinkSecurity,
        /// What its sender holds.
        granted: SecurityClass,
    },
    /// Not decrypted under Security 2.
    #[error("Security 2: {0}")]
    Security2(Unopened),
    /// Not decrypted under Security 0.
    #[error("Security 0: {0}")]
    Security0(EncapsulationError),
    /// A nonce that nobody asked for.
    #[error("a nonce that nobody asked for")]
    Nonce,
    /// A command of a key exchange that is not under way, or not at this point of it.
    #[error("a command of a key exchange that is not at this point")]
    KeyExchange,
    /// A status of the controller about something that is not under way.
    #[error("a status of something that is not under way")]
    Status,
}
