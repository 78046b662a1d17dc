//! Who is here how often: nobody keeps others out by being here many times.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::HashMap;
use thingward_model::Principal;
use tokio::sync::oneshot;

use crate::allowance::Allowance;

/// Handshakes in flight, by place. At the bound the place that has most of them gives up its oldest.
pub(crate) struct Handshakes {
    max: usize,
    here: Mutex<InFlight>,
}

#[derive(Default)]
struct InFlight {
    next: u64,
    count: usize,
    /// By number, so that the first is the oldest.
    places: HashMap<IpAddr, Vec<(u64, oneshot::Sender<()>)>>,
}

/// A handshake in flight.
pub(crate) struct Turn {
    of: Arc<Handshakes>,
    place: IpAddr,
    number: u64,
}

impl Handshakes {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max: max.max(1), here: Mutex::default() })
    }

    fn here(&self) -> MutexGuard<'_, InFlight> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one, and says when it has to give way.
    pub(crate) fn begin(self: &Arc<Self>, place: IpAddr) -> (Turn, oneshot::Receiver<()>) {
        let (stays, gives_way) = oneshot::channel();
        let mut here = self.here();
        if here.count >= self.max {
            here.give_way();
        }
        here.next += 1;
        let number = here.next;
        here.places.entry(place).or_default().push((number, stays));
        here.count += 1;
        drop(here);
        (Turn { of: Arc::clone(self), place, number }, gives_way)
    }
}

impl InFlight {
    fn give_way(&mut self) {
        // Of places that have as many, the one whose oldest has been here for longest.
        let rank =
            |all: &[(u64, _)]| (all.len(), std::cmp::Reverse(all.first().map_or(0, |(number, _)| *number)));
        let most = self.places.iter().max_by_key(|(_, all)| rank(all));
        let oldest = most.and_then(|(place, all)| Some((*place, all.first()?.0)));
        if let Some((place, number)) = oldest {
            self.end(place, number);
        }
    }

    fn end(&mut self, place: IpAddr, number: u64) {
        let Some(all) = self.places.get_mut(&place) else { return };
        let before = all.len();
        all.retain(|(known, _)| *known != number);
        self.count -= before - all.len();
        if all.is_empty() {
            self.places.remove(&place);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of.here().end(self.place, self.number);
    }
}

/// Which members are here, each with so many connections at most, and how much each may say.
pub(crate) struct Members {
    connections_max: usize,
    messages_per_second: u32,
    here: Mutex<HashMap<Principal, Here>>,
}

struct Here {
    connections: usize,
    allowance: Arc<Allowance>,
}

/// One connection of a member.
pub(crate) struct Presence {
    of: Arc<Members>,
    who: Principal,
    pub(crate) allowance: Arc<Allowance>,
}

impl Members {
    pub(crate) fn new(connections_max: usize, messages_per_second: u32) -> Arc<Self> {
        Arc::new(Self { connections_max, messages_per_second, here: Mutex::default() })
    }

    fn here(&self) -> MutexGuard<'_, HashMap<Principal, Here>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more; `None` when there are as many as may be.
    pub(crate) fn enter(self: &Arc<Self>, who: Principal) -> Option<Presence> {
        let mut all = self.here();
        let fresh = || Here { connections: 0, allowance: Arc::new(Allowance::new(self.messages_per_second)) };
        let here = all.entry(who).or_insert_with(fresh);
        if here.connections >= self.connections_max {
            return None;
        }
        here.connections += 1;
        Some(Presence { of: Arc::clone(self), who, allowance: Arc::clone(&here.allowance) })
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut all = self.of.here();
        if let Some(here) = all.get_mut(&self.who) {
            here.connections -= 1;
            if here.connections == 0 {
                all.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use thingward_model::Role;

    use super::*;

    const fn place(number: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, number))
    }

    fn stays(gives_way: &mut oneshot::Receiver<()>) -> bool {
        gives_way.try_recv() == Err(oneshot::error::TryRecvError::Empty)
    }

    #[test]
    fn who_holds_most_handshakes_open_gives_way_and_nobody_else() {
        let handshakes = Handshakes::new(8);
        let mut alone = handshakes.begin(place(1));
        let mut many: Vec<_> = (0..100).map(|_| handshakes.begin(place(2))).collect();
        assert!(stays(&mut alone.1));
        let open = many.iter_mut().map(|(_, gives_way)| stays(gives_way)).collect::<Vec<_>>();
        assert!(open[..93].iter().all(|open| !open) && open[93..].iter().all(|open| *open));
        let mut newcomer = handshakes.begin(place(3));
        assert!(stays(&mut newcomer.1) && stays(&mut alone.1) && !stays(&mut many[93].1));
        assert_eq!(handshakes.here().count, 8);
        drop((alone, many, newcomer));
        assert!(handshakes.here().count == 0 && handshakes.here().places.is_empty());
    }

    #[test]
    fn of_places_with_as_many_the_oldest_gives_way() {
        let handshakes = Handshakes::new(3);
        let mut all: Vec<_> = (1..=4).map(|number| handshakes.begin(place(number))).collect();
        let open: Vec<bool> = all.iter_mut().map(|(_, gives_way)| stays(gives_way)).collect();
        assert_eq!(open, [false, true, true, true]);
    }

    #[test]
    fn a_member_is_here_no_more_often_than_it_may_be_and_again_when_it_has_left() {
        let who = |name: &str| Principal {
            tenant: "acme".parse().unwrap(),
            role: Role::Device,
            name: name.parse().unwrap(),
        };
        let members = Members::new(2, 10);
        let first = members.enter(who("meter")).unwrap();
        let second = members.enter(who("meter")).unwrap();
        assert!(Arc::ptr_eq(&first.allowance, &second.allowance));
        assert!(members.enter(who("meter")).is_none() && members.enter(who("pump")).is_some());
        drop(first);
        assert!(members.enter(who("meter")).is_some());
        assert_eq!(members.here().len(), 1);
    }
}
