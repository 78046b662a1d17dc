//! Looks at everything that a data directory holds: what the store keeps, and what log, registry, policies, commands and
//! grants say of each other. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use thingward_audit::entry::{Entry, SignedEntry};
use thingward_crypto::sealed::{SealingKey, read_private};
use thingward_crypto::{Signer, SoftwareKey, VerifyingKey, sha256};
use thingward_model::TenantName;
use thingward_model::description::ThingDescription;
use thingward_policy::Source;
use thingward_seal::command::{SignedCommand, digest};
use thingward_store::hot::Space;
use thingward_store::registry::{GrantEnd, GrantEntry, LIST_MAX, PolicyVersion, PrincipalState};
use thingward_store::{Store, StoreError};

use crate::audit::LOG_KEY;
use crate::authority::sealed_key_as_it_is;
use crate::command::{CommandRecord, ENDED_PREFIX, WAITING_PREFIX, hex, index};
use crate::description;
use crate::sealer::Sealer;
use crate::uses::Count;

/// Log entries that are looked at together.
const PAGE: u64 = 1000;

/// What a check of a data directory found.
#[derive(Debug)]
pub struct Report {
    /// What the store keeps.
    pub store: thingward_store::store::Report,
    /// Versions of policies that are as the log says.
    pub policies: u64,
    /// Commands that are as the log says.
    pub commands: u64,
    /// Descriptions that open.
    pub descriptions: u64,
    /// Grants that are, and were used, as the log says.
    pub grants: u64,
    /// What is wrong, the store's own included. Empty when all is well.
    pub problems: Vec<String>,
}

/// Checks a data directory that no service has open.
///
/// # Errors
///
/// [`StoreError::NotFound`] when a part of it is missing, [`StoreError::Conflict`] when it is open elsewhere, or what
/// keeps it from being read at all.
pub async fn fsck(data_dir: &Path) -> Result<Report, StoreError> {
    let store = Store::open_to_look(data_dir).await?;
    let sealing_key = read_private(&data_dir.join("sealing.key"))
        .map_err(|source| StoreError::Io { what: "read sealing.key".to_owned(), source })?;
    let sealing_key = SealingKey::from_bytes(&sealing_key).map_err(|_| corrupt("sealing.key"))?;
    let report = check(&store, sealing_key).await;
    store.registry().close().await;
    report
}

/// Checks all that a store has which nobody changes meanwhile.
///
/// # Errors
///
/// What keeps it from being read at all.
pub(crate) async fn check(store: &Store, sealing_key: SealingKey) -> Result<Report, StoreError> {
    let found = store.check()?;
    let problems = found.problems.iter().map(ToString::to_string).collect();
    let mut report = Report { store: found, policies: 0, commands: 0, descriptions: 0, grants: 0, problems };
    let key = sealed_key_as_it_is(store.registry(), &sealing_key, LOG_KEY).await;
    let key = key.map_err(|_| corrupt("the log's key"))?;
    let mut sealer = Sealer::new(sealing_key).map_err(|_| corrupt("sealing.key"))?;
    for tenant in store.registry().all_tenants().await? {
        let key = key.as_ref().map(SoftwareKey::public_key);
        let mut check = Check { store, tenant, report: &mut report, deeds: Deeds::default() };
        check.log(key)?;
        check.registry().await?;
        check.policies().await?;
        check.commands(&mut sealer)?;
        check.descriptions(&mut sealer)?;
        check.grants().await?;
    }
    Ok(report)
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt { what: what.to_owned() }
}

/// What a log says was done, as far as other parts have to agree.
#[derive(Default)]
struct Deeds {
    /// Whom members and users became members and users by.
    made: BTreeSet<String>,
    /// Hashes of policies, by version.
    policies: BTreeMap<String, String>,
    /// Commands: id and hash by index.
    commands: BTreeMap<u64, (String, String)>,
    /// Grants that were issued: device and hash by target.
    grants: BTreeMap<String, (String, String)>,
    /// Grants that were taken back, by target.
    revoked: BTreeSet<String>,
    /// How often a grant was used, by id.
    uses: BTreeMap<String, u32>,
}

struct Check<'a> {
    store: &'a Store,
    tenant: TenantName,
    report: &'a mut Report,
    deeds: Deeds,
}

