//! What applications on the premises may see of things of radios, and have them do: by the policies that the gateway goes by,
//! whether the service is there or not, and with an account of it.
//!
//! Only things whose keys the gateway keeps: what others do they do at the service's word, or at a grant.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use thingward_model::description::ThingDescription;
use thingward_model::{ActionName, DeviceName, Link, Principal, Role, StreamName, TenantName, Timestamp};
use thingward_policy::{
    Action, Categories, Permit, Policies, Resource, SendCommands, Subject, WeakJoin, ten_thousandths,
};
use thingward_radio::wire;
use tokio::sync::{broadcast, watch};

use crate::accounts::{AccountError, Accounts, Deed};
use crate::radio::{Desk, STREAM, Undone};
use crate::standing::Rules;

/// Reports that an application may lag behind.
const HEARD_MAX: usize = 1024;
/// Most calls of an application in a second, and most that may be saved up.
const CALLS_PER_SECOND: f64 = 20.0;
const CALLS_SAVED: f64 = 40.0;
/// How often a refusal of the same is accounted for.
const REFUSED_EVERY: Duration = Duration::from_secs(60);
/// Most refusals that are told apart within that time.
const REFUSED_MAX: usize = 64;

/// Why a thing is not told to do something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTold {
    /// The policies say no, or there are none.
    #[error("{0}")]
    Refused(&'static str),
    /// There is no such thing, or it does no such thing.
    #[error("{0}")]
    Nothing(&'static str),
    /// The action takes another input.
    #[error("{0}")]
    Input(String),
    /// Too much is asked for.
    #[error("more than the gateway does in a second")]
    TooOften,
    /// It cannot be accounted for.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The thing did not do it.
    #[error("{0}")]
    Failed(String),
    /// Nobody knows whether it did.
    #[error("{0}")]
    Unknown(String),
}

/// What a thing said, for those who listen here.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) thing: DeviceName,
    pub(crate) link: Link,
    pub(crate) time: Timestamp,
    pub(crate) readings: Arc<[wire::Reading]>,
}

/// A thing that can be told to do something from here.
#[derive(Clone)]
pub(crate) struct LocalThing {
    pub(crate) address: wire::Address,
    pub(crate) desk: Desk,
    pub(crate) description: Arc<ThingDescription>,
}

/// See the module. Clones are the same.
#[derive(Clone)]
pub(crate) struct Local(Arc<Inner>);

struct Inner {
    tenant: TenantName,
    gateway: DeviceName,
    rules: Rules,
    accounts: Accounts,
    has_applications: bool,
    things: RwLock<BTreeMap<DeviceName, LocalThing>>,
    /// Rings when the things are others, or are described otherwise.
    changed: watch::Sender<()>,
    heard: broadcast::Sender<Heard>,
    limits: Mutex<Limits>,
}

#[derive(Default)]
struct Limits {
    calls: HashMap<DeviceName, (f64, Option<Instant>)>,
    refused: HashMap<(DeviceName, String), Refused>,
    /// Those that are not told apart, because too many others are.
    others: Option<Refused>,
    /// Those that were only counted, and are not told apart any more.
    forgotten: u64,
}

struct Refused {
    at: Instant,
    also: u64,
    /// Of the first of them.
    reason: &'static str,
}

