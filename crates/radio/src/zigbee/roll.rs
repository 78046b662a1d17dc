//! The network's key: how far its counter is, and another one when somebody orders it, a thing was removed, or it was in use for
//! long. The next one goes to each node under that node's own link key, so that who has the current one and listens learns
//! nothing; who has no link key of its own has to join anew.

use std::collections::VecDeque;
use std::time::Duration;

use thingward_zigbee::address::{Eui64, ShortAddress};
use thingward_zigbee::coordinator::{forget, next_key, read_counter, run_counter, switch_key};
use thingward_zigbee::ezsp::EzspMessage;
use thingward_zigbee::security::Key;
use zeroize::Zeroizing;

use super::ZigbeeRadio;
use super::ask::Purpose;
use super::keep::After;
use super::kept::NextKey;
use super::start::Step;
use crate::wire::{RefusalKind, Report, Sentence};

/// How often the counter is looked at, and how far it may go until it is kept anew: together less than what is skipped when
/// the network is formed again.
const COUNTER_PERIOD: Duration = Duration::from_secs(60);
const COUNTER_STEP: u32 = 50_000;
/// After how long it is kept anew that a key was used.
const KEY_SECONDS_STEP: u64 = 24 * 3600;
/// How long nodes have for the next key until it is used: those that sleep ask their parents for it.
const SPREAD: Duration = Duration::from_secs(30);
/// Between one node and the next: a coordinator has room for a few messages on their way.
const PACE: Duration = Duration::from_millis(200);
/// How often the coordinator is asked to give it to a node, which may be busy.
const TRIES: u8 = 3;
/// How long until a change that has to be is tried again.
const AGAIN: Duration = Duration::from_secs(3600);

/// What there is to do with the network's key.
#[derive(Debug, Default)]
pub(super) struct Roll {
    counted: Option<Duration>,
    unkept_seconds: u64,
    /// Nodes that are to be given the next key, and when the first of them is.
    to_give: VecDeque<(Eui64, u8)>,
    /// The how many-th time it is for the node that is given it now.
    tried: u8,
    give_at: Option<Duration>,
    /// Whether nodes were given the next key, or may have been.
    is_given: bool,
    /// To how many nodes the coordinator gave it, and to how many it did not want to.
    given: usize,
    denied: usize,
    /// When the next key is used.
    switch_at: Option<Duration>,
    /// Before then no other change begins by itself.
    not_before: Duration,
}

impl Roll {
    pub(super) fn due(&self) -> Option<Duration> {
        let count = self.counted.map(|at| at + COUNTER_PERIOD);
        count.into_iter().chain(self.switch_at).chain(self.give_at).min()
    }
}

impl ZigbeeRadio {
    pub(super) fn look_after_key(&mut self, now: Duration) {
        if self.roll.give_at.is_some_and(|at| now >= at) {
            self.give_to_one(now);
        }
        if self.roll.switch_at.is_some_and(|at| now >= at) {
            self.use_next_key();
        }
        if self.roll.counted.is_some_and(|at| now < at + COUNTER_PERIOD) {
            return;
        }
        if let Some(before) = self.roll.counted.replace(now)
            && let Some(kept) = &mut self.kept
        {
            let seconds = now.saturating_sub(before).as_secs();
            kept.key_seconds = kept.key_seconds.saturating_add(seconds);
            self.roll.unkept_seconds = self.roll.unkept_seconds.saturating_add(seconds);
            if kept.key_seconds >= self.key_seconds_max && now >= self.roll.not_before {
                let is_needed = kept.key_seconds == u64::MAX;
                self.begin_roll(is_needed, now);
            } else if self.roll.unkept_seconds >= KEY_SECONDS_STEP {
                self.roll.unkept_seconds = 0;
                self.keep(After::Nothing);
            }
        }
        self.ask(run_counter(self.version), Purpose::Counter, now);
    }

    pub(super) fn counted(&mut self, answer: Result<EzspMessage, String>, now: Duration) {
        let counter =
            answer.and_then(|answer| read_counter(&answer).map_err(|malformed| malformed.to_string()));
        let (Ok(counter), Some(kept)) = (counter, &mut self.kept) else { return };
        if counter >= kept.frame_counter.saturating_add(COUNTER_STEP) {
            kept.frame_counter = counter;
            // Three quarters of the counters of a key are used up.
            if counter > u32::MAX / 4 * 3 {
                self.start_roll(now);
            }
            self.keep(After::Nothing);
        }
    }

    /// Another key, because there has to be one.
    pub(super) fn start_roll(&mut self, now: Duration) {
        self.begin_roll(true, now);
    }

    /// Another key, which is kept before anybody gets it.
    fn begin_roll(&mut self, is_needed: bool, now: Duration) {
        let Some(kept) = &mut self.kept else { return };
        if let Some(next) = &mut kept.next {
            if is_needed && !next.is_needed {
                next.is_needed = true;
                self.keep(After::Nothing);
            }
            return;
        }
        let mut key = Zeroizing::new([0; 16]);
        if getrandom::fill(&mut *key).is_err() {
            return;
        }
        kept.next =
            Some(NextKey { key: Key::new(*key), switched: false, is_known_outside: false, is_needed });
        self.roll.is_given = false;
        self.roll.counted.get_or_insert(now);
        self.keep(After::GiveNextKey);
    }

    /// Somebody is out of the network who had its key, and the next one too where that is given already.
    pub(super) fn roll_behind(&mut self, now: Duration) {
        let is_given = self.roll.is_given;
        match self.kept.as_mut().and_then(|kept| kept.next.as_mut()) {
            Some(next) if is_given || next.switched => {
                (next.is_known_outside, next.is_needed) = (true, true);
                self.keep(After::Nothing);
            }
            _ => self.start_roll(now),
        }
    }

