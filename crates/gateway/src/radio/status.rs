//! How the radios of a gateway are, as it tells the service and whoever asks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Serialize, Serializer};
use thingward_model::{DeviceName, Timestamp};

/// Most refusals that are remembered of a radio, and most that are told.
const REFUSED_MAX: usize = 16;
const REFUSED_TOLD_MAX: usize = 64;
/// Most findings of a radio, and of the gateway itself, that wait for the service.
const FINDINGS_MAX: usize = 32;

/// Whether a radio works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its driver is there, and has not said that it works.
    #[default]
    Starting,
    /// It works.
    Up,
    /// Its driver is not there.
    Down,
}

/// A radio.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RadioStatus {
    /// What it is called.
    pub name: String,
    /// What it speaks.
    pub kind: String,
    /// Whether it works.
    pub state: State,
    /// Why not.
    pub detail: String,
    /// Its network.
    pub network: String,
    /// Bytes that came over its line.
    pub received: u64,
    /// What was refused of it.
    pub refused: u64,
    /// What found no room.
    pub dropped: u64,
    /// How often its driver was started again.
    pub restarts: u64,
}

/// A thing of a radio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThingStatus {
    /// What it is called upstream.
    pub name: String,
    /// Of which radio.
    pub radio: String,
    /// Who it is there.
    pub address: String,
    /// The best that protects its link.
    pub link: String,
    /// What kind of thing it is.
    pub title: String,
    /// When it said something last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Messages that wait for the service.
    pub waiting: usize,
}

/// How letting things join goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AdmissionStatus {
    /// `open`, `joining` or `closed`.
    pub state: &'static str,
    /// Of which radio.
    pub radio: String,
    /// Who is joining.
    pub detail: String,
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// When.
    pub time: String,
    /// By which radio.
    pub radio: String,
    /// Who, as far as one knows.
    pub thing: String,
    /// What kind of thing happened.
    pub kind: &'static str,
    /// Why.
    pub reason: String,
}

/// What the service makes a finding of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) kind: FindingKind,
    /// `None` for what is of no radio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) radio: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thing: Option<String>,
    pub(crate) detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FindingKind {
    RadioDown,
    InsecureJoin,
    Replay,
    Flood,
    DriverCrash,
    QueueDamaged,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RadiosStatus {
    /// The radios.
    pub radios: Vec<RadioStatus>,
    /// Their things.
    pub children: Vec<ThingStatus>,
    /// How letting things join goes; nothing when nobody asked for that.
    pub admission: Option<AdmissionStatus>,
    /// What was refused last, the newest first.
    pub refused: Vec<Refused>,
    /// The signed policies that the gateway goes by; nothing when it has heard of none.
    pub policies: Option<PoliciesStatus>,
}

/// Policies that the service signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoliciesStatus {
    /// The tenant's number of them.
    pub version: u64,
    /// When the service signed them last, RFC 3339: a week later they are not gone by any more.
    #[serde(serialize_with = "as_text")]
    pub issued: Timestamp,
}

fn as_text<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(time)
}

#[derive(Default)]
struct Board {
    radios: BTreeMap<DeviceName, OfRadio>,
    children: BTreeMap<DeviceName, ThingStatus>,
    /// Of no radio.
    findings: VecDeque<Finding>,
}

/// What is known of one radio; none takes another's room.
#[derive(Default)]
struct OfRadio {
    status: RadioStatus,
    admission: Option<AdmissionStatus>,
    refused: VecDeque<Refused>,
    findings: VecDeque<Finding>,
}

/// Where everybody writes how it is. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct StatusBoard(Arc<Mutex<Board>>);

impl StatusBoard {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn radio(&self, name: DeviceName, change: impl FnOnce(&mut RadioStatus)) {
        change(&mut self.board().radios.entry(name).or_default().status);
    }

    pub(super) fn thing(&self, name: DeviceName, status: ThingStatus) {
        let mut board = self.board();
        let last_seen = board.children.get(&name).and_then(|thing| thing.last_seen.clone());
        board.children.insert(name, ThingStatus { last_seen, ..status });
    }

    pub(super) fn gone(&self, name: &DeviceName) {
        self.board().children.remove(name);
    }

    pub(super) fn seen(&self, name: &DeviceName, time: Timestamp) {
        if let Some(thing) = self.board().children.get_mut(name) {
            thing.last_seen = Some(time.to_string());
        }
    }

    pub(super) fn admission(&self, radio: DeviceName, admission: AdmissionStatus) {
        self.board().radios.entry(radio).or_default().admission = Some(admission);
    }

    pub(super) fn refused(&self, radio: DeviceName, refused: Refused) {
        let mut board = self.board();
        let all = &mut board.radios.entry(radio).or_default().refused;
        all.truncate(REFUSED_MAX - 1);
        all.push_front(refused);
    }

    /// The service shall hear of it. One that waits already is not told twice, and what finds no room is not told.
    pub(super) fn finding(&self, radio: DeviceName, finding: Finding) {
        let mut board = self.board();
        let of_radio = board.radios.entry(radio).or_default();
        if of_radio.findings.contains(&finding) {
            return;
        }
        if of_radio.findings.len() < FINDINGS_MAX {
            of_radio.findings.push_back(finding);
        } else {
            of_radio.status.dropped += 1;
        }
    }

    /// As a finding of a radio, of the gateway itself.
    pub(crate) fn own_finding(&self, kind: FindingKind, detail: String) {
        let finding = Finding { kind, radio: None, thing: None, detail };
        let findings = &mut self.board().findings;
        if findings.len() < FINDINGS_MAX && !findings.contains(&finding) {
            findings.push_back(finding);
        }
    }

    /// The next finding for the service.
    pub(crate) fn next_finding(&self) -> Option<Finding> {
        let mut board = self.board();
        let own = board.findings.pop_front();
        own.or_else(|| board.radios.values_mut().find_map(|radio| radio.findings.pop_front()))
    }

    /// How everything is, with what waits for each child; things of all radios in turns, so that none hides another's.
    pub(crate) fn all(&self, backlog: &BTreeMap<DeviceName, (usize, u64)>) -> RadiosStatus {
        let board = self.board();
        let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
        let mut children: Vec<(usize, ThingStatus)> = Vec::new();
        for (name, thing) in &board.children {
            let turn = turns.entry(&thing.radio).or_default();
            let waiting = backlog.get(name).map_or(0, |(messages, _)| *messages);
            children.push((*turn, ThingStatus { waiting, ..thing.clone() }));
            *turn += 1;
        }
        children.sort_by_key(|(turn, _)| *turn);
        let mut refused: Vec<Refused> =
            board.radios.values().flat_map(|radio| radio.refused.iter().cloned()).collect();
        refused.sort_by(|one, other| other.time.cmp(&one.time));
        refused.truncate(REFUSED_TOLD_MAX);
        let admissions = board.radios.values().filter_map(|radio| radio.admission.as_ref());
        RadiosStatus {
            radios: board.radios.values().map(|radio| radio.status.clone()).collect(),
            children: children.into_iter().map(|(_, thing)| thing).collect(),
            admission: admissions.max_by_key(|admission| admission.state != "closed").cloned(),
            refused,
            policies: None,
        }
    }
}
