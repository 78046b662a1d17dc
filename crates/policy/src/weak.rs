//! Things that a policy lets join their radio in a way that is otherwise refused: under the well-known key, with an old
//! security, in the open.
//!
//! Such a policy names the thing and says why. What forbids has its say, as everywhere.

use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PrincipalConstraint};

/// The action, as policies name it.
pub(crate) const JOIN_WEAKLY: &str = "things:join-weakly";
/// The annotation that says why.
const REASON: &str = "reason";
/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 256;

/// A thing that may join weakly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeakJoin {
    /// Who it is on its radio.
    pub address: String,
    /// Why it may.
    pub reason: String,
}

/// Whether a policy lets things join weakly, and says so.
fn is_about_it(policy: &Policy) -> bool {
    let is_join = |action: &EntityUid| action.id().unescaped() == JOIN_WEAKLY;
    let names_it = match policy.action_constraint() {
        ActionConstraint::Any => false,
        ActionConstraint::Eq(action) => is_join(&action),
        ActionConstraint::In(actions) => actions.iter().any(is_join),
    };
    names_it && policy.effect() == Effect::Permit
}

/// The radio and the thing that a policy lets join; `None` where it does not say who and why.
pub(crate) fn named(policy: &Policy) -> Option<(String, WeakJoin)> {
    let PrincipalConstraint::Eq(thing) = policy.principal_constraint() else { return None };
    let (radio, address) = thing.id().unescaped().split_once('/').filter(|_| is_about_it(policy))?;
    Some((radio.to_owned(), WeakJoin { address: address.to_owned(), reason: reason(policy)?.to_owned() }))
}

/// What is wrong with a policy that lets things join weakly.
pub(crate) fn problem(policy: &Policy) -> Option<String> {
    if !is_about_it(policy) || named(policy).is_some() {
        return None;
    }
    Some(if reason(policy).is_none() {
        format!("what lets a thing join weakly says why: @{REASON}(\"…\"), up to {REASON_BYTES_MAX} bytes")
    } else {
        "what lets a thing join weakly names it: principal == Thing::\"RADIO/ADDRESS\"".to_owned()
    })
}

fn reason(policy: &Policy) -> Option<&str> {
    policy.annotation(REASON).map(str::trim).filter(|text| !text.is_empty() && text.len() <= REASON_BYTES_MAX)
}
