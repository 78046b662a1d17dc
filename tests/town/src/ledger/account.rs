//! What was promised to one device.

use std::collections::{BTreeMap, BTreeSet};

use thingward_model::{Assurance, DeviceName, Link, Timestamp};
use thingward_service::finding::Finding;
use thingward_store::{Route, Row, Value};

use crate::names::UNIT;

/// Ranges of records that will not come, as signed statements name them, by chain.
pub type Declared = BTreeMap<[u8; 8], Vec<(u64, u64)>>;

/// What is known of one device.
#[derive(Default)]
pub struct Account {
    /// Values that it measured, and when by its clock.
    pub measured: BTreeMap<u64, Timestamp>,
    /// Those that it was told are durable.
    pub durable: BTreeSet<u64>,
    /// The gateway that it is behind.
    pub home: Option<DeviceName>,
    /// Its buffer is small, so that it may drop what waits too long, and has to say so.
    pub may_drop: bool,
    /// A disk between it and the service said of what it lost that it was durable.
    pub was_robbed: bool,
    /// Somebody on its own way lies: what it is told is taken may be gone.
    pub is_on_a_lying_way: bool,
    /// Somebody lies who can speak of it, or sits on its way.
    pub is_spoken_of: bool,
}

/// The finding about an honest device that lost power, or had no room.
const DECLARED: &str = "declared-gap";
/// Findings about an honest device that dropped what it thought nobody had, while it was on its way.
const OF_DROPPING: [&str; 5] = ["gap", "replay", "truncation", "reordering", "checkpoint-mismatch"];

impl Account {
    /// Whether what it is told is taken is at the service for good.
    pub const fn is_heard(&self) -> bool {
        !self.was_robbed && !self.is_on_a_lying_way
    }

    /// Whether all that it measures is there in its order.
    pub const fn is_lossless(&self) -> bool {
        self.is_heard() && !self.may_drop
    }

    pub(super) fn check(
        &self,
        rows: &[&Row],
        findings: &[&Finding],
        declared: &Declared,
    ) -> Result<(), String> {
        let mut seen: BTreeMap<([u8; 8], u64), u64> = BTreeMap::new();
        for row in rows {
            let Some(value) = self.value_of(row)? else { continue };
            if let Some(other) = seen.insert((row.chain, row.seq), value) {
                return Err(format!("{value} and {other} have one place: {:?} {}", row.chain, row.seq));
            }
        }
        let values: BTreeSet<u64> = seen.values().copied().collect();
        if values.len() < seen.len() {
            return Err("a value is there twice".to_owned());
        }
        let same_chain =
            |((a, _), _): &(&([u8; 8], u64), &u64), ((b, _), _): &(&([u8; 8], u64), &u64)| a == b;
        let all: Vec<_> = seen.iter().collect();
        if !all.chunk_by(same_chain).all(|chain| chain.iter().map(|(_, value)| **value).is_sorted()) {
            return Err("readings are not in the order in which they were measured".to_owned());
        }
        self.check_missing(&seen, &values, findings, declared)?;
        self.check_findings(findings)
    }

