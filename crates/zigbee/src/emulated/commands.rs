//! What a host has the coordinator do.

use std::time::Duration;

use super::membership::{ENCRYPTED, REJOIN};
use super::{Coordinator, NETWORK_DOWN, NETWORK_UP, NOT_JOINED, News, Presence, STACK, Said, array};
use crate::library::EzspInfo;

const DELIVERY_FAILED: u8 = 0x66;
const STACK_STATUS: u16 = 0x0019;
const SENT: u16 = 0x003f;
const INCOMING: u16 = 0x0045;
/// No other key is taken, and none is there to switch to.
const KEY_INVALID: u8 = 0xb5;
/// There is too much to do (`EMBER_NETWORK_BUSY`).
const BUSY: u8 = 0xa1;
const NO_KEY: u8 = 0xb6;
/// The value that is the counter of its frames.
const COUNTER: u8 = 0x23;
/// Who sends everything back.
const ECHO: u16 = 0x1234;
/// How far off everybody is.
const SIGNAL: [u8; 2] = [200, 0xd0];
/// Octets of a network's settings.
const NETWORK_BYTES: usize = 20;

/// What is answered, and the news behind that.
type Done = (Vec<u8>, Vec<News>);

impl Coordinator {
    /// Does what a command says; `None` where its fields are too few.
    pub(super) fn done(&mut self, info: &EzspInfo, given: &[u8]) -> Option<Done> {
        let well = (vec![0], Vec::new());
        Some(match info.name {
            "version" => ([&[self.version][..], &STACK].concat(), Vec::new()),
            "getEui64" => (self.eui64.to_vec(), Vec::new()),
            "networkInit" if self.has_network() => self.status(NETWORK_UP),
            "networkInit" => (vec![NOT_JOINED], Vec::new()),
            "setInitialSecurityState" => {
                self.key = array(given, 18)?;
                self.key_sequence = *given.get(34)?;
                well
            }
            "setValue" if given.first() == Some(&COUNTER) => {
                self.counter = u32::from_le_bytes(array(given, 2)?);
                well
            }
            "formNetwork" => {
                self.network = Some(given.to_vec());
                self.status(NETWORK_UP)
            }
            "leaveNetwork" => {
                self.wipe();
                self.status(NETWORK_DOWN)
            }
            "getNetworkParameters" => {
                let state = if self.has_network() { 0 } else { NOT_JOINED };
                let network = self.network.clone().unwrap_or_else(|| vec![0; NETWORK_BYTES]);
                ([&[state, 1][..], &network].concat(), Vec::new())
            }
            "exportKey" => ([&self.key[..], &[0; 4]].concat(), Vec::new()),
            "getNetworkKeyInfo" => {
                let (alternate, sequence) = (u8::from(self.alternate.is_some()), self.key_sequence);
                let numbers = [0, 0, 0, 0, 1, alternate, sequence, sequence.wrapping_add(1)];
                ([&numbers[..], &self.counter.to_le_bytes()].concat(), Vec::new())
            }
            "unicastNwkKeyUpdate" if self.has_one_key => (vec![KEY_INVALID], Vec::new()),
            "unicastNwkKeyUpdate" if self.busy_times > 0 => {
                self.busy_times -= 1;
                (vec![BUSY], Vec::new())
            }
            "unicastNwkKeyUpdate" => {
                self.give_next_key(array(given, 0)?, array(given, 2)?, array(given, 10)?);
                well
            }
            "broadcastNetworkKeySwitch" => self.switch(),
            "getKey" => {
                let counter = self.counter.to_le_bytes();
                let fields = [&[0, 0, 2, 3][..], &self.key, &counter, &[0; 4], &[self.key_sequence], &[0; 8]];
                (fields.concat(), Vec::new())
            }
            "addTransientLinkKey" => {
                self.expected.insert(array(given, 0)?, array(given, 8)?);
                well
            }
            "importTransientKey" => {
                self.expected.insert(array(given, 0)?, array(given, 8)?);
                (vec![0; 4], Vec::new())
            }
            "clearTransientLinkKeys" => {
                self.expected.clear();
                (Vec::new(), Vec::new())
            }
            "permitJoining" => {
                self.open_until = self.now + Duration::from_secs((*given.first()?).into());
                well
            }
            "removeDevice" => (vec![0], self.leave(array(given, 2)?)),
            "lookupEui64ByNodeId" => {
                let node = self.nodes.iter().find(|node| node.short.to_le_bytes() == given);
                let eui64 = node.map_or([0; 8], |node| node.eui64);
                ([&[u8::from(node.is_none())][..], &eui64].concat(), Vec::new())
            }
            "sendUnicast" => self.unicast(given)?,
            // All else goes well, and has nothing to say.
            _ => (nothing(info)?, Vec::new()),
        })
    }

