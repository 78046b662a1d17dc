//! The policies of one tenant at work: decisions, remembered until something that they rest on changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use thingward_model::{DeviceName, TenantName};

use crate::action::{Act, Action};
use crate::entities::Question;
use crate::index::{Answer, Index};
use crate::permit::{Denied, Permit};
use crate::remembered::Remembered;
use crate::resource::Resource;
use crate::schema::{baseline, baseline_index};
use crate::source::{Place, PolicyFile, Problem, Problems, Source};
use crate::subject::Subject;
use crate::weak::{self, WeakJoin};
use crate::world::{Member, World};

/// Most decisions that are remembered of a tenant with few members.
const REMEMBERED_OF_FEW_MAX: usize = 1 << 16;
/// Most for each member of one with many. Each asks the same over and over: were these fewer than members, none would be found again.
const REMEMBERED_OF_EACH_MAX: usize = 2;

/// One tenant's policies, and what they are about. Shared by everything that asks.
pub struct Policies {
    tenant: TenantName,
    rules: RwLock<Rules>,
    /// Locked while [`Self::rules`] is, and never the other way round.
    remembered: Mutex<Remembered>,
}

/// Cheap to take along: what takes long is asked without a lock.
#[derive(Clone)]
struct Rules {
    /// `None` when the tenant's own policies cannot be used: what they forbid is not known.
    own: Option<Arc<Own>>,
    world: Arc<World>,
}

/// The baseline and a tenant's own files.
struct Own {
    source: Source,
    index: Index,
}

/// What was decided, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// A policy permits it, and none forbids it or failed.
    Allowed,
    /// No policy permits it.
    NotPermitted,
    /// A policy forbids it.
    Forbidden,
    /// A policy failed: it might have been the one that forbids.
    Failed,
    /// The token is for other things.
    OutOfScope,
    /// The tenant is another one than the subject's.
    OtherTenant,
}

impl Decision {
    /// Whether it is a yes.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed)
    }

    /// Why, for the one who asked. Empty for a yes.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Allowed => "",
            Self::NotPermitted => "no policy permits it",
            Self::Forbidden => "a policy forbids it",
            Self::Failed => "a policy failed, and what it would have said is not known",
            Self::OutOfScope => "the token lacks the scope",
            Self::OtherTenant => "it is of another tenant",
        }
    }

    fn of(answer: &Answer) -> Self {
        if answer.is_allowed() {
            Self::Allowed
        } else if !answer.errors.is_empty() {
            Self::Failed
        } else if answer.reasons.is_empty() {
            Self::NotPermitted
        } else {
            Self::Forbidden
        }
    }
}

impl Policies {
    /// The baseline and these files, about this world.
    ///
    /// # Errors
    ///
    /// [`Problems`] when they cannot be put beside the baseline.
    pub fn new(tenant: TenantName, source: Source, world: World) -> Result<Self, Problems> {
        let own = Some(Arc::new(Own::new(source)?));
        Ok(Self::of(tenant, Rules { own, world: Arc::new(world) }))
    }

    /// Those of a tenant whose own files cannot be used: they allow what the baseline allows the operator of the
    /// installation, who can apply others, and nobody else anything.
    #[must_use]
    pub fn closed(tenant: TenantName) -> Self {
        Self::of(tenant, Rules { own: None, world: Arc::default() })
    }

    fn of(tenant: TenantName, rules: Rules) -> Self {
        Self { tenant, rules: RwLock::new(rules), remembered: Mutex::default() }
    }

