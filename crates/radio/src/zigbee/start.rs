//! The network comes up: formed the first time, and after that the same, from the coordinator's memory or from what was
//! kept.

use std::time::Duration;

use thingward_zigbee::address::{Eui64, PanId};
use thingward_zigbee::coordinator::{
    COUNTER_MARGIN, Network, configure, forget, form, read_backup, restore, resume, run_address, run_backup,
};
use thingward_zigbee::ezsp::EzspMessage;
use thingward_zigbee::layout::Item;
use thingward_zigbee::security::Key;
use thingward_zigbee::zcl::Value;
use zeroize::Zeroize;

use super::ask::{Purpose, status};
use super::keep::After;
use super::kept::Kept;
use super::report::{address, eui64};
use super::{Phase, ZigbeeRadio};
use crate::wire::{KEY_DAYS, Order, Report, Start};

/// How long a step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);
/// What a coordinator answers that remembers no network: `EMBER_NOT_JOINED`, and from version 14 on `SL_STATUS_NOT_JOINED`.
const NO_NETWORK: u32 = 0x93;
const NO_NETWORK_LATER: u32 = 0x17;
/// Channels between those of wireless LANs.
const CHANNELS: [u8; 4] = [11, 15, 20, 25];

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The line, the version, who it is, its settings.
    Opening,
    /// The network that the coordinator remembers.
    Resuming,
    /// Whether it is the one that was kept.
    Comparing,
    /// That it forgets its network.
    Leaving,
    /// That the state is durable.
    Keeping,
    /// The network that it was given.
    Forming,
}

impl Step {
    pub(super) const fn wanted(self) -> &'static str {
        match self {
            Self::Opening => "it does not answer",
            Self::Resuming | Self::Forming => "its network does not come up",
            Self::Leaving => "it does not forget its network",
            Self::Comparing => "it does not say which network it has",
            Self::Keeping => "what it needs is not kept",
        }
    }
}

impl ZigbeeRadio {
    pub(super) fn start(&mut self, start: &Start, now: Duration) {
        if self.phase != Phase::New {
            return;
        }
        let exceptions = start.exceptions.iter();
        self.exceptions = exceptions.filter_map(|exception| eui64(exception.thing.as_str())).collect();
        self.key_seconds_max = u64::from(start.key_days.unwrap_or(KEY_DAYS)) * 24 * 3600;
        match start.kept.as_ref().map(|kept| Kept::read(kept.expose())).transpose() {
            Ok(kept) => self.kept = kept,
            Err(error) => return self.stop(&error.to_string()),
        }
        self.step(Step::Opening, now);
        let outputs = self.host.open(now);
        self.hosted(outputs, now);
    }

    pub(super) fn step(&mut self, step: Step, now: Duration) {
        let until = (step != Step::Keeping).then(|| now + STEP_TIMEOUT);
        self.phase = Phase::Starting(step, until);
    }

    fn is_at(&self, step: Step) -> bool {
        matches!(self.phase, Phase::Starting(at, _) if at == step)
    }

    pub(super) fn agreed(&mut self, version: u8, now: Duration) {
        self.version = version;
        self.ask(run_address(), Purpose::Address, now);
    }

