//! Things are asked and told one thing at a time each, and asked again where they do not answer.

use std::time::Duration;

use thingward_zigbee::address::{Eui64, ShortAddress};
use thingward_zigbee::coordinator::{Progress, Protection};
use thingward_zigbee::zcl;

use super::ZigbeeRadio;
use super::ask::Purpose;
use super::job::{Answer, Job};
use super::queue::{Talk, Waiting};
use super::told::Message;

/// How long an answer may take: a node that sleeps gets its messages when it asks for them.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
/// How often a thing is asked.
const TRIES: u8 = 3;
/// Exchanges at the same time, and such as a person waits for.
const EXCHANGES_MAX: usize = 16;
const CALLS_MAX: usize = 128;

/// A message that is on its way or has not been answered.
pub(super) struct Exchange {
    node: Eui64,
    job: Job,
    tag: u8,
    sequence: u8,
    tries: u8,
    delivered: bool,
    pub(super) until: Duration,
}

impl ZigbeeRadio {
    pub(super) fn is_busy(&self, node: Eui64) -> bool {
        let waits = self.talks.get(&node).is_some_and(|talk| !talk.jobs.is_empty());
        waits || self.exchanges.iter().any(|exchange| exchange.node == node)
    }

    /// Calls that nobody answered yet.
    pub(super) fn calls(&self) -> Vec<u32> {
        let waiting = self.talks.values().flat_map(|talk| &talk.jobs).map(|waiting| &waiting.job);
        let all = waiting.chain(self.exchanges.iter().map(|exchange| &exchange.job));
        all.filter_map(|job| if let Job::Call { id, .. } = job { Some(*id) } else { None }).collect()
    }

    /// Nothing more is asked of a thing.
    pub(super) fn forget_talk(&mut self, node: Eui64) {
        let waiting = self.talks.remove(&node).into_iter().flat_map(|talk| talk.jobs);
        let mut jobs: Vec<Job> = waiting.map(|waiting| waiting.job).collect();
        for exchange in self.exchanges.extract_if(.., |exchange| exchange.node == node) {
            self.asking.withdraw(Purpose::Send(exchange.tag));
            jobs.push(exchange.job);
        }
        for job in jobs {
            if let Job::Call { id, .. } = job {
                self.done(id, Some("the thing is not in the network any more"));
            }
        }
    }

    /// Where a node is, whether it is known or joins.
    pub(super) fn short(&self, node: Eui64) -> Option<ShortAddress> {
        let known = || self.kept.as_ref().and_then(|kept| kept.node(node)).map(|node| node.short);
        self.joining.get(&node).map(|joining| joining.short).or_else(known)
    }

    /// Starts what can be started.
    pub(super) fn pump(&mut self, now: Duration) {
        if self.phase != super::Phase::Running {
            return;
        }
        self.take_joined(now);
        self.conclude_set_up();
        while let Some((node, Waiting { job, tries })) = self.next_job() {
            self.exchange(node, job, tries + 1, now);
        }
    }

    fn next_job(&mut self) -> Option<(Eui64, Waiting)> {
        let Self { talks, exchanges, .. } = self;
        let going_on = exchanges.len();
        let starts = |(node, talk): &(&Eui64, &mut Talk)| {
            let most = match talk.jobs.front() {
                None => return false,
                Some(Waiting { job: Job::Call { .. }, .. }) => CALLS_MAX,
                Some(_) => EXCHANGES_MAX,
            };
            going_on < most && !exchanges.iter().any(|exchange| exchange.node == **node)
        };
        let (node, talk) = talks.iter_mut().find(starts)?;
        Some((*node, talk.jobs.pop_front()?))
    }

    fn exchange(&mut self, node: Eui64, job: Job, tries: u8, now: Duration) {
        self.sequence = self.sequence.wrapping_add(1);
        self.tag = self.tag.wrapping_add(1);
        while self.exchanges.iter().any(|exchange| exchange.tag == self.tag) || self.tag == 0 {
            self.tag = self.tag.wrapping_add(1);
        }
        let (tag, sequence) = (self.tag, self.sequence);
        let Some(short) = self.short(node) else { return };
        let request = match job.request(node, self.address, sequence) {
            Ok(Some(request)) => request,
            // Nothing is left to be asked.
            Ok(None) => return,
            Err(malformed) => return self.failed(node, job, &malformed.to_string(), now),
        };
        let until = now + ANSWER_TIMEOUT;
        let protection = self.protection(node, &job);
        self.exchanges.push(Exchange { node, job, tag, sequence, tries, delivered: false, until });
        self.ask(request.unicast(short, tag, protection), Purpose::Send(tag), now);
    }

