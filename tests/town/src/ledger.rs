//! The model: what was promised to whom, and so must be true at the end.

mod account;

use std::collections::{BTreeMap, BTreeSet};

use thingward_audit::entry::SignedEntry;
use thingward_model::{TenantName, Timestamp};
use thingward_seal::command::CommandId;
use thingward_service::finding::Finding;
use thingward_store::query::{Filter, Limits};
use thingward_store::{Record, Row};

pub use self::account::{Account, Declared};
use crate::names::{Whose, tenants};
use crate::service::Running;

/// A command as it was ordered.
pub struct Ordered {
    /// For whom.
    pub device: usize,
    /// With what.
    pub input: u64,
    /// When it counts no more.
    pub expires: Timestamp,
    /// Whether the one who ordered was told that it is in the log.
    pub is_durable: bool,
    /// How often it was begun, by whom, with what, and when by their clock.
    pub begun: Vec<(usize, u64, Timestamp)>,
    /// Whether it was done.
    pub is_done: bool,
    /// Whether the device was told that its word is taken. After a restart it may have said that anew.
    pub is_replied: bool,
}

/// See the module.
#[derive(Default)]
pub struct Ledger {
    /// By number of the device.
    pub devices: Vec<Account>,
    /// By id.
    pub commands: BTreeMap<CommandId, Ordered>,
    /// Ids of commands that were begun, and that nobody ordered.
    pub strange: Vec<CommandId>,
    /// Checkpoints of the log that somebody saw.
    pub checkpoints: Vec<(TenantName, String)>,
    /// The service's disk lost what it had said was durable: commands are in no log that were, and devices that knew of nothing
    /// bear it all.
    is_log_cut: bool,
    /// Which record of each chain was told last to those who follow.
    followed: BTreeMap<(Whose, [u8; 8]), u64>,
}

/// What happened in a town that somebody looked at: where it is nothing, nothing was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deeds {
    /// Readings that are there.
    pub readings: usize,
    /// Commands that were begun.
    pub begun: usize,
    /// Those that were done.
    pub done: usize,
    /// Words of devices on commands that they were told are taken.
    pub replied: usize,
    /// Findings.
    pub findings: usize,
}

/// What the log has of a command.
#[derive(Default)]
struct Logged {
    sent: BTreeSet<String>,
    done: BTreeSet<String>,
    replied: BTreeSet<String>,
}

impl Ledger {
    /// Of these devices, before anything happened.
    #[must_use]
    pub fn new(devices: Vec<Account>) -> Self {
        Self { devices, ..Self::default() }
    }

    /// The service's disk lost what it had said was durable.
    pub fn service_was_robbed(&mut self) {
        self.is_log_cut = true;
        self.checkpoints.clear();
        self.followed.clear();
        self.devices.iter_mut().for_each(|account| account.was_robbed = true);
    }

    /// Those who follow are told of a record.
    ///
    /// # Errors
    ///
    /// When that is of an honest device, and not behind the one before.
    pub fn follows(&mut self, names: &[Whose], tenant: TenantName, record: &Record) -> Result<(), String> {
        let whose = (tenant, record.device);
        let account = names.iter().position(|name| *name == whose).and_then(|at| self.devices.get(at));
        let last = self.followed.insert((whose, record.chain), record.seq);
        if account.is_some_and(Account::is_lossless) && last.is_some_and(|last| last >= record.seq) {
            return Err(format!("{} is told of {} behind {last:?}", record.device, record.seq));
        }
        Ok(())
    }

    /// Holds what the service has against what was promised.
    ///
    /// # Errors
    ///
    /// What is not true, in words.
    pub fn check(&self, names: &[Whose], service: &Running) -> Result<Deeds, String> {
        let report = service.store.check().map_err(|e| e.to_string())?;
        if let Some(problem) = report.problems.first() {
            return Err(format!("fsck: {problem}"));
        }
        let count = |is: fn(&Ordered) -> bool| self.commands.values().filter(|command| is(command)).count();
        let mut deeds = Deeds {
            begun: count(|command| !command.begun.is_empty()),
            done: count(|command| command.is_done),
            replied: count(|command| command.is_replied),
            ..Deeds::default()
        };
        for tenant in tenants() {
            let (readings, findings) = self.check_readings(tenant, names, service)?;
            deeds.readings += readings;
            deeds.findings += findings;
            let seen = self.checkpoints.iter().filter(|(whose, _)| *whose == tenant).map(|(_, seen)| seen);
            let entries = service.verify_log(tenant, &seen.collect::<Vec<_>>());
            let log = Logged::of(&entries.map_err(|fault| format!("log of {tenant}: {fault}"))?)?;
            self.check_commands(tenant, names, service, &log)?;
        }
        Ok(deeds)
    }