    fn status(&self, status: u8) -> Done {
        (vec![0], if self.is_down { Vec::new() } else { vec![(STACK_STATUS, vec![status])] })
    }

    /// The next key goes to a node at its place, under the link key that it asked for: one that sleeps too deeply, is somewhere
    /// else, or has none, does not get it.
    fn give_next_key(&mut self, short: [u8; 2], eui64: [u8; 8], key: [u8; 16]) {
        self.alternate = Some(key);
        let short = u16::from_le_bytes(short);
        let nodes = self.nodes.iter_mut().filter(|node| node.eui64 == eui64 && node.short == short);
        let is_there = |node: &&mut super::Node| node.presence == Presence::Joined && node.hears_keys;
        for node in nodes.filter(is_there).filter(|node| node.asks_for_key) {
            node.next_key = Some(key);
        }
    }

    fn switch(&mut self) -> Done {
        let Some(key) = self.alternate.take() else { return (vec![NO_KEY], Vec::new()) };
        self.key = key;
        self.key_sequence = self.key_sequence.wrapping_add(1);
        for node in &mut self.nodes {
            match node.next_key.take() {
                Some(next) => node.network_key = next,
                None => node.tries_at = self.now + REJOIN,
            }
        }
        (vec![0], Vec::new())
    }

    /// A message, whose fields are its kind, whom it is for, eleven octets of where and how, a tag and what it says.
    fn unicast(&mut self, given: &[u8]) -> Option<Done> {
        self.counter = self.counter.wrapping_add(1);
        let head: [u8; 15] = array(given, 0)?;
        let destination = u16::from_le_bytes(array(given, 1)?);
        let sent = |status| (SENT, [&head[..], &[status, 0]].concat());
        if destination == ECHO {
            let (how, said) = (given.get(3..14)?, given.get(15..)?);
            let heard = [&[0][..], how, &SIGNAL, &destination.to_le_bytes(), &[0xff, 0xff], said];
            return Some((vec![0, 9], vec![sent(0), (INCOMING, heard.concat())]));
        }
        self.encrypted.extend((u16::from_le_bytes(array(given, 9)?) & ENCRYPTED != 0).then_some(destination));
        let said = Said {
            profile: u16::from_le_bytes(array(given, 3)?),
            cluster: u16::from_le_bytes(array(given, 5)?),
            endpoint: *given.get(8)?,
            payload: given.get(16..)?.to_vec(),
        };
        let mut nodes = self.nodes.iter_mut().enumerate();
        let there = nodes.find(|(_, node)| node.is_in(self.key) && node.short == destination);
        let Some((at, node)) = there else {
            return Some((vec![0, 9], vec![sent(DELIVERY_FAILED)]));
        };
        let answers = node.receive(&said);
        let left = node.presence == Presence::Away;
        let mut news = vec![sent(0)];
        news.extend(answers.into_iter().map(|said| self.incoming(at, said)).collect::<Vec<_>>());
        if left {
            news.extend(self.met(at, 2, 0));
        }
        Some((vec![0, 9], news))
    }
}

/// An answer of zeros.
fn nothing(info: &EzspInfo) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    let (record, _) = info.layout(true).read(&[0; 96]).ok()?;
    info.layout(true).write(&record, &mut answer).ok()?;
    Some(answer)
}
