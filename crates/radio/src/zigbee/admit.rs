//! Who may join, and who did.

use std::time::Duration;

use thingward_zigbee::address::{Eui64, ShortAddress};
use thingward_zigbee::coordinator::{Interview, close, expect_insecure, leave, open, permit, remove};
use thingward_zigbee::ezsp::EzspMessage;
use thingward_zigbee::security::InstallCode;
use thingward_zigbee::thing::Thing;

use super::ZigbeeRadio;
use super::ask::Purpose;
use super::job::Job;
use super::keep::After;
use super::kept::{Joined, Node};
use super::report::{address, eui64};
use crate::wire;
use crate::wire::{AdmissionState, RefusalKind, Report};

/// How long the network is opened at a time, and after how long again.
const OPEN_SECONDS: u8 = 254;
const RENEWAL: Duration = Duration::from_secs(200);
/// How long a node may take from its first key to its last answer.
const JOIN_TIMEOUT: Duration = Duration::from_secs(120);
/// How long it may take to say its first word, which it cannot without the network's key.
const FIRST_WORD_TIMEOUT: Duration = Duration::from_secs(20);
/// Nodes that join at the same time.
const JOINING_MAX: usize = 8;

/// What happens to a node (`EmberDeviceUpdate`).
const SECURED_REJOIN: u8 = 0;
const JOIN: u8 = 1;
const LEFT: u8 = 2;
/// What the coordinator does about it (`EmberJoinDecision`).
const UNDER_EXPECTED_KEY: u8 = 0;
const IN_THE_CLEAR: u8 = 1;

/// Letting things join.
pub(super) struct Admission {
    until: Duration,
    renewal: Duration,
    /// The node whose install code was given; without one, those that are exceptions.
    printed: Option<(Eui64, InstallCode)>,
    /// Whether it was said that it is open.
    is_open: bool,
}

impl Admission {
    pub(super) fn due(&self) -> Duration {
        self.until.min(self.renewal)
    }
}

/// A node that has, or pretends to have, the key that was expected.
pub(super) struct Joining {
    pub(super) short: ShortAddress,
    joined: Joined,
    pub(super) until: Duration,
    /// Whether it said anything under the network's key.
    has_spoken: bool,
    own_key: bool,
    /// What it is, as far as it said.
    found: Option<(Thing, Option<String>, Option<String>)>,
}

impl ZigbeeRadio {
    pub(super) fn admit(&mut self, admission: &wire::Admission, now: Duration) {
        let printed = match &admission.printed {
            None => None,
            Some(printed) => match read(printed.expose()) {
                Ok(printed) => Some(printed),
                Err(reason) => {
                    self.refuse(None, RefusalKind::Join, &reason, now);
                    return self.say(Report::Admission(AdmissionState::Closed));
                }
            },
        };
        let until = now + Duration::from_secs(admission.seconds.into());
        self.admission = Some(Admission { until, renewal: now, printed, is_open: false });
        self.look_after_admission(now);
    }

    /// Opens the network for another while, or no more.
    pub(super) fn look_after_admission(&mut self, now: Duration) {
        let Some(admission) = &mut self.admission else { return };
        if now >= admission.until {
            return self.close(now);
        }
        if now < admission.renewal {
            return;
        }
        admission.renewal = now + RENEWAL;
        let left = admission.until.saturating_sub(now).as_secs().saturating_add(1);
        let seconds = u8::try_from(left).unwrap_or(OPEN_SECONDS).min(OPEN_SECONDS);
        let version = self.version;
        let commands = match &admission.printed {
            Some((node, code)) => permit(version, *node, code, seconds),
            None => {
                let expected = self.exceptions.keys().map(|node| expect_insecure(version, *node));
                expected.collect::<Result<Vec<_>, _>>().and_then(|mut commands| {
                    commands.extend(open(seconds)?);
                    Ok(commands)
                })
            }
        };
        self.ask_all(commands, Purpose::Admit, now);
    }

    /// The coordinator lets things join, or does not.
    pub(super) fn admitted(&mut self, answer: Result<EzspMessage, String>) {
        let Some(admission) = &mut self.admission else { return };
        match answer {
            Err(reason) => {
                self.admission = None;
                self.counters.refused += 1;
                let reason = wire::Sentence::fitting(&reason);
                self.mention(Report::Refused { thing: None, kind: RefusalKind::Join, reason });
                self.say(Report::Admission(AdmissionState::Closed));
            }
            // All of them were taken.
            Ok(_) if !admission.is_open && !self.asking.is_asked(Purpose::Admit) => {
                admission.is_open = true;
                self.say(Report::Admission(AdmissionState::Open));
            }
            Ok(_) => {}
        }
    }

    pub(super) fn close(&mut self, now: Duration) {
        self.admission = None;
        self.shut(now);
        self.say(Report::Admission(AdmissionState::Closed));
    }

