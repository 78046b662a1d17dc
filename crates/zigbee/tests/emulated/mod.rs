//! A coordinator of EZSP, of version 13 or another, with a network behind it, none of which is there.
//!
//! It forms, resumes, restores and leaves a network, gives it new keys, and lets nodes join that show the key that was
//! expected of them. What the host sends to a node comes to it; what it sends to the address 0x1234 comes back.
#![allow(dead_code, reason = "tests and programs use their parts of it")]

pub(crate) mod ncp;
pub(crate) mod node;

use std::collections::BTreeMap;
use std::time::Duration;

use thingward_zigbee::ezsp::{EzspFrame, EzspHeader};
use thingward_zigbee::layout::{Layout, Record};
use thingward_zigbee::library::{self, EzspInfo};

use node::{Node, Presence, Said};

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
const DELIVERY_FAILED: u8 = 0x66;
const INVALID_COMMAND: u16 = 0x0058;
const STACK_STATUS: u16 = 0x0019;
const JOINED: u16 = 0x0024;
const SENT: u16 = 0x003f;
const INCOMING: u16 = 0x0045;
const KEY_ESTABLISHED: u16 = 0x009b;
/// Who sends everything back.
const ECHO: u16 = 0x1234;
/// How often a node that is not in the network tries to get in, and how long it leaves it when it could not read its key.
const RETRY: Duration = Duration::from_secs(1);
const GIVES_UP: Duration = Duration::from_secs(600);

/// News: their number and fields.
pub(crate) type News = (u16, Vec<u8>);

/// The coordinator behind the line.
pub(crate) struct Coordinator {
    pub(crate) version: u8,
    pub(crate) nodes: Vec<Node>,
    /// News that are told at the next tick.
    pub(crate) news: Vec<News>,
    /// The network's key, and the one that is to follow it.
    pub(crate) key: [u8; 16],
    pub(crate) key_sequence: u8,
    pub(crate) counter: u32,
    alternate: Option<[u8; 16]>,
    /// The network's settings, as it was formed.
    network: Option<Vec<u8>>,
    /// Whether it takes no other key.
    pub(crate) has_one_key: bool,
    /// Whether no network comes up.
    pub(crate) is_down: bool,
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
            nodes: Vec::new(),
            news: Vec::new(),
            key: [0; 16],
            key_sequence: 0,
            counter: 0,
            alternate: None,
            network: None,
            has_one_key: false,
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
    pub(crate) fn with(nodes: Vec<Node>) -> Self {
        Self { nodes, ..Self::default() }
    }

    /// Of a version of the protocol.
    pub(crate) fn of(version: u8, nodes: Vec<Node>) -> Self {
        Self { version, nodes, ..Self::default() }
    }

    /// As it comes from the shop, or after somebody reset it; the nodes know nothing of that.
    pub(crate) fn wipe(&mut self) {
        let nodes = std::mem::take(&mut self.nodes);
        *self = Self { nodes, now: self.now, version: self.version, ..Self::default() };
    }

    pub(crate) fn has_network(&self) -> bool {
        self.network.is_some()
    }

    /// What it answers to a message, and its news behind that.
    pub(crate) fn respond(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        // The first question comes in the format of old.
        if let [sequence, 0, 0, _] = message {
            return vec![[&[*sequence, 0x80, 0, self.version][..], &STACK].concat()];
        }
        let Ok(frame) = EzspFrame::read(message) else { return Vec::new() };
        let sequence = frame.header.sequence;
        let Some(info) = library::ezsp(frame.header.id) else {
            return vec![self.written(sequence, 0x80, INVALID_COMMAND, &[0x36])];
        };
        // A host's command has to be what the table says, to the last octet.
        let read = info.layout_of(self.version, false).read(&frame.parameters);
        let Ok((given, [])) = read else {
            return vec![self.written(sequence, 0x80, INVALID_COMMAND, &[0x38])];
        };
        let (answer, news) = self.done(info, &octets(info.layout(false), &given));
        let mut all = vec![self.written(sequence, 0x80, info.id, &answer)];
        all.extend(news.into_iter().map(|(id, parameters)| self.written(sequence, 0x90, id, &parameters)));
        all
    }

    /// Lets time pass; its news.
    pub(crate) fn tick(&mut self, now: Duration) -> Vec<Vec<u8>> {
        self.now = now;
        let mut news = std::mem::take(&mut self.news);
        if self.network.is_some() {
            for at in 0..self.nodes.len() {
                news.extend(self.join(at));
                let said = self.nodes[at].tick(now);
                news.extend(said.into_iter().map(|said| self.incoming(at, said)).collect::<Vec<_>>());
            }
        }
        news.into_iter().map(|(id, parameters)| self.written(0, 0x90, id, &parameters)).collect()
    }

