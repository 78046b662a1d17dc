//! What was decided, until something that it rests on changes.

use ahash::HashMap;
use thingward_model::DeviceName;

use crate::action::Action;
use crate::policies::Decision;
use crate::resource::Resource;
use crate::subject::Subject;

/// Most members that are known to have changed. Beyond it, what was decided of them is sorted out.
const CHANGED_MAX: usize = 4096;

/// Who asked, to do what, to what.
pub(crate) type Asked = (Subject, Action, Resource);

/// Decisions, each of which rests on the member who asked, the member that it is about, and what is of the whole tenant. They are
/// found among many, so that what a change of one member ends is seen when it is asked for.
#[derive(Default)]
pub(crate) struct Remembered {
    /// With the number of changes before it.
    decisions: HashMap<Asked, (Decision, u64)>,
    /// How many changes there had been when a member changed last.
    changed: HashMap<DeviceName, u64>,
    changes: u64,
}

impl Remembered {
    pub(crate) fn get(&self, asked: &Asked) -> Option<Decision> {
        let (decision, at) = self.decisions.get(asked)?;
        self.still_holds(asked, *at).then_some(*decision)
    }

    fn still_holds(&self, asked: &Asked, at: u64) -> bool {
        self.changed.is_empty()
            || members(asked).all(|name| self.changed.get(name).is_none_or(|change| *change <= at))
    }

    /// At most `max` are kept.
    pub(crate) fn keep(&mut self, asked: Asked, decision: Decision, max: usize) {
        if self.decisions.len() >= max {
            self.forget_all();
        }
        self.decisions.insert(asked, (decision, self.changes));
    }

    /// A member is another now.
    pub(crate) fn forget(&mut self, name: DeviceName) {
        self.changes += 1;
        self.changed.insert(name, self.changes);
        if self.changed.len() > CHANGED_MAX {
            let mut all = std::mem::take(&mut self.decisions);
            all.retain(|asked, (_, at)| self.still_holds(asked, *at));
            self.decisions = all;
            self.changed.clear();
        }
    }

    /// Something of the whole tenant is another now.
    pub(crate) fn forget_all(&mut self) {
        self.decisions.clear();
        self.changed.clear();
    }
}

/// The members that a question is about.
fn members((who, _, on): &Asked) -> impl Iterator<Item = &DeviceName> {
    let who = if let Subject::Member(principal) = who { Some(&principal.name) } else { None };
    who.into_iter().chain(on.member())
}

#[cfg(test)]
mod tests {
    use thingward_model::{Principal, Role};

    use super::*;

    fn asked(who: &str, on: &str) -> Asked {
        let principal = Principal {
            tenant: "acme".parse().unwrap(),
            role: Role::Application,
            name: who.parse().unwrap(),
        };
        (Subject::Member(principal), Action::ReadReadings, Resource::Member(on.parse().unwrap()))
    }

    #[test]
    fn what_rests_on_a_member_that_changed_is_not_found_and_the_rest_is() {
        let mut all = Remembered::default();
        for (who, on) in [("app", "meter"), ("app", "pump"), ("meter", "meter"), ("other", "pump")] {
            all.keep(asked(who, on), Decision::Allowed, 100);
        }
        all.forget("meter".parse().unwrap());
        let found = |all: &Remembered, who, on| all.get(&asked(who, on)).is_some();
        assert!(!found(&all, "app", "meter") && !found(&all, "meter", "meter"));
        assert!(found(&all, "app", "pump") && found(&all, "other", "pump"));
        all.keep(asked("app", "meter"), Decision::Forbidden, 100);
        assert_eq!(all.get(&asked("app", "meter")), Some(Decision::Forbidden), "decided behind the change");
        all.forget("app".parse().unwrap());
        assert!(!found(&all, "app", "meter") && !found(&all, "app", "pump") && found(&all, "other", "pump"));
        all.forget_all();
        assert!(!found(&all, "other", "pump"));
    }

    #[test]
    fn many_changes_take_no_memory_and_bring_nothing_back() {
        let mut all = Remembered::default();
        let name = |n: usize| format!("meter-{n}");
        for n in 0..10_000 {
            all.keep(asked(&name(n), &name(n)), Decision::Allowed, 100_000);
        }
        for n in 0..9_000 {
            all.forget(name(n).parse().unwrap());
            assert!(all.changed.len() <= CHANGED_MAX);
        }
        let left = (0..10_000).filter(|n| all.get(&asked(&name(*n), &name(*n))).is_some());
        assert!(left.eq(9_000..10_000));
        assert!(all.decisions.len() < 10_000 - CHANGED_MAX);
    }
}