    /// Nobody joins.
    pub(super) fn shut(&mut self, now: Duration) {
        self.ask_all(close(), Purpose::Hint, now);
    }

    /// The coordinator has to do with a node.
    pub(super) fn met(
        &mut self,
        short: ShortAddress,
        eui64: Eui64,
        update: Option<u8>,
        decision: Option<u8>,
        now: Duration,
    ) {
        match (update, decision) {
            (Some(LEFT), _) => self.left(eui64, now),
            (Some(JOIN), Some(UNDER_EXPECTED_KEY)) => self.joins(short, eui64, now),
            (Some(JOIN), Some(IN_THE_CLEAR)) => {
                self.send_away(short, eui64, "it was given the network's key in the clear", now);
                self.start_roll(now);
            }
            (Some(SECURED_REJOIN), _) => self.moved(short, eui64, now),
            // Denied, or without the key of the network, which nobody gets a second time in the same way.
            _ => {
                let known = self.kept.as_ref().is_some_and(|kept| kept.node(eui64).is_some());
                let reason = if known {
                    "it came back without the network's key: admit it again with its install code"
                } else {
                    "it has no install code that was given here, and joining under the key that everybody knows is refused"
                };
                self.refuse(Some(eui64), RefusalKind::Join, reason, now);
            }
        }
    }

    fn joins(&mut self, short: ShortAddress, eui64: Eui64, now: Duration) {
        let joined = match &self.admission {
            Some(Admission { printed: Some((node, _)), .. }) if *node == eui64 => Some(Joined::InstallCode),
            Some(Admission { printed: None, .. }) if self.exceptions.contains_key(&eui64) => {
                Some(Joined::WellKnown)
            }
            _ => None,
        };
        let Some(joined) = joined else {
            return self.send_away(short, eui64, "nobody admitted it", now);
        };
        if self.joining.len() >= JOINING_MAX && !self.joining.contains_key(&eui64) {
            return self.send_away(short, eui64, "too many things join at the same time", now);
        }
        self.forget_talk(eui64);
        let until = now + FIRST_WORD_TIMEOUT;
        let joining = Joining { short, joined, until, has_spoken: false, own_key: false, found: None };
        self.joining.insert(eui64, joining);
        self.say(Report::Admission(AdmissionState::Joining(address(eui64))));
    }

    /// A node said something under the network's key: one that joins is then asked what it is.
    pub(super) fn spoke(&mut self, short: ShortAddress, eui64: Eui64, now: Duration) {
        if let Some(joining) = self.joining.get_mut(&eui64) {
            joining.short = short;
            if !joining.has_spoken {
                joining.has_spoken = true;
                joining.until = now + JOIN_TIMEOUT;
                self.sequence = self.sequence.wrapping_add(1);
                let interview = Interview::new(short, self.sequence);
                self.put(eui64, Job::Interview(Box::new(interview)));
            }
        }
    }

    /// A node is elsewhere in the network.
    pub(super) fn moved(&mut self, short: ShortAddress, eui64: Eui64, now: Duration) {
        if self.joining.contains_key(&eui64) {
            return self.spoke(short, eui64, now);
        }
        match self.kept.as_mut().and_then(|kept| kept.node_mut(eui64)) {
            Some(node) if node.short == short => {}
            Some(node) => {
                node.short = short;
                self.keep(After::Nothing);
            }
            None => self.send_away(short, eui64, "it is in the network and nobody admitted it", now),
        }
    }

    /// A node has a link key of its own.
    pub(super) fn verified(&mut self, eui64: Eui64) {
        if let Some(joining) = self.joining.get_mut(&eui64) {
            joining.own_key = true;
        } else if let Some(node) = self.kept.as_mut().and_then(|kept| kept.node_mut(eui64))
            && !node.own_key
        {
            node.own_key = true;
            self.keep(After::Announce(eui64));
        }
    }

    /// A node that joins has said what it is.
    pub(super) fn found(&mut self, eui64: Eui64, interview: &Interview) {
        let Some(thing) = interview.thing().filter(|_| self.joining.contains_key(&eui64)) else { return };
        for ((endpoint, cluster), ids) in thing.figures_asked() {
            for ids in ids.chunks(4) {
                self.put(eui64, Job::Figures { endpoint, cluster, ids: ids.to_vec() });
            }
        }
        let words = |text: &str| wire::Text::<64>::fitting(text.trim()).to_string();
        let (maker, model) = interview.maker();
        if let Some(joining) = self.joining.get_mut(&eui64) {
            joining.found = Some((thing, maker.map(words), model.map(words)));
        }
    }

    /// It said a figure of its values.
    pub(super) fn learn(&mut self, eui64: Eui64, endpoint: u8, cluster: u16, attribute: u16, figure: u32) {
        if let Some((thing, ..)) = self.joining.get_mut(&eui64).and_then(|joining| joining.found.as_mut()) {
            thing.learn(endpoint, cluster, attribute, figure);
        }
    }

