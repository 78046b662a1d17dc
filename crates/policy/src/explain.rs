//! What would have to change for a no to become a yes: tried, not guessed.

use thingward_model::UserName;

use crate::action::Action;
use crate::policies::Decision;
use crate::resource::Resource;
use crate::subject::{Subject, UserRole};
use crate::world::World;

/// Sentences, each about one change that is enough by itself, or the ones that have to come first.
pub(crate) fn changes(
    decision: Decision,
    who: &Subject,
    action: Action,
    on: &Resource,
    world: &World,
    judge: impl Fn(&Subject, &World) -> Decision,
) -> Vec<String> {
    match decision {
        Decision::Allowed | Decision::OtherTenant => Vec::new(),
        Decision::OutOfScope => vec![format!("a token with the scope `{action}`")],
        Decision::Forbidden => {
            vec!["the policies that forbid it taken away, or made to leave it out".to_owned()]
        }
        Decision::Failed => vec!["the policy that failed put right".to_owned()],
        Decision::NotPermitted => {
            let mut changes = match who {
                Subject::User(name) | Subject::Token { user: Some(name), .. } => {
                    for_user(name, who, world, &judge)
                }
                Subject::Operator | Subject::Token { user: None, .. } | Subject::Member(_) => Vec::new(),
            };
            changes.extend(for_thing(who, on, world, &judge));
            changes.push(format!("a policy that permits `{action}` here"));
            changes
        }
    }
}

/// Roles and groups that would be enough, each alone.
fn for_user(
    name: &UserName,
    who: &Subject,
    world: &World,
    judge: &impl Fn(&Subject, &World) -> Decision,
) -> Vec<String> {
    let mut tried = world.clone();
    if !world.users.contains_key(name) {
        return vec![format!("a user called `{name}`")];
    }
    let mut enough = Vec::new();
    for role in UserRole::ALL {
        let user = tried.users.entry(*name).or_default();
        if !user.roles.insert(role) {
            continue;
        }
        if judge(who, &tried).is_allowed() {
            enough.push(format!("the role `{role}` for {name}"));
        }
        tried.users.entry(*name).or_default().roles.remove(&role);
    }
    for group in groups(world) {
        let user = tried.users.entry(*name).or_default();
        if !user.groups.insert(group) {
            continue;
        }
        if judge(who, &tried).is_allowed() {
            enough.push(format!("{name} in the group `{group}`"));
        }
        tried.users.entry(*name).or_default().groups.remove(&group);
    }
    enough
}

/// Groups that the thing would have to be in.
fn for_thing(
    who: &Subject,
    on: &Resource,
    world: &World,
    judge: &impl Fn(&Subject, &World) -> Decision,
) -> Vec<String> {
    let (Resource::Member(name)
    | Resource::Stream(name, _)
    | Resource::Field(name, ..)
    | Resource::Operation(name, ..)) = on
    else {
        return Vec::new();
    };
    if !world.members.contains_key(name) {
        return vec![format!("a device called `{name}`")];
    }
    let mut tried = world.clone();
    let mut enough = Vec::new();
    for group in groups(world) {
        let Some(member) = tried.members.get_mut(name) else { break };
        if !member.groups.insert(group) {
            continue;
        }
        if judge(who, &tried).is_allowed() {
            enough.push(format!("{name} in the group `{group}`"));
        }
        if let Some(member) = tried.members.get_mut(name) {
            member.groups.remove(&group);
        }
    }
    enough
}

/// Every group that somebody or something is in.
fn groups(world: &World) -> std::collections::BTreeSet<thingward_model::GroupName> {
    let users = world.users.values().flat_map(|u| &u.groups);
    let members = world.members.values().flat_map(|m| &m.groups);
    let above = world.groups.iter().flat_map(|(group, above)| std::iter::once(group).chain(above));
    users.chain(members).chain(above).copied().collect()
}
