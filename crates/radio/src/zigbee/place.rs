//! Where nodes are, and who may be there: what a node says of that is checked with the coordinator, and under which key it
//! came back.

use std::time::Duration;

use thingward_zigbee::address::{Eui64, ShortAddress};
use thingward_zigbee::coordinator::look_up;
use thingward_zigbee::ezsp::EzspMessage;

use super::ask::{Purpose, status};
use super::keep::After;
use super::kept::Joined;
use super::{ZigbeeRadio, news};
use crate::wire::RefusalKind;

impl ZigbeeRadio {
    /// Whether a thing came by an exception that nobody makes any more.
    pub(super) fn is_forbidden(&self, eui64: Eui64) -> bool {
        let known = self.kept.as_ref().and_then(|kept| kept.node(eui64));
        let is_exception = known.is_some_and(|node| node.joined == Joined::WellKnown);
        is_exception && !self.exceptions.contains(&eui64) && !self.joining.contains_key(&eui64)
    }

    /// Comes back under its link key. That has to be its own, or of its install code: with the one that everybody knows,
    /// anybody could.
    pub(super) fn rejoins(&mut self, short: ShortAddress, eui64: Eui64, now: Duration) {
        let known = self.kept.as_ref().and_then(|kept| kept.node(eui64));
        if known.is_some_and(|node| node.joined == Joined::WellKnown && !node.own_key) {
            self.send_away(
                short,
                eui64,
                "it came back under the key that everybody knows: admit it again",
                now,
            );
        } else {
            self.moved(short, eui64, now);
        }
    }

    /// A node is elsewhere in the network.
    pub(super) fn moved(&mut self, short: ShortAddress, eui64: Eui64, now: Duration) {
        if self.joining.contains_key(&eui64) {
            return self.spoke(short, eui64, now);
        }
        let Some(kept) = self.kept.as_mut().filter(|kept| kept.node(eui64).is_some()) else {
            return self.send_away(short, eui64, "it is in the network and nobody admitted it", now);
        };
        if kept.place(eui64, short) {
            self.keep(After::Nothing);
        }
    }

    /// A node says where it is, as any node could: what is new of that, the coordinator has to say too.
    pub(super) fn claimed(&mut self, short: ShortAddress, eui64: Eui64, now: Duration) {
        let joining = self.joining.iter().find(|(_, joining)| joining.short == short);
        let there = joining.map(|(eui64, _)| *eui64).or_else(|| Some(self.kept.as_ref()?.at(short)?.eui64));
        match (there, self.short(eui64)) {
            (Some(there), _) if there == eui64 => self.moved(short, eui64, now),
            (Some(there), _) => {
                self.refuse(Some(there), RefusalKind::Forgery, "it announces that it is another thing", now);
            }
            (None, Some(_)) => self.look_up(short, now),
            (None, None) => self.moved(short, eui64, now),
        }
    }

    /// Has the coordinator say who has an address. Strangers do not keep it from its work.
    pub(super) fn look_up(&mut self, short: ShortAddress, now: Duration) {
        if self.asking.has_room() && !self.asking.is_asked(Purpose::Lookup(short)) {
            self.ask(look_up(short), Purpose::Lookup(short), now);
        }
    }

    /// The coordinator knows who has an address, or does not.
    pub(super) fn looked_up(
        &mut self,
        short: ShortAddress,
        answer: Result<EzspMessage, String>,
        now: Duration,
    ) {
        let found = answer.ok().filter(|answer| status(answer) == Some(0));
        let eui64 = found.and_then(|answer| news::eui64(&answer.record, "eui64"));
        if let Some(eui64) = eui64.filter(|eui64| self.short(*eui64).is_some()) {
            self.moved(short, eui64, now);
        }
    }
}
