//! The service: its core over a store in memory that fails.

use std::sync::Arc;

use serde_json::json;
use thingward_crypto::VerifyingKey;
use thingward_model::{Role, TenantName, Timestamp};
use thingward_policy::{Permit, Resource, SendCommands, Subject};
use thingward_seal::command::CommandId;
use thingward_seal::{Item, Items, StatementKind};
use thingward_service::audit::Deed;
use thingward_service::core::stepped::{Decision, Logged, SteppedCore, Told};
use thingward_service::directory::Directory;
use thingward_store::hot::Space;
use thingward_store::{Record, Store, StoreError};
use tokio::sync::broadcast::Receiver;

use crate::hot::SimHot;
use crate::installation::{Installation, Member};
use crate::ledger::Declared;
use crate::names::{ACTION, Whose, tenants};

/// What survives a crash of the service.
pub struct Service {
    /// What it keeps.
    pub hot: SimHot,
    /// Who is a member.
    pub members: Vec<Member>,
    /// What runs.
    pub running: Option<Running>,
    /// When it starts again, in the town's time.
    pub up_at: i64,
    /// How far its clock is off, in microseconds.
    pub offset: i64,
    /// Nothing becomes durable before, in the town's time.
    pub slow_until: i64,
}

/// What a crash takes.
pub struct Running {
    /// Decides.
    pub core: SteppedCore,
    /// Keeps.
    pub store: Arc<Store>,
    directory: Arc<Directory>,
    /// What was decided and is not durable yet.
    pub decided: Vec<Decision>,
    following: [(TenantName, Receiver<Arc<Record>>); 2],
    /// Commands that nobody was told yet that they are in the log.
    pub orders: Vec<(CommandId, Logged)>,
}

impl Service {
    /// What it calls the time.
    #[must_use]
    pub const fn time(&self, now: i64) -> Timestamp {
        Timestamp::from_micros(now.saturating_add(self.offset))
    }

    /// Starts with what is in its store.
    ///
    /// # Errors
    ///
    /// Why it does not, in words.
    pub fn start(&mut self, installation: &Installation, now: i64) -> Result<(), String> {
        let time = self.time(now);
        let (store, directory, core) = installation.start(&self.hot, &self.members, time)?;
        let (following, decided) = (tenants().map(|tenant| (tenant, core.follow(tenant))), Vec::new());
        self.running = Some(Running { core, store, directory, decided, following, orders: Vec::new() });
        Ok(())
    }
}

impl Running {
    /// The log learns of every member, as it does when they enrol.
    pub fn enrol(&mut self, members: &[Member], time: Timestamp) {
        for ((tenant, name), role, key) in members {
            let who = format!("{}/{name}", if *role == Role::Gateway { "gateway" } else { "device" });
            let key_id: String = key.id().iter().map(|byte| format!("{byte:02x}")).collect();
            let deed = Deed::new(who.clone(), "device.enrol", who).with("key", key_id);
            let deed = Deed { evidence: Some(key.to_spki()), ..deed };
            let _durable_with_the_next_step = self.core.log(*tenant, deed, time);
        }
    }

    /// The operator wants a device to do something.
    ///
    /// # Errors
    ///
    /// When that is not permitted, or there is no such command, in words.
    pub fn order(
        &mut self,
        (tenant, device): Whose,
        id: CommandId,
        input: u64,
        time: Timestamp,
        expires: Timestamp,
    ) -> Result<(), String> {
        let action = ACTION.parse().expect("a name");
        let on = Resource::Operation(device, action, Some(i64::try_from(input).unwrap_or(0) * 10_000));
        let permit: Result<Permit<SendCommands>, _> =
            self.directory.access.decide(&tenant, &Subject::Operator, &on);
        let permit = permit.map_err(|denied| format!("the operator may not: {}", denied.reason))?;
        let told = Told { device, id, action, input: json!(input), expires };
        let logged = self.core.command(&permit, told, time).map_err(|e| e.to_string())?;
        self.orders.push((id, logged));
        Ok(())
    }

