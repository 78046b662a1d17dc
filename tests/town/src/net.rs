//! Connections: bytes in order each way, later than they were sent, and cut anywhere.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use thingward_ingress::Waiting;
use thingward_mqtt::broker::ConnId;

use crate::liar::LinkLiar;
use crate::random::Random;

/// Who is at an end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// By its number.
    Device(usize),
    /// By its number.
    Gateway(usize),
    /// There is one.
    Service,
}

/// One way of a connection.
#[derive(Default)]
pub struct Way {
    /// When it arrives, and what; `None` for the end.
    pieces: VecDeque<(i64, Option<Bytes>)>,
    last: i64,
    /// Nothing that is sent from here on arrives.
    is_ended: bool,
}

impl Way {
    /// Something leaves, and arrives behind what left before.
    pub fn send(&mut self, at: i64, piece: Option<Bytes>) {
        if self.is_ended {
            return;
        }
        self.is_ended = piece.is_none();
        self.last = self.last.max(at);
        self.pieces.push_back((self.last, piece));
    }

    /// What has arrived.
    pub fn arrived(&mut self, now: i64) -> Option<Option<Bytes>> {
        self.pieces.pop_front_if(|(at, _)| *at <= now).map(|(_, piece)| piece)
    }

    /// Only a part of what is on its way arrives, and then the end.
    fn cut(&mut self, at: i64, random: &mut Random) {
        if self.is_ended {
            return;
        }
        let mut bytes = BytesMut::new();
        for (_, piece) in self.pieces.drain(..) {
            bytes.extend_from_slice(&piece.unwrap_or_default());
        }
        bytes.truncate(random.index(bytes.len() + 1));
        self.send(at, Some(bytes.freeze()));
        self.send(at, None);
    }
}

/// A connection.
pub struct Conn {
    /// Who opened it.
    pub from: Who,
    /// To whom.
    pub to: Who,
    /// From who opened it.
    pub up: Way,
    /// To who opened it.
    pub down: Way,
    /// What the one above sends; gone when it has closed.
    pub waiting: Option<Waiting>,
    /// Whether the one below still listens.
    pub is_heard: bool,
    /// Nothing arrives before.
    pub stuck_until: i64,
    /// Who sits in between.
    pub liar: Option<LinkLiar>,
}

impl Conn {
    /// Cuts it now; each end hears of it in its own time.
    pub fn cut(&mut self, now: i64, random: &mut Random) {
        let (above, below) = (now + random.micros(40_000), now + random.micros(20_000));
        self.up.cut(above, random);
        self.down.cut(below, random);
        self.waiting = None;
    }

    /// Whether nobody is at it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !self.is_heard && self.waiting.is_none() && self.up.pieces.is_empty()
    }
}

/// All connections there are.
#[derive(Default)]
pub struct Net {
    /// By their number.
    pub conns: BTreeMap<ConnId, Conn>,
    next: ConnId,
}

impl Net {
    /// A new connection.
    pub fn open(&mut self, from: Who, to: Who, waiting: Waiting, liar: Option<LinkLiar>) -> ConnId {
        self.next += 1;
        let (up, down) = Default::default();
        let conn = Conn { from, to, up, down, waiting: Some(waiting), is_heard: true, stuck_until: 0, liar };
        self.conns.insert(self.next, conn);
        self.next
    }

    /// Somebody is gone: their connections end.
    pub fn crashed(&mut self, who: Who, now: i64, random: &mut Random) {
        for conn in self.conns.values_mut().filter(|conn| conn.from == who || conn.to == who) {
            conn.cut(now, random);
            if conn.from == who {
                conn.is_heard = false;
            }
        }
        // Who comes back knows nothing of them.
        self.conns.retain(|_, conn| conn.to != who || conn.is_heard);
    }
}
