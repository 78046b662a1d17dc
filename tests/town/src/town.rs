//! A town: everybody in it, what is between them, and the time.

mod steps;
mod storm;

use std::sync::Arc;
use std::time::Duration;

use thingward_agent::membership::Membership;
use thingward_agent::spool::SpoolLimits;
use thingward_agent::stream::SharedSigner;
use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{SignatureAlgorithm, SoftwareKey};
use thingward_gateway::queue::QueueLimits;
use thingward_ingress::Member;
use thingward_model::{Link, Principal, Role, Timestamp};

use crate::START_SECONDS;
use crate::device::Device;
use crate::disk::{Fault, SimDisk};
use crate::gateway::Gateway;
use crate::hot::{self, SimHot};
use crate::installation::Installation;
use crate::ledger::{Account, Deeds, Ledger};
use crate::liar::{GatewayLiar, LinkMemory};
use crate::names::{self, TRUST_DOMAIN, Whose, tenant};
use crate::net::{Net, Who};
use crate::plan::Plan;
use crate::random::Random;
use crate::service::Service;
use crate::trace::Trace;

/// Most steps until a town is at rest behind a storm: half an hour.
const CALM_STEPS: u64 = 1800;
/// Steps of rest until every device has signed what it has.
const SIGNED_AFTER: u64 = 7;

/// See the module.
pub struct Town<'a> {
    installation: &'a Installation,
    plan: Plan,
    random: Random,
    trace: Trace,
    /// Microseconds.
    now: i64,
    net: Net,
    devices: Vec<Device>,
    gateways: Vec<Gateway>,
    service: Service,
    ledger: Ledger,
    /// What those on the links of devices remember.
    liars: Vec<LinkMemory>,
    /// The next value that is measured.
    value: u64,
    is_calm: bool,
    /// What is to break does so in the calm too.
    stays_broken: bool,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Over everything that happened.
    pub trace: [u8; 32],
    /// Lines of it.
    pub lines: u64,
    /// Readings that were measured.
    pub readings: u64,
    /// What else happened.
    pub deeds: Deeds,
}

/// Why a run failed.
#[derive(Debug)]
pub struct Failure {
    /// What is not true.
    pub fault: String,
    /// The town.
    pub plan: String,
    /// What happened last.
    pub tail: String,
}

/// Runs the town of a seed through its storm, until it is at rest, and holds it against the model.
///
/// # Errors
///
/// [`Failure`].
pub fn run(installation: &Installation, seed: u64) -> Result<Outcome, Box<Failure>> {
    let mut random = Random::new(seed);
    let plan = Plan::of(&mut random);
    run_plan(installation, plan, random)
}

/// As [`run`], of a town that somebody thought of.
///
/// # Errors
///
/// [`Failure`].
pub fn run_plan(installation: &Installation, plan: Plan, random: Random) -> Result<Outcome, Box<Failure>> {
    let mut town = Town::new(installation, plan, random);
    town.live().map_err(|fault| {
        let (plan, tail) = (format!("{:?}", town.plan), town.trace.tail());
        Box::new(Failure { fault, plan, tail })
    })
}

/// The one write that breaks, by its number. Device 0 and gateway 0 have the disks.
#[derive(Debug, Clone, Copy)]
pub enum Broken {
    /// None.
    Nothing,
    /// Of the device's stream.
    Spool {
        /// Which.
        write: u64,
        /// How.
        fault: Fault,
    },
    /// Of its commands.
    Journal {
        /// Which.
        write: u64,
        /// How.
        fault: Fault,
    },
    /// Of the gateway's queue.
    Queue {
        /// Which.
        write: u64,
        /// How.
        fault: Fault,
    },
    /// Of the service: hot readings, chains, sessions, commands and the log are in one.
    Commit {
        /// Which.
        commit: u64,
        /// How.
        fault: hot::Fault,
    },
}

/// How many writes a run made.
#[derive(Debug, Clone, Copy)]
pub struct Writes {
    /// To the stream of device 0.
    pub spool: u64,
    /// To its journal.
    pub journal: u64,
    /// To the queue of gateway 0.
    pub queue: u64,
    /// Of the service.
    pub commits: u64,
}