    /// Makes durable what was decided.
    ///
    /// # Errors
    ///
    /// When that cannot be kept.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.core.commit(std::mem::take(&mut self.decided))
    }

    /// What those who follow were told since the last time.
    pub fn followed(&mut self) -> Vec<(TenantName, Arc<Record>)> {
        let of = |(tenant, told): &mut (TenantName, Receiver<Arc<Record>>)| {
            let tenant = *tenant;
            std::iter::from_fn(|| Some((tenant, told.try_recv().ok()?))).collect::<Vec<_>>()
        };
        self.following.iter_mut().flat_map(of).collect()
    }

    /// The records that signed statements of a device say will not come.
    ///
    /// # Errors
    ///
    /// What the store says, in words.
    pub fn declared(&self, (tenant, device): &Whose) -> Result<Declared, String> {
        let mut declared = Declared::new();
        let prefix = format!("statement\0{tenant}\0{device}\0");
        for (_, bytes) in
            self.store.scan(Space::Chains, prefix.as_bytes(), 1_000_000).map_err(|e| e.to_string())?
        {
            let Some(Ok(Item::Statement(signed))) = Items::new(&bytes).next() else {
                return Err(format!("what is kept of {device} is no statement"));
            };
            let statement = signed.claimed_unverified();
            if let StatementKind::Gap { first, last, .. } = statement.kind {
                declared.entry(statement.chain).or_default().push((first, last));
            }
        }
        Ok(declared)
    }

    /// Commands that are in the log and waiting since the last time.
    pub fn ordered(&mut self) -> Vec<CommandId> {
        let mut durable = Vec::new();
        self.orders.retain_mut(|(id, logged)| match logged.try_recv() {
            Ok(Ok(_)) => {
                durable.push(*id);
                false
            }
            Ok(Err(_)) => false,
            Err(_) => true,
        });
        durable
    }

    /// A signed checkpoint over the log as it is.
    ///
    /// # Errors
    ///
    /// What the store says, in words.
    pub fn checkpoint(&self, tenant: TenantName) -> Result<(u64, String), String> {
        let log = self.store.log(tenant);
        let size = log.end().map_err(|e| e.to_string())?.size();
        let root = log.view().and_then(|view| view.root(size)).map_err(|e| e.to_string())?;
        let signed = self.core.auditor().checkpoint(&tenant, size, root).map_err(|e| e.to_string())?;
        Ok((size, signed))
    }

    /// The whole log passes the verifier with everybody's keys, and continues each of these checkpoints. Gives its entries.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    pub fn verify_log(&self, tenant: TenantName, former: &[&String]) -> Result<Vec<Vec<u8>>, String> {
        let log = self.store.log(tenant);
        let key = self.core.auditor().key(&tenant).map_err(|e| e.to_string())?;
        let mut entries = Vec::new();
        loop {
            let page = log.entries(entries.len() as u64, 10_000).map_err(|e| e.to_string())?;
            if page.is_empty() {
                break;
            }
            entries.extend(page.into_iter().map(|(_, entry)| entry));
        }
        let (_, now) = self.checkpoint(tenant)?;
        let request_key = |spki: &[u8]| VerifyingKey::from_spki(spki).ok();
        for former in former.iter().copied().map(Some).chain([None]) {
            let verifier = thingward_audit::verify::Verifier::new(&key, request_key);
            let continuing = match former {
                Some(former) => verifier.continuing(former),
                None => Ok(verifier),
            };
            let mut verifier = continuing.map_err(|e| e.to_string())?;
            for entry in &entries {
                verifier.entry(entry).map_err(|e| e.to_string())?;
            }
            let verified = verifier.finish(&now).map_err(|e| e.to_string())?;
            if !verified.gaps.is_empty() {
                return Err(format!("accounts of gateways are missing: {:?}", verified.gaps));
            }
        }
        Ok(entries)
    }
}