impl Check<'_> {
    fn wrong(&mut self, what: impl std::fmt::Display) {
        let tenant = self.tenant;
        self.report.problems.push(format!("tenant `{tenant}`, {what}"));
    }

    fn log(&mut self, key: Option<&VerifyingKey>) -> Result<(), StoreError> {
        let log = self.store.log(self.tenant);
        let size = log.end().map_or(0, |end| end.size());
        let mut at = 0;
        while at < size {
            // A log with a gap is named by the store's own check.
            let Ok(entries) = log.entries(at, PAGE.min(size - at)) else { return Ok(()) };
            let Some((last, _)) = entries.last() else { return Ok(()) };
            at = last + 1;
            for (index, bytes) in entries {
                match key.map(|key| SignedEntry::decode(&bytes).and_then(|e| e.verify(key).cloned())) {
                    Some(Ok(entry)) => self.deeds.take(index, entry),
                    Some(Err(error)) => self.wrong(format_args!("log entry {index}: {error}")),
                    None => self.wrong(format_args!("log entry {index}: there is no key of the log")),
                }
            }
        }
        Ok(())
    }

    /// Who is a member or user without an entry that says so.
    async fn registry(&mut self) -> Result<(), StoreError> {
        let registry = self.store.registry();
        let mut after = None;
        loop {
            let page = registry.principals(&self.tenant, None, after.as_ref(), LIST_MAX).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.principal.name);
            for member in page.iter().filter(|m| m.state == PrincipalState::Enrolled) {
                let name = format!("{}/{}", member.principal.role, member.principal.name);
                if !self.deeds.made.contains(&name) {
                    self.wrong(format_args!("{name} is a member, and no log entry says since when"));
                }
            }
        }
        let mut after = None;
        loop {
            let page = registry.users(&self.tenant, after.as_ref(), LIST_MAX).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.name);
            for user in &page {
                if !self.deeds.made.contains(&format!("user/{}", user.id)) {
                    self.wrong(format_args!("user/{} is a user, and no log entry says since when", user.id));
                }
            }
        }
    }

    async fn policies(&mut self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.store.registry().policy_versions(&self.tenant, after, LIST_MAX).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.version);
            for version in &page {
                self.policy(version);
            }
        }
    }

    fn policy(&mut self, version: &PolicyVersion) {
        let number = version.version;
        let said = self.deeds.policies.get(&format!("policy/{number}"));
        if said != Some(&crate::access::hash_of(&version.files)) {
            self.wrong(format_args!("version {number} of the policies is not what the log says was applied"));
        } else if let Err(problems) = Source::new(&version.files) {
            self.wrong(format_args!("version {number} of the policies cannot be read: {problems}"));
        } else {
            self.report.policies += 1;
        }
    }

    fn commands(&mut self, sealer: &mut Sealer) -> Result<(), StoreError> {
        for prefix in [WAITING_PREFIX, ENDED_PREFIX] {
            let keys = [prefix, format!("{}\0", self.tenant).as_bytes()].concat();
            for (key, sealed) in self.store.scan(Space::Commands, &keys, usize::MAX)? {
                let plain = sealer.open(&key, &sealed).ok();
                match plain.and_then(|plain| CommandRecord::decode(&key, &plain)) {
                    Some(record) => self.command(&key, &record)?,
                    None => self.wrong("a command does not open"),
                }
            }
        }
        Ok(())
    }

    fn command(&mut self, key: &[u8], record: &CommandRecord) -> Result<(), StoreError> {
        let name = format!("command {} to {}", hex(&record.id), record.device);
        let signed = SignedCommand::decode(&record.message);
        let hash = signed
            .map(|signed| base16ct::lower::encode_string(&digest(signed.claimed_unverified().canonical)));
        let said = self.deeds.commands.get(&record.log);
        let place = self.store.get(Space::Commands, &index(&self.tenant, &record.device, &record.id))?;
        if said != hash.ok().map(|hash| (hex(&record.id), hash)).as_ref() {
            self.wrong(format_args!("{name} is not the one of log entry {}", record.log));
        } else if place.is_none_or(|place| !key.ends_with(&place)) {
            self.wrong(format_args!("{name} is not found by its id"));
        } else {
            self.report.commands += 1;
        }
        Ok(())
    }

    fn descriptions(&mut self, sealer: &mut Sealer) -> Result<(), StoreError> {
        for (key, sealed) in self.store.scan(Space::Descriptions, b"", usize::MAX)? {
            let Some((_, device)) = description::names(&key).filter(|(of, _)| *of == self.tenant) else {
                continue;
            };
            let plain = sealer.open(&key, &sealed).ok();
            let document = plain.as_deref().and_then(description::decode);
            match document.map(|(_, document)| ThingDescription::parse(document)) {
                Some(Ok(_)) => self.report.descriptions += 1,
                _ => self.wrong(format_args!("the description of {device} cannot be read")),
            }
        }
        Ok(())
    }

    async fn grants(&mut self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.store.registry().grants(&self.tenant, None, after.as_ref(), LIST_MAX).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for grant in &page {
                self.grant(grant)?;
            }
        }
    }

    fn grant(&mut self, grant: &GrantEntry) -> Result<(), StoreError> {
        let id = base16ct::lower::encode_string(&grant.id);
        let target = format!("grant/{id}");
        let is = (grant.audience.to_string(), base16ct::lower::encode_string(&sha256(&[&grant.bytes])));
        let by_somebody = matches!(grant.revoked, Some((_, GrantEnd::Revocation)));
        let counted = Count::of(self.store, &self.tenant, &grant.id)?.map_or(0, |count| count.used);
        let logged = self.deeds.uses.get(&id).copied().unwrap_or_default();
        if self.deeds.grants.get(&target) != Some(&is) {
            self.wrong(format_args!("{target} is not the one that the log says was issued"));
        } else if by_somebody && !self.deeds.revoked.contains(&target) {
            self.wrong(format_args!("{target} is taken back, and no log entry says by whom"));
        } else if counted != logged {
            self.wrong(format_args!("{target} was used {counted} times, and by the log {logged} times"));
        } else {
            self.report.grants += 1;
        }
        Ok(())
    }
}

impl Deeds {
    fn take(&mut self, index: u64, entry: Entry) {
        let detail = |name: &str| entry.details.get(name).cloned().unwrap_or_default();
        match entry.action.as_str() {
            "device.enrol" | "user.add" => drop(self.made.insert(entry.target)),
            "policy.apply" => drop(self.policies.insert(entry.target, detail("sha256"))),
            "grant.issue" => {
                let audience = match entry.details.get("class") {
                    Some(class) => format!("class/{class}"),
                    None => format!("device/{}", detail("device")),
                };
                drop(self.grants.insert(entry.target.clone(), (audience, detail("sha256"))));
            }
            "grant.revoke" => drop(self.revoked.insert(entry.target)),
            "grant.use" => *self.uses.entry(detail("grant")).or_default() += 1,
            "command.send" => drop(self.commands.insert(index, (detail("id"), detail("sha256")))),
            _ => {}
        }
    }
}
