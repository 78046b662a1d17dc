//! A coordinator of EZSP, of version 13 or another, with a network behind it, none of which is there: for demos and tests.
//!
//! It forms, resumes, restores and leaves a network, gives it new keys, and lets nodes join that show the key that was
//! expected of them. What the host sends to a node comes to it; what it sends to the address 0x1234 comes back. What goes
//! over the air is not there either: a node is believed to have what it shows.

mod commands;
mod flash;
mod kind;
mod line;
mod membership;
mod ncp;
mod node;

use std::collections::BTreeMap;
use std::time::Duration;

pub use flash::NoFlash;
pub use kind::Kind;
pub use line::Line;
pub use ncp::Ncp;
pub use node::{Node, Presence, Said};

use crate::ezsp::{EzspFrame, EzspHeader};
use crate::layout::{Layout, Record};
use crate::library;

/// The version of the protocol where nobody says another; that of the stack's kind, and of the stack.
const VERSION: u8 = 13;
const STACK: [u8; 3] = [2, 0x40, 0x74];
/// The version from which on states are others: what they were, and what they are (`sl_status_t`).
const LATER: u8 = 14;
const STATES: [(u8, u8); 3] = [(NOT_JOINED, 0x17), (NETWORK_UP, 0x15), (NETWORK_DOWN, 0x16)];
const EUI64: [u8; 8] = [8, 7, 6, 5, 4, 3, 2, 1];
const NOT_JOINED: u8 = 0x93;
const NETWORK_UP: u8 = 0x90;
const NETWORK_DOWN: u8 = 0x91;
const INVALID_COMMAND: u16 = 0x0058;
/// Why a command is invalid: there is none of this number, or it is not as the table says.
const UNKNOWN: u8 = 0x36;
const MISSHAPEN: u8 = 0x38;
const ANSWER: u8 = 0x80;
const UNASKED: u8 = 0x90;

/// News: their number and fields.
pub type News = (u16, Vec<u8>);

/// The coordinator behind the line.
pub struct Coordinator {
    /// Of the protocol.
    pub version: u8,
    /// Its address, as it is sent.
    pub eui64: [u8; 8],
    /// Who is around it.
    pub nodes: Vec<Node>,
    /// News that are told at the next tick.
    pub news: Vec<News>,
    /// The network's key.
    pub key: [u8; 16],
    /// Its number.
    pub key_sequence: u8,
    /// The counter of its frames.
    pub counter: u32,
    /// The key that is to follow.
    alternate: Option<[u8; 16]>,
    /// Messages that came under another key than the network's.
    pub unopened: usize,
    /// To whom messages went under a link key.
    pub encrypted: Vec<u16>,
    /// The network's settings, as it was formed.
    network: Option<Vec<u8>>,
    /// Whether it takes no other key.
    pub has_one_key: bool,
    /// How often it has no time to give somebody another key.
    pub busy_times: u8,
    /// Whether no network comes up.
    pub is_down: bool,
    /// Keys that nodes are expected to show.
    expected: BTreeMap<[u8; 8], [u8; 16]>,
    open_until: Duration,
    now: Duration,
    aps: u8,
}

impl Default for Coordinator {
    fn default() -> Self {
        Self {
            version: VERSION,
            eui64: EUI64,
            nodes: Vec::new(),
            news: Vec::new(),
            key: [0; 16],
            key_sequence: 0,
            counter: 0,
            alternate: None,
            unopened: 0,
            encrypted: Vec::new(),
            network: None,
            has_one_key: false,
            busy_times: 0,
            is_down: false,
            expected: BTreeMap::new(),
            open_until: Duration::ZERO,
            now: Duration::ZERO,
            aps: 0,
        }
    }
}

impl Coordinator {
    /// With these nodes around it.
    #[must_use]
    pub fn with(nodes: Vec<Node>) -> Self {
        Self { nodes, ..Self::default() }
    }

    /// Of a version of the protocol.
    #[must_use]
    pub fn of(version: u8, nodes: Vec<Node>) -> Self {
        Self { version, nodes, ..Self::default() }
    }

