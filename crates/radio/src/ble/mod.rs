//! Sensors that advertise over Bluetooth LE: a controller that listens, or a recording of one.
//!
//! The line is HCI over H4, or begins as a recording (btsnoop) does. A thing that encrypts is let in by its key, as
//! `ADDRESS:BINDKEY`, once something came under it. Of what is sent in the open, or encrypted without a check, only that of
//! things with an exception is taken.
//!
//! The highest counter of a thing is durable before what came with it is told, exactly, so that neither a replay is taken
//! after a restart nor anything lost. To keep it ahead, as a sender keeps numbers, would lose what a slow sensor says for
//! hours. Keeping is bounded all the same: once in a second ([`KEEP_EVERY`]) for all things together.

mod controller;
mod hearing;
mod input;
mod kept;
mod member;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use thingward_ble::{Address as Advertiser, Receiver};

use crate::outbox::Outbox;
use crate::wire::{Address, Admission, AdmissionState, Counters, Order, RefusalKind, Report, Start};
use crate::{Output, Radio};
use controller::{Controller, Refused, Step};
use hearing::Held;
use input::{Input, InputError, Kind};
use kept::{KeptThing, NotKept, Seen, THINGS_MAX};
use member::{Member, address};

/// So long a line may be a recording's, before it is spoken to as a controller's.
const QUIET_TIME: Duration = Duration::from_millis(200);
/// So long a controller has for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(3);
/// How often counters are kept at most.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// The driver of a controller.
#[derive(Default)]
pub struct BleRadio {
    phase: Phase,
    input: Input,
    controller: Controller,
    receiver: Receiver,
    exceptions: Vec<Advertiser>,
    /// Things with keys.
    keyed: BTreeMap<Advertiser, KeptThing>,
    members: BTreeMap<Advertiser, Member>,
    admitting: Option<Admitting>,
    keeping: Keeping,
    /// What waits for the counters to be durable.
    held: Vec<Held>,
    /// When somebody was refused last.
    refused: BTreeMap<Advertiser, Duration>,
    unsaid: Counters,
    outbox: Outbox,
}

#[derive(Default, Clone, Copy)]
enum Phase {
    /// Nothing was ordered yet.
    #[default]
    Idle,
    /// It may be a recording, until then.
    Quiet(Duration),
    /// A controller is told what to do, and has to answer until then.
    Setup(Duration),
    Listening,
    /// It cannot go on.
    Broken,
}

/// A thing that is let in as soon as something comes under its key.
struct Admitting {
    thing: KeptThing,
    until: Duration,
}

/// Keys and counters on their way to be durable.
#[derive(Default)]
struct Keeping {
    /// Something changed since they were given.
    is_due: bool,
    is_under_way: bool,
    /// When they were given last.
    last: Option<Duration>,
}

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Kept(#[from] NotKept),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("no controller of Bluetooth answers")]
    Silent,
}

