//! What waits for a member, the oldest first, until the member has it.

use std::collections::VecDeque;
use std::time::Instant;

use thingward_coap::endpoint::{ObservationId, Packet};
use thingward_coap::message::{Code, OptionNumber};
use thingward_coap::wire::{Down, What};
use thingward_mqtt::client::Receipt;

/// Most that waits for one member: the core sends no more before something is acknowledged.
pub(super) const WAITING_MAX: usize = 64;

/// Something for a member.
pub(super) struct Arrived {
    pub(super) what: What,
    /// Until when it is of use; `None` for no end.
    pub(super) until: Option<Instant>,
    /// By which it is acknowledged to the core.
    pub(super) receipt: Option<Receipt>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Downward {
    waiting: VecDeque<(u32, Arrived)>,
    next: u32,
    settled: Vec<Receipt>,
    /// Who is told when the first is another one.
    pub(super) observer: Option<ObservationId>,
}

impl Downward {
    /// For the next session with the core, in the same one with the device: the core sends anew what was not taken. The device
    /// has numbers of before, so they go on, and it observes still.
    pub(super) fn anew(&self) -> Self {
        Self { next: self.next, observer: self.observer, ..Self::default() }
    }

    /// A command that is sent again takes no second place, nor does a question for evidence; the newest revocation and the
    /// newest word on the membership say all that the ones before did.
    pub(super) fn push(&mut self, new: Arrived) {
        match &new.what {
            What::Command { .. } | What::Evidence if self.waiting.iter().any(|(_, w)| w.what == new.what) => {
                self.settled.extend(new.receipt);
                return;
            }
            What::Revocation(_) => self.let_go(|old| matches!(old.what, What::Revocation(_))),
            What::Membership(_) => self.let_go(|old| matches!(old.what, What::Membership(_))),
            What::Command { .. } | What::Evidence => {}
        }
        if self.waiting.len() >= WAITING_MAX {
            self.settled.extend(new.receipt);
            return;
        }
        self.waiting.push_back((self.next, new));
        self.next = self.next.wrapping_add(1);
    }

    /// The member has it. Whether there was such a thing.
    pub(super) fn taken(&mut self, number: u32) -> bool {
        let Some(at) = self.waiting.iter().position(|(other, _)| *other == number) else { return false };
        let taken = self.waiting.remove(at);
        self.settled.extend(taken.and_then(|(_, taken)| taken.receipt));
        true
    }

    fn let_go(&mut self, is_over: impl Fn(&Arrived) -> bool) {
        let settled = &mut self.settled;
        self.waiting.retain(|(_, arrived)| {
            let is_over = is_over(arrived);
            if is_over {
                settled.extend(arrived.receipt);
            }
            !is_over
        });
    }

    /// What the core need not keep any more, since the last call.
    pub(super) fn settled(&mut self) -> impl Iterator<Item = Receipt> {
        std::mem::take(&mut self.settled).into_iter()
    }

    /// The first, as the member is shown it; nothing in the body when nothing waits.
    pub(super) fn state(&mut self) -> Packet {
        let now = Instant::now();
        self.let_go(|arrived| arrived.until.is_some_and(|until| until <= now));
        let state = Packet::new(Code::CONTENT).with_uint(OptionNumber::MAX_AGE, 0);
        let first = self.waiting.front();
        let first = first.map(|(number, arrived)| Down { number: *number, what: arrived.what.clone() });
        match first.and_then(|down| down.write().ok()) {
            Some(body) => state.with_payload(&body),
            None => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(id: u8) -> Arrived {
        let what = What::Command { id: [id; 16], command: b"signed".to_vec() };
        Arrived { what, until: None, receipt: None }
    }

    fn shown(downward: &mut Downward) -> Option<Down> {
        let state = downward.state();
        (!state.payload.is_empty()).then(|| Down::read(&state.payload).unwrap())
    }

    #[test]
    fn the_oldest_is_shown_until_it_is_taken() {
        let mut downward = Downward::default();
        assert_eq!(shown(&mut downward), None);
        let other = |what| Arrived { what, until: None, receipt: None };
        downward.push(command(1));
        downward.push(command(1));
        downward.push(other(What::Evidence));
        downward.push(other(What::Evidence));
        downward.push(other(What::Revocation(vec![1])));
        downward.push(other(What::Membership(vec![1])));
        downward.push(other(What::Revocation(vec![2])));
        downward.push(other(What::Membership(vec![2])));
        let first = shown(&mut downward).unwrap();
        assert_eq!(first.what, What::Command { id: [1; 16], command: b"signed".to_vec() });
        assert!(!downward.taken(first.number + 100) && downward.taken(first.number));
        for what in [What::Evidence, What::Revocation(vec![2]), What::Membership(vec![2])] {
            let next = shown(&mut downward).unwrap();
            assert_eq!(next.what, what);
            assert!(downward.taken(next.number));
        }
        assert_eq!(shown(&mut downward), None);
    }

    #[test]
    fn a_number_is_no_other_things_after_a_renewal() {
        let mut downward = Downward::default();
        downward.push(command(1));
        let first = shown(&mut downward).unwrap();
        let mut renewed = downward.anew();
        assert_eq!(shown(&mut renewed), None);
        renewed.push(command(2));
        assert!(!renewed.taken(first.number));
        assert_ne!(shown(&mut renewed).unwrap().number, first.number);
    }

    #[test]
    fn a_command_that_waited_too_long_is_let_go_and_no_more_wait_than_may() {
        let mut downward = Downward::default();
        downward.push(Arrived { until: Some(Instant::now()), ..command(1) });
        assert_eq!(shown(&mut downward), None);
        for id in 0..200 {
            downward.push(command(id));
        }
        assert_eq!(downward.waiting.len(), WAITING_MAX);
    }
}
