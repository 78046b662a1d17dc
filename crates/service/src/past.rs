//! What was asked of policies in the past, to be asked again of other ones.

use std::collections::{BTreeMap, HashMap};

use thingward_audit::entry::{Entry, SignedEntry};
use thingward_model::{Principal, TenantName, Timestamp};
use thingward_policy::{Action, Categories, Resource, Subject};
use thingward_store::hot::Space;
use thingward_store::query::{Filter, Limits};
use thingward_store::registry::{LIST_MAX, Registry};
use thingward_store::{Row, Store, StoreError};

use crate::command::{CommandRecord, ENDED_PREFIX, WAITING_PREFIX, hex};
use crate::sealer::Sealer;

/// Most entries of the log that are looked at, the newest.
const ENTRIES_MAX: u64 = 200_000;
/// Most different questions.
const QUESTIONS_MAX: usize = 200_000;
/// Most commands whose numbers are looked up, of those that wait and of those that ended.
const COMMANDS_MAX: usize = 100_000;
/// Entries that are read at a time.
const PAGE: u64 = 1000;

type Question = (Subject, Action, Resource);

/// Whom the audit log's names stand for.
#[derive(Default)]
pub(crate) struct Actors(HashMap<String, Subject>);

impl Actors {
    /// Those of a tenant.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub(crate) async fn of(registry: &Registry, tenant: &TenantName) -> Result<Self, StoreError> {
        let mut all = HashMap::new();
        let mut after = None;
        loop {
            let page = registry.users(tenant, after.as_ref(), LIST_MAX).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name);
            all.extend(page.iter().map(|user| (format!("user/{}", user.id), Subject::User(user.name))));
        }
        let mut after = None;
        loop {
            let page = registry.tokens(Some(tenant), after.as_ref(), LIST_MAX).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            all.extend(page.iter().map(|token| {
                let (user, scopes) =
                    (token.user.as_ref().map(|u| u.1), token.scopes.iter().copied().collect());
                (format!("token/{}", token.id), Subject::Token { name: token.id.name(), user, scopes })
            }));
        }
        let mut after = None;
        loop {
            let page = registry.principals(tenant, None, after.as_ref(), LIST_MAX).await?;
            let Some(last) = page.last() else { return Ok(Self(all)) };
            after = Some(last.principal.name);
            let member = |p: &Principal| (format!("{}/{}", p.role, p.name), Subject::Member(*p));
            all.extend(page.iter().map(|entry| member(&entry.principal)));
        }
    }

    /// Those who look at readings.
    fn readers(&self) -> impl Iterator<Item = &Subject> {
        self.0.values().filter(|who| match who {
            Subject::User(_) => true,
            Subject::Member(principal) => principal.role == thingward_model::Role::Application,
            Subject::Token { .. } | Subject::Operator => false,
        })
    }
}

/// The numbers that commands were sent with, by id: as long as commands are kept, which is longer than they count.
#[derive(Default)]
pub(crate) struct Numbers(HashMap<String, i64>);

impl Numbers {
    /// Those of a tenant.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub(crate) fn of(store: &Store, opener: &mut Sealer, tenant: &TenantName) -> Result<Self, StoreError> {
        let mut all = HashMap::new();
        for prefix in [WAITING_PREFIX, ENDED_PREFIX] {
            let keys = [prefix, format!("{tenant}\0").as_bytes()].concat();
            for (key, sealed) in store.scan(Space::Commands, &keys, COMMANDS_MAX)? {
                let plain = opener.open(&key, &sealed).ok();
                let record = plain.and_then(|plain| CommandRecord::decode(&key, &plain));
                all.extend(record.and_then(|record| Some((hex(&record.id), record.number()?))));
            }
        }
        Ok(Self(all))
    }
}

