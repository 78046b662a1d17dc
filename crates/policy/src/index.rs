//! Policies by what their scope names, so that a question meets only those that may apply: Cedar itself asks each.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{
    ActionConstraint, AuthorizationError, Authorizer, Decision, Entities, EntityUid, Policy, PolicyId,
    PolicySet, PolicySetError, PrincipalConstraint, Request, ResourceConstraint,
};

/// What policies of one bucket all name; `None` where they name nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    action: Option<EntityUid>,
    principal: Option<EntityUid>,
    resource: Option<EntityUid>,
}

/// Policies, ready to be asked. Answers as Cedar does over all of them.
#[derive(Default)]
pub struct Index {
    buckets: HashMap<Key, PolicySet>,
    authorizer: Authorizer,
}

/// What the policies say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What Cedar would decide.
    pub decision: Decision,
    /// The policies that decided: forbids, else permits.
    pub reasons: BTreeSet<PolicyId>,
    /// Policies that failed, and how. Cedar leaves them out of its decision.
    pub errors: Vec<(PolicyId, String)>,
}

impl Answer {
    /// Whether it is a yes: Cedar's, and no policy failed, for one of those might have been a no.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.decision == Decision::Allow && self.errors.is_empty()
    }
}

impl Index {
    /// Of these policies.
    ///
    /// # Errors
    ///
    /// [`PolicySetError`] when two have one id, or one is the link of a template.
    pub fn new<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> Result<Self, Box<PolicySetError>> {
        let mut index = Self::default();
        for policy in policies {
            for key in keys(policy) {
                index.buckets.entry(key).or_default().add(policy.clone())?;
            }
        }
        Ok(index)
    }

    /// What the policies say about a request.
    #[must_use]
    pub fn ask(&self, request: &Request, entities: &Entities) -> Answer {
        let (mut permits, mut forbids) = (BTreeSet::new(), BTreeSet::new());
        let mut errors = Vec::new();
        let [actions, principals, resources] =
            [request.action(), request.principal(), request.resource()].map(|uid| named(uid, entities));
        for action in &actions {
            for principal in &principals {
                for resource in &resources {
                    let key = Key {
                        action: action.clone(),
                        principal: principal.clone(),
                        resource: resource.clone(),
                    };
                    let Some(policies) = self.buckets.get(&key) else { continue };
                    let response = self.authorizer.is_authorized(request, policies, entities);
                    let reasons = response.diagnostics().reason().cloned();
                    match response.decision() {
                        Decision::Allow => permits.extend(reasons),
                        Decision::Deny => forbids.extend(reasons),
                    }
                    let failed = response.diagnostics().errors();
                    errors.extend(failed.map(|AuthorizationError::PolicyEvaluationError(e)| {
                        (e.policy_id().clone(), e.to_string())
                    }));
                }
            }
        }
        errors.sort();
        errors.dedup();
        let (decision, reasons) = match (forbids.is_empty(), permits.is_empty()) {
            (true, false) => (Decision::Allow, permits),
            _ => (Decision::Deny, forbids),
        };
        Answer { decision, reasons, errors }
    }
}

/// What a policy's scope may name for it to be about this entity: nothing, the entity, or what it is in.
fn named(uid: Option<&EntityUid>, entities: &Entities) -> Vec<Option<EntityUid>> {
    let Some(uid) = uid else { return vec![None] };
    let above = entities.ancestors(uid).into_iter().flatten();
    [None, Some(uid.clone())].into_iter().chain(above.map(|uid| Some(uid.clone()))).collect()
}

/// The buckets of a policy: more than one when it names several actions.
fn keys(policy: &Policy) -> Vec<Key> {
    use {PrincipalConstraint as P, ResourceConstraint as R};
    let principal = match policy.principal_constraint() {
        P::Any | P::Is(_) => None,
        P::In(uid) | P::Eq(uid) | P::IsIn(_, uid) => Some(uid),
    };
    let resource = match policy.resource_constraint() {
        R::Any | R::Is(_) => None,
        R::In(uid) | R::Eq(uid) | R::IsIn(_, uid) => Some(uid),
    };
    let actions: BTreeSet<Option<EntityUid>> = match policy.action_constraint() {
        ActionConstraint::Any => [None].into(),
        ActionConstraint::Eq(uid) => [Some(uid)].into(),
        ActionConstraint::In(uids) => uids.into_iter().map(Some).collect(),
    };
    let key = |action| Key { action, principal: principal.clone(), resource: resource.clone() };
    actions.into_iter().map(key).collect()
}
