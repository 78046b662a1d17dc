//! Nodes that are not there.

use std::collections::BTreeMap;
use std::time::Duration;

use super::kind::{LEVEL, ON_OFF, ZONE};
use super::{Kind, array};
use crate::security::{InstallCode, Key};
use crate::zcl::{
    Attribute, AttributeRead, AttributeStatus, Foundation, FrameScope, ReportingStatus, Value, ZclHeader,
};

const HOME_AUTOMATION: u16 = 0x0104;

/// Whether a node is in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It has never joined, or it left.
    Away,
    /// It is.
    Joined,
}

/// A message.
#[derive(Debug, Clone)]
pub struct Said {
    /// 0 is the device object.
    pub profile: u16,
    /// What it is about.
    pub cluster: u16,
    /// Of the node.
    pub endpoint: u8,
    /// What is said, from its header on.
    pub payload: Vec<u8>,
}

/// A node.
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its address, as it is sent.
    pub eui64: [u8; 8],
    /// Its address in the network.
    pub short: u16,
    /// The key under which it joins.
    pub key: [u8; 16],
    /// Whether it is in the network.
    pub presence: Presence,
    /// The network's key that it has, and one that is to follow.
    pub network_key: [u8; 16],
    /// See [`Self::network_key`].
    pub next_key: Option<[u8; 16]>,
    /// Whether it is there when a next key is given to it.
    pub hears_keys: bool,
    /// When it tries to get in again.
    pub tries_at: Duration,
    /// Whether it asks for a link key of its own.
    pub asks_for_key: bool,
    /// Whether what it reports is protected with its link key.
    pub uses_link_key: bool,
    /// Whether it answers at all.
    pub is_dumb: bool,
    /// Clusters that it was told to send news of.
    pub bound: Vec<u16>,
    /// What can be read of it, by cluster and number.
    pub attributes: BTreeMap<(u16, u16), Value>,
    /// How often it reports what changes by itself.
    pub period: Duration,
    reports_at: Duration,
    /// Whether somebody listens to its alarms.
    pub is_enrolled: bool,
    /// The number of the message that enrolled it.
    pub enrolled_with: Option<u8>,
    pub(super) sequence: u8,
}

impl Node {
    /// A node of an address, which joins under the key of an install code; without one, under the key that everybody
    /// knows.
    #[must_use]
    pub fn new(kind: Kind, eui64: u64, short: u16, code: Option<&InstallCode>) -> Self {
        let key = code.map_or(Key::WELL_KNOWN_LINK, |code| *code.link_key().octets());
        Self {
            kind,
            eui64: eui64.to_le_bytes(),
            short,
            key,
            presence: Presence::Away,
            network_key: [0; 16],
            next_key: None,
            hears_keys: true,
            tries_at: Duration::ZERO,
            asks_for_key: true,
            uses_link_key: false,
            is_dumb: false,
            bound: Vec::new(),
            attributes: kind.attributes(),
            period: Duration::from_secs(1),
            reports_at: Duration::ZERO,
            is_enrolled: false,
            enrolled_with: None,
            sequence: 0,
        }
    }

    /// Whether it is in a network of this key.
    #[must_use]
    pub fn is_in(&self, key: [u8; 16]) -> bool {
        self.presence == Presence::Joined && self.network_key == key
    }

    /// What it says when it came into the network.
    pub fn announcement(&mut self) -> Said {
        self.sequence = self.sequence.wrapping_add(1);
        let payload = [&[self.sequence][..], &self.short.to_le_bytes(), &self.eui64, &[0x80]].concat();
        Said { profile: 0, cluster: 0x0013, endpoint: 0, payload }
    }

    /// What it says by itself.
    pub fn tick(&mut self, now: Duration) -> Vec<Said> {
        if self.presence == Presence::Away || now < self.reports_at || self.is_dumb {
            return Vec::new();
        }
        self.reports_at = now + self.period;
        let mut changed: &[(u16, u16)] = &[];
        match self.kind {
            Kind::Thermometer => changed = &[(0x0402, 0), (0x0405, 0), (0x0001, 0x0021)],
            Kind::Plug => {
                self.set(0x0702, 0, self.number(0x0702, 0) + 1);
                changed = &[(0x0702, 0), (0x0b04, 0x050b)];
            }
            Kind::Contact if self.is_enrolled => {
                let state = self.number(ZONE, 2) ^ 1;
                self.set(ZONE, 2, state);
                let state = u16::try_from(state).unwrap_or_default();
                let fields = [&state.to_le_bytes()[..], &[0, 1, 0, 0]].concat();
                return vec![self.command(ZONE, 0x09, 0x00, &fields)];
            }
            Kind::Contact | Kind::Bulb => {}
        }
        self.reported(changed)
    }

    /// What it answers to a message.
    pub fn receive(&mut self, said: &Said) -> Vec<Said> {
        if self.is_dumb {
            return Vec::new();
        }
        if said.profile == 0 { self.device_object(said) } else { self.application(said) }
    }

