//! How the radios of a gateway are, as it tells the service and whoever asks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use thingward_model::{DeviceName, Timestamp};

/// Most refusals that are remembered.
const REFUSED_MAX: usize = 32;
/// Most findings that wait for the service.
const FINDINGS_MAX: usize = 256;

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
    pub state: String,
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
    pub kind: String,
    /// Why.
    pub reason: String,
}

/// What the service makes a finding of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) kind: FindingKind,
    pub(crate) radio: String,
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
    pub refused: VecDeque<Refused>,
}

#[derive(Default)]
struct Board {
    radios: BTreeMap<DeviceName, RadioStatus>,
    children: BTreeMap<DeviceName, ThingStatus>,
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
        change(self.board().radios.entry(name).or_default());
    }

    pub(super) fn thing(&self, name: DeviceName, status: ThingStatus) {
        self.board().children.insert(name, status);
    }

    pub(super) fn gone(&self, name: &DeviceName) {
        self.board().children.remove(name);
    }

    pub(super) fn seen(&self, name: &DeviceName, time: Timestamp) {
        if let Some(thing) = self.board().children.get_mut(name) {
            thing.last_seen = Some(time.to_string());
        }
    }

    pub(super) fn admission(&self, admission: AdmissionStatus) {
        self.board().admission = Some(admission);
    }

    pub(super) fn refused(&self, refused: Refused) {
        let mut board = self.board();
        board.refused.truncate(REFUSED_MAX - 1);
        board.refused.push_front(refused);
    }

    /// The service shall hear of it. One that waits already is not told twice.
    pub(super) fn finding(&self, finding: Finding) {
        let mut board = self.board();
        if !board.findings.contains(&finding) && board.findings.len() < FINDINGS_MAX {
            board.findings.push_back(finding);
        }
    }

    /// The next finding for the service.
    pub(crate) fn next_finding(&self) -> Option<Finding> {
        self.board().findings.pop_front()
    }

    /// How everything is, with what waits for each child.
    pub(crate) fn all(&self, backlog: &BTreeMap<DeviceName, (usize, u64)>) -> RadiosStatus {
        let board = self.board();
        let children = board.children.iter().map(|(name, thing)| ThingStatus {
            waiting: backlog.get(name).map_or(0, |(messages, _)| *messages),
            ..thing.clone()
        });
        RadiosStatus {
            radios: board.radios.values().cloned().collect(),
            children: children.collect(),
            admission: board.admission.clone(),
            refused: board.refused.clone(),
        }
    }
}
