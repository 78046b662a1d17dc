//! Nodes that join, move and leave.

use std::time::Duration;

use thingward_zigbee::address::{Eui64, ShortAddress};
use thingward_zigbee::coordinator::{Interview, Protection, leave, remove};
use thingward_zigbee::thing::Thing;

use super::ZigbeeRadio;
use super::admit::Admission;
use super::ask::Purpose;
use super::job::Job;
use super::keep::After;
use super::kept::{Joined, Node};
use super::report::address;
use crate::wire::{AdmissionState, RefusalKind, Report, Text};

/// How long a node may take from its first key to its last answer.
const JOIN_TIMEOUT: Duration = Duration::from_secs(120);
/// How long it may take to say its first word, which it cannot without the network's key.
const FIRST_WORD_TIMEOUT: Duration = Duration::from_secs(20);
/// Nodes that join at the same time.
const JOINING_MAX: usize = 8;

/// What a node can do: its receiver is on while it does nothing (2.3.2.3.6).
const ALWAYS_LISTENS: u8 = 0x08;

/// What happens to a node (`EmberDeviceUpdate`).
const SECURED_REJOIN: u8 = 0;
const JOIN: u8 = 1;
const LEFT: u8 = 2;
const UNSECURED_REJOIN: u8 = 3;
/// What the coordinator does about it (`EmberJoinDecision`).
const UNDER_EXPECTED_KEY: u8 = 0;
const IN_THE_CLEAR: u8 = 1;

/// A node that has, or pretends to have, the key that was expected.
pub(super) struct Joining {
    pub(super) short: ShortAddress,
    joined: Joined,
    pub(super) until: Duration,
    /// Whether it said anything under the network's key.
    has_spoken: bool,
    own_key: bool,
    /// What it is, as far as it said.
    found: Option<Found>,
}

struct Found {
    thing: Thing,
    maker: Option<String>,
    model: Option<String>,
    sleeps: bool,
}

impl ZigbeeRadio {
    /// The coordinator has to do with a node.
    pub(super) fn met(
        &mut self,
        short: ShortAddress,
        eui64: Eui64,
        update: Option<u8>,
        decision: Option<u8>,
        now: Duration,
    ) {
        match (update, decision) {
            (Some(LEFT), _) => self.left(eui64, now),
            (_, Some(IN_THE_CLEAR)) => {
                self.send_away(
                    short,
                    eui64,
                    "it was given the network's key in the clear, which is changed for that",
                    now,
                );
                self.roll_behind(now);
            }
            (Some(JOIN), Some(UNDER_EXPECTED_KEY)) => self.joins(short, eui64, now),
            // One that missed the network's key gets it under its own link key.
            (Some(UNSECURED_REJOIN), Some(UNDER_EXPECTED_KEY)) => self.rejoins(short, eui64, now),
            (Some(SECURED_REJOIN), _) => self.moved(short, eui64, now),
            _ => {
                let known = self.kept.as_ref().is_some_and(|kept| kept.node(eui64).is_some());
                let reason = if known {
                    "it came back without the keys of this network: admit it again with its install code"
                } else {
                    "it has no install code that was given here, and joining under the key that everybody knows is refused"
                };
                self.refuse(Some(eui64), RefusalKind::Join, reason, now);
            }
        }
    }

    fn joins(&mut self, short: ShortAddress, eui64: Eui64, now: Duration) {
        let joined = match &self.admission {
            Some(Admission { printed: Some((node, _)), .. }) if *node == eui64 => Some(Joined::InstallCode),
            Some(Admission { printed: None, .. }) if self.exceptions.contains(&eui64) => {
                Some(Joined::WellKnown)
            }
            _ => None,
        };
        let Some(joined) = joined else {
            return self.send_away(short, eui64, "nobody admitted it", now);
        };
        if self.joining.len() >= JOINING_MAX && !self.joining.contains_key(&eui64) {
            return self.send_away(short, eui64, "too many things join at the same time", now);
        }
        self.forget_talk(eui64);
        let until = now + FIRST_WORD_TIMEOUT;
        let joining = Joining { short, joined, until, has_spoken: false, own_key: false, found: None };
        self.joining.insert(eui64, joining);
        self.say(Report::Admission(AdmissionState::Joining(address(eui64))));
    }

    /// A node said something under the network's key: one that joins is then asked what it is.
    pub(super) fn spoke(&mut self, short: ShortAddress, eui64: Eui64, now: Duration) {
        if let Some(joining) = self.joining.get_mut(&eui64) {
            joining.short = short;
            if !joining.has_spoken {
                joining.has_spoken = true;
                joining.until = now + JOIN_TIMEOUT;
                self.sequence = self.sequence.wrapping_add(1);
                let interview = Interview::new(short, self.sequence);
                self.put(eui64, Job::Interview(Box::new(interview)));
            }
        } else {
            self.tell_missed(eui64, now);
        }
    }

    /// A node has a link key of its own.
    pub(super) fn verified(&mut self, eui64: Eui64, now: Duration) {
        if let Some(joining) = self.joining.get_mut(&eui64) {
            joining.own_key = true;
        } else if let Some(node) = self.kept.as_mut().and_then(|kept| kept.node_mut(eui64))
            && !node.own_key
        {
            node.own_key = true;
            self.keep(After::Tell(eui64));
            if self.keyless.remove(&eui64) {
                self.expect_nobody(now);
            }
        }
    }

