//! Whether a message is a command that this device shall execute. Pure: it looks at nothing but what it is given.

use serde_json::Value;
use thingward_crypto::{Digest, sha256};
use thingward_model::Timestamp;
use thingward_model::description::ThingDescription;
use thingward_seal::FormatError;
use thingward_seal::approval::{Approver, verify_approval};
use thingward_seal::command::{Audience, CommandId, Refusal, SignedCommand, VerifiedCommand, digest, json};

use super::Order;
use crate::membership::Membership;

/// A command that the service signed for this device.
pub(super) struct Judged {
    pub(super) command: Digest,
    pub(super) expires: Timestamp,
    /// When it was issued, when it came timely; else the epoch.
    pub(super) timely: Timestamp,
    pub(super) judgement: Judgement,
}

pub(super) enum Judgement {
    Good(Order),
    Refused {
        reason: Refusal,
        text: String,
    },
    /// Approved with a passkey that this membership does not have; a newer one may.
    UnknownPasskey {
        text: String,
    },
}

/// A message that binds the device to nothing.
pub(super) struct Stranger {
    pub(super) digest: Digest,
    pub(super) reason: Refusal,
    pub(super) text: &'static str,
}

pub(super) fn judge(
    id: CommandId,
    message: &[u8],
    membership: &Membership,
    description: &ThingDescription,
    now: Timestamp,
    mark: Timestamp,
) -> Result<Judged, Stranger> {
    let stranger = |reason, text| Stranger { digest: sha256(&[message]), reason, text };
    let signed = SignedCommand::decode(message).map_err(|error| match error {
        FormatError::UnknownVersion => {
            stranger(Refusal::UnknownVersion, "a version that this device does not know")
        }
        _ => stranger(Refusal::Malformed, "not a command"),
    })?;
    let key = membership.command_key.as_ref();
    let key = key.ok_or_else(|| stranger(Refusal::NoCommandKey, "the service has given no command key"))?;
    let verified = signed.verify(key);
    let verified =
        verified.map_err(|_| stranger(Refusal::WrongSigner, "not signed by the service's command key"))?;
    if verified.command.id != id {
        return Err(stranger(Refusal::Malformed, "its id is not that of the topic"));
    }
    let command = digest(verified.canonical);
    let audience = Audience { tenant: membership.tenant, device: membership.name };
    let expires = verified.command.expires;
    let (timely, judgement) = match verified.command.check(&audience, now, mark) {
        Err(Refusal::WrongAudience) => {
            let text = "it is for another device";
            return Err(Stranger { digest: command, reason: Refusal::WrongAudience, text });
        }
        Err(reason) => (Timestamp::EPOCH, Err((reason, time_text(reason, now)))),
        Ok(()) => (verified.command.issued, order(&verified, membership, description)),
    };
    let judgement = match judgement {
        Ok(order) => Judgement::Good(order),
        Err((reason, text)) => Judgement::Refused { reason, text },
    };
    let approval = verified.approval.as_ref();
    let is_known = |a: &Approver| approval.is_none_or(|approval| a.credential_id == approval.credential_id);
    let judgement = match judgement {
        Judgement::Refused { reason: Refusal::ApprovalInvalid, text }
            if !membership.approvers.iter().any(is_known) =>
        {
            Judgement::UnknownPasskey { text }
        }
        other => other,
    };
    Ok(Judged { command, expires, timely, judgement })
}

fn time_text(reason: Refusal, now: Timestamp) -> String {
    match reason {
        Refusal::NotYetValid => format!("it was issued later than it is here: {now}"),
        _ => format!("its time is over; here it is {now}"),
    }
}

/// Whether the device has the action, takes the input, and somebody approved it where that is needed.
fn order(
    verified: &VerifiedCommand<'_>,
    membership: &Membership,
    description: &ThingDescription,
) -> Result<Order, (Refusal, String)> {
    let command = &verified.command;
    let action = description.actions.get(&command.action);
    let action = action.ok_or_else(|| {
        let known: Vec<_> = description.actions.keys().map(ToString::to_string).collect();
        let text = format!("there is no {}; there is {}", command.action, known.join(", "));
        (Refusal::UnknownAction, text)
    })?;
    let input: Value = json::decode(command.input);
    action.validate(&input).map_err(|e| (Refusal::BadInput, e.to_string()))?;
    if action.is_sensitive {
        if verified.approval.is_none() {
            return Err((Refusal::ApprovalMissing, "the action needs the user's own approval".to_owned()));
        }
        verify_approval(verified, &membership.approvers)
            .map_err(|e| (Refusal::ApprovalInvalid, format!("the approval does not hold: {e}")))?;
    }
    let actor = command.actor.to_owned();
    Ok(Order { id: command.id, action: command.action, input, expires: command.expires, actor })
}
