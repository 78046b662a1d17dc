//! What is to be remembered goes to the gateway, and what depends on it waits until it is durable.

use std::time::Duration;

use thingward_zigbee::address::Eui64;

use super::kept::Kept;
use super::report::address;
use super::{Phase, ZigbeeRadio};
use crate::wire::{KEPT_BYTES_MAX, Report, Secret};

/// Bytes that are left for what changes by itself when another thing is taken.
const RESERVE_BYTES: usize = 1024;

/// What waits for a state to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    /// A new network is formed.
    Form,
    /// The network is formed again.
    Restore,
    /// The network works.
    Run,
    /// A thing is announced.
    Announce(Eui64),
    /// A thing that was announced is known better.
    Tell(Eui64),
    /// A thing is gone.
    Forgotten(Eui64),
    /// All nodes get the next key.
    GiveNextKey,
    /// All nodes use it.
    SwitchKey,
}

/// One state at a time is on its way: what the gateway says is durable is then that one.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// What waits for the state on its way.
    sent: Option<Vec<After>>,
    /// What waits for the next one.
    next: Vec<After>,
}

impl Keeper {
    /// What was to be done is not, but for what is so anyway. What is known is told again when it goes on.
    pub(super) fn interrupt(&mut self) {
        let is_so = |after: &After| matches!(after, After::Forgotten(_));
        self.next.retain(is_so);
        if let Some(sent) = &mut self.sent {
            sent.retain(is_so);
        }
    }

    /// Whether a thing is not announced yet.
    pub(super) fn is_waiting(&self, eui64: Eui64) -> bool {
        let after = After::Announce(eui64);
        self.next.contains(&after) || self.sent.as_ref().is_some_and(|sent| sent.contains(&after))
    }
}

impl ZigbeeRadio {
    /// Has the state kept as it is now, and then does this.
    pub(super) fn keep(&mut self, after: After) {
        self.keeper.next.push(after);
        if self.keeper.sent.is_none() && self.phase != Phase::Stopped {
            self.send_state();
        }
    }

    fn send_state(&mut self) {
        let after = std::mem::take(&mut self.keeper.next);
        let Some(kept) = &self.kept else { return };
        match kept.to_bytes() {
            Some(bytes) => {
                self.keeper.sent = Some(after);
                self.say(Report::Keep(Secret::new(bytes)));
            }
            // Things are taken only while there is room for them.
            None => self.stop("there is no room for what has to be remembered"),
        }
    }

    /// The last state is durable.
    pub(super) fn durable(&mut self, now: Duration) {
        let Some(after) = self.keeper.sent.take() else { return };
        if !self.keeper.next.is_empty() {
            self.send_state();
        }
        for after in after {
            match after {
                After::Nothing => {}
                After::Form => self.form(now),
                After::Restore => self.restore(now),
                After::Run => self.run(now),
                After::Announce(eui64) => self.announce(eui64, now),
                After::Tell(eui64) => {
                    self.tell_thing(eui64);
                }
                After::Forgotten(eui64) => self.say(Report::Left(address(eui64))),
                After::GiveNextKey => self.give_next_key(now),
                After::SwitchKey => self.switch_key(now),
            }
        }
    }

    /// Whether there is room for what has to be remembered.
    pub(super) fn has_room(&self) -> bool {
        let bytes = self.kept.as_ref().and_then(Kept::to_bytes);
        bytes.is_some_and(|bytes| bytes.len() <= KEPT_BYTES_MAX - RESERVE_BYTES)
    }
}
