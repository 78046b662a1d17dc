//! Who is here how often: nobody keeps others out by being here many times.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::HashMap;
use thingward_model::Principal;
use tokio::sync::oneshot;

use crate::allowance::Allowance;

/// So many at a time. At the bound the place that has most of them gives up its oldest.
pub struct Turns {
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

/// A handshake, or a connection.
pub struct Turn {
    of: Arc<Turns>,
    place: IpAddr,
    number: u64,
}

impl Turns {
    /// At most `max`, and one at least.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max: max.max(1), here: Mutex::default() })
    }

    fn here(&self) -> MutexGuard<'_, InFlight> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one, and says when it has to give way.
    #[must_use]
    pub fn begin(self: &Arc<Self>, place: IpAddr) -> (Turn, oneshot::Receiver<()>) {
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
pub struct Members {
    connections_max: usize,
    messages_per_second: u32,
    here: Mutex<Crowd>,
}

#[derive(Default)]
struct Crowd {
    members: HashMap<Principal, Here>,
    /// Who left in debt, each once: coming back pays for nothing.
    left: VecDeque<Principal>,
}

struct Here {
    connections: usize,
    allowance: Arc<Allowance>,
    /// Whether it is among those who left.
    has_left: bool,
}

/// One connection of a member.
pub struct Presence {
    of: Arc<Members>,
    who: Principal,
    pub(crate) allowance: Arc<Allowance>,
}

impl Members {
    pub(crate) fn new(connections_max: usize, messages_per_second: u32) -> Arc<Self> {
        Arc::new(Self { connections_max, messages_per_second, here: Mutex::default() })
    }

    fn here(&self) -> MutexGuard<'_, Crowd> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more; `None` when there are as many as may be.
    #[must_use]
    pub fn enter(self: &Arc<Self>, who: Principal) -> Option<Presence> {
        let mut all = self.here();
        all.forget_who_paid();
        let fresh = || Here {
            connections: 0,
            allowance: Arc::new(Allowance::new(self.messages_per_second)),
            has_left: false,
        };
        let here = all.members.entry(who).or_insert_with(fresh);
        if here.connections >= self.connections_max {
            return None;
        }
        here.connections += 1;
        Some(Presence { of: Arc::clone(self), who, allowance: Arc::clone(&here.allowance) })
    }
}

impl Crowd {
    fn leave(&mut self, who: Principal) {
        let Some(here) = self.members.get_mut(&who) else { return };
        here.connections -= 1;
        if here.connections == 0 && !std::mem::replace(&mut here.has_left, true) {
            self.left.push_back(who);
        }
        self.forget_who_paid();
    }

    /// Looks at two for each that can have been added, so that there are never many who owe nothing.
    fn forget_who_paid(&mut self) {
        for _ in 0..2 {
            let Some(who) = self.left.pop_front() else { return };
            let Some(here) = self.members.get_mut(&who) else { continue };
            if here.connections > 0 {
                here.has_left = false;
            } else if here.allowance.is_full() {
                self.members.remove(&who);
            } else {
                self.left.push_back(who);
            }
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.of.here().leave(self.who);
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
        let handshakes = Turns::new(8);
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
        let handshakes = Turns::new(3);
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
        assert_eq!(members.here().members.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_owes_what_it_owed_and_is_forgotten_when_that_is_paid() {
        let who = |name: String| Principal {
            tenant: "acme".parse().unwrap(),
            role: Role::Device,
            name: name.parse().unwrap(),
        };
        let members = Members::new(64, 1000);
        for n in 0..100 {
            let presence = members.enter(who(format!("meter-{n}"))).unwrap();
            presence.allowance.owe(5000);
        }
        assert_eq!(members.here().members.len(), 100);
        let back = members.enter(who("meter-7".to_owned())).unwrap();
        let start = tokio::time::Instant::now();
        drop(back.allowance.room_for(1).await);
        assert!((4800..5000).contains(&start.elapsed().as_millis()));
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        for n in 0..60 {
            drop(members.enter(who(format!("pump-{n}"))));
        }
        assert_eq!(members.here().members.len(), 1, "who is here");
        drop(back);
        assert!(members.here().members.is_empty() && members.here().left.is_empty());
    }
}