/// Every different question since `since`, and how often it was asked: what the log says was done or refused, what
/// devices published, and for each field that came whether each user and application may see it.
///
/// # Errors
///
/// What the store says.
pub(crate) fn questions(
    store: &Store,
    tenant: &TenantName,
    actors: &Actors,
    numbers: &Numbers,
    log_size: u64,
    since: Timestamp,
) -> Result<BTreeMap<String, (Question, u64)>, StoreError> {
    let mut all = BTreeMap::new();
    let mut ask = |name: String, question: Question| {
        if all.len() < QUESTIONS_MAX || all.contains_key(&name) {
            all.entry(name).or_insert((question, 0)).1 += 1;
        }
    };
    let mut first = log_size.saturating_sub(ENTRIES_MAX);
    while first < log_size {
        let page = store.log(*tenant).entries(first, PAGE.min(log_size - first))?;
        first += PAGE;
        for (_, bytes) in &page {
            // The service's own log, as it is on its own disk.
            let Ok(signed) = SignedEntry::decode(bytes) else { continue };
            let entry = signed.claimed_unverified();
            if entry.time < since.as_micros() {
                continue;
            }
            let Some(who) = actors.0.get(&entry.actor) else { continue };
            for (action, on) in asked(entry, numbers).into_iter().chain(granted(entry)) {
                let question = (*who, action, on);
                ask(format!("{} {} {:?}", entry.actor, question.1, question.2), question);
            }
        }
    }
    let members: HashMap<_, _> = actors
        .0
        .iter()
        .filter_map(|(name, who)| match who {
            Subject::Member(principal) => Some((principal.name, (name, who))),
            _ => None,
        })
        .collect();
    let filter = Filter { from: Some(since), ..Filter::default() };
    for Row { device, stream, field, unit, .. } in store.latest(tenant, &filter, &Limits::default())? {
        if let Some((name, who)) = members.get(&device).copied() {
            let on = Resource::Stream(device, stream);
            ask(format!("{name} {} {on}", Action::PublishReadings), (*who, Action::PublishReadings, on));
        }
        let categories = Categories::guessed(field.as_ref(), unit.as_deref());
        let on = Resource::Field(device, stream, field, categories);
        for who in actors.readers() {
            ask(format!("{who:?} {} {on}", Action::ReadReadings), (*who, Action::ReadReadings, on));
        }
    }
    Ok(all)
}

/// The operations that an entry's actor asked the policies to grant: a grant has several.
fn granted(entry: &Entry) -> impl Iterator<Item = (Action, Resource)> {
    let detail = |name: &str| entry.details.get(name).map(String::as_str).unwrap_or_default();
    let device = detail("device").parse().ok();
    let actions = if entry.action == "grant.issue" { detail("actions") } else { "" };
    let on = move |action: &str| Some(Resource::Operation(device?, action.parse().ok()?, None));
    actions.split(' ').filter_map(on).map(|on| (Action::IssueGrants, on))
}

/// What an entry's actor asked the policies for.
fn asked(entry: &Entry, numbers: &Numbers) -> Option<(Action, Resource)> {
    let name = entry.target.split_once('/').map_or(entry.target.as_str(), |(_, name)| name);
    let (noun, _) = entry.action.split_once('.')?;
    Some(match noun {
        "device" => (Action::ManageDevices, Resource::Member(name.parse().ok()?)),
        "maker" => (Action::ManageDevices, Resource::Tenant),
        "key" => (Action::ManageKeys, Resource::Tenant),
        "token" => (Action::ManageTokens, Resource::Tenant),
        "user" | "group" => (Action::ManageUsers, Resource::Tenant),
        "policy" => (Action::ManagePolicy, Resource::Tenant),
        "grant" if entry.action == "grant.revoke" => {
            (Action::RevokeGrants, Resource::Member(entry.details.get("device")?.parse().ok()?))
        }
        "readings" if entry.target.starts_with("segment/") => (Action::ReadSegments, Resource::Tenant),
        "command" if matches!(entry.action.as_str(), "command.send" | "command.publish") => {
            let number = entry.details.get("id").and_then(|id| numbers.0.get(id)).copied();
            let on = match Resource::parse(Action::SendCommands, name).ok()? {
                Resource::Operation(device, action, _) => Resource::Operation(device, action, number),
                other => other,
            };
            (Action::SendCommands, on)
        }
        "access" => {
            let action = entry.details.get("action")?.parse().ok()?;
            (action, Resource::parse(action, &entry.target).ok()?)
        }
        _ => return None,
    })
}
