//! The model: what was promised to whom, and so must be true at the end.

use std::collections::{BTreeMap, BTreeSet};

use thingward_audit::entry::SignedEntry;
use thingward_model::{Assurance, DeviceName};
use thingward_seal::command::CommandId;
use thingward_service::finding::Finding;
use thingward_store::query::{Filter, Limits};
use thingward_store::{Row, Value};

use crate::names::tenant;
use crate::service::Running;

/// What is known of one device.
#[derive(Default)]
pub struct Account {
    /// Values that it measured, in their order.
    pub measured: BTreeSet<u64>,
    /// Those that it was told are durable.
    pub durable: BTreeSet<u64>,
    /// Its buffer is small, so that it may drop what waits too long, and has to say so.
    pub may_drop: bool,
    /// A disk between it and the service said of what it lost that it was durable.
    pub was_robbed: bool,
    /// Somebody on its way lies.
    pub is_lied_about: bool,
}

/// A command as it was ordered.
pub struct Ordered {
    /// For whom.
    pub device: usize,
    /// With what.
    pub input: u64,
    /// Whether the one who ordered was told that it is in the log.
    pub is_durable: bool,
    /// How often it was begun, and with what.
    pub begun: Vec<u64>,
    /// Whether it was done.
    pub is_done: bool,
}

/// See the module.
#[derive(Default)]
pub struct Ledger {
    /// By number of the device.
    pub devices: Vec<Account>,
    /// By id.
    pub commands: BTreeMap<CommandId, Ordered>,
    /// Checkpoints of the log that somebody saw.
    pub checkpoints: Vec<String>,
}

/// The finding about an honest device that lost power, or had no room.
const DECLARED: &str = "declared-gap";
/// Findings about an honest device that dropped what it thought nobody had, while it was on its way.
const OF_DROPPING: [&str; 5] = ["gap", "replay", "truncation", "reordering", "checkpoint-mismatch"];

impl Ledger {
    /// Holds what the service has against what was promised.
    ///
    /// # Errors
    ///
    /// What is not true, in words.
    pub fn check(&self, names: &[DeviceName], service: &Running) -> Result<(), String> {
        let report = service.store.check().map_err(|e| e.to_string())?;
        if let Some(problem) = report.problems.first() {
            return Err(format!("fsck: {problem}"));
        }
        let findings = service.core.findings(&tenant());
        let page = service.store.readings(&tenant(), &Filter::default(), None, 100_000, &Limits::default());
        let rows = page.map_err(|e| format!("readings: {e}"))?.rows;
        for (account, name) in self.devices.iter().zip(names) {
            let own: Vec<&Row> = rows.iter().filter(|row| row.device == *name).collect();
            let found: Vec<&Finding> = findings.iter().filter(|f| f.place.device == *name).collect();
            account.check(&own, &found).map_err(|fault| {
                let of: Vec<String> =
                    found.iter().map(|f| format!("{} {}x {}", f.place.kind, f.count, f.detail)).collect();
                format!("{name}: {fault}; findings: {of:?}")
            })?;
        }
        let entries = service.verify_log(&self.checkpoints).map_err(|fault| format!("log: {fault}"))?;
        self.check_commands(names, service, &entries)
    }

    fn check_commands(
        &self,
        names: &[DeviceName],
        service: &Running,
        entries: &[Vec<u8>],
    ) -> Result<(), String> {
        let mut sent: BTreeSet<String> = BTreeSet::new();
        let mut done: BTreeSet<String> = BTreeSet::new();
        for bytes in entries {
            let entry = SignedEntry::decode(bytes).map_err(|e| e.to_string())?;
            let entry = entry.claimed_unverified();
            let Some(id) = entry.details.get("id") else { continue };
            match entry.action.as_str() {
                "command.send" if !sent.insert(id.clone()) => {
                    return Err(format!("command {id} is in the log twice"));
                }
                "command.reply"
                    if entry.details.get("outcome").is_some_and(|o| o == "done")
                        && !done.insert(id.clone()) =>
                {
                    return Err(format!("command {id} was answered twice"));
                }
                _ => {}
            }
        }
        for (id, command) in &self.commands {
            let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            let Ordered { device, input, is_durable, begun, is_done } = command;
            if begun.len() > 1 {
                return Err(format!("command {hex} was begun {} times", begun.len()));
            }
            if begun.iter().any(|with| with != input) {
                return Err(format!("command {hex} was begun with {begun:?} and ordered with {input}"));
            }
            if (*is_durable || !begun.is_empty()) && !sent.contains(&hex) {
                return Err(format!("command {hex} was acknowledged or begun, and is not in the log"));
            }
            if done.contains(&hex) && !is_done {
                return Err(format!("the log says of command {hex} that it is done"));
            }
            if names.get(*device).is_some_and(|name| service.core.is_waiting(&tenant(), name, *id)) {
                return Err(format!("command {hex} waits for ever"));
            }
        }
        Ok(())
    }
}

impl Account {
    const fn is_honest(&self) -> bool {
        !self.was_robbed && !self.is_lied_about
    }

    fn check(&self, rows: &[&Row], findings: &[&Finding]) -> Result<(), String> {
        let mut seen: BTreeMap<([u8; 8], u64), u64> = BTreeMap::new();
        let mut values = BTreeSet::new();
        for row in rows {
            let Value::Number(number) = row.value else {
                return Err(format!("a value of another kind: {:?}", row.value));
            };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and small")]
            let value = number as u64;
            let is_chained = row.chain != [0; 8];
            if !self.measured.contains(&value) {
                if self.is_lied_about && !is_chained && row.assurance < Assurance::DeviceSigned {
                    continue;
                }
                return Err(format!("{value} was never measured, and is {:?}", row.assurance));
            }
            if !values.insert(value) {
                let same = rows.iter().filter(|other| other.value == row.value);
                let places: Vec<_> = same.map(|other| (other.chain, other.seq, other.assurance)).collect();
                return Err(format!("{value} is there twice: {places:?}"));
            }
            seen.insert((row.chain, row.seq), value);
            if self.is_honest() && !self.may_drop && row.assurance != Assurance::DeviceSigned {
                return Err(format!("{value} is {:?}, behind a checkpoint", row.assurance));
            }
        }
        let same_chain =
            |((a, _), _): &(&([u8; 8], u64), &u64), ((b, _), _): &(&([u8; 8], u64), &u64)| a == b;
        let all: Vec<_> = seen.iter().collect();
        if !all.chunk_by(same_chain).all(|chain| chain.iter().map(|(_, value)| **value).is_sorted()) {
            return Err("readings are not in the order in which they were measured".to_owned());
        }
        let missing = self.durable.difference(&values).count();
        let is_excused = match (self.may_drop, self.is_lied_about) {
            _ if self.was_robbed => true,
            (true, _) | (_, true) => !findings.is_empty(),
            (false, false) => false,
        };
        if missing > 0 && !is_excused {
            let first = self.durable.difference(&values).next();
            return Err(format!("{missing} readings are lost that were durable, the first is {first:?}"));
        }
        let is_explained = |kind: &str| {
            !self.is_honest() || kind == DECLARED || self.may_drop && OF_DROPPING.contains(&kind)
        };
        match findings.iter().find(|f| !is_explained(&f.place.kind)) {
            Some(f) => Err(format!("a finding about an honest device: {}", f.place.kind)),
            None => Ok(()),
        }
    }
}
