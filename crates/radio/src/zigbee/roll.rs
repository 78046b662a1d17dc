//! The network's key: how far its counter is, and another one from time to time. The next is told under the current one, so
//! that it locks out nobody who has that and listens.

use std::time::Duration;

use thingward_zigbee::coordinator::{next_key, read_counter, run_counter, switch_key};
use thingward_zigbee::ezsp::EzspMessage;
use thingward_zigbee::security::Key;
use zeroize::Zeroizing;

use super::ZigbeeRadio;
use super::ask::Purpose;
use super::keep::After;
use super::kept::NextKey;
use crate::wire::{Report, Sentence};

/// How often the counter is looked at, and how far it may go until it is kept anew: together less than what is skipped when
/// the network is formed again.
const COUNTER_PERIOD: Duration = Duration::from_secs(60);
const COUNTER_STEP: u32 = 50_000;
/// How long a key is used, and after how long it is kept anew that it was.
const KEY_SECONDS: u64 = 30 * 24 * 3600;
const KEY_SECONDS_STEP: u64 = 24 * 3600;
/// How long nodes have for the next key until it is used: those that sleep ask their parents for it.
const SPREAD: Duration = Duration::from_secs(30);

/// What there is to do with the network's key.
#[derive(Debug, Default)]
pub(super) struct Roll {
    counted: Option<Duration>,
    unkept_seconds: u64,
    /// When the next key, which all nodes were given, is used.
    switch_at: Option<Duration>,
}

impl Roll {
    pub(super) fn due(&self) -> Option<Duration> {
        let count = self.counted.map(|at| at + COUNTER_PERIOD);
        count.into_iter().chain(self.switch_at).min()
    }
}

impl ZigbeeRadio {
    pub(super) fn look_after_key(&mut self, now: Duration) {
        if self.roll.switch_at.is_some_and(|at| now >= at) {
            self.roll.switch_at = None;
            if let Some(next) = self.kept.as_mut().and_then(|kept| kept.next.as_mut()) {
                next.switched = true;
                self.keep(After::SwitchKey);
            }
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
            if kept.key_seconds >= KEY_SECONDS {
                self.start_roll(now);
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

    /// Another key, which is kept before anybody gets it.
    pub(super) fn start_roll(&mut self, now: Duration) {
        let Some(kept) = &mut self.kept else { return };
        if kept.next.is_some() {
            return;
        }
        let mut key = Zeroizing::new([0; 16]);
        if getrandom::fill(&mut *key).is_err() {
            return;
        }
        kept.next = Some(NextKey { key: Key::new(*key), switched: false });
        self.roll.counted.get_or_insert(now);
        self.keep(After::GiveNextKey);
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

    pub(super) fn give_next_key(&mut self, now: Duration) {
        if let Some(next) = self.kept.as_ref().and_then(|kept| kept.next.as_ref()) {
            self.ask(next_key(&next.key), Purpose::NextKey, now);
        }
    }

    pub(super) fn next_key_given(&mut self, answer: Result<EzspMessage, String>, now: Duration) {
        match answer {
            Ok(_) => self.roll.switch_at = Some(now + SPREAD),
            Err(reason) => self.abandon_roll(&reason),
        }
    }

    /// The network keeps its key for another while.
    fn abandon_roll(&mut self, reason: &str) {
        if let Some(kept) = &mut self.kept {
            kept.next = None;
            kept.key_seconds = 0;
        }
        self.keep(After::Nothing);
        let reason = format!("the network's key cannot be changed: {reason}");
        self.say(Report::Trouble(Sentence::fitting(&reason)));
    }

    pub(super) fn switch_key(&mut self, now: Duration) {
        self.ask(switch_key(), Purpose::SwitchKey, now);
    }

    pub(super) fn key_switched(&mut self, answer: Result<EzspMessage, String>, now: Duration) {
        match (answer, &mut self.kept) {
            (Ok(_), Some(kept)) => {
                kept.switch(kept.key_sequence.wrapping_add(1));
                self.roll.counted = Some(now);
                self.keep(After::Nothing);
            }
            (Err(reason), _) => self.abandon_roll(&reason),
            (Ok(_), None) => {}
        }
    }
}
