//! Refusals on their way to the audit log: nobody can fill it with them, and each is counted in it, a minute later at most. What
//! is only counted when the service stops is in no entry.

use std::collections::HashMap;

use thingward_model::{TenantName, Timestamp};
use thingward_policy::{Action, Resource};

use crate::audit::Deed;

/// How long the same refusal is only counted, in microseconds: a minute.
const QUIET_MICROS: i64 = 60_000_000;
/// How often room is looked for, in microseconds: each second.
const SWEEP_MICROS: u64 = 1_000_000;
/// Most different refusals of a tenant that are told apart; past it they count as one.
const APART_MAX: usize = 1000;

/// Who was refused what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Refused {
    pub(crate) tenant: TenantName,
    /// As the audit log names them.
    pub(crate) actor: String,
    pub(crate) action: Action,
    pub(crate) on: Resource,
    pub(crate) reason: &'static str,
}

/// What was refused lately.
#[derive(Default)]
pub(crate) struct Refusals {
    tenants: HashMap<TenantName, OfTenant>,
    /// When something that is only counted has to be told; `None` while there is nothing of that.
    due: Option<Timestamp>,
}

/// One tenant's share, so that no other loses by it.
#[derive(Default)]
struct OfTenant {
    /// When the log was last told, and how often it happened since.
    lately: HashMap<Refused, Told>,
    /// Those for which there was no room.
    crowd: Told,
    /// When room was last looked for.
    swept: Option<Timestamp>,
}

#[derive(Clone, Copy)]
struct Told {
    at: Timestamp,
    since: u64,
}

impl Default for Told {
    fn default() -> Self {
        Self { at: Timestamp::EPOCH, since: 0 }
    }
}

impl Told {
    fn is_over(self, now: Timestamp) -> bool {
        now.micros_since(self.at).unsigned_abs() >= QUIET_MICROS.unsigned_abs()
    }

    /// How often it happened before, when it is time to tell.
    fn note(&mut self, now: Timestamp) -> Option<u64> {
        if !self.is_over(now) {
            self.since += 1;
            return None;
        }
        self.at = now;
        Some(std::mem::take(&mut self.since))
    }
}

impl Told {
    /// How often it happened besides once, when that was counted and not told.
    fn tell(&mut self, now: Timestamp) -> Option<u64> {
        let before = self.since.checked_sub(1)?;
        *self = Self { at: now, since: 0 };
        Some(before)
    }
}

impl Refusals {
    /// What the log has to be told; `None` while it was told the same a moment ago.
    pub(crate) fn note(&mut self, refused: Refused, now: Timestamp) -> Option<Deed> {
        let refused = Refused { on: without_value(refused.on), ..refused };
        let told = self.note_one(refused, now);
        if told.is_none() {
            self.due.get_or_insert(now.plus_micros(QUIET_MICROS));
        }
        told
    }

    /// When [`Self::over`] has something to tell.
    pub(crate) const fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// What was only counted for a minute, and what the log has to be told of it.
    pub(crate) fn over(&mut self, now: Timestamp) -> Vec<(TenantName, Deed)> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        let mut deeds = Vec::new();
        for (tenant, of) in &mut self.tenants {
            deeds.extend(of.over(now).into_iter().map(|deed| (*tenant, deed)));
        }
        self.tenants.retain(|_, of| !of.lately.is_empty() || of.crowd.since > 0);
        let is_counting = self.tenants.values().any(OfTenant::is_counting);
        self.due = is_counting.then(|| now.plus_micros(QUIET_MICROS));
        deeds
    }

    fn note_one(&mut self, refused: Refused, now: Timestamp) -> Option<Deed> {
        let of = self.tenants.entry(refused.tenant).or_default();
        of.make_room(&refused, now);
        if of.lately.len() >= APART_MAX && !of.lately.contains_key(&refused) {
            return of.crowd.note(now).map(of_crowd);
        }
        let before = of.lately.entry(refused.clone()).or_default().note(now)?;
        Some(of_one(&refused, before))
    }
}

impl OfTenant {
    /// What was only counted for as long, and is told now. What was told and not refused since is forgotten.
    fn over(&mut self, now: Timestamp) -> Vec<Deed> {
        let mut deeds = Vec::new();
        self.lately.retain(|refused, told| {
            if !told.is_over(now) {
                return true;
            }
            let counted = told.tell(now);
            deeds.extend(counted.map(|before| of_one(refused, before)));
            counted.is_some()
        });
        if self.crowd.is_over(now) {
            deeds.extend(self.crowd.tell(now).map(of_crowd));
        }
        deeds
    }

