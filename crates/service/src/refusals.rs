//! Refusals on their way to the audit log: each is there, and nobody can fill the log with them.

use std::collections::HashMap;

use thingward_model::{TenantName, Timestamp};
use thingward_policy::{Action, Resource};

use crate::audit::Deed;

/// How long the same refusal is only counted, in microseconds: a minute.
const QUIET_MICROS: i64 = 60_000_000;
/// Most different refusals that are told apart; past it all of a tenant count as one.
const APART_MAX: usize = 10_000;

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
    /// When the log was last told, and how often it happened since.
    lately: HashMap<Refused, (Timestamp, u64)>,
    /// Of tenants for which there was no room.
    crowded: HashMap<TenantName, (Timestamp, u64)>,
}

impl Refusals {
    /// What the log has to be told; `None` while it was told the same a moment ago.
    pub(crate) fn note(&mut self, refused: Refused, now: Timestamp) -> Option<Deed> {
        let is_over =
            |told: &Timestamp| now.micros_since(*told).unsigned_abs() >= QUIET_MICROS.unsigned_abs();
        if self.lately.len() >= APART_MAX && !self.lately.contains_key(&refused) {
            self.lately.retain(|_, (told, count)| !is_over(told) || *count > 0);
        }
        if self.lately.len() >= APART_MAX && !self.lately.contains_key(&refused) {
            let (told, count) = self.crowded.entry(refused.tenant).or_insert((Timestamp::EPOCH, 0));
            let deed = is_over(told).then(|| deed("many".to_owned(), "many", "many", *count));
            (*told, *count) = if deed.is_some() { (now, 0) } else { (*told, *count + 1) };
            return deed;
        }
        let (told, count) = self.lately.entry(refused.clone()).or_insert((Timestamp::EPOCH, 0));
        if !is_over(told) {
            *count += 1;
            return None;
        }
        let before = std::mem::take(count);
        *told = now;
        let action = refused.action.as_str();
        Some(deed(refused.actor, action, refused.reason, before).about(refused.on.to_string()))
    }
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
    fn a_flood_of_different_refusals_becomes_one_line_a_minute_and_bounded_memory() {
        let mut refusals = Refusals::default();
        let told = (0..30_000).filter(|n| refusals.note(refused(*n), at(0)).is_some()).count();
        assert_eq!(told, APART_MAX + 1);
        assert!(refusals.lately.len() <= APART_MAX);
        // A minute later there is room again.
        assert!(refusals.note(refused(40_000), at(61)).is_some());
    }
}