    /// A node that joins has said what it is.
    pub(super) fn found(&mut self, eui64: Eui64, interview: &Interview) {
        let Some(thing) = interview.thing().filter(|_| self.joining.contains_key(&eui64)) else { return };
        for ((endpoint, cluster), ids) in thing.figures_asked() {
            for ids in ids.chunks(4) {
                self.put(eui64, Job::Figures { endpoint, cluster, ids: ids.to_vec() });
            }
        }
        let words = |text: &str| Text::<64>::fitting(text.trim()).to_string();
        let (maker, model) = interview.maker();
        if let Some(joining) = self.joining.get_mut(&eui64) {
            let (maker, model) = (maker.map(words), model.map(words));
            let (capability, _) = interview.descriptor();
            let sleeps = capability & ALWAYS_LISTENS == 0;
            joining.found = Some(Found { thing, maker, model, sleeps });
        }
    }

    /// It said a figure of its values.
    pub(super) fn learn(&mut self, eui64: Eui64, endpoint: u8, cluster: u16, attribute: u16, figure: u32) {
        if let Some(found) = self.joining.get_mut(&eui64).and_then(|joining| joining.found.as_mut()) {
            found.thing.learn(endpoint, cluster, attribute, figure);
        }
    }

    /// Nodes that joined and have nothing more to be asked are taken.
    pub(super) fn take_joined(&mut self, now: Duration) {
        let is_done = |(eui64, joining): (&Eui64, &Joining)| {
            (joining.found.is_some() && !self.is_busy(*eui64)).then_some(*eui64)
        };
        let done: Vec<Eui64> = self.joining.iter().filter_map(is_done).collect();
        for eui64 in done {
            let Some(joining) = self.joining.remove(&eui64) else { continue };
            let Some(Found { thing, maker, model, sleeps }) = joining.found else { continue };
            let Joining { short, joined, own_key, .. } = joining;
            let Some(kept) = &mut self.kept else { continue };
            if !own_key {
                self.keyless.insert(eui64);
            }
            kept.put(Node { eui64, short, joined, own_key, maker, model, thing, is_set_up: false, sleeps });
            if self.has_room() {
                self.keep(After::Announce(eui64));
            } else {
                self.drop_node(eui64);
                self.send_away(short, eui64, "there is no room for another thing", now);
            }
        }
    }

    /// A thing that joined, or is known better, is told; it is what its link says only now.
    pub(super) fn announce(&mut self, eui64: Eui64, now: Duration) {
        if !self.tell_thing(eui64) {
            return;
        }
        self.set_up(eui64);
        let is_printed =
            |admission: &Admission| admission.printed.as_ref().is_some_and(|(node, _)| *node == eui64);
        if self.admission.as_ref().is_some_and(is_printed) {
            self.close(now);
        }
    }

    pub(super) fn expire_joins(&mut self, now: Duration) {
        let late = self.joining.iter().filter(|(_, joining)| now >= joining.until);
        let late: Vec<(Eui64, ShortAddress, bool)> =
            late.map(|(eui64, joining)| (*eui64, joining.short, joining.has_spoken)).collect();
        for (eui64, short, has_spoken) in late {
            let reason = if has_spoken {
                "it joined and does not say what it is"
            } else {
                "it joined and said nothing: its key is not the one of the install code that was given"
            };
            self.give_up(short, eui64, reason, now);
        }
    }

    /// A node that joins is not taken.
    pub(super) fn give_up(&mut self, short: ShortAddress, eui64: Eui64, reason: &str, now: Duration) {
        self.joining.remove(&eui64);
        self.forget_talk(eui64);
        self.send_away(short, eui64, reason, now);
        if self.admission.is_some() {
            self.say(Report::Admission(AdmissionState::Open));
        }
    }

    /// A node that is in the network and should not be.
    pub(super) fn send_away(&mut self, short: ShortAddress, eui64: Eui64, reason: &str, now: Duration) {
        self.refuse(Some(eui64), RefusalKind::Join, reason, now);
        self.ask(remove(short, eui64), Purpose::Hint, now);
    }

    /// A node left by itself, or was made to.
    fn left(&mut self, eui64: Eui64, now: Duration) {
        if let Some(joining) = self.joining.get(&eui64) {
            let short = joining.short;
            return self.give_up(short, eui64, "it left before it was taken", now);
        }
        if self.drop_node(eui64) {
            self.keep(After::Forgotten(eui64));
        }
    }

    /// The gateway wants nothing to do with a thing any more.
    pub(super) fn remove(&mut self, eui64: Eui64, now: Duration) {
        let short = self.kept.as_ref().and_then(|kept| kept.node(eui64)).map(|node| node.short);
        if let Some(short) = short {
            self.sequence = self.sequence.wrapping_add(1);
            let told = leave(eui64, self.sequence)
                .and_then(|request| request.unicast(short, 0, Protection::Network));
            self.ask(told, Purpose::Hint, now);
            self.ask(remove(short, eui64), Purpose::Hint, now);
            self.drop_node(eui64);
            self.roll_behind(now);
        }
        self.keep(After::Forgotten(eui64));
    }

    /// Whether it was known.
    fn drop_node(&mut self, eui64: Eui64) -> bool {
        self.keyless.remove(&eui64);
        self.forget_talk(eui64);
        let Some(kept) = &mut self.kept else { return false };
        let before = kept.nodes.len();
        kept.nodes.retain(|node| node.eui64 != eui64);
        kept.nodes.len() < before
    }
}
