//! Listening to what goes over the air: frames go in, in order; what they say, who said it and how it was protected comes
//! out. Keys are given, or learnt from frames that transport them.

mod describe;
mod heard;
mod keys;
mod message;

pub use heard::{Heard, Layer, Message, Protection, ProtectionState, Secrecy, ZclContent};
pub use keys::KeyRing;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::address::{Eui64, PanId, ShortAddress};
use crate::bytes::Malformed;
use crate::green_power::{GreenPowerDevice, GreenPowerFrame, GreenPowerSecurity};
use crate::ieee802154::{Address, Frame, FrameType};
use crate::nwk::{NwkCommand, NwkFrameType, NwkHeader};
use crate::security::{Freshness, SecurityHeader};

/// Nodes whose two addresses are known together.
const NODES_MAX: usize = 8192;
/// Frames that are remembered to tell a repetition by the MAC layer from a replay.
const RECENT: usize = 32;
/// Until when a frame that comes again, octet for octet, is such a repetition: a frame is sent four times at most, each
/// within milliseconds (IEEE 802.15.4, 6.7.4.3).
const REPETITION: Duration = Duration::from_millis(200);

/// Somebody who listens.
#[derive(Default)]
pub struct Listener {
    keys: KeyRing,
    nodes: BTreeMap<(PanId, ShortAddress), Eui64>,
    recent: VecDeque<(Duration, Vec<u8>)>,
    green_power: BTreeMap<GreenPowerDevice, u32>,
}

impl Listener {
    /// Somebody who has these keys.
    #[must_use]
    pub fn new(keys: KeyRing) -> Self {
        Self { keys, ..Self::default() }
    }

    /// Hears a frame without its checksum, which was right, at a time from the start of 1970, where that is known: without
    /// it, a repetition is a replay like others.
    pub fn hear(&mut self, at: impl Into<Option<Duration>>, bytes: &[u8]) -> Heard {
        let repeats = at.into().and_then(|at| self.repeats(at, bytes));
        let mut heard = match Frame::read(bytes) {
            Ok(frame) => self.mac(&frame),
            Err(malformed) => Heard::new(Message::Malformed(malformed)),
        };
        heard.repeats = repeats;
        heard
    }

    /// How long ago the same frame was first heard, where this can be a repetition.
    fn repeats(&mut self, at: Duration, bytes: &[u8]) -> Option<Duration> {
        let same = self.recent.iter().rev().find(|(_, frame)| frame == bytes);
        let since = same.and_then(|(then, _)| at.checked_sub(*then)).filter(|since| *since <= REPETITION);
        // Counted from the first: who repeats each repetition in time could go on for ever.
        if since.is_none() {
            if self.recent.len() >= RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back((at, bytes.to_vec()));
        }
        since
    }

    fn mac(&mut self, frame: &Frame) -> Heard {
        let mut heard = Heard::new(Message::Acknowledgement(frame.header.sequence));
        heard.pan = frame.header.destination.pan.or(frame.header.source.pan);
        heard.source = frame.header.source.address;
        heard.destination = frame.header.destination.address;
        let message = match frame.header.control.frame_type() {
            Err(malformed) => Err(malformed),
            Ok(FrameType::Acknowledgement) => return heard,
            Ok(FrameType::Beacon) => frame.beacon().map(|beacon| beacon.map(Message::Beacon)),
            Ok(FrameType::Command) => frame.command().map(|command| command.map(Message::Mac)),
            Ok(FrameType::Data) => return self.data(frame, heard),
        };
        heard.message = match message {
            Ok(Some(message)) => message,
            Ok(None) => Message::Other(frame.payload.clone()),
            Err(malformed) => Message::Malformed(malformed),
        };
        heard
    }

    fn data(&mut self, frame: &Frame, mut heard: Heard) -> Heard {
        // Security of this layer is Thread's and others'. So are payloads that begin as no network frame does.
        if frame.header.security.is_some() {
            heard.message = Message::Other(frame.payload.clone());
            return heard;
        }
        let read = if GreenPowerFrame::recognises(&frame.payload) {
            GreenPowerFrame::read(&frame.payload).map(|gp| self.green_power(gp, &mut heard))
        } else if is_network(&frame.payload) {
            self.network(frame, &mut heard)
        } else {
            Ok(Message::Other(frame.payload.clone()))
        };
        heard.message = read.unwrap_or_else(Message::Malformed);
        heard
    }