    fn device_object(&mut self, said: &Said) -> Vec<Said> {
        let short = self.short.to_le_bytes();
        let endpoint = self.kind.endpoint();
        let answer = match said.cluster {
            0x0002 => {
                [&short[..], &[0x02, 0x40, self.kind.capability(), 0x5f, 0x11, 82, 82, 0, 0, 0x2c, 82, 0, 0]]
                    .concat()
            }
            0x0005 => [&short[..], &[1, endpoint]].concat(),
            0x0004 => {
                let clusters = self.kind.clusters();
                let inputs: Vec<u8> = clusters.iter().flat_map(|cluster| cluster.to_le_bytes()).collect();
                let octet = |count| u8::try_from(count).unwrap_or(u8::MAX);
                let head = [endpoint, 0x04, 0x01, 0x00, 0x01, 0x01, octet(clusters.len())];
                let length = octet(head.len() + inputs.len() + 1);
                [&short[..], &[length], &head, &inputs, &[0]].concat()
            }
            0x0021 => {
                self.bound.extend(array(&said.payload, 10).map(u16::from_le_bytes));
                Vec::new()
            }
            0x0034 => {
                self.presence = Presence::Away;
                Vec::new()
            }
            _ => Vec::new(),
        };
        let Some(sequence) = said.payload.first() else { return Vec::new() };
        let payload = [&[*sequence, 0][..], &answer].concat();
        vec![Said { profile: 0, cluster: said.cluster | 0x8000, endpoint: 0, payload }]
    }

    fn application(&mut self, said: &Said) -> Vec<Said> {
        let Ok((header, rest)) = ZclHeader::read(&said.payload) else { return Vec::new() };
        if header.scope() == FrameScope::Foundation {
            let answer = Foundation::read(header.command, rest).ok().flatten();
            let answer = answer.and_then(|asked| self.general(said.cluster, asked));
            return answer.and_then(|answer| answered(said, &header, &answer)).into_iter().collect();
        }
        let changed = self.specific(said.cluster, header.command, rest);
        if (said.cluster, header.command) == (ZONE, 0) {
            self.enrolled_with = Some(header.sequence);
        }
        let status = if changed.is_some() { 0x00 } else { 0x81 };
        let mut all = Vec::new();
        if header.control & 0x10 == 0 {
            let response = Foundation::DefaultResponse { command: header.command, status };
            all.extend(answered(said, &header, &response));
        }
        all.extend(self.reported(&changed.unwrap_or_default()));
        all
    }

    fn general(&mut self, cluster: u16, asked: Foundation) -> Option<Foundation> {
        match asked {
            Foundation::Read(ids) => {
                let read = |id: u16| AttributeRead {
                    id,
                    value: self.attributes.get(&(cluster, id)).cloned().ok_or(0x86),
                };
                Some(Foundation::ReadResponse(ids.into_iter().map(read).collect()))
            }
            Foundation::Write(attributes) => {
                for Attribute { id, value } in attributes {
                    self.attributes.insert((cluster, id), value);
                }
                Some(Foundation::WriteResponse(vec![AttributeStatus { status: 0, id: None }]))
            }
            Foundation::ConfigureReporting(_) => {
                let well = ReportingStatus { status: 0, attribute: None };
                Some(Foundation::ConfigureReportingResponse(vec![well]))
            }
            _ => None,
        }
    }

    /// Attributes that a command changed; `None` where there is no such command.
    fn specific(&mut self, cluster: u16, command: u8, fields: &[u8]) -> Option<Vec<(u16, u16)>> {
        if !self.kind.clusters().contains(&cluster) {
            return None;
        }
        match (cluster, command, fields) {
            (ON_OFF, 0..=2, _) => {
                let on = if command == 2 { self.number(ON_OFF, 0) ^ 1 } else { command.into() };
                self.set(ON_OFF, 0, on);
                Some(vec![(ON_OFF, 0)])
            }
            (LEVEL, 0 | 4, [level, ..]) => {
                self.set(LEVEL, 0, (*level).into());
                self.set(ON_OFF, 0, i128::from(*level > 0));
                Some(vec![(LEVEL, 0), (ON_OFF, 0)])
            }
            (ZONE, 0, [0, _]) => {
                self.is_enrolled = self.attributes.contains_key(&(ZONE, 0x0010));
                Some(Vec::new())
            }
            (0x0003, 0, _) => Some(Vec::new()),
            _ => None,
        }
    }

    /// Says what these attributes are.
    fn reported(&mut self, attributes: &[(u16, u16)]) -> Vec<Said> {
        attributes.iter().filter_map(|(cluster, id)| self.report(*cluster, *id)).collect()
    }

    fn report(&mut self, cluster: u16, id: u16) -> Option<Said> {
        let value = self.attributes.get(&(cluster, id))?.clone();
        let mut fields = Vec::new();
        Foundation::Report(vec![Attribute { id, value }]).write(&mut fields).ok()?;
        Some(self.command(cluster, 0x18, 0x0a, &fields))
    }

    /// Something that it says unasked.
    pub fn command(&mut self, cluster: u16, control: u8, command: u8, fields: &[u8]) -> Said {
        self.sequence = self.sequence.wrapping_add(1);
        let payload = [&[control, self.sequence, command][..], fields].concat();
        Said { profile: HOME_AUTOMATION, cluster, endpoint: self.kind.endpoint(), payload }
    }

    /// The number that an attribute is; 0 where it is none.
    #[must_use]
    pub fn number(&self, cluster: u16, id: u16) -> i128 {
        self.attributes.get(&(cluster, id)).and_then(Value::number).unwrap_or_default()
    }

    /// Another number for an attribute that it has; one that does not fit it is none.
    pub fn set(&mut self, cluster: u16, id: u16, number: i128) {
        if let Some(value) = self.attributes.get_mut(&(cluster, id))
            && let Ok(changed) = Value::integer(value.data_type(), number)
        {
            *value = changed;
        }
    }
}

fn answered(said: &Said, header: &ZclHeader, answer: &Foundation) -> Option<Said> {
    let (sequence, command) = (header.sequence, answer.command());
    let mut payload = Vec::new();
    ZclHeader { control: 0x18, manufacturer: None, sequence, command }.write(&mut payload);
    answer.write(&mut payload).ok()?;
    Some(Said { endpoint: said.endpoint, payload, ..*said })
}