    fn done(&mut self, info: &EzspInfo, given: &[u8]) -> (Vec<u8>, Vec<News>) {
        let well = (vec![0], Vec::new());
        let is_down = self.is_down;
        let status = |status| (vec![0], if is_down { vec![] } else { vec![(STACK_STATUS, vec![status])] });
        match info.name {
            "version" => ([&[self.version][..], &STACK].concat(), Vec::new()),
            "getEui64" => (EUI64.to_vec(), Vec::new()),
            "networkInit" if self.network.is_some() => status(NETWORK_UP),
            "networkInit" => (vec![NOT_JOINED], Vec::new()),
            "setInitialSecurityState" => {
                self.key.copy_from_slice(&given[18..34]);
                self.key_sequence = given[34];
                well
            }
            "setValue" if given[0] == 0x23 => {
                self.counter = u32::from_le_bytes(given[2..6].try_into().unwrap());
                well
            }
            "formNetwork" => {
                self.network = Some(given.to_vec());
                status(NETWORK_UP)
            }
            "leaveNetwork" => {
                self.wipe();
                status(NETWORK_DOWN)
            }
            "getNetworkParameters" => {
                let state = if self.network.is_some() { 0 } else { NOT_JOINED };
                let network = self.network.clone().unwrap_or_else(|| vec![0; 20]);
                ([&[state, 1][..], &network].concat(), Vec::new())
            }
            "exportKey" => ([&self.key[..], &[0; 4]].concat(), Vec::new()),
            "getNetworkKeyInfo" => {
                let counter = self.counter.to_le_bytes();
                let alternate = u8::from(self.alternate.is_some());
                let sequence = self.key_sequence;
                ([&[0, 0, 0, 0, 1, alternate, sequence, sequence + 1][..], &counter].concat(), Vec::new())
            }
            "broadcastNextNetworkKey" if self.has_one_key => (vec![0xb5], Vec::new()),
            "broadcastNextNetworkKey" => {
                self.alternate = Some(given.try_into().unwrap());
                well
            }
            "broadcastNetworkKeySwitch" => self.switch(),
            "getKey" => {
                let counter = self.counter.to_le_bytes();
                let fields = [&[0, 0, 2, 3][..], &self.key, &counter, &[0; 4], &[self.key_sequence], &[0; 8]];
                (fields.concat(), Vec::new())
            }
            "addTransientLinkKey" => {
                self.expected.insert(given[..8].try_into().unwrap(), given[8..24].try_into().unwrap());
                well
            }
            "importTransientKey" => {
                self.expected.insert(given[..8].try_into().unwrap(), given[8..24].try_into().unwrap());
                (vec![0; 4], Vec::new())
            }
            "clearTransientLinkKeys" => {
                self.expected.clear();
                (Vec::new(), Vec::new())
            }
            "permitJoining" => {
                self.open_until = self.now + Duration::from_secs(given[0].into());
                well
            }
            "removeDevice" => (vec![0], self.leave(&given[2..10])),
            "lookupEui64ByNodeId" => {
                let node = self.nodes.iter().find(|node| node.short.to_le_bytes() == given);
                let eui64 = node.map_or([0; 8], |node| node.eui64);
                ([&[u8::from(node.is_none())][..], &eui64].concat(), Vec::new())
            }
            "sendUnicast" => self.unicast(given),
            // All else goes well, and has nothing to say.
            _ => (nothing(info), Vec::new()),
        }
    }

    fn switch(&mut self) -> (Vec<u8>, Vec<News>) {
        match self.alternate.take() {
            Some(key) => {
                self.key = key;
                self.key_sequence += 1;
                (vec![0], Vec::new())
            }
            None => (vec![0xb6], Vec::new()),
        }
    }

    fn unicast(&mut self, given: &[u8]) -> (Vec<u8>, Vec<News>) {
        self.counter += 1;
        let sent = |status| (SENT, [&given[..15], &[status, 0]].concat());
        let destination = u16::from_le_bytes([given[1], given[2]]);
        if destination == ECHO {
            let heard = [&[0][..], &given[3..14], &[200, 0xd0], &given[1..3], &[0xff, 0xff], &given[15..]];
            return (vec![0, 9], vec![sent(0), (INCOMING, heard.concat())]);
        }
        let there = |node: &Node| node.presence == Presence::Joined && node.short == destination;
        let Some(at) = self.nodes.iter().position(there) else {
            return (vec![0, 9], vec![sent(DELIVERY_FAILED)]);
        };
        let said = Said {
            profile: u16::from_le_bytes([given[3], given[4]]),
            cluster: u16::from_le_bytes([given[5], given[6]]),
            endpoint: given[8],
            payload: given[16..].to_vec(),
        };
        let answers = self.nodes[at].receive(&said);
        let mut news = vec![sent(0)];
        news.extend(answers.into_iter().map(|said| self.incoming(at, said)).collect::<Vec<_>>());
        if self.nodes[at].presence == Presence::Away {
            news.push(self.met(at, 2, 0));
        }
        (vec![0, 9], news)
    }

