//! What waits for a member, the oldest first, until the member has it.

use std::collections::VecDeque;

use thingward_agent::coap::wire::{Down, What};
use thingward_coap::endpoint::{ObservationId, Packet};
use thingward_coap::message::{Code, OptionNumber};

use crate::core::ChildCommand;

/// Most that waits for one member. The service sends again what is let go.
const WAITING_MAX: usize = 64;

enum Waiting {
    Command(ChildCommand, [u8; 16]),
    Revocation(Vec<u8>),
    Evidence,
}

impl Waiting {
    fn is_over(&self) -> bool {
        matches!(self, Self::Command(command, _) if command.is_over())
    }

    fn what(&self) -> What {
        match self {
            Self::Command(command, id) => What::Command { id: *id, command: command.payload.to_vec() },
            Self::Revocation(bytes) => What::Revocation(bytes.clone()),
            Self::Evidence => What::Evidence,
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Downward {
    waiting: VecDeque<(u32, Waiting)>,
    next: u32,
    /// Who is told when the first is another one.
    pub(super) observer: Option<ObservationId>,
}

impl Downward {
    fn push(&mut self, waiting: Waiting) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((self.next, waiting));
            self.next = self.next.wrapping_add(1);
        }
    }

    /// A command; one that the service sends again takes no second place.
    pub(super) fn command(&mut self, command: ChildCommand) {
        let mut id = [0; 16];
        if base16ct::lower::decode(&command.id, &mut id).map(<[u8]>::len) != Ok(id.len()) {
            return;
        }
        let is_there =
            self.waiting.iter().any(|(_, w)| matches!(w, Waiting::Command(_, other) if *other == id));
        if !is_there {
            self.push(Waiting::Command(command, id));
        }
    }

    /// The newest revocation says all that the ones before it did.
    pub(super) fn revocation(&mut self, bytes: Vec<u8>) {
        self.waiting.retain(|(_, waiting)| !matches!(waiting, Waiting::Revocation(_)));
        self.push(Waiting::Revocation(bytes));
    }

    pub(super) fn evidence(&mut self) {
        if !self.waiting.iter().any(|(_, waiting)| matches!(waiting, Waiting::Evidence)) {
            self.push(Waiting::Evidence);
        }
    }

    /// The member has it. Whether there was such a thing.
    pub(super) fn taken(&mut self, number: u32) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|(other, _)| *other != number);
        self.waiting.len() < before
    }

    /// The first, as the member is shown it; nothing in the body when nothing waits.
    pub(super) fn state(&mut self) -> Packet {
        self.waiting.retain(|(_, waiting)| !waiting.is_over());
        let state = Packet::new(Code::CONTENT).with_uint(OptionNumber::MAX_AGE, 0);
        let first =
            self.waiting.front().map(|(number, waiting)| Down { number: *number, what: waiting.what() });
        match first.and_then(|down| down.write().ok()) {
            Some(body) => state.with_payload(&body),
            None => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;

    use super::*;

    fn command(id: u8) -> ChildCommand {
        ChildCommand {
            child: "lock-1".parse().unwrap(),
            id: base16ct::lower::encode_string(&[id; 16]),
            payload: Bytes::from_static(b"signed"),
            expires_in: None,
            arrived: Instant::now(),
        }
    }

    fn shown(downward: &mut Downward) -> Option<Down> {
        let state = downward.state();
        (!state.payload.is_empty()).then(|| Down::read(&state.payload).unwrap())
    }

    #[test]
    fn the_oldest_is_shown_until_it_is_taken() {
        let mut downward = Downward::default();
        assert_eq!(shown(&mut downward), None);
        downward.command(command(1));
        downward.command(command(1));
        downward.evidence();
        downward.evidence();
        downward.revocation(vec![1]);
        downward.revocation(vec![2]);
        let first = shown(&mut downward).unwrap();
        assert_eq!(first.what, What::Command { id: [1; 16], command: b"signed".to_vec() });
        assert!(!downward.taken(first.number + 100) && downward.taken(first.number));
        let second = shown(&mut downward).unwrap();
        assert_eq!(second.what, What::Evidence);
        assert!(downward.taken(second.number));
        let third = shown(&mut downward).unwrap();
        assert_eq!(third.what, What::Revocation(vec![2]));
        assert!(downward.taken(third.number));
        assert_eq!(shown(&mut downward), None);
    }

    #[test]
    fn a_command_that_waited_too_long_is_let_go_and_no_more_wait_than_may() {
        let mut downward = Downward::default();
        downward.command(ChildCommand { expires_in: Some(0), ..command(1) });
        assert_eq!(shown(&mut downward), None);
        for id in 0..200 {
            downward.command(command(id));
        }
        assert_eq!(downward.waiting.len(), WAITING_MAX);
    }
}