    fn is_counting(&self) -> bool {
        self.crowd.since > 0 || self.lately.values().any(|told| told.since > 0)
    }

    /// Lets go of what was told long ago. What was only counted since goes to the crowd.
    fn make_room(&mut self, refused: &Refused, now: Timestamp) {
        let is_due = self.swept.is_none_or(|at| now.micros_since(at).unsigned_abs() >= SWEEP_MICROS);
        if self.lately.len() < APART_MAX || self.lately.contains_key(refused) || !is_due {
            return;
        }
        self.swept = Some(now);
        let crowd = &mut self.crowd;
        self.lately.retain(|_, told| {
            let is_over = told.is_over(now);
            if is_over {
                crowd.since += told.since;
            }
            !is_over
        });
    }
}

/// One number after the other is the same refusal.
const fn without_value(on: Resource) -> Resource {
    match on {
        Resource::Operation(device, action, _) => Resource::Operation(device, action, None),
        other => other,
    }
}

fn of_one(refused: &Refused, before: u64) -> Deed {
    let deed = deed(refused.actor.clone(), refused.action.as_str(), refused.reason, before);
    deed.about(refused.on.to_string())
}

fn of_crowd(before: u64) -> Deed {
    deed("many".to_owned(), "many", "many", before)
}

fn deed(actor: String, action: &str, reason: &str, before: u64) -> Deed {
    let deed =
        Deed::new(actor, "access.refuse", "tenant".to_owned()).with("action", action).with("reason", reason);
    if before == 0 { deed } else { deed.with("also", before.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(n: u32) -> Refused {
        Refused {
            tenant: "acme".parse().unwrap(),
            actor: format!("token/{n}"),
            action: Action::ManageKeys,
            on: Resource::Tenant,
            reason: "no policy permits it",
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn the_same_refusal_is_told_once_a_minute_with_how_often_it_was() {
        let mut refusals = Refusals::default();
        assert!(!refusals.note(refused(1), at(0)).unwrap().details.contains_key("also"));
        for second in 1..60 {
            assert_eq!(refusals.note(refused(1), at(second)), None);
        }
        assert!(refusals.note(refused(2), at(5)).is_some());
        assert_eq!(refusals.note(refused(1), at(60)).unwrap().details["also"], "59");
    }

    #[test]
    fn one_number_after_the_other_is_the_same_refusal() {
        let mut refusals = Refusals::default();
        let on = |n| Resource::Operation("meter-1".parse().unwrap(), "set-rate".parse().unwrap(), Some(n));
        let told = (0..100).filter(|n| refusals.note(Refused { on: on(*n), ..refused(1) }, at(0)).is_some());
        assert_eq!(told.count(), 1);
    }

    #[test]
    fn a_flood_of_different_refusals_becomes_one_line_a_minute_and_bounded_memory() {
        let mut refusals = Refusals::default();
        let told = (0..30_000).filter(|n| refusals.note(refused(*n), at(0)).is_some()).count();
        assert_eq!(told, APART_MAX + 1);
        assert!(refusals.tenants.values().all(|of| of.lately.len() <= APART_MAX));
        // Another tenant has its own room, and a minute later there is some again.
        let other = Refused { tenant: "other".parse().unwrap(), ..refused(40_000) };
        assert_eq!(refusals.note(other, at(0)).unwrap().actor, "token/40000");
        assert_eq!(refusals.note(refused(40_000), at(61)).unwrap().actor, "token/40000");
    }

    #[test]
    fn what_was_only_counted_is_told_when_nothing_more_comes() {
        let mut refusals = Refusals::default();
        for second in 0..50 {
            refusals.note(refused(1), at(second));
            refusals.note(refused(1), at(second));
        }
        assert_eq!(refusals.due(), Some(at(60)));
        assert!(refusals.over(at(59)).is_empty());
        let told = refusals.over(at(60));
        assert_eq!(
            (told.len(), told[0].1.actor.as_str(), told[0].1.details["also"].as_str()),
            (1, "token/1", "98")
        );
        // That one stands for itself, and nothing is left to be told.
        assert_eq!(refusals.due(), None);
        refusals.note(refused(2), at(61));
        assert_eq!(refusals.note(refused(1), at(100)), None, "told at 60");
        assert!(refusals.over(at(161)).len() == 1 && refusals.over(at(300)).is_empty());
    }
}