    /// Goes on with what was begun before.
    pub(super) fn resume_roll(&mut self, now: Duration) {
        self.roll.counted = Some(now);
        match self.kept.as_ref().and_then(|kept| kept.next.as_ref()).map(|next| next.switched) {
            Some(true) => self.switch_key(now),
            Some(false) => self.give_next_key(now),
            None => {}
        }
    }

    /// To all that have a link key of their own, one after the other. The others are told of.
    pub(super) fn give_next_key(&mut self, now: Duration) {
        let Some(kept) = self.kept.as_ref().filter(|kept| kept.next.is_some()) else { return };
        let nodes = kept.nodes.iter().map(|node| (node.eui64, node.own_key));
        let (keyed, keyless): (Vec<_>, Vec<_>) = nodes.partition(|(_, own_key)| *own_key);
        for (eui64, _) in keyless {
            let reason =
                "it has no link key of its own, so that the network's new key is not for it: admit it again";
            self.refuse(Some(eui64), RefusalKind::Join, reason, now);
        }
        self.roll.to_give = keyed.into_iter().map(|(eui64, _)| (eui64, 1)).collect();
        (self.roll.is_given, self.roll.given, self.roll.denied) = (true, 0, 0);
        if self.roll.to_give.is_empty() { self.use_next_key() } else { self.give_to_one(now) }
    }

    fn give_to_one(&mut self, now: Duration) {
        self.roll.give_at = None;
        let Some((eui64, tried)) = self.roll.to_give.pop_front() else { return };
        self.roll.tried = tried;
        let Some(kept) = &self.kept else { return };
        let short = kept.node(eui64).map(|node| node.short).filter(|short| *short != ShortAddress::UNKNOWN);
        match (short, &kept.next) {
            (Some(short), Some(next)) => {
                self.ask(next_key(short, eui64, &next.key), Purpose::NextKey(eui64), now);
            }
            _ => {
                self.is_without_next_key(eui64, "nobody knows where it is", now);
                self.give_to_next(now);
            }
        }
    }

    pub(super) fn next_key_given(
        &mut self,
        eui64: Eui64,
        answer: Result<EzspMessage, String>,
        now: Duration,
    ) {
        match answer {
            Ok(_) => self.roll.given += 1,
            Err(_) if self.roll.tried < TRIES => {
                self.roll.to_give.push_back((eui64, self.roll.tried + 1));
            }
            Err(reason) => {
                self.roll.denied += 1;
                self.is_without_next_key(eui64, &reason, now);
            }
        }
        self.give_to_next(now);
    }

    fn is_without_next_key(&mut self, eui64: Eui64, reason: &str, now: Duration) {
        // Meanwhile it may have been removed.
        if self.kept.as_ref().is_some_and(|kept| kept.node(eui64).is_some()) {
            let reason = format!(
                "the network's next key is for it when it comes back, and did not go to it: {reason}"
            );
            self.refuse(Some(eui64), RefusalKind::Join, &reason, now);
        }
    }

    fn give_to_next(&mut self, now: Duration) {
        if !self.roll.to_give.is_empty() {
            self.roll.give_at = Some(now + PACE);
        } else if self.roll.given > 0 {
            self.roll.switch_at = Some(now + SPREAD);
        } else if self.roll.denied > 0 {
            self.abandon_roll("the coordinator gives no node the next one", now);
        } else {
            self.use_next_key();
        }
    }

    /// It is kept that the next key is used, and then it is.
    fn use_next_key(&mut self) {
        self.roll.switch_at = None;
        if let Some(next) = self.kept.as_mut().and_then(|kept| kept.next.as_mut()) {
            next.switched = true;
            self.keep(After::SwitchKey);
        }
    }

    /// The network keeps its key for another while: where that has to be changed, until the next try, after a restart too.
    fn abandon_roll(&mut self, reason: &str, now: Duration) {
        let Some(kept) = &mut self.kept else { return };
        let is_needed = kept.next.take().is_some_and(|next| next.is_needed);
        kept.key_seconds = if is_needed { u64::MAX } else { 0 };
        (self.roll.is_given, self.roll.not_before) = (false, now + AGAIN);
        self.keep(After::Nothing);
        let until = if is_needed { "; it is tried again in an hour" } else { "" };
        let reason = format!("the network's key cannot be changed: {reason}{until}");
        self.say(Report::Trouble(Sentence::fitting(&reason)));
    }

    pub(super) fn switch_key(&mut self, now: Duration) {
        if self.roll.is_given && self.roll.given == 0 {
            // The coordinator has none to switch to.
            return self.form_anew(now);
        }
        self.ask(switch_key(), Purpose::SwitchKey, now);
    }

    pub(super) fn key_switched(&mut self, answer: Result<EzspMessage, String>, now: Duration) {
        let Some(kept) = &mut self.kept else { return };
        if answer.is_err() {
            // The coordinator has forgotten it; those who were given it have it all the same.
            return self.form_anew(now);
        }
        let is_known_outside = kept.switch(kept.key_sequence.wrapping_add(1));
        self.roll = Roll { counted: Some(now), ..Roll::default() };
        if is_known_outside {
            self.start_roll(now);
        } else {
            self.keep(After::Nothing);
        }
    }

    /// The coordinator leaves, and forms the same network with the next key.
    fn form_anew(&mut self, now: Duration) {
        for id in self.calls() {
            self.done(id, Some("the network gets another key"));
        }
        self.exchanges.clear();
        self.talks.clear();
        self.joining.clear();
        self.roll = Roll::default();
        self.step(Step::Leaving, now);
        self.ask(forget(), Purpose::Need, now);
    }
}
