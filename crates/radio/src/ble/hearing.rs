//! What is heard: who is believed, and what is told of it when.

use std::time::Duration;

use thingward_ble::hci::Advertisement;
use thingward_ble::{Address as Advertiser, Error, Report as Advertised, Security};
use thingward_model::Link;

use super::kept::{self, THINGS_MAX};
use super::member::{address, title};
use super::words::{News, news};
use super::{Admitting, BleRadio, KEEP_EVERY, Keeping};
use crate::wire::{AdmissionState, EXCEPTIONS_MAX, Reading, RefusalKind, Report, Secret};

/// Most that waits for counters to be durable.
const HELD_MAX: usize = 1024;
/// Somebody is refused aloud once in this time, and so many are remembered for it.
const REFUSE_EVERY: Duration = Duration::from_secs(60);
const REFUSED_MAX: usize = 256;

/// Something that is told when the counter that it came with is durable.
pub(super) struct Held {
    pub(super) of: Advertiser,
    title: String,
    news: Vec<News>,
    /// Whether the counter was given to be kept.
    is_given: bool,
}

impl BleRadio {
    pub(super) fn hear(&mut self, advertisement: &Advertisement<'_>, now: Duration) {
        let of = advertisement.address;
        for said in self.receiver.receive(advertisement) {
            match said {
                Ok(report) if report.security == Security::Encrypted => self.believe(&report),
                Ok(report) => self.open(&report, now),
                Err(error) => self.wrong(of, error, now),
            }
        }
    }

    /// What came under a thing's key, with a counter that is new.
    fn believe(&mut self, said: &Advertised) {
        let of = said.address;
        self.join(of);
        let Some(thing) = self.keyed.get_mut(&of) else { return };
        thing.last = self.receiver.devices.last_counter(of);
        self.keeping.is_due = true;
        if self.held.len() < HELD_MAX {
            self.held.push(Held { of, title: title(said), news: news(said), is_given: false });
        } else {
            self.unsaid.dropped += 1;
        }
    }

    /// The thing whose key was given has come under it.
    fn join(&mut self, of: Advertiser) {
        let is_it = |admitting: &mut Admitting| admitting.thing.address() == of;
        let Some(admitting) = self.admitting.take_if(is_it) else { return };
        self.keyed.insert(of, admitting.thing);
        self.keeping.is_due = true;
        self.outbox.report(Report::Admission(AdmissionState::Joining(address(of))));
        self.outbox.report(Report::Admission(AdmissionState::Closed));
    }

    /// What anybody may have sent.
    fn open(&mut self, said: &Advertised, now: Duration) {
        let of = said.address;
        if !self.exceptions.contains(&of) {
            let reason = match said.security {
                Security::Unauthenticated => "it encrypts without a check, and no exception names it",
                Security::Open | Security::Encrypted => "it sends in the open, and no exception names it",
            };
            return self.refuse(of, RefusalKind::Join, reason, now);
        }
        // A key without a check is kept all the same, so that the thing can be read after a restart.
        self.join(of);
        let news = news(said);
        if !self.members.entry(of).or_default().is_again(&news, now) {
            self.tell(of, Link::BleNone, title(said), &news);
        }
    }

    fn tell(&mut self, of: Advertiser, link: Link, title: String, news: &[News]) {
        if news.is_empty()
            || (self.members.len() >= THINGS_MAX + EXCEPTIONS_MAX && !self.members.contains_key(&of))
        {
            return;
        }
        let member = self.members.entry(of).or_default();
        // What it has is kept, so that a restart does not forget what it does not say in each message.
        self.keeping.is_due |= member.learn(title, news);
        if member.take_untold() {
            match member.thing(address(of), link) {
                Ok(thing) => self.outbox.report(Report::Thing(thing)),
                Err(error) => {
                    self.outbox.refused(Some(address(of)), RefusalKind::Malformed, &error.to_string());
                }
            }
        }
        let readings: Vec<Reading> = news.iter().map(|news| news.reading.clone()).collect();
        self.outbox.readings(&address(of), link, &readings);
    }

    fn wrong(&mut self, of: Advertiser, error: Error, now: Duration) {
        let is_known = self.keyed.contains_key(&of) || self.exceptions.contains(&of);
        let kind = match error {
            // Things send each of them several times.
            Error::Repeated { .. } => return,
            Error::Replayed { .. } => RefusalKind::Replay,
            Error::WrongKey | Error::KeyKind | Error::Downgraded | Error::AddressMismatch => {
                RefusalKind::Forgery
            }
            Error::KeyMissing => RefusalKind::Join,
            _ if is_known => RefusalKind::Malformed,
            // Not everything that looks like one of the formats is.
            _ => return,
        };
        self.refuse(of, kind, &error.to_string(), now);
    }

    /// Says it once in a while of each: who is not let in sends on.
    fn refuse(&mut self, of: Advertiser, kind: RefusalKind, reason: &str, now: Duration) {
        let is_old = |at: &Duration| now >= *at + REFUSE_EVERY;
        if self.refused.get(&of).is_some_and(|at| !is_old(at)) {
            self.unsaid.refused += 1;
            return;
        }
        if self.refused.len() >= REFUSED_MAX {
            self.refused.retain(|_, at| !is_old(at));
        }
        if self.refused.len() < REFUSED_MAX {
            self.refused.insert(of, now);
            self.outbox.refused(Some(address(of)), kind, reason);
        } else {
            self.unsaid.refused += 1;
        }
    }

    /// Gives keys and counters to be kept, when it is time.
    pub(super) fn keep(&mut self, now: Duration) {
        if self.keeping.due().is_none_or(|due| now < due) {
            return;
        }
        self.keeping = Keeping { is_due: false, is_under_way: true, last: Some(now) };
        self.held.iter_mut().for_each(|held| held.is_given = true);
        self.outbox.report(Report::Keep(self.to_keep()));
    }

    fn to_keep(&self) -> Secret {
        let seen = self.members.iter().flat_map(|(of, member)| member.seen(*of));
        kept::write(self.keyed.values().cloned().collect(), seen)
    }

    /// What was given to be kept is durable.
    pub(super) fn kept(&mut self, now: Duration) {
        self.keeping.is_under_way = false;
        let (safe, held) =
            std::mem::take(&mut self.held).into_iter().partition::<Vec<_>, _>(|held| held.is_given);
        self.held = held;
        for Held { of, title, news, .. } in safe {
            self.tell(of, Link::BleKey, title, &news);
        }
        self.keep(now);
    }
}

impl Keeping {
    /// When they are given next.
    pub(super) fn due(&self) -> Option<Duration> {
        let is_due = self.is_due && !self.is_under_way;
        is_due.then(|| self.last.map_or(Duration::ZERO, |last| last + KEEP_EVERY))
    }
}