    /// A frame of the version, of fields as they were before 14.
    fn written(&self, sequence: u8, control: u8, id: u16, parameters: &[u8]) -> Vec<u8> {
        let header = EzspHeader { sequence, control: [control, 1], id };
        let frame =
            |parameters: Vec<u8>| EzspFrame { header, parameters: parameters.into() }.to_bytes().to_vec();
        let read = library::ezsp(id).map(|info| (info, info.layout(true).read(parameters)));
        // What is made up is sent as it is.
        let Some((info, Ok((record, _)))) = read.filter(|_| self.version >= LATER) else {
            return frame(parameters.to_vec());
        };
        let mut fields = octets(info.layout_of(self.version, true), &record);
        let states = matches!(info.name, "stackStatusHandler" | "networkInit" | "getNetworkParameters");
        if let Some((_, later)) = STATES.iter().find(|(before, _)| states && fields[0] == *before) {
            fields[0] = *later;
        }
        frame(fields)
    }

    /// A node that is outside tries to get in.
    fn join(&mut self, at: usize) -> Vec<News> {
        let (now, is_open) = (self.now, self.now < self.open_until);
        let node = &mut self.nodes[at];
        if node.presence == Presence::Joined || !is_open || now < node.tries_at {
            return Vec::new();
        }
        match self.expected.get(&node.eui64) {
            None => {
                node.tries_at = now + RETRY;
                vec![self.met(at, 1, 2)]
            }
            // It cannot read the network's key.
            Some(key) if *key != node.key => {
                node.tries_at = now + GIVES_UP;
                vec![self.met(at, 1, 0)]
            }
            Some(_) => {
                node.presence = Presence::Joined;
                let announcement = node.announcement();
                let mut news = vec![self.met(at, 1, 0), self.incoming(at, announcement)];
                if self.nodes[at].asks_for_key {
                    news.push((KEY_ESTABLISHED, [&self.nodes[at].eui64[..], &[52]].concat()));
                }
                news
            }
        }
    }

    fn leave(&mut self, eui64: &[u8]) -> Vec<News> {
        let there = |node: &Node| node.presence == Presence::Joined && node.eui64 == eui64;
        let Some(at) = self.nodes.iter().position(there) else { return Vec::new() };
        self.nodes[at].presence = Presence::Away;
        self.nodes[at].tries_at = self.now + RETRY;
        vec![self.met(at, 2, 0)]
    }

    /// What the coordinator has to do with a node.
    pub(crate) fn met(&self, at: usize, update: u8, decision: u8) -> News {
        let node = &self.nodes[at];
        (JOINED, [&node.short.to_le_bytes()[..], &node.eui64, &[update, decision, 0, 0]].concat())
    }

    /// A message of a node.
    pub(crate) fn incoming(&mut self, at: usize, said: Said) -> News {
        self.aps = self.aps.wrapping_add(1);
        let node = &self.nodes[at];
        // An acknowledgement was asked for; and the link key protected it, where it did.
        let options = 0x0040u16 | if node.uses_link_key && said.profile != 0 { 0x0020 } else { 0 };
        let fields = [
            &[0][..],
            &said.profile.to_le_bytes(),
            &said.cluster.to_le_bytes(),
            &[said.endpoint, u8::from(said.profile != 0)],
            &options.to_le_bytes(),
            &[0, 0, self.aps, 200, 0xd0],
            &node.short.to_le_bytes(),
            &[0xff, 0xff, u8::try_from(said.payload.len()).unwrap()],
            &said.payload,
        ];
        (INCOMING, fields.concat())
    }
}

/// An answer of zeros.
fn nothing(info: &EzspInfo) -> Vec<u8> {
    let mut answer = Vec::new();
    let (record, _) = info.layout(true).read(&[0; 96]).unwrap();
    info.layout(true).write(&record, &mut answer).unwrap();
    answer
}

/// A message in another layout than its own.
fn octets(layout: &Layout, record: &Record) -> Vec<u8> {
    let mut octets = Vec::new();
    layout.write(&layout.retyped(record).unwrap(), &mut octets).unwrap();
    octets
}