    /// What a thing is to do nobody else of the network orders or reads, where it has a link key of its own.
    fn protection(&self, node: Eui64, job: &Job) -> Protection {
        let has_own_key =
            self.kept.as_ref().and_then(|kept| kept.node(node)).is_some_and(|node| node.own_key);
        match job {
            Job::Call { .. } if has_own_key => Protection::Link,
            _ => Protection::Network,
        }
    }

    /// A message got there.
    pub(super) fn delivered(&mut self, tag: u8) {
        if let Some(exchange) = self.exchanges.iter_mut().find(|exchange| exchange.tag == tag) {
            exchange.delivered = true;
        }
    }

    /// A message did not get there.
    pub(super) fn not_sent(&mut self, tag: u8, reason: &str, now: Duration) {
        let at = self.exchanges.iter().position(|exchange| exchange.tag == tag);
        if let Some(at) = at {
            let exchange = self.exchanges.remove(at);
            self.again(exchange, reason, now);
        }
    }

    pub(super) fn expire_exchanges(&mut self, now: Duration) {
        let late: Vec<Exchange> = self.exchanges.extract_if(.., |exchange| now >= exchange.until).collect();
        for exchange in late {
            let reason = if self.asking.withdraw(Purpose::Send(exchange.tag)) {
                "it was not told: the coordinator is too slow"
            } else if exchange.delivered {
                "the thing received it and does not say whether it did it"
            } else {
                "the thing does not answer"
            };
            self.again(exchange, reason, now);
        }
    }

    /// Asks once more what can be asked twice.
    fn again(&mut self, exchange: Exchange, reason: &str, now: Duration) {
        let Exchange { node, job, tries, .. } = exchange;
        if tries < TRIES && !matches!(job, Job::Call { .. }) {
            // Calls that wait go first.
            let talk = self.talks.entry(node).or_default();
            talk.jobs.insert(talk.calls(), Waiting { job, tries });
        } else {
            self.failed(node, job, reason, now);
        }
    }

    fn failed(&mut self, node: Eui64, job: Job, reason: &str, now: Duration) {
        match job {
            Job::Call { id, .. } => self.done(id, Some(reason)),
            Job::Interview(_) => {
                if let Some(short) = self.joining.get(&node).map(|joining| joining.short) {
                    self.give_up(short, node, "it joined and does not say what it is", now);
                }
            }
            Job::Bind { .. } | Job::Report { .. } | Job::Master { .. } | Job::Enrol { request: None, .. } => {
                self.miss(node, job, now)
            }
            // It asks again, or says less than it could.
            Job::Enrol { request: Some(_), .. } | Job::Figures { .. } | Job::Read { .. } => {}
        }
    }

    /// Whether a message answers what the thing was asked; then there is nothing more to it.
    pub(super) fn answers(&mut self, node: Eui64, message: &Message, now: Duration) -> bool {
        let Some(at) = self.exchanges.iter().position(|exchange| exchange.node == node) else { return false };
        let Some(exchange) = self.exchanges.get_mut(at) else { return false };
        if let Job::Interview(interview) = &mut exchange.job {
            let progress = interview.heard(message.profile, message.cluster, &message.payload);
            return match progress {
                Ok(Progress::NotForUs) => false,
                Ok(Progress::Answered) => {
                    self.interviewed(at, now);
                    true
                }
                Err(error) => {
                    let short = message.sender;
                    self.give_up(short, node, &format!("it does not say what it is: {error}"), now);
                    true
                }
            };
        }
        let Answer::Done(status, values) = exchange.job.answer(message, exchange.sequence) else {
            return false;
        };
        let Exchange { job, .. } = self.exchanges.remove(at);
        match job {
            Job::Call { id, order, .. } => {
                let failure = (status != 0).then(|| format!("the thing answers: {}", zcl::status(status)));
                self.done(id, failure.as_deref());
                if failure.is_none() {
                    self.read_cluster(node, order.endpoint, order.cluster);
                }
            }
            Job::Figures { endpoint, cluster, .. } => {
                for read in values {
                    let figure = read.value.ok().and_then(|value| value.number()).map(u32::try_from);
                    if let Some(Ok(figure)) = figure {
                        self.learn(node, endpoint, cluster, read.id, figure);
                    }
                }
            }
            Job::Read { endpoint, .. } => self.read(node, endpoint, message, values),
            Job::Interview(_)
            | Job::Bind { .. }
            | Job::Report { .. }
            | Job::Master { .. }
            | Job::Enrol { .. } => {}
        }
        true
    }

    /// An answer of an interview came: the next question goes, or there is none.
    fn interviewed(&mut self, at: usize, now: Duration) {
        let Exchange { node, job, .. } = self.exchanges.remove(at);
        if let Job::Interview(interview) = &job {
            if interview.thing().is_some() {
                self.found(node, interview);
            } else {
                self.exchange(node, job, 1, now);
            }
        }
    }
}