impl BleRadio {
    /// A driver without a line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn start(&mut self, start: &Start, now: Duration) -> Result<(), Broken> {
        let exceptions =
            start.exceptions.iter().filter_map(|exception| kept::parse(exception.thing.as_str()));
        self.exceptions = exceptions.collect();
        let kept = start.kept.as_ref().map(kept::read).transpose()?.unwrap_or_default();
        for thing in kept.things {
            self.trust(&thing);
            self.keyed.insert(thing.address(), thing);
        }
        for Seen { address, name, had } in kept.seen {
            let of = Advertiser(*address);
            if self.keyed.contains_key(&of) || self.exceptions.contains(&of) {
                self.members.entry(of).or_default().remember(name, had);
            }
        }
        self.phase = Phase::Quiet(now + QUIET_TIME);
        Ok(())
    }

    /// From now on this is its key. There is room for as many as are kept.
    fn trust(&mut self, thing: &KeptThing) {
        if let Some(key) = thing.bind_key() {
            let _ = self.receiver.devices.trust(thing.address(), key, thing.last);
        }
    }

    fn bytes(&mut self, bytes: &[u8], now: Duration) -> Result<(), Broken> {
        if matches!(self.phase, Phase::Idle | Phase::Broken) {
            return Ok(());
        }
        self.input.push(bytes);
        while let Some(came) = self.input.take()? {
            match self.controller.receive(&came) {
                Ok(Step::None) => {}
                Ok(Step::Next(command)) => {
                    self.phase = Phase::Setup(now + ANSWER_TIME);
                    self.outbox.line(command);
                }
                Ok(Step::Ready) => {
                    let own = self.controller.address.map(Advertiser::from_air);
                    self.listen(own.map_or_else(|| Address::fitting("bluetooth"), address));
                }
                // A recording of somebody else's commands is no controller of ours.
                Err(_) if self.input.kind() == Kind::Recording => {}
                Err(refused) => return Err(refused.into()),
            }
            for advertisement in came.event().advertisements().map_while(Result::ok) {
                self.hear(&advertisement, now);
            }
        }
        match (self.phase, self.input.kind()) {
            (Phase::Quiet(_), Kind::Recording) => self.listen(Address::fitting("recording")),
            (Phase::Quiet(_), Kind::Controller) => self.set_up(now),
            _ => {}
        }
        Ok(())
    }

    fn listen(&mut self, network: Address) {
        self.phase = Phase::Listening;
        self.outbox.report(Report::Ready { network });
    }

    fn set_up(&mut self, now: Duration) {
        self.phase = Phase::Setup(now + ANSWER_TIME);
        self.outbox.line(self.controller.command());
    }

    fn admit(&mut self, admission: &Admission, now: Duration) {
        self.give_up();
        let Some(printed) = &admission.printed else {
            self.refuse_admission("without its key nothing is let in, but for what an exception names");
            return;
        };
        let mut thing = match KeptThing::printed(printed) {
            Ok(thing) => thing,
            Err(error) => return self.refuse_admission(&error.to_string()),
        };
        let before = self.keyed.get(&thing.address());
        if before.is_none() && self.keyed.len() >= THINGS_MAX {
            return self.refuse_admission(&format!("there are {THINGS_MAX} things with keys already"));
        }
        // Under the key that it has, no counter begins again.
        thing.last = before.filter(|before| before.has_key_of(&thing)).and_then(|before| before.last);
        self.trust(&thing);
        let until = now + Duration::from_secs(admission.seconds.into());
        self.admitting = Some(Admitting { thing, until });
        self.refused.clear();
        self.outbox.report(Report::Admission(AdmissionState::Open));
    }

    fn refuse_admission(&mut self, reason: &str) {
        self.outbox.refused(None, RefusalKind::Join, reason);
        self.outbox.report(Report::Admission(AdmissionState::Closed));
    }

    /// Nobody is let in any more: the key that was there before is the key again.
    fn give_up(&mut self) {
        let Some(Admitting { thing, .. }) = self.admitting.take() else { return };
        match self.keyed.get(&thing.address()).cloned() {
            Some(before) => self.trust(&before),
            None => self.receiver.devices.forget(thing.address()),
        }
        self.outbox.report(Report::Admission(AdmissionState::Closed));
    }

    fn remove(&mut self, thing: &Address) {
        let Some(advertiser) = kept::parse(thing.as_str()) else { return };
        self.receiver.devices.forget(advertiser);
        self.keeping.is_due |= self.keyed.remove(&advertiser).is_some();
        self.held.retain(|held| held.of != advertiser);
        self.exceptions.retain(|excepted| *excepted != advertiser);
        if self.members.remove(&advertiser).is_some() {
            self.outbox.report(Report::Left(address(advertiser)));
        }
    }

    fn time(&mut self, now: Duration) -> Result<(), Broken> {
        match self.phase {
            Phase::Quiet(until) if now >= until => self.set_up(now),
            Phase::Setup(until) if now >= until => return Err(Broken::Silent),
            _ => {}
        }
        if let Some(admitting) = &self.admitting
            && now >= admitting.until
        {
            let thing = Some(address(admitting.thing.address()));
            self.outbox.refused(thing, RefusalKind::Join, "nothing came under its key");
            self.give_up();
        }
        Ok(())
    }

    fn settle(&mut self, result: Result<(), Broken>, now: Duration) {
        if let Err(broken) = result {
            self.phase = Phase::Broken;
            self.outbox.end(&broken.to_string());
        }
        self.keep(now);
    }
}

impl Radio for BleRadio {
    fn order(&mut self, order: Order, now: Duration) {
        let mut result = Ok(());
        match order {
            Order::Start(start) => result = self.start(&start, now),
            Order::Admit(admission) => self.admit(&admission, now),
            Order::Close => {
                self.give_up();
                self.outbox.report(Report::Admission(AdmissionState::Closed));
            }
            Order::Call(call) => self.outbox.done(call.id, Some("it only tells, and can do nothing")),
            Order::Remove(thing) => self.remove(&thing),
            Order::Kept => self.kept(now),
            Order::Ask(_) | Order::Roll => {}
        }
        self.settle(result, now);
    }

    fn receive(&mut self, bytes: &[u8], now: Duration) {
        let result = self.bytes(bytes, now);
        self.settle(result, now);
    }

    fn tick(&mut self, now: Duration) {
        let result = self.time(now);
        self.settle(result, now);
    }

    fn due(&self) -> Option<Duration> {
        let setup = match self.phase {
            Phase::Quiet(until) | Phase::Setup(until) => Some(until),
            Phase::Idle | Phase::Listening | Phase::Broken => None,
        };
        let admission = self.admitting.as_ref().map(|admitting| admitting.until);
        [setup, admission, self.keeping.due()].into_iter().flatten().min()
    }

    fn unsaid(&self) -> Counters {
        self.unsaid
    }

    fn output(&mut self) -> Option<Output> {
        self.outbox.take()
    }
}