    /// As it comes from the shop, or after somebody reset it; the nodes know nothing of that.
    pub fn wipe(&mut self) {
        let nodes = std::mem::take(&mut self.nodes);
        *self = Self { nodes, now: self.now, version: self.version, eui64: self.eui64, ..Self::default() };
    }

    /// Whether it has formed a network.
    #[must_use]
    pub const fn has_network(&self) -> bool {
        self.network.is_some()
    }

    /// What it answers to a message, and its news behind that.
    pub fn respond(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        // The first question comes in the format of old.
        if let [sequence, 0, 0, _] = message {
            return vec![[&[*sequence, ANSWER, 0, self.version][..], &STACK].concat()];
        }
        let Ok(frame) = EzspFrame::read(message) else { return Vec::new() };
        let sequence = frame.header.sequence;
        let Some(info) = library::ezsp(frame.header.id) else {
            return vec![self.written(sequence, ANSWER, INVALID_COMMAND, &[UNKNOWN])];
        };
        // A host's command has to be what the table says, to the last octet.
        let given = match info.layout_of(self.version, false).read(&frame.parameters) {
            Ok((given, [])) => octets(info.layout(false), &given),
            _ => None,
        };
        let Some((answer, news)) = given.and_then(|given| self.done(info, &given)) else {
            return vec![self.written(sequence, ANSWER, INVALID_COMMAND, &[MISSHAPEN])];
        };
        let mut all = vec![self.written(sequence, ANSWER, info.id, &answer)];
        all.extend(news.into_iter().map(|(id, parameters)| self.written(sequence, UNASKED, id, &parameters)));
        all
    }

    /// Lets time pass; its news.
    pub fn tick(&mut self, now: Duration) -> Vec<Vec<u8>> {
        self.now = now;
        let mut news = std::mem::take(&mut self.news);
        if self.network.is_some() {
            // Nodes say something to the coordinator that holds them: each is out of it while it does.
            for at in 0..self.nodes.len() {
                news.extend(self.join(at));
                let key = self.key;
                let Some(node) = self.nodes.get_mut(at) else { continue };
                let said = node.tick(now);
                // Under a key that is not in use any more it is not opened.
                if !node.is_in(key) {
                    self.unopened += said.len();
                    continue;
                }
                news.extend(said.into_iter().map(|said| self.incoming(at, said)).collect::<Vec<_>>());
            }
        }
        news.into_iter().map(|(id, parameters)| self.written(0, UNASKED, id, &parameters)).collect()
    }

    /// A frame of the version, of fields as they were before 14.
    fn written(&self, sequence: u8, control: u8, id: u16, parameters: &[u8]) -> Vec<u8> {
        let header = EzspHeader { sequence, control: [control, 1], id };
        let later = if self.version >= LATER { self.later(id, parameters) } else { None };
        // What is made up is sent as it is.
        let parameters = later.unwrap_or_else(|| parameters.to_vec());
        EzspFrame { header, parameters: parameters.into() }.to_bytes().to_vec()
    }

    /// Fields as they are from 14 on.
    fn later(&self, id: u16, parameters: &[u8]) -> Option<Vec<u8>> {
        let info = library::ezsp(id)?;
        let (record, _) = info.layout(true).read(parameters).ok()?;
        let mut fields = octets(info.layout_of(self.version, true), &record)?;
        if matches!(info.name, "stackStatusHandler" | "networkInit" | "getNetworkParameters") {
            let state = fields.first_mut()?;
            *state = STATES.iter().find(|(before, _)| *before == *state).map_or(*state, |(_, later)| *later);
        }
        Some(fields)
    }
}

/// A message in another layout than its own.
fn octets(layout: &Layout, record: &Record) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    layout.write(&layout.retyped(record).ok()?, &mut octets).ok()?;
    Some(octets)
}

/// So many octets of a message, from there on.
fn array<const N: usize>(octets: &[u8], from: usize) -> Option<[u8; N]> {
    octets.get(from..)?.first_chunk().copied()
}