    /// How many there are of a tenant, and how many findings.
    fn check_readings(
        &self,
        tenant: TenantName,
        names: &[Whose],
        service: &Running,
    ) -> Result<(usize, usize), String> {
        let findings = service.core.findings(&tenant);
        let page = service.store.readings(&tenant, &Filter::default(), None, 100_000, &Limits::default());
        let rows = page.map_err(|e| format!("readings: {e}"))?.rows;
        if let Some(row) = rows.iter().find(|row| !names.contains(&(tenant, row.device))) {
            return Err(format!("a reading of {} of {tenant}, who is nobody", row.device));
        }
        let all = self.devices.iter().zip(names);
        for (account, (_, name)) in all.filter(|(_, (whose, _))| *whose == tenant) {
            let own: Vec<&Row> = rows.iter().filter(|row| row.device == *name).collect();
            let found: Vec<&Finding> = findings.iter().filter(|f| f.place.device == *name).collect();
            let declared = service.declared(&(tenant, *name))?;
            account.check(&own, &found, &declared).map_err(|fault| {
                let of: Vec<String> =
                    found.iter().map(|f| format!("{} {}x {}", f.place.kind, f.count, f.detail)).collect();
                format!("{name} of {tenant}: {fault}; findings: {of:?}")
            })?;
        }
        Ok((rows.len(), findings.len()))
    }

    fn check_commands(
        &self,
        tenant: TenantName,
        names: &[Whose],
        service: &Running,
        log: &Logged,
    ) -> Result<(), String> {
        if let Some(id) = self.strange.first() {
            return Err(format!("command {} was begun, and nobody ordered it", hex(id)));
        }
        let is_own = |command: &Ordered| names.get(command.device).is_some_and(|(whose, _)| *whose == tenant);
        let own = || self.commands.iter().filter(|(_, command)| is_own(command));
        let known: BTreeSet<String> = own().map(|(id, _)| hex(id)).collect();
        if let Some(id) = log.sent.difference(&known).next() {
            return Err(format!("command {id} is in the log, and nobody ordered it"));
        }
        for (id, command) in own() {
            let hex = hex(id);
            let Some(((_, name), account)) = names.get(command.device).zip(self.devices.get(command.device))
            else {
                return Err(format!("command {hex} is for nobody"));
            };
            command.check(&hex, log, self.is_log_cut, account)?;
            if service.core.is_waiting(&tenant, name, *id) {
                return Err(format!("command {hex} waits for ever"));
            }
            if account.is_heard() && command.is_replied && !log.replied.contains(&hex) {
                return Err(format!("the word on command {hex} was taken, and is not in the log"));
            }
        }
        Ok(())
    }
}

impl Logged {
    fn of(entries: &[Vec<u8>]) -> Result<Self, String> {
        let mut log = Self::default();
        for bytes in entries {
            let entry = SignedEntry::decode(bytes).map_err(|e| e.to_string())?;
            let entry = entry.claimed_unverified();
            let Some(id) = entry.details.get("id") else { continue };
            match entry.action.as_str() {
                "command.send" if !log.sent.insert(id.clone()) => {
                    return Err(format!("command {id} is in the log twice"));
                }
                "command.reply" if !log.replied.insert(id.clone()) => {
                    return Err(format!("command {id} was answered twice"));
                }
                "command.reply" if entry.details.get("outcome").is_some_and(|outcome| outcome == "done") => {
                    log.done.insert(id.clone());
                }
                _ => {}
            }
        }
        Ok(log)
    }
}

impl Ordered {
    fn check(&self, hex: &str, log: &Logged, is_log_cut: bool, account: &Account) -> Result<(), String> {
        // A device whose disk lies may have lost that it began.
        if self.begun.len() > 1 && !account.was_robbed {
            return Err(format!("command {hex} was begun {} times", self.begun.len()));
        }
        for (device, input, at) in &self.begun {
            if (*device, *input) != (self.device, self.input) {
                let ordered = (self.device, self.input);
                return Err(format!(
                    "command {hex} was begun as {device} {input}, and ordered as {ordered:?}"
                ));
            }
            if *at >= self.expires {
                return Err(format!("command {hex} was begun at {at}, and was over at {}", self.expires));
            }
        }
        if !is_log_cut && (self.is_durable || !self.begun.is_empty()) && !log.sent.contains(hex) {
            return Err(format!("command {hex} was acknowledged or begun, and is not in the log"));
        }
        if log.done.contains(hex) && !self.is_done {
            return Err(format!("the log says of command {hex} that it is done"));
        }
        Ok(())
    }
}

fn hex(id: &CommandId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