/// As [`run_plan`], with one write that breaks.
///
/// # Errors
///
/// [`Failure`].
pub fn run_broken(
    installation: &Installation,
    plan: Plan,
    random: Random,
    broken: Broken,
) -> Result<Writes, Box<Failure>> {
    let mut town = Town::new(installation, plan, random);
    match broken {
        Broken::Nothing => {}
        Broken::Spool { write, fault } => town.devices[0].disk.break_after(write, fault),
        Broken::Journal { write, fault } => town.devices[0].journal.break_after(write, fault),
        Broken::Queue { write, fault } => town.gateways[0].disk.break_after(write, fault),
        Broken::Commit { commit, fault } => town.service.hot.break_after(commit, fault),
    }
    town.stays_broken = true;
    let lived = town.live();
    let writes = Writes {
        spool: town.devices[0].disk.writes(),
        journal: town.devices[0].journal.writes(),
        queue: town.gateways[0].disk.writes(),
        commits: town.service.hot.commits(),
    };
    lived.map(|_| writes).map_err(|fault| {
        let (plan, tail) = (format!("{:?}", town.plan), town.trace.tail());
        Box::new(Failure { fault, plan, tail })
    })
}

impl<'a> Town<'a> {
    fn new(installation: &'a Installation, plan: Plan, mut random: Random) -> Self {
        let devices: Vec<Device> =
            (0..plan.homes.len()).map(|at| device(installation, at, &plan, &mut random)).collect();
        let gateways: Vec<Gateway> = (0..plan.gateways).map(|at| gateway(at, &plan, &mut random)).collect();
        let of_device = |d: &Device| {
            ((d.membership.tenant, d.membership.name), Role::Device, d.signer.public_key().clone())
        };
        let of_gateway = |g: &Gateway| ((g.tenant, g.name), Role::Gateway, g.signer.public_key().clone());
        let members = devices.iter().map(of_device).chain(gateways.iter().map(of_gateway)).collect();
        let hot = SimHot::default();
        let service = Service { hot, members, running: None, up_at: 0, offset: 0, slow_until: 0 };
        let account = |at: usize| {
            let through = plan.homes.get(at).copied().flatten();
            let by_gateway = through.is_some_and(|g| plan.lying_gateways.get(g) == Some(&true));
            // One that lies can speak of every device of its tenant.
            let by_any = !plan.is_neighbour(at) && plan.lying_gateways.contains(&true);
            let is_on_a_lying_way = by_gateway || plan.lying_links.get(at) == Some(&true);
            Account {
                home: through.map(names::gateway),
                may_drop: plan.small.get(at) == Some(&true),
                is_on_a_lying_way,
                is_spoken_of: is_on_a_lying_way || by_any,
                ..Account::default()
            }
        };
        let ledger = Ledger::new((0..plan.homes.len()).map(account).collect());
        let liars = plan.homes.iter().map(|_| LinkMemory::default()).collect();
        Self {
            installation,
            plan,
            random,
            trace: Trace::default(),
            now: START_SECONDS * 1_000_000,
            net: Net::default(),
            devices,
            gateways,
            service,
            liars,
            ledger,
            value: 0,
            is_calm: false,
            stays_broken: false,
        }
    }

    fn live(&mut self) -> Result<Outcome, String> {
        let (installation, now) = (self.installation, self.now);
        self.service.start(installation, now)?;
        if let Some(running) = &mut self.service.running {
            running.enrol(&self.service.members, Timestamp::from_micros(now));
            let decision = running.core.decide(Timestamp::from_micros(now)).map_err(|e| e.to_string())?;
            running.core.commit(vec![decision]).map_err(|e| e.to_string())?;
        }
        for _ in 0..self.plan.steps {
            self.now += 10_000 + self.random.micros(400);
            self.misfortune()?;
            self.step()?;
        }
        self.calm();
        let mut at_rest = 0;
        for _ in 0..CALM_STEPS {
            self.now += 1_000_000;
            self.step()?;
            at_rest = if self.is_at_rest() { at_rest + 1 } else { 0 };
            if at_rest > SIGNED_AFTER {
                let running = self.service.running.as_ref().ok_or("the service is not there")?;
                let deeds = self.ledger.check(&self.names(), running)?;
                self.check_sealed()?;
                let (trace, lines) = (self.trace.hash(), self.trace.lines());
                return Ok(Outcome { trace, lines, readings: self.value, deeds });
            }
        }
        Err(format!("the town does not come to rest: {}", self.restless()))
    }

    /// Nobody who has a disk in hand reads what was measured.
    fn check_sealed(&self) -> Result<(), String> {
        let words = names::UNIT.as_bytes();
        let devices = self.devices.iter().any(|d| d.disk.says(words) || d.journal.says(words));
        let gateways = self.gateways.iter().any(|g| g.disk.says(words));
        match (devices, gateways, self.service.hot.says(words)) {
            (false, false, false) => Ok(()),
            all => Err(format!("a reading is kept unsealed by a device, a gateway, the service: {all:?}")),
        }
    }

    fn names(&self) -> Vec<Whose> {
        self.devices.iter().map(|device| (device.membership.tenant, device.membership.name)).collect()
    }

