//! A network: its controller, what is kept of it, and what is told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand_core::CryptoRng;
use thingward_zwave::controller::{
    Controller, ControllerFault, Event, KnownNetwork, KnownNode, NetworkKeySet, Standing,
};
use thingward_zwave::serial::node_info::Listening;
use thingward_zwave::{Command, HomeId, NodeId};

use super::admission::Admission;
use super::calls::Calls;
use super::keeper::{Keeper, Then};
use super::kept::{Kept, KeptError};
use super::member::Member;
use super::refusals;
use crate::outbox::Outbox;
use crate::wire::{Address, Exception, Order, RefusalKind, Report, Sentence, Start};

pub(super) struct Network<R> {
    pub(super) host: Controller<R>,
    pub(super) kept: Kept,
    pub(super) keeper: Keeper,
    exceptions: Vec<Exception>,
    /// Whether the gateway was told that the radio works.
    pub(super) is_ready: bool,
    /// Nodes that the gateway was told of.
    pub(super) announced: BTreeSet<NodeId>,
    pub(super) admission: Option<Admission>,
    pub(super) calls: Calls,
    /// Classes of nodes that were asked what there is, so that what their answer lists is asked for.
    pub(super) asked: BTreeSet<(NodeId, u8)>,
    /// What is asked later.
    pub(super) later: Vec<(Duration, NodeId, Command)>,
}

impl<R: CryptoRng> Network<R> {
    /// Begins with what was kept; with new keys where there is nothing.
    pub(super) fn start(start: Start, mut rng: R, now: Duration) -> Result<Self, KeptError> {
        let kept = match &start.kept {
            Some(secret) => Kept::read(secret)?,
            None => Kept { home: None, keys: NetworkKeySet::generate(&mut rng), members: BTreeMap::new() },
        };
        let permitted = |member: &&Member| {
            let address = kept.home.map(|home| address(home, member.known.node));
            !member.is_exception() || address.is_some_and(|it| exception(&start.exceptions, &it).is_some())
        };
        let nodes: Vec<KnownNode> =
            kept.members.values().filter(permitted).map(|member| member.known.clone()).collect();
        let known = kept.home.map(|home| KnownNetwork { home, nodes });
        Ok(Self {
            host: Controller::start(kept.keys.clone(), known, rng, now),
            kept,
            keeper: Keeper::default(),
            exceptions: start.exceptions,
            is_ready: false,
            announced: BTreeSet::new(),
            admission: None,
            calls: Calls::default(),
            asked: BTreeSet::new(),
            later: Vec::new(),
        })
    }

    pub(super) fn output(&mut self) -> Option<Vec<u8>> {
        self.host.output()
    }

    pub(super) fn due(&self) -> Option<Duration> {
        let admission = self.admission.as_ref().and_then(Admission::due);
        let later = self.later.iter().map(|(due, ..)| *due).min();
        [self.host.due(), admission, self.calls.due(), later].into_iter().flatten().min()
    }

    pub(super) fn order(&mut self, order: Order, out: &mut Outbox, now: Duration) {
        match order {
            Order::Admit(admission) => self.admit(&admission, out, now),
            Order::Close => self.close(out, now),
            Order::Call(call) => self.call(&call, out, now),
            Order::Remove(thing) => self.remove(&thing, out, now),
            Order::Kept => self.kept(out, now),
            // The first comes once, the second is answered by whoever has the counters; and a key of Z-Wave is given once.
            Order::Start(_) | Order::Ask(_) | Order::Roll => {}
        }
        self.settle(out, now);
    }

    pub(super) fn receive(&mut self, bytes: &[u8], out: &mut Outbox, now: Duration) {
        self.host.receive(bytes, now);
        self.settle(out, now);
    }

    pub(super) fn tick(&mut self, out: &mut Outbox, now: Duration) {
        self.host.tick(now);
        self.settle(out, now);
        self.admission_due(out, now);
        self.calls_due(out, now);
        self.ask_later(now);
        self.settle(out, now);
    }

    /// Hears what happened, and has kept what is to be kept.
    fn settle(&mut self, out: &mut Outbox, now: Duration) {
        while let Some(event) = self.host.event() {
            self.event(event, out, now);
        }
        if self.keeper.begin() {
            out.report(Report::Keep(self.kept.write()));
        }
    }

