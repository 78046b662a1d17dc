//! Whether a message is a command that this device shall execute. What every device asks, the device core decides; what the
//! description says, and whether somebody approved it, is decided here. Pure: it looks at nothing but what it is given.

use serde_json::Value;
use thingward_crypto::{Digest, sha256};
use thingward_device::{Authentic, Judge, Judged, Verdict};
use thingward_grant::Time;
use thingward_model::Timestamp;
use thingward_model::description::ThingDescription;
use thingward_seal::approval::{Approver, verify_approval};
use thingward_seal::command::{Audience, CommandId, Refusal, VerifiedCommand, is_command, json};

use super::Order;
use crate::membership::Membership;

pub(super) enum Judgement {
    Good {
        order: Order,
        command: Digest,
        issued: Timestamp,
    },
    /// The command of this digest has an id that is known.
    Known(Digest),
    Refused(Refused),
    /// Approved with a passkey that this membership does not have; a newer one may. Else it is refused.
    UnknownPasskey(Refused),
    /// It has to come again.
    Unsure,
}

/// A refusal, and what is remembered of it.
pub(super) struct Refused {
    /// What is refused: a command, or the message as a whole.
    pub(super) digest: Digest,
    pub(super) reason: Refusal,
    pub(super) text: String,
    /// How long it is remembered; `None` for what comes out the same each time.
    pub(super) until: Option<Timestamp>,
    /// When the command was issued, when it came timely; else the epoch.
    pub(super) timely: Timestamp,
}

impl Refused {
    /// What need not be remembered.
    pub(super) fn once(digest: Digest, reason: Refusal, text: String) -> Self {
        Self { digest, reason, text, until: None, timely: Timestamp::EPOCH }
    }
}

pub(super) fn judge(
    id: &CommandId,
    message: &[u8],
    membership: &Membership,
    description: &ThingDescription,
    is_new: Verdict,
    (now, mark): (Timestamp, Timestamp),
) -> Judgement {
    let of_message =
        |reason| Judgement::Refused(Refused::once(sha256(&[message]), reason, text(reason, message, now)));
    let read = Authentic::of(message, membership.command_key.as_ref()).and_then(Authentic::read);
    let authenticated = match &read {
        Ok(authenticated) => authenticated,
        Err(reason) => return of_message(*reason),
    };
    let audience = Audience { tenant: &membership.tenant, device: &membership.name };
    let judge = Judge { audience, time: Time::clock(now, 0), mark };
    let digest = authenticated.digest();
    let verified = match judge.judge(id, authenticated, is_new) {
        Ok(Judged::Good(good)) => good.verified(),
        Ok(Judged::Known) => return Judgement::Known(digest),
        Ok(Judged::Refused { reason, until }) => {
            let text = text(reason, message, now);
            return Judgement::Refused(Refused { until, ..Refused::once(digest, reason, text) });
        }
        Ok(Judged::Unsure) => return Judgement::Unsure,
        Err(reason) => return of_message(reason),
    };
    let (issued, expires) = (verified.command.issued, verified.command.expires);
    match order(verified, membership, description) {
        Ok(order) => Judgement::Good { order, command: digest, issued },
        Err((reason, text)) => {
            let refused = Refused { digest, reason, text, until: Some(expires), timely: issued };
            let is_unknown = reason == Refusal::ApprovalInvalid && !knows_passkey(verified, membership);
            if is_unknown { Judgement::UnknownPasskey(refused) } else { Judgement::Refused(refused) }
        }
    }
}

/// What would have been right, for people.
fn text(reason: Refusal, message: &[u8], now: Timestamp) -> String {
    let text = match reason {
        Refusal::UnknownVersion => "a version that this device does not know",
        Refusal::WrongSigner => "not signed by the service's command key",
        Refusal::NoCommandKey => "the service has given no command key",
        Refusal::WrongAudience => "it is for another device",
        Refusal::Expired => return format!("its time is over; here it is {now}"),
        Refusal::NotYetValid => return format!("it was issued later than it is here: {now}"),
        _ if is_command(message).is_ok() => "its id is not that of the topic",
        _ => "not a command",
    };
    text.to_owned()
}

fn knows_passkey(verified: &VerifiedCommand<'_>, membership: &Membership) -> bool {
    let is_it = |a: &Approver| verified.approval.is_none_or(|it| it.credential_id == a.credential_id);
    membership.approvers.iter().any(is_it)
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
    let approved = verify_approval(verified, &membership.approvers);
    let may_begin = Verdict::of(|| !action.is_sensitive || approved.is_ok());
    if !may_begin.is_good() {
        return Err(match approved {
            _ if verified.approval.is_none() => {
                (Refusal::ApprovalMissing, "the action needs the user's own approval".to_owned())
            }
            Err(error) => (Refusal::ApprovalInvalid, format!("the approval does not hold: {error}")),
            Ok(()) => (Refusal::ApprovalInvalid, "the approval does not hold".to_owned()),
        });
    }
    let actor = command.actor.to_owned();
    Ok(Order { id: command.id, action: command.action, input, expires: command.expires, actor })
}