    /// Nodes that joined and have nothing more to be asked are taken.
    pub(super) fn take_joined(&mut self, now: Duration) {
        let is_done = |(eui64, joining): (&Eui64, &Joining)| {
            (joining.found.is_some() && !self.is_busy(*eui64)).then_some(*eui64)
        };
        let done: Vec<Eui64> = self.joining.iter().filter_map(is_done).collect();
        for eui64 in done {
            let Some(joining) = self.joining.remove(&eui64) else { continue };
            let Some((thing, maker, model)) = joining.found else { continue };
            let Joining { short, joined, own_key, .. } = joining;
            let Some(kept) = &mut self.kept else { continue };
            kept.put(Node { eui64, short, joined, own_key, maker, model, thing });
            if self.has_room() {
                self.keep(After::Announce(eui64));
            } else {
                self.drop_node(eui64);
                self.send_away(short, eui64, "there is no room for another thing", now);
            }
        }
    }

    /// A thing that joined, or is known better, is told; it is what its link says only now.
    pub(super) fn announce(&mut self, eui64: Eui64, now: Duration) {
        if !self.tell_thing(eui64) {
            return;
        }
        self.set_up(eui64);
        let is_printed =
            |admission: &Admission| admission.printed.as_ref().is_some_and(|(node, _)| *node == eui64);
        if self.admission.as_ref().is_some_and(is_printed) {
            self.close(now);
        }
    }

    pub(super) fn expire_joins(&mut self, now: Duration) {
        let late = self.joining.iter().filter(|(_, joining)| now >= joining.until);
        let late: Vec<(Eui64, ShortAddress, bool)> =
            late.map(|(eui64, joining)| (*eui64, joining.short, joining.has_spoken)).collect();
        for (eui64, short, has_spoken) in late {
            let reason = if has_spoken {
                "it joined and does not say what it is"
            } else {
                "it joined and said nothing: its key is not the one of the install code that was given"
            };
            self.give_up(short, eui64, reason, now);
        }
    }

    /// A node that joins is not taken.
    pub(super) fn give_up(&mut self, short: ShortAddress, eui64: Eui64, reason: &str, now: Duration) {
        self.joining.remove(&eui64);
        self.forget_talk(eui64);
        self.send_away(short, eui64, reason, now);
        if self.admission.is_some() {
            self.say(Report::Admission(AdmissionState::Open));
        }
    }

    /// A node that is in the network and should not be.
    fn send_away(&mut self, short: ShortAddress, eui64: Eui64, reason: &str, now: Duration) {
        self.refuse(Some(eui64), RefusalKind::Join, reason, now);
        self.ask(remove(short, eui64), Purpose::Hint, now);
    }

    /// A node left by itself, or was made to.
    fn left(&mut self, eui64: Eui64, now: Duration) {
        if let Some(joining) = self.joining.get(&eui64) {
            let short = joining.short;
            return self.give_up(short, eui64, "it left before it was taken", now);
        }
        if self.drop_node(eui64) {
            self.keep(After::Forgotten(eui64));
        }
    }

    /// The gateway wants nothing to do with a thing any more.
    pub(super) fn remove(&mut self, eui64: Eui64, now: Duration) {
        let short = self.kept.as_ref().and_then(|kept| kept.node(eui64)).map(|node| node.short);
        if let Some(short) = short {
            self.sequence = self.sequence.wrapping_add(1);
            let told = leave(eui64, self.sequence).and_then(|request| request.unicast(short, 0));
            self.ask(told, Purpose::Hint, now);
            self.ask(remove(short, eui64), Purpose::Hint, now);
            self.drop_node(eui64);
        }
        self.keep(After::Forgotten(eui64));
    }

    /// Whether it was known.
    fn drop_node(&mut self, eui64: Eui64) -> bool {
        self.forget_talk(eui64);
        let Some(kept) = &mut self.kept else { return false };
        let before = kept.nodes.len();
        kept.nodes.retain(|node| node.eui64 != eui64);
        kept.nodes.len() < before
    }
}

/// What is printed: `ADDRESS:INSTALL-CODE`. The address may have colons or hyphens between its octets.
fn read(printed: &[u8]) -> Result<(Eui64, InstallCode), String> {
    let text = std::str::from_utf8(printed).map_err(|_| "what is printed has to be text".to_owned())?;
    let wanted =
        || "what is printed has to be an address of 16 digits, a colon, and an install code".to_owned();
    let (node, code) = text.trim().rsplit_once(':').ok_or_else(wanted)?;
    let digits: String = node.chars().filter(|c| !matches!(c, ':' | '-' | ' ')).collect();
    let node = eui64(&digits).filter(|node| !matches!(node.0, 0 | u64::MAX)).ok_or_else(wanted)?;
    let code = InstallCode::parse(code).map_err(|error| error.to_string())?;
    Ok((node, code))
}