    fn event(&mut self, event: Event, out: &mut Outbox, now: Duration) {
        match event {
            Event::Ready { home, strangers, .. } => self.ready(home, &strangers, out, now),
            // It may have been in the middle of something: whoever asks again from the beginning may be answered.
            Event::ControllerFailed(fault @ (ControllerFault::Silent | ControllerFault::Confused)) => {
                out.end(&fault.to_string());
            }
            Event::ControllerFailed(fault) => {
                out.report(Report::Trouble(Sentence::fitting(&fault.to_string())));
            }
            Event::Included(known) => self.included(known, out, now),
            Event::Interviewed(known) => self.interviewed(known),
            Event::Report { node, endpoint, security, command } => {
                self.told(node, endpoint, security, &command, out, now);
            }
            Event::Done(request, outcome) => self.done(request, &outcome, out, now),
            Event::Excluded(node) => self.forget(node),
            Event::Unsound(node, unsound) => {
                if let Some(kind) = refusals::kind(&unsound) {
                    let thing = node.and_then(|node| self.address(node));
                    out.refused(thing, kind, &unsound.to_string());
                }
            }
            Event::Including
            | Event::Joining(_)
            | Event::PinNeeded { .. }
            | Event::S0Asked(_)
            | Event::Refused(..)
            | Event::InclusionEnded => self.joining_event(&event, out, now),
            Event::Awake(_) | Event::Excluding | Event::ExclusionEnded => {}
        }
    }

    fn ready(&mut self, home: HomeId, strangers: &[NodeId], out: &mut Outbox, now: Duration) {
        for node in strangers {
            let thing = Some(address(home, *node));
            let reason = if self.kept.members.contains_key(node) {
                "it has Security 0 only, and no exception names it"
            } else {
                "it is in the network without a key that is known"
            };
            out.refused(thing, RefusalKind::Join, reason);
        }
        if self.kept.home.is_none() {
            self.kept.home = Some(home);
            self.keeper.changed(Some(Then::Ready));
        } else {
            self.tell_ready(out, now);
        }
    }

    fn tell_ready(&mut self, out: &mut Outbox, now: Duration) {
        let Some(home) = self.kept.home else { return };
        self.is_ready = true;
        out.report(Report::Ready { network: Address::fitting(&home.to_string()) });
        let granted = |node: &NodeId| matches!(self.host.standing(*node), Some(Standing::Granted(_)));
        let there: Vec<NodeId> = self.kept.members.keys().copied().filter(granted).collect();
        for node in there {
            let Some(member) = self.kept.members.get(&node) else { continue };
            let (interviewed, sleeps) = (member.interviewed, member.known.listening == Listening::Sleeping);
            if !interviewed {
                // A node that is known may be asked.
                let _ = self.host.interview(node, now);
                continue;
            }
            self.announce(node, out);
            // One that sleeps says by itself what it has to say.
            if !sleeps {
                self.ask_values(node, now);
            }
        }
    }

    /// What was kept last is durable.
    fn kept(&mut self, out: &mut Outbox, now: Duration) {
        for then in self.keeper.kept() {
            match then {
                Then::Ready => self.tell_ready(out, now),
                Then::Thing(node) => {
                    let is_new = !self.announced.contains(&node);
                    self.announce(node, out);
                    if is_new {
                        self.ask_values(node, now);
                    }
                }
                Then::Left(node) => {
                    if let Some(address) = self.address(node) {
                        out.report(Report::Left(address));
                    }
                }
            }
        }
    }

    fn remove(&mut self, thing: &Address, out: &mut Outbox, now: Duration) {
        match self.node(thing) {
            Some(node) => {
                self.host.refuse(node, now);
                self.forget(node);
            }
            None => out.report(Report::Left(thing.clone())),
        }
    }

    /// A node holds keys of ours no more, or is not believed any more.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.announced.remove(&node);
        self.asked.retain(|(of, _)| *of != node);
        if self.kept.members.remove(&node).is_some() {
            self.keeper.changed(Some(Then::Left(node)));
        }
    }

    /// Why Security 0 is permitted to a node, if it is.
    pub(super) fn exception(&self, node: NodeId) -> Option<&Exception> {
        exception(&self.exceptions, &self.address(node)?)
    }

    pub(super) fn address(&self, node: NodeId) -> Option<Address> {
        self.kept.home.map(|home| address(home, node))
    }

    /// The node of an address, if it is of this network and holds keys.
    pub(super) fn node(&self, thing: &Address) -> Option<NodeId> {
        let (home, node) = thing.as_str().split_once('-')?;
        let node = NodeId::new(node.parse().ok()?)?;
        let ours = self.kept.home.is_some_and(|ours| ours.to_string() == home);
        (ours && self.kept.members.contains_key(&node)).then_some(node)
    }
}

/// The exception that names every thing: whoever joins next.
const NEXT: &str = "s0";

fn exception<'a>(exceptions: &'a [Exception], thing: &Address) -> Option<&'a Exception> {
    let named = |name: &str| exceptions.iter().find(|each| each.thing.as_str() == name);
    named(thing.as_str()).or_else(|| named(NEXT))
}

fn address(home: HomeId, node: NodeId) -> Address {
    Address::fitting(&format!("{home}-{node}"))
}