    fn rules(&self) -> Rules {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The tenant's own policies that can have a say where no people are; `None` when they are those of [`Self::closed`].
    #[must_use]
    pub fn without_people(&self) -> Option<Vec<PolicyFile>> {
        Some(self.rules().own?.source.without_people())
    }

    /// The permit to do `A` to something, when the policies allow it.
    ///
    /// # Errors
    ///
    /// [`Denied`].
    pub fn decide<A: Act>(&self, who: &Subject, on: &Resource) -> Result<Permit<A>, Denied> {
        match self.decision(who, A::ACTION, on) {
            Decision::Allowed => Ok(Permit::new(self.tenant)),
            no => Err(Denied { reason: no.reason() }),
        }
    }

    /// What the policies say; for whoever asks without wanting to act.
    #[must_use]
    pub fn decision(&self, who: &Subject, action: Action, on: &Resource) -> Decision {
        let key = (*who, action, *on);
        if let Some(known) = self.remembered().get(&key) {
            return known;
        }
        // Held until the decision is remembered, so that a change cannot come in between.
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let decision = self.judge(rules.own.as_deref(), &rules.world, who, action, on).0;
        let max = REMEMBERED_OF_FEW_MAX.max(REMEMBERED_OF_EACH_MAX * rules.world.members.len());
        self.remembered().keep(key, decision, max);
        decision
    }

    /// Decides afresh, by these rules.
    fn judge(
        &self,
        own: Option<&Own>,
        world: &World,
        who: &Subject,
        action: Action,
        on: &Resource,
    ) -> (Decision, Option<Answer>) {
        match who {
            Subject::Token { scopes, .. } if !scopes.contains(action) => return (Decision::OutOfScope, None),
            Subject::Member(principal) if principal.tenant != self.tenant => {
                return (Decision::OtherTenant, None);
            }
            _ => {}
        }
        let index = match (who, own) {
            (Subject::Operator, _) => baseline_index(),
            (_, Some(own)) => &own.index,
            (_, None) => return (Decision::Failed, None),
        };
        match Question::new(self.tenant, who, action, on, world) {
            Ok(question) => {
                let answer = index.ask(&question.request, &question.entities);
                (Decision::of(&answer), Some(answer))
            }
            // The schema has no such question, so no policy can permit it.
            Err(_) => (Decision::NotPermitted, None),
        }
    }

    /// The things that may join this radio of a gateway in a way that is otherwise refused, and why.
    #[must_use]
    pub fn weak_joins(&self, gateway: &DeviceName, radio: &DeviceName) -> Vec<WeakJoin> {
        let rules = self.rules();
        let Some(own) = rules.own.as_deref() else { return Vec::new() };
        let may = |join: &WeakJoin| {
            let thing = format!("{radio}/{}", join.address);
            let question = Question::weak_join(self.tenant, &thing, gateway, &rules.world);
            question.is_ok_and(|question| own.index.ask(&question.request, &question.entities).is_allowed())
        };
        let named = own.source.policies().filter_map(weak::named);
        let of_radio = named.filter(|(of, _)| of == radio.as_str()).map(|(_, join)| join);
        let mut joins: Vec<WeakJoin> = of_radio.filter(may).collect();
        joins.sort_by(|a, b| a.address.cmp(&b.address));
        joins.dedup_by(|a, b| a.address == b.address);
        joins
    }

    /// Takes other policies. From here on nothing is decided by the old ones.
    ///
    /// # Errors
    ///
    /// [`Problems`] as for [`Self::new`]; the old ones stay.
    pub fn apply(&self, source: Source) -> Result<(), Problems> {
        let own = Arc::new(Own::new(source)?);
        self.change(|rules| rules.own = Some(own));
        Ok(())
    }

    /// Changes what the policies are about. From here on nothing is decided by what was.
    pub fn update(&self, change: impl FnOnce(&mut World)) {
        self.change(|rules| change(Arc::make_mut(&mut rules.world)));
    }

    /// Changes a member, where it is another one behind it. From here on nothing is decided by what it was; what was decided of
    /// others goes on being remembered.
    pub fn update_member(&self, name: DeviceName, change: impl FnOnce(&mut Option<Member>)) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let before = rules.world.members.get(&name);
        let mut member = before.cloned();
        change(&mut member);
        if member.as_ref() == before {
            return;
        }
        let members = &mut Arc::make_mut(&mut rules.world).members;
        match member {
            Some(member) => drop(members.insert(name, member)),
            None => drop(members.remove(&name)),
        }
        self.remembered().forget(name);
    }

    fn change(&self, change: impl FnOnce(&mut Rules)) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut rules);
        self.remembered().forget_all();
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what the policies are about.
    pub fn world<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.rules().world)
    }

    /// Why it is decided as it is. What would have to change is found by trying, so it takes its time.
    #[must_use]
    pub fn explain(&self, who: &Subject, action: Action, on: &Resource) -> Explanation {
        let rules = self.rules();
        let own = rules.own.as_deref();
        let (decision, answer) = self.judge(own, &rules.world, who, action, on);
        let place = |id| own.and_then(|own| own.source.place(id)).or_else(|| baseline().place(id)).cloned();
        let answer = answer.as_ref();
        let policies = answer.iter().flat_map(|a| &a.reasons);
        let policies =
            policies.filter_map(|id| Some(Named { id: id.to_string(), place: place(id)? })).collect();
        let errors = answer.iter().flat_map(|a| &a.errors).map(|(_, error)| error.clone()).collect();
        let judge = |who: &Subject, world: &World| self.judge(own, world, who, action, on).0;
        let changes = crate::explain::changes(decision, who, action, on, &rules.world, judge);
        Explanation { decision, policies, errors, changes }
    }

    /// What these questions would be answered under other policies, where the answer differs.
    ///
    /// # Errors
    ///
    /// [`Problems`] as for [`Self::new`].
    pub fn compare(
        &self,
        draft: Source,
        questions: impl Iterator<Item = (Subject, Action, Resource)>,
    ) -> Result<Vec<Difference>, Problems> {
        let (draft, rules) = (Own::new(draft)?, self.rules());
        let difference = |(who, action, on): (Subject, Action, Resource)| {
            let now = self.judge(rules.own.as_deref(), &rules.world, &who, action, &on).0;
            let then = self.judge(Some(&draft), &rules.world, &who, action, &on).0;
            (now.is_allowed() != then.is_allowed()).then_some(Difference { who, action, on, now, then })
        };
        Ok(questions.filter_map(difference).collect())
    }
}

impl Own {
    fn new(source: Source) -> Result<Self, Problems> {
        let problem = |message| Problems(vec![Problem { file: String::new(), line: 0, message }]);
        let index = Index::new(baseline().policies().chain(source.policies()));
        Ok(Self { source, index: index.map_err(|e| problem(e.to_string()))? })
    }
}

/// A policy, by name and place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// As answers name it.
    pub id: String,
    /// Where it is.
    pub place: Place,
}

/// Why something is decided as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was decided.
    pub decision: Decision,
    /// The policies that made it so.
    pub policies: Vec<Named>,
    /// How policies failed.
    pub errors: Vec<String>,
    /// For a no: what would make it a yes, a sentence each.
    pub changes: Vec<String>,
}

/// A question that other policies would answer otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Who asked.
    pub who: Subject,
    /// To do what.
    pub action: Action,
    /// To what.
    pub on: Resource,
    /// The answer now.
    pub now: Decision,
    /// The answer then.
    pub then: Decision,
}