/// An application and what it was refused, the first reason, and how often besides once.
type Counted = ((DeviceName, String), &'static str, u64);

/// What is told of a refusal.
#[derive(Debug, PartialEq, Eq)]
enum Telling {
    /// Itself, and how often the same was refused since it was told last.
    This { also: u64 },
    /// That there are so many more, of many kinds.
    Others { count: u64 },
}

impl Local {
    /// Of the gateway that is this member. Where there are no applications, nothing is kept of things for them: a description
    /// takes more than all else of a thing.
    pub(crate) fn new(gateway: &Principal, rules: Rules, accounts: Accounts, has_applications: bool) -> Self {
        Self(Arc::new(Inner {
            tenant: gateway.tenant,
            gateway: gateway.name,
            rules,
            accounts,
            has_applications,
            things: RwLock::default(),
            changed: watch::channel(()).0,
            heard: broadcast::channel(HEARD_MAX).0,
            limits: Mutex::default(),
        }))
    }

    /// The policies that are gone by.
    pub(crate) fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// A thing is there, or is known better.
    pub(crate) fn thing(&self, name: DeviceName, thing: LocalThing) {
        if !self.0.has_applications {
            return;
        }
        self.0.things.write().unwrap_or_else(PoisonError::into_inner).insert(name, thing);
        self.0.changed.send_replace(());
    }

    /// A thing is gone.
    pub(crate) fn gone(&self, name: &DeviceName) {
        self.0.things.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.0.changed.send_replace(());
    }

    /// A thing said something.
    pub(crate) fn heard(&self, heard: impl FnOnce() -> Heard) {
        if self.0.heard.receiver_count() > 0 {
            let _ = self.0.heard.send(heard());
        }
    }

    /// What things say from here on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Heard> {
        self.0.heard.subscribe()
    }

    /// Rings when things are others.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// The things with what they can do, as `application` may see them: those of which it may read or do anything.
    pub(crate) fn things(&self, application: &DeviceName) -> BTreeMap<DeviceName, Arc<ThingDescription>> {
        let Ok((policies, _)) = self.0.rules.policies() else { return BTreeMap::new() };
        let things = self.0.things.read().unwrap_or_else(PoisonError::into_inner).clone();
        let who = self.subject(application);
        let may_see = |(name, thing): &(DeviceName, LocalThing)| {
            thing.description.properties.keys().any(|field| may_read(&policies, &who, *name, thing, field))
                || thing.description.actions.keys().any(|action| may_call(&policies, &who, *name, *action))
        };
        things.into_iter().filter(may_see).map(|(name, thing)| (name, thing.description)).collect()
    }

    /// Whether an application may see a value of a thing.
    pub(crate) fn may_read(&self, application: &DeviceName, thing: DeviceName, field: &str) -> bool {
        let things = self.0.things.read().unwrap_or_else(PoisonError::into_inner);
        let known = self.0.rules.policies().ok().zip(things.get(&thing));
        known.is_some_and(|((policies, _), known)| {
            may_read(&policies, &self.subject(application), thing, known, field)
        })
    }

    /// Whether an application may have a thing do this, with whatever input is within bounds.
    pub(crate) fn may_call(&self, application: &DeviceName, thing: DeviceName, action: ActionName) -> bool {
        let policies = self.0.rules.policies();
        policies.is_ok_and(|(policies, _)| may_call(&policies, &self.subject(application), thing, action))
    }

    /// The things that may join a radio in a way that is otherwise refused, and why: as long as the policies are good.
    pub(crate) fn weak_joins(&self, radio: &DeviceName) -> Vec<wire::Exception> {
        let Ok((policies, _)) = self.0.rules.policies() else { return Vec::new() };
        let exception = |join: WeakJoin| {
            let thing = wire::Address::new(&join.address)?;
            Some(wire::Exception { thing, reason: wire::Sentence::fitting(&join.reason) })
        };
        let joins = policies.weak_joins(&self.0.gateway, radio).into_iter().filter_map(exception);
        joins.take(wire::EXCEPTIONS_MAX).collect()
    }

    fn subject(&self, application: &DeviceName) -> Subject {
        Subject::Member(Principal { tenant: self.0.tenant, role: Role::Application, name: *application })
    }

    /// Has a thing do something, and waits for the end of it. Blocks its thread.
    ///
    /// # Errors
    ///
    /// [`NotTold`]. It is in the accounts what policies refused, and what was done.
    pub(crate) fn call(
        &self,
        application: &DeviceName,
        thing: DeviceName,
        action: ActionName,
        input: &Json,
    ) -> Result<(), NotTold> {
        if !self.limits().may_call(application, Instant::now()) {
            return Err(NotTold::TooOften);
        }
        let told = self.0.things.read().unwrap_or_else(PoisonError::into_inner).get(&thing).cloned();
        let told = told.ok_or(NotTold::Nothing("there is no such thing behind this gateway"))?;
        let described = told.description.actions.get(&action);
        let described = described.ok_or(NotTold::Nothing("the thing does no such thing"))?;
        described.validate(input).map_err(|error| NotTold::Input(error.to_string()))?;
        let arguments = arguments(input).ok_or_else(|| NotTold::Input("no radio takes that".to_owned()))?;
        let value = input.as_f64().map(ten_thousandths);
        let (permit, version) = self.permit(application, thing, action, value, described.is_sensitive)?;
        self.order(&permit, version, application, (thing, action), &told, arguments)
    }

    fn permit(
        &self,
        application: &DeviceName,
        thing: DeviceName,
        action: ActionName,
        value: Option<i64>,
        is_sensitive: bool,
    ) -> Result<(Permit<SendCommands>, u64), NotTold> {
        let decided = self.0.rules.policies().and_then(|(policies, version)| {
            // What the service knows of it counts as well: it may know better.
            let of_service = policies.world(|world| {
                world.members.get(&thing).and_then(|member| member.operations.get(&action).cloned())
            });
            let of_service = of_service.ok_or("the service has not said that it knows of this")?;
            if is_sensitive || of_service.is_sensitive {
                return Err("it takes somebody's own passkey, which only the service can ask for");
            }
            let on = Resource::Operation(thing, action, value);
            let permit = policies.decide::<SendCommands>(&self.subject(application), &on);
            permit.map(|permit| (permit, version)).map_err(|denied| denied.reason)
        });
        decided.map_err(|reason| {
            self.refused(application, &target(thing, action), reason);
            NotTold::Refused(reason)
        })
    }

    fn order(
        &self,
        _permit: &Permit<SendCommands>,
        version: u64,
        application: &DeviceName,
        (thing, action): (DeviceName, ActionName),
        told: &LocalThing,
        arguments: Vec<wire::Argument>,
    ) -> Result<(), NotTold> {
        let details =
            vec![("for", format!("application/{application}")), ("policy", format!("policy/{version}"))];
        let deed = Deed { action: "gateway.command", target: target(thing, action), details };
        let number = self.0.accounts.write(deed)?;
        let done = told.desk.call(&told.address, action.as_str(), arguments).map_err(|undone| match undone {
            Undone::Not(why) => NotTold::Failed(why),
            Undone::Unknown(why) => NotTold::Unknown(why.to_owned()),
        });
        let outcome = match done {
            Ok(()) => "done",
            Err(NotTold::Unknown(_)) => "unknown",
            Err(_) => "failed",
        };
        let details = vec![("to", number.to_string()), ("outcome", outcome.to_owned())];
        let deed = Deed { action: "gateway.reply", target: target(thing, action), details };
        if let Err(error) = self.0.accounts.write(deed) {
            tracing::error!(%thing, %action, outcome, %error, "what became of a command is not accounted for");
        }
        done
    }

    /// Accounts for a refusal, unless the same was within the last minute.
    fn refused(&self, application: &DeviceName, target: &str, reason: &'static str) {
        let also = match self.limits().refused(application, reason, target, Instant::now()) {
            None => return,
            Some(Telling::This { also }) => also,
            Some(Telling::Others { count }) => return self.refused_others(count),
        };
        self.account_refusal(application, target, reason, also);
    }

    fn account_refusal(&self, application: &DeviceName, target: &str, reason: &'static str, also: u64) {
        let mut details = vec![("for", format!("application/{application}")), ("reason", reason.to_owned())];
        if also > 0 {
            details.push(("also", also.to_string()));
        }
        let deed = Deed { action: "gateway.refuse", target: target.to_owned(), details };
        if let Err(error) = self.0.accounts.write(deed) {
            tracing::error!(target, %error, "a refusal is not accounted for");
        }
    }

    /// Accounts for refusals that were only counted, again and again.
    pub(crate) async fn tell_refusals(self) {
        const EVERY: Duration = Duration::from_secs(10);
        loop {
            tokio::time::sleep(EVERY).await;
            let (these, others) = self.limits().over(Instant::now());
            for ((application, target), reason, also) in these {
                self.account_refusal(&application, &target, reason, also);
            }
            if others > 0 {
                self.refused_others(others);
            }
        }
    }

    /// Accounts for so many refusals of many kinds.
    fn refused_others(&self, count: u64) {
        let details = vec![("reason", "too many different ones".to_owned()), ("more", count.to_string())];
        let deed = Deed { action: "gateway.refuse", target: "operation/*".to_owned(), details };
        if let Err(error) = self.0.accounts.write(deed) {
            tracing::error!(count, %error, "refusals are not accounted for");
        }
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.0.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limits {
    fn may_call(&mut self, application: &DeviceName, now: Instant) -> bool {
        let (saved, last) = self.calls.entry(*application).or_insert((CALLS_SAVED, None));
        if let Some(last) = last.replace(now) {
            *saved = (*saved + now.duration_since(last).as_secs_f64() * CALLS_PER_SECOND).min(CALLS_SAVED);
        }
        let may = *saved >= 1.0;
        if may {
            *saved -= 1.0;
        }
        may
    }

    /// What is to be told of a refusal; `None` when the same was a moment ago.
    fn refused(
        &mut self,
        application: &DeviceName,
        reason: &'static str,
        target: &str,
        now: Instant,
    ) -> Option<Telling> {
        let at = (*application, target.to_owned());
        if let Some(known) = self.refused.get_mut(&at) {
            return known.again(now).map(|also| Telling::This { also });
        }
        if self.refused.len() >= REFUSED_MAX {
            let forgotten = &mut self.forgotten;
            self.refused.retain(|_, known| {
                let stays = now.duration_since(known.at) < REFUSED_EVERY;
                *forgotten += if stays { 0 } else { known.also };
                stays
            });
        }
        if self.refused.len() >= REFUSED_MAX {
            let Some(others) = &mut self.others else {
                self.others = Some(Refused { at: now, also: 0, reason: "" });
                return Some(Telling::Others { count: 1 + std::mem::take(&mut self.forgotten) });
            };
            // This one, and those that were not told.
            let also = others.again(now)?;
            return Some(Telling::Others { count: also + 1 + std::mem::take(&mut self.forgotten) });
        }
        self.refused.insert(at, Refused { at: now, also: 0, reason });
        Some(Telling::This { also: 0 })
    }
}

impl Limits {
    /// What was only counted for as long as that: each with how often besides once, and how many are not told apart.
    fn over(&mut self, now: Instant) -> (Vec<Counted>, u64) {
        let mut these = Vec::new();
        self.refused.retain(|at, known| {
            if now.duration_since(known.at) < REFUSED_EVERY {
                return true;
            }
            let counted = known.also;
            these.extend(counted.checked_sub(1).map(|also| (at.clone(), known.reason, also)));
            (known.at, known.also) = (now, 0);
            counted > 0
        });
        let others = self.others.as_mut().filter(|others| now.duration_since(others.at) >= REFUSED_EVERY);
        let others = others.map_or(0, |others| {
            others.at = now;
            std::mem::take(&mut others.also)
        });
        (these, others + std::mem::take(&mut self.forgotten))
    }
}

impl Refused {
    /// How many were not told since the last that was; `None` when that was a moment ago.
    fn again(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.at) < REFUSED_EVERY {
            self.also += 1;
            return None;
        }
        self.at = now;
        Some(std::mem::take(&mut self.also))
    }
}

fn target(thing: DeviceName, action: ActionName) -> String {
    format!("operation/{thing}/{action}")
}

/// As the service decides: by what the value is about, whoever says so. Of what the service does not know nothing is shown.
fn may_read(policies: &Policies, who: &Subject, thing: DeviceName, known: &LocalThing, field: &str) -> bool {
    let property = known.description.properties.get(field);
    let (Some(property), Ok(stream), Ok(field)) = (property, STREAM.parse::<StreamName>(), field.parse())
    else {
        return false;
    };
    if !policies.world(|world| world.members.contains_key(&thing)) {
        return false;
    }
    let mut categories = Categories::guessed(Some(&field), property.schema.unit.as_deref());
    match property.category.as_deref() {
        Some("location") => categories.location = true,
        Some("personal") => categories.personal = true,
        _ => {}
    }
    let on = Resource::Field(thing, stream, Some(field), categories);
    policies.decision(who, Action::ReadReadings, &on).is_allowed()
}

fn may_call(policies: &Policies, who: &Subject, thing: DeviceName, action: ActionName) -> bool {
    let is_plain = policies.world(|world| {
        let known = world.members.get(&thing).and_then(|member| member.operations.get(&action));
        known.is_some_and(|operation| !operation.is_sensitive)
    });
    let on = Resource::Operation(thing, action, None);
    is_plain && policies.decision(who, Action::SendCommands, &on).is_allowed()
}

/// An input as radios take it; `None` when it is more than that.
fn arguments(input: &Json) -> Option<Vec<wire::Argument>> {
    let argument = |name: &str, value: &Json| {
        let value = match value {
            Json::Bool(value) => wire::Value::Bool(*value),
            Json::Number(number) => wire::Value::Number(number.as_f64()?),
            Json::String(text) => wire::Value::Text(wire::Words::new(text)?),
            Json::Null | Json::Array(_) | Json::Object(_) => return None,
        };
        Some(wire::Argument { name: wire::Name::new(name)?, value })
    };
    match input {
        Json::Null => Some(Vec::new()),
        Json::Object(members) if members.len() > wire::ARGUMENTS_MAX => None,
        Json::Object(members) => members.iter().map(|(name, value)| argument(name, value)).collect(),
        one => Some(vec![argument("", one)?]),
    }
}

#[cfg(test)]
mod tests;