    /// The value of a row; `None` when somebody else made it up, and the row says no more than that.
    fn value_of(&self, row: &Row) -> Result<Option<u64>, String> {
        let Value::Number(number) = row.value else {
            return Err(format!("a value of another kind: {:?}", row.value));
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and small")]
        let value = number as u64;
        let is_whole = number.fract() == 0.0 && number.is_sign_positive();
        let Some(time) = self.measured.get(&value).filter(|_| is_whole) else {
            if self.is_spoken_of && row.chain == [0; 8] && row.assurance < Assurance::DeviceSigned {
                return Ok(None);
            }
            return Err(format!("{number} was never measured, and is {:?}", row.assurance));
        };
        if (row.time, row.unit.as_deref()) != (*time, Some(UNIT)) {
            return Err(format!("{value} was measured at {time}, and is there as {row:?}"));
        }
        if self.is_heard() {
            let is_its_way = match (self.home, row.route) {
                (None, Route::Direct(link)) => link == Link::MutualTls,
                (Some(home), Route::Through(hop)) => (home, Link::MutualTls) == (hop.gateway, hop.link),
                _ => false,
            };
            if !is_its_way {
                return Err(format!("{value} came by {:?}", row.route));
            }
        }
        if self.is_lossless() && row.assurance != Assurance::DeviceSigned {
            return Err(format!("{value} is {:?}, behind a checkpoint", row.assurance));
        }
        Ok(Some(value))
    }

    fn check_missing(
        &self,
        seen: &BTreeMap<([u8; 8], u64), u64>,
        values: &BTreeSet<u64>,
        findings: &[&Finding],
        declared: &Declared,
    ) -> Result<(), String> {
        let missing: Vec<&u64> = self.durable.difference(values).collect();
        let Some(first) = missing.first() else { return Ok(()) };
        let lost = || format!("{} readings are lost that were durable, the first is {first}", missing.len());
        if self.was_robbed {
            return Ok(());
        }
        if self.is_on_a_lying_way {
            return if findings.is_empty() { Err(lost()) } else { Ok(()) };
        }
        if !self.may_drop {
            return Err(lost());
        }
        // What it dropped it has named, and nothing else is missing.
        let named = |chain: &[u8; 8], seq: u64| {
            declared.get(chain).is_some_and(|all| all.iter().any(|(from, to)| (*from..=*to).contains(&seq)))
        };
        let mut ends: BTreeMap<[u8; 8], u64> = BTreeMap::new();
        for (chain, seq) in seen.keys() {
            ends.insert(*chain, *seq);
        }
        for (chain, ranges) in declared {
            let end = ends.entry(*chain).or_default();
            *end = ranges.iter().map(|(_, to)| *to).fold(*end, u64::max);
        }
        let holes = ends.iter().flat_map(|(chain, end)| (1..=*end).map(move |seq| (*chain, seq)));
        let unnamed = holes.filter(|(chain, seq)| !seen.contains_key(&(*chain, *seq)) && !named(chain, *seq));
        let unnamed = unnamed.count();
        let most: u64 = declared.values().flatten().map(|(from, to)| to - from + 1).sum();
        if unnamed > 0 || missing.len() as u64 > most {
            return Err(format!("{}; {unnamed} of them were dropped by nobody, {most} were named", lost()));
        }
        Ok(())
    }

    fn check_findings(&self, findings: &[&Finding]) -> Result<(), String> {
        let is_explained = |kind: &str| {
            self.was_robbed
                || self.is_spoken_of
                || kind == DECLARED
                || self.may_drop && OF_DROPPING.contains(&kind)
        };
        match findings.iter().find(|f| !is_explained(&f.place.kind)) {
            Some(f) => Err(format!("a finding about an honest device: {}", f.place.kind)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use thingward_store::Hop;

    use super::*;
    use crate::names;

    const CHAIN: [u8; 8] = [7; 8];

    fn at(value: u64) -> Timestamp {
        Timestamp::from_micros(i64::try_from(value).unwrap_or_default())
    }

    fn row(seq: u64, value: u64) -> Row {
        Row {
            device: names::device(0),
            stream: names::STREAM.parse().expect("a name"),
            field: None,
            chain: CHAIN,
            seq,
            item: 0,
            time: at(value),
            received: at(value),
            value: Value::Number(f64::from(u32::try_from(value).unwrap_or_default())),
            unit: Some(UNIT.to_owned()),
            assurance: Assurance::DeviceSigned,
            route: Route::TLS,
        }
    }

    fn account(may_drop: bool) -> Account {
        let durable = 11..=16;
        let measured = durable.clone().map(|value| (value, at(value))).collect();
        Account { measured, durable: durable.collect(), may_drop, ..Account::default() }
    }

    fn check(account: &Account, rows: &[Row], declared: &[(u64, u64)]) -> Result<(), String> {
        account.check(&rows.iter().collect::<Vec<_>>(), &[], &[(CHAIN, declared.to_vec())].into())
    }

    fn all() -> Vec<Row> {
        (1..=6).map(|seq| row(seq, 10 + seq)).collect()
    }

    #[test]
    fn what_is_as_it_was_measured_is_well() {
        assert_eq!(check(&account(false), &all(), &[]), Ok(()));
    }

    #[test]
    fn who_may_drop_has_to_name_what_is_missing() {
        let rows: Vec<Row> = all().into_iter().filter(|row| ![2, 3].contains(&row.seq)).collect();
        assert_eq!(check(&account(true), &rows, &[(2, 3)]), Ok(()));
        assert!(check(&account(true), &rows, &[(2, 2)]).unwrap_err().contains("lost"));
        assert!(check(&account(true), &rows[..3], &[(2, 3)]).unwrap_err().contains("lost"));
        assert!(check(&account(false), &rows, &[(2, 3)]).unwrap_err().contains("lost"));
    }

    #[test]
    fn a_value_that_is_another_or_elsewhere_is_noticed() {
        let gateway = names::gateway(0);
        let hop = Hop { gateway, link: Link::MutualTls, received: at(0) };
        let changes: [fn(&mut Row, Hop); 8] = [
            |row, _| row.value = Value::Number(11.5),
            |row, _| row.value = Value::Number(-11.0),
            |row, _| row.value = Value::Number(12.0),
            |row, _| row.time = at(9),
            |row, _| row.unit = None,
            |row, _| row.assurance = Assurance::Transport,
            |row, hop| row.route = Route::Through(hop),
            |row, _| (row.seq, row.value, row.time) = (2, Value::Number(12.0), at(12)),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut rows = all();
            change(&mut rows[0], hop);
            assert!(check(&account(false), &rows, &[]).is_err(), "change {number}");
        }
        let mut rows = all();
        (rows[0].seq, rows[1].seq) = (2, 1);
        assert!(check(&account(false), &rows, &[]).unwrap_err().contains("order"));
    }
}
