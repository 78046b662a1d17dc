//! What nodes are told to do, and what became of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use thingward_zwave::affordance::{Action, ActionError, Coding, Shown};
use thingward_zwave::controller::{Outcome, RequestId, Withdrawn};
use thingward_zwave::serial::node_info::Listening;
use thingward_zwave::{Command, NodeId};

use crate::wire::{Argument, Value};

/// How long a call may wait for its turn, or for a node to wake up. What is told later is not what somebody wants now.
/// A gateway waits a little longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// A call that is under way.
pub(super) struct Called {
    /// The gateway's number for it.
    pub(super) id: u32,
    pub(super) node: NodeId,
    /// What is asked when it is done, so that the property follows.
    pub(super) asks: Option<Command>,
    /// How long what it begins takes.
    pub(super) takes: Duration,
    /// When it is taken back, if it still waits.
    pub(super) due: Duration,
}

#[derive(Default)]
pub(super) struct Calls(BTreeMap<RequestId, Called>);

impl Calls {
    pub(super) fn insert(&mut self, request: RequestId, called: Called) {
        self.0.insert(request, called);
    }

    pub(super) fn remove(&mut self, request: RequestId) -> Option<Called> {
        self.0.remove(&request)
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.0.values().map(|called| called.due).min()
    }

    /// Those that are to be taken back now. One that cannot be is under way, and is looked at again later.
    pub(super) fn overdue(&mut self, now: Duration) -> Vec<RequestId> {
        let due = self.0.iter_mut().filter(|(_, called)| called.due <= now);
        due.map(|(request, called)| {
            called.due = now + PATIENCE;
            *request
        })
        .collect()
    }
}

/// The command of an action.
pub(super) fn command(action: &Action, arguments: &[Argument]) -> Result<Command, ActionError> {
    let given: Vec<(&str, Shown)> =
        arguments.iter().map(|argument| (argument.name.as_str(), shown(&argument.value))).collect();
    action.command(&given)
}

fn shown(value: &Value) -> Shown {
    match value {
        Value::Number(number) => Shown::Number(*number),
        Value::Bool(flag) => Shown::Flag(*flag),
        Value::Text(text) => Shown::Word(Cow::Owned(text.as_str().to_owned())),
        Value::Data(bytes) => Shown::Bytes(bytes.clone()),
    }
}

/// How long an action was told to take.
pub(super) fn takes(action: &Action, arguments: &[Argument]) -> Duration {
    let duration = action.inputs().find(|input| input.coding == Coding::Duration);
    let argument =
        duration.and_then(|input| arguments.iter().find(|given| given.name.as_str() == input.name));
    match argument.map(|argument| &argument.value) {
        Some(Value::Number(seconds)) => Duration::try_from_secs_f64(*seconds).unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

/// Why it was not done; nothing where it was.
pub(super) const fn failure(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Delivered | Outcome::Confirmed | Outcome::Begun | Outcome::Answered(_) => None,
        Outcome::Failed => Some("the thing says that it could not"),
        Outcome::NotSupported => Some("the thing says that it cannot do that"),
        Outcome::NoAnswer => Some("the thing did not say whether it did it"),
        Outcome::NotReachable => Some("the thing does not answer"),
        Outcome::NoNonce => Some("the thing does not agree on a nonce, so that it was not told"),
        Outcome::Gone => Some("the thing left"),
    }
}

/// Why it was taken back.
pub(super) const fn taken_back(withdrawn: Withdrawn, listening: Listening) -> &'static str {
    match (withdrawn, listening) {
        (Withdrawn::Sent, _) => {
            "the thing fell asleep before it said whether it did it; it is not told again"
        }
        (Withdrawn::Unsent, Listening::Sleeping) => {
            "the thing sleeps, and did not wake up for 15 seconds: it was not told, and will not be"
        }
        (Withdrawn::Unsent, _) => {
            "others kept the radio busy for 15 seconds: the thing was not told, and will not be"
        }
    }
}