    pub(super) fn addressed(&mut self, answer: Result<EzspMessage, String>, now: Duration) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(reason) => return self.fail(&reason),
        };
        let Some(Item::Value(Value::Eui64(eui64))) = answer.record.get("eui64") else {
            return self.fail("the coordinator does not say who it is");
        };
        self.address = *eui64;
        if self.kept.as_ref().is_some_and(|kept| kept.coordinator != *eui64) {
            return self.stop("this is another coordinator than the one whose network was kept");
        }
        match configure() {
            Ok(commands) => {
                for command in commands {
                    // Not every coordinator has every setting.
                    let is_setting = command.info.name == "setConfigurationValue";
                    self.ask(Ok(command), if is_setting { Purpose::Hint } else { Purpose::Need }, now);
                }
            }
            Err(malformed) => return self.fail(&malformed.to_string()),
        }
        self.ask(resume(), Purpose::Resume, now);
    }

    pub(super) fn resumed(&mut self, answer: Result<EzspMessage, String>, now: Duration) {
        let status = match answer {
            Ok(answer) => status(&answer),
            Err(reason) => return self.fail(&reason),
        };
        match (status, &self.kept) {
            (Some(0), Some(_)) => self.step(Step::Resuming, now),
            (Some(0), None) => self.stop(
                "the coordinator has a network that was not formed from here: reset it, or give back what was kept",
            ),
            (Some(NO_NETWORK | NO_NETWORK_LATER), Some(_)) => self.prepare_restore(now),
            (Some(NO_NETWORK | NO_NETWORK_LATER), None) => self.prepare_form(now),
            _ => self.fail("the coordinator cannot say whether it has a network"),
        }
    }

    /// The coordinator says that its network is up.
    pub(super) fn came_up(&mut self, now: Duration) {
        if self.is_at(Step::Resuming) {
            self.step(Step::Comparing, now);
            self.ask_all(run_backup(self.version), Purpose::Backup, now);
        } else if self.is_at(Step::Forming) {
            self.run(now);
        }
    }

    /// The coordinator says that its network is down.
    pub(super) fn went_down(&mut self, now: Duration) {
        if self.is_at(Step::Leaving) {
            self.prepare_restore(now);
        } else {
            self.fail("the coordinator's network is down");
        }
    }

    /// An answer to what a copy needs.
    pub(super) fn copied(&mut self, answer: Result<EzspMessage, String>, now: Duration) {
        match answer {
            Ok(answer) => self.backup.push(answer),
            Err(reason) => return self.fail(&reason),
        }
        if self.asking.is_asked(Purpose::Backup) {
            return;
        }
        match read_backup(&std::mem::take(&mut self.backup)) {
            Ok(network) => self.compare(&network, now),
            Err(malformed) => {
                self.fail(&format!("the coordinator does not say which network it has: {malformed}"))
            }
        }
    }

    fn compare(&mut self, network: &Network, now: Duration) {
        let Some(kept) = &mut self.kept else { return };
        if kept.extended_pan != network.extended_pan {
            return self.stop("the coordinator has another network than the one that was kept");
        }
        if kept.next.as_ref().is_some_and(|next| next.key == network.key) {
            kept.switch(network.key_sequence);
        }
        if kept.key != network.key {
            return self.stop("the coordinator has another key than the one that was kept");
        }
        if network.frame_counter < kept.frame_counter {
            // It was set back, and would use counters again.
            self.step(Step::Leaving, now);
            return self.ask(forget(), Purpose::Need, now);
        }
        kept.pan = network.pan.0;
        kept.channel = network.channel;
        kept.update_id = network.update_id;
        kept.frame_counter = network.frame_counter;
        self.step(Step::Keeping, now);
        self.keep(After::Run);
    }

    /// A network of its own, whose keys nobody else has.
    fn prepare_form(&mut self, now: Duration) {
        let mut random = [0; 44];
        if getrandom::fill(&mut random).is_err() {
            return self.stop("there is no randomness to make keys from");
        }
        let (keys, names) = random.split_at(32);
        let key = |at: usize| keys.chunks(16).nth(at).and_then(|key| key.try_into().ok()).map(Key::new);
        let name = names.first_chunk().map(|name| u64::from_le_bytes(*name));
        let short = names.get(8..10).and_then(|pan| pan.try_into().ok()).map(u16::from_le_bytes);
        let channel = names.get(10).and_then(|at| CHANNELS.get(usize::from(*at) % CHANNELS.len()));
        if let (Some(key), Some(link_key), Some(name), Some(short), Some(channel)) =
            (key(0), key(1), name, short, channel)
        {
            let network = Network {
                pan: PanId(short.clamp(1, 0xfffe)),
                extended_pan: Eui64(name.clamp(1, u64::MAX - 1)),
                channel: *channel,
                update_id: 0,
                key,
                key_sequence: 0,
                frame_counter: 0,
            };
            self.kept = Some(Kept::new(self.address, network, link_key));
        }
        random.zeroize();
        self.step(Step::Keeping, now);
        self.keep(After::Form);
    }

    /// The network as it was, with counters that nobody has seen: those that are skipped are kept as used before.
    fn prepare_restore(&mut self, now: Duration) {
        let Some(kept) = &mut self.kept else { return };
        if kept.next.as_ref().is_some_and(|next| next.switched) {
            kept.switch(kept.key_sequence.wrapping_add(1));
        }
        let Some(counter) = kept.frame_counter.checked_add(COUNTER_MARGIN) else {
            return self.stop("the counter of the network's key is used up");
        };
        kept.frame_counter = counter;
        self.step(Step::Keeping, now);
        self.keep(After::Restore);
    }

    pub(super) fn form(&mut self, now: Duration) {
        let Some(kept) = &self.kept else { return };
        let commands = form(&kept.network(), kept.link_key.clone());
        self.step(Step::Forming, now);
        self.ask_all(commands, Purpose::Need, now);
    }

    pub(super) fn restore(&mut self, now: Duration) {
        let Some(kept) = &self.kept else { return };
        let commands = restore(&kept.network(), kept.link_key.clone());
        self.step(Step::Forming, now);
        self.ask_all(commands, Purpose::Need, now);
    }

    /// The network is up: what is known is told.
    pub(super) fn run(&mut self, now: Duration) {
        let Some(kept) = &self.kept else { return };
        let network = address(kept.extended_pan);
        let permitted = kept.nodes.iter().filter(|node| !self.is_forbidden(node.eui64));
        let known: Vec<_> = permitted.map(|node| (node.eui64, node.is_set_up, node.sleeps)).collect();
        self.phase = Phase::Running;
        self.recovered();
        self.shut(now);
        self.say(Report::Ready { network });
        for (eui64, is_set_up, sleeps) in known {
            self.tell_thing(eui64);
            match (is_set_up, sleeps) {
                (false, _) => self.set_up(eui64),
                (true, false) => self.read_all(eui64),
                // It says soon enough what it has, and is not to be woken for that.
                (true, true) => {}
            }
        }
        self.resume_roll(now);
        for thing in std::mem::take(&mut self.unwanted) {
            self.ordered(Order::Remove(thing), now);
        }
    }
}
