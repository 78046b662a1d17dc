//! Zigbee, at a coordinator that speaks EZSP: it forms one network, lets things join with their install codes, and says what
//! they say.
//!
//! - [`start`]: a network is formed, resumed or restored;
//! - [`keep`], [`kept`]: what is to be remembered, and when it is durable;
//! - [`admit`], [`join`]: who may join, and who did;
//! - [`place`]: where nodes are;
//! - [`talk`], [`queue`], [`job`], [`set_up`]: what things are asked and told, one at a time each;
//! - [`told`]: what they say;
//! - [`roll`]: the network's key, and its counter;
//! - [`recover`]: what is done when nothing goes any more.

mod admit;
mod ask;
mod job;
mod join;
mod keep;
mod kept;
mod news;
mod orders;
mod place;
mod queue;
mod recover;
mod report;
mod roll;
mod set_up;
mod start;
mod talk;
mod told;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use thingward_zigbee::address::Eui64;
use thingward_zigbee::ezsp::{EzspHost, EzspMessage, EzspOutput};

use crate::wire::{Address, Order, Secret};
use crate::{Output, Radio};

use admit::Admission;
use ask::Asking;
use join::Joining;
use keep::Keeper;
use kept::Kept;
use queue::Talk;
use report::Refusals;
use roll::Roll;
use start::Step;
use talk::Exchange;

/// Things that are to be removed when the radio works.
const UNWANTED_MAX: usize = 64;

/// Counters that are skipped when a network comes out of a backup: more than a coordinator uses under one key in a month.
const BACKUP_SKIP: u32 = 1 << 26;

/// What was kept of a network, to go on from when it comes out of a backup; `None` when it cannot be.
pub(crate) fn restored(kept: &Secret) -> Option<Secret> {
    let mut kept = Kept::read(kept.expose()).ok()?;
    kept.frame_counter = kept.frame_counter.checked_add(BACKUP_SKIP)?;
    kept.to_bytes().map(Secret::new)
}

/// A network of Zigbee, at a coordinator that speaks EZSP.
pub struct ZigbeeRadio {
    host: EzspHost,
    version: u8,
    phase: Phase,
    asking: Asking,
    /// Answers that make a copy of the coordinator's network.
    backup: Vec<EzspMessage>,
    outputs: VecDeque<Output>,
    refusals: Refusals,
    keeper: Keeper,
    /// What is remembered; nothing before the first network.
    kept: Option<Kept>,
    /// The coordinator's own address.
    address: Eui64,
    /// Who may join under the key that everybody knows.
    exceptions: BTreeSet<Eui64>,
    unwanted: Vec<Address>,
    admission: Option<Admission>,
    joining: BTreeMap<Eui64, Joining>,
    /// Things of the last admission that have not shown a link key of their own.
    keyless: BTreeSet<Eui64>,
    talks: BTreeMap<Eui64, Talk>,
    exchanges: Vec<Exchange>,
    /// The number of the last exchange, and of the last message.
    tag: u8,
    sequence: u8,
    roll: Roll,
    /// How long the network's key is used, in seconds.
    key_seconds_max: u64,
    /// How long was waited after the last failure.
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody said yet that it is to start.
    New,
    /// It is on its way, and in trouble when it is still there then.
    Starting(Step, Option<Duration>),
    Running,
    /// Nothing goes, and it is tried again then; when that is, is not decided yet where there is nothing.
    Broken(Option<Duration>),
    /// Nothing goes any more.
    Stopped,
}

impl Default for ZigbeeRadio {
    fn default() -> Self {
        Self {
            host: EzspHost::default(),
            version: 0,
            phase: Phase::New,
            asking: Asking::default(),
            backup: Vec::new(),
            outputs: VecDeque::new(),
            refusals: Refusals::default(),
            keeper: Keeper::default(),
            kept: None,
            address: Eui64(0),
            exceptions: BTreeSet::new(),
            unwanted: Vec::new(),
            admission: None,
            joining: BTreeMap::new(),
            keyless: BTreeSet::new(),
            talks: BTreeMap::new(),
            exchanges: Vec::new(),
            tag: 0,
            sequence: 0,
            roll: Roll::default(),
            key_seconds_max: u64::MAX,
            pause: Duration::ZERO,
        }
    }
}

impl Radio for ZigbeeRadio {
    fn order(&mut self, order: Order, now: Duration) {
        self.ordered(order, now);
        self.pump(now);
    }

    fn receive(&mut self, bytes: &[u8], now: Duration) {
        if matches!(self.phase, Phase::Starting(..) | Phase::Running) {
            let outputs = self.host.receive(bytes, now);
            self.hosted(outputs, now);
            self.pump(now);
        }
    }

    fn tick(&mut self, now: Duration) {
        if let Phase::Starting(step, Some(until)) = self.phase
            && now >= until
        {
            return self.fail(&format!("the coordinator does not get on: {}", step.wanted()));
        }
        match self.phase {
            Phase::New | Phase::Stopped => return,
            Phase::Broken(at) => return self.recover(at, now),
            Phase::Starting(..) | Phase::Running => {}
        }
        let outputs = self.host.tick(now);
        self.hosted(outputs, now);
        if self.phase == Phase::Running {
            self.expire_exchanges(now);
            self.expire_calls(now);
            self.expire_joins(now);
            self.look_after_admission(now);
            self.look_after_key(now);
            self.pump(now);
        }
    }

    fn due(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Starting(_, until) => until,
            Phase::Broken(at) => return Some(at.unwrap_or_default()),
            Phase::New | Phase::Stopped => return None,
            Phase::Running => None,
        };
        let running = (self.phase == Phase::Running).then(|| {
            let exchanges = self.exchanges.iter().map(|exchange| exchange.until);
            let joins = self.joining.values().map(|joining| joining.until);
            let admission = self.admission.iter().map(Admission::due);
            exchanges.chain(joins).chain(admission).chain(self.roll.due()).chain(self.calls_due()).min()
        });
        [phase, running.flatten(), self.host.deadline()].into_iter().flatten().min()
    }

    fn output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

impl ZigbeeRadio {
    /// Does what the host has to be done.
    fn hosted(&mut self, outputs: Vec<EzspOutput>, now: Duration) {
        for output in outputs {
            if !matches!(self.phase, Phase::Starting(..) | Phase::Running) {
                return;
            }
            match output {
                EzspOutput::Write(octets) => self.outputs.push_back(Output::Line(octets.to_vec())),
                EzspOutput::Ready(version) => self.agreed(version, now),
                EzspOutput::Answer(answer) => {
                    self.answered(Ok(answer), now);
                }
                EzspOutput::Refused(reason) => {
                    self.answered(Err(format!("the coordinator refuses, reason {reason:#04x}")), now);
                }
                EzspOutput::BadAnswer(malformed) => {
                    self.unreadable(&malformed.to_string(), now);
                    self.answered(Err(format!("the coordinator's answer is none: {malformed}")), now);
                }
                EzspOutput::News(news) => {
                    self.heard(&news, now);
                }
                EzspOutput::NewsLost => self.unreadable("the coordinator had no room for what it heard", now),
                EzspOutput::Damaged => self.unreadable("a damaged frame on the line", now),
                EzspOutput::Unreadable(malformed) => self.unreadable(&malformed.to_string(), now),
                EzspOutput::Failed(failure) => self.fail(&failure.to_string()),
            }
        }
    }
}