    /// Who is not at rest, and why.
    fn restless(&self) -> String {
        let of_device = |(at, d): (usize, &Device)| match &d.running {
            None => Some(format!("device {at} is not there")),
            Some(r) if !r.is_at_rest() => Some(format!("device {at}: {}", r.restless())),
            Some(_) => None,
        };
        let of_gateway = |(at, g): (usize, &Gateway)| match &g.running {
            None => Some(format!("gateway {at} is not there")),
            Some(r) if !r.is_at_rest() => Some(format!("messages wait at gateway {at}")),
            Some(_) => None,
        };
        let devices = self.devices.iter().enumerate().filter_map(of_device);
        let gateways = self.gateways.iter().enumerate().filter_map(of_gateway);
        devices.chain(gateways).collect::<Vec<_>>().join(", ")
    }

    fn is_at_rest(&self) -> bool {
        let devices = self.devices.iter().all(|d| d.running.as_ref().is_some_and(|r| r.is_at_rest()));
        let gateways = self.gateways.iter().all(|g| g.running.as_ref().is_some_and(|r| r.is_at_rest()));
        let waits = |(id, command): (&_, &crate::ledger::Ordered)| {
            let (tenant, name) = self.plan.whose(command.device);
            self.service.running.as_ref().is_none_or(|r| r.core.is_waiting(&tenant, &name, *id))
        };
        devices && gateways && !self.ledger.commands.iter().any(waits)
    }

    fn member(&self, who: Who) -> Member {
        let number = |at: usize| u8::try_from(at).unwrap_or(0);
        let (role, (tenant, name), serial) = match who {
            Who::Device(at) => (Role::Device, self.plan.whose(at), vec![1, number(at)]),
            Who::Gateway(at) => (Role::Gateway, (tenant(), names::gateway(at)), vec![2, number(at)]),
            Who::Service => (Role::Application, (tenant(), names::device(0)), vec![3]),
        };
        let not_after = Timestamp::from_seconds(START_SECONDS * 2);
        Member { principal: Principal { tenant, role, name }, serial, not_after, link: Link::MutualTls }
    }

    fn line(&mut self, line: String) {
        let at = self.now - START_SECONDS * 1_000_000;
        self.trace.line(format!("{at:>12} {line}"));
    }
}

fn signer(algorithm: SignatureAlgorithm, random: &mut Random) -> SharedSigner {
    Arc::new(SoftwareKey::from_seed(algorithm, &random.bytes()).expect("a seed"))
}

fn device(installation: &Installation, at: usize, plan: &Plan, random: &mut Random) -> Device {
    let (tenant, name) = plan.whose(at);
    let membership = Membership {
        tenant,
        role: Role::Device,
        name,
        trust_domain: TRUST_DOMAIN.to_owned(),
        mqtt_port: 8883,
        service: "service.test:8443".parse().expect("an address"),
        service_recipient: installation.recipient(&tenant),
        customer_recipient: None,
        command_key: Some(installation.command_key.clone()),
        grant_key: None,
        grant_revocation: None,
        classes: Vec::new(),
        approvers: Vec::new(),
    };
    let algorithm =
        if random.chance(500) { SignatureAlgorithm::Ed25519 } else { SignatureAlgorithm::EcdsaP256 };
    let is_small = plan.small.get(at) == Some(&true);
    let bytes_max = if is_small { 6_000 } else { SpoolLimits::default().bytes_max };
    Device {
        membership,
        signer: signer(algorithm, random),
        sealing: SealingKey::from_bytes(&random.bytes::<32>()).expect("a key"),
        disk: SimDisk::new(Random::new(random.number())),
        journal: SimDisk::new(Random::new(random.number())),
        limits: SpoolLimits { bytes_max, age_max: Duration::from_secs(30 * 86_400) },
        running: None,
        up_at: 0,
        connect_at: 0,
        offset: 0,
        has_lost: [false; 2],
    }
}

fn gateway(at: usize, plan: &Plan, random: &mut Random) -> Gateway {
    let is_small = plan.small_queues.get(at) == Some(&true);
    let bytes_max = if is_small { 60_000 } else { QueueLimits::default().bytes_max };
    let others = (0..plan.homes.len()).map(names::device).collect();
    let liar = plan
        .lying_gateways
        .get(at)
        .is_some_and(|lies| *lies)
        .then(|| GatewayLiar::new(Random::new(random.number()), others));
    Gateway {
        tenant: tenant(),
        name: names::gateway(at),
        signer: signer(SignatureAlgorithm::EcdsaP256, random),
        sealing: SealingKey::from_bytes(&random.bytes::<32>()).expect("a key"),
        disk: SimDisk::new(Random::new(random.number())),
        limits: QueueLimits { bytes_max, age_max: Duration::from_secs(30 * 86_400) },
        liar,
        running: None,
        up_at: 0,
        connect_at: 0,
        offset: 0,
    }
}