    fn network(&mut self, frame: &Frame, heard: &mut Heard) -> Result<Message, Malformed> {
        let (header, rest) = NwkHeader::read(&frame.payload)?;
        if let Some(route) = &header.route {
            heard.via = heard.source.filter(|source| *source != Address::Short(route.source));
            heard.source = Some(Address::Short(route.source));
            heard.destination = Some(Address::Short(route.destination));
        }
        let payload = if header.secured() {
            let before = frame.payload.len().saturating_sub(rest.len());
            let header_bytes = frame.payload.get(..before).unwrap_or_default();
            let (security, protected) = SecurityHeader::read(rest)?;
            let Some(payload) = self.keys.open_network(header_bytes, &security, protected, heard) else {
                return Ok(Message::Hidden);
            };
            payload
        } else {
            rest.to_vec()
        };
        if heard.is_new() && header.secured() {
            self.learn_nodes(frame, &header, heard);
        }
        match header.frame_type()? {
            NwkFrameType::Command => NwkCommand::read(&payload).map(Message::Nwk),
            NwkFrameType::Data | NwkFrameType::InterPan => {
                let source = self.source_eui64(&header, heard);
                message::application(&mut self.keys, source, &payload, heard)
            }
        }
    }

    /// Addresses that belong together, of a frame that nobody can have made without the key.
    fn learn_nodes(&mut self, frame: &Frame, header: &NwkHeader, heard: &Heard) {
        let Some(pan) = heard.pan else { return };
        let sender = match frame.header.source.address {
            Some(Address::Short(short)) => {
                heard.protections.first().and_then(|p| p.source).map(|e| (short, e))
            }
            _ => None,
        };
        let source = header.route.as_ref().and_then(|route| route.source_eui64.map(|e| (route.source, e)));
        for (short, eui64) in [sender, source].into_iter().flatten() {
            if self.nodes.len() < NODES_MAX || self.nodes.contains_key(&(pan, short)) {
                self.nodes.insert((pan, short), eui64);
            }
        }
    }

    /// Who made a frame, for protection that does not say it.
    fn source_eui64(&self, header: &NwkHeader, heard: &Heard) -> Option<Eui64> {
        let route = header.route.as_ref()?;
        let known = heard.pan.and_then(|pan| self.nodes.get(&(pan, route.source)).copied());
        route.source_eui64.or(known)
    }

    /// Green Power frames: without their keys nothing is opened, and a counter is compared but not vouched for.
    fn green_power(&mut self, frame: GreenPowerFrame, heard: &mut Heard) -> Message {
        if let Some(source) = frame.source {
            heard.green_power = Some(GreenPowerDevice::Source(source));
        } else if let (Some(Address::Extended(eui64)), Some(endpoint)) = (heard.source, frame.endpoint) {
            heard.green_power = Some(GreenPowerDevice::Extended(eui64, endpoint));
        }
        if let (Some(device), Some(counter)) = (heard.green_power, frame.frame_counter) {
            let expected = self.green_power.get(&device).copied().unwrap_or(0);
            let replayed = counter < expected;
            if !replayed && (self.green_power.len() < NODES_MAX || self.green_power.contains_key(&device)) {
                self.green_power.insert(device, counter.saturating_add(1));
            }
            let freshness = if replayed { Freshness::Replayed { expected } } else { Freshness::Untracked };
            heard.protections.push(Protection::unchecked(counter, freshness));
        }
        match frame.security() {
            GreenPowerSecurity::Encrypted => Message::Hidden,
            GreenPowerSecurity::None | GreenPowerSecurity::Integrity => Message::GreenPower(frame),
        }
    }
}

/// Whether a payload begins as a frame of the network layer: its version is 2.
fn is_network(payload: &[u8]) -> bool {
    payload.first().is_some_and(|control| (control >> 2) & 15 == 2)
}
