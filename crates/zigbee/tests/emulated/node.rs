//! Nodes that are not there: thermometers, bulbs, plugs with a meter, contacts of doors.

use std::collections::BTreeMap;
use std::time::Duration;

use thingward_zigbee::security::{InstallCode, Key};
use thingward_zigbee::zcl::{
    Attribute, AttributeRead, AttributeStatus, DataType, Foundation, FrameScope, Length, ReportingStatus,
    Value, ZclHeader,
};

const HOME_AUTOMATION: u16 = 0x0104;
const ON_OFF: u16 = 0x0006;
const LEVEL: u16 = 0x0008;
const ZONE: u16 = 0x0500;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reports temperature and humidity.
    Thermometer,
    /// Is switched and dimmed.
    Bulb,
    /// Is switched, and says what goes through it.
    Plug,
    /// Says when a door opens and closes, once it is enrolled.
    Contact,
}

/// Whether a node is in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Away,
    Joined,
}

/// A message.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) profile: u16,
    pub(crate) cluster: u16,
    /// Of the node.
    pub(crate) endpoint: u8,
    pub(crate) payload: Vec<u8>,
}

/// A node.
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// As it is sent.
    pub eui64: [u8; 8],
    pub(crate) short: u16,
    /// The key under which it joins.
    pub(crate) key: [u8; 16],
    pub(crate) presence: Presence,
    pub(crate) tries_at: Duration,
    /// Whether it asks for a link key of its own.
    pub(crate) asks_for_key: bool,
    /// Whether what it reports is protected with its link key.
    pub(crate) uses_link_key: bool,
    /// Whether it answers at all.
    pub(crate) is_dumb: bool,
    /// Clusters that it was told to send news of.
    pub(crate) bound: Vec<u16>,
    pub(crate) attributes: BTreeMap<(u16, u16), Value>,
    /// How often it reports what changes by itself.
    pub(crate) period: Duration,
    reports_at: Duration,
    pub(crate) is_enrolled: bool,
    /// The number of the message that enrolled it.
    pub(crate) enrolled_with: Option<u8>,
    sequence: u8,
}

impl Node {
    /// A node of an address, which joins under the key of an install code, as it is printed; without one, under the key
    /// that everybody knows.
    pub(crate) fn new(kind: Kind, eui64: u64, short: u16, code: Option<&str>) -> Self {
        let key = match code {
            Some(code) => *InstallCode::parse(code).unwrap().link_key().octets(),
            None => Key::WELL_KNOWN_LINK,
        };
        Self {
            kind,
            eui64: eui64.to_le_bytes(),
            short,
            key,
            presence: Presence::Away,
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

    /// What it says when it came into the network.
    pub(crate) fn announcement(&mut self) -> Said {
        self.sequence = self.sequence.wrapping_add(1);
        let payload = [&[self.sequence][..], &self.short.to_le_bytes(), &self.eui64, &[0x80]].concat();
        Said { profile: 0, cluster: 0x0013, endpoint: 0, payload }
    }

    /// What it says by itself.
    pub(crate) fn tick(&mut self, now: Duration) -> Vec<Said> {
        if self.presence == Presence::Away || now < self.reports_at || self.is_dumb {
            return Vec::new();
        }
        self.reports_at = now + self.period;
        let seconds = i128::from(now.as_secs());
        match self.kind {
            Kind::Thermometer => {
                self.set(0x0402, 0, "int16", 2100 + seconds % 100);
                vec![self.report(0x0402, 0), self.report(0x0405, 0)]
            }
            Kind::Plug => {
                let used = self.number(0x0702, 0) + 1;
                self.set(0x0702, 0, "uint48", used);
                vec![self.report(0x0702, 0), self.report(0x0b04, 0x050b)]
            }
            Kind::Contact if self.is_enrolled => {
                let state = self.number(ZONE, 2) ^ 1;
                self.set(ZONE, 2, "map16", state);
                let fields = [&u16::try_from(state).unwrap().to_le_bytes()[..], &[0, 1, 0, 0]].concat();
                vec![self.command(ZONE, 0x09, 0x00, &fields)]
            }
            Kind::Contact | Kind::Bulb => Vec::new(),
        }
    }

    /// What it answers to a message.
    pub(crate) fn receive(&mut self, said: &Said) -> Vec<Said> {
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
                let count = u8::try_from(clusters.len()).unwrap();
                let head = [endpoint, 0x04, 0x01, 0x00, 0x01, 0x01, count];
                let length = u8::try_from(head.len() + inputs.len() + 1).unwrap();
                [&short[..], &[length], &head, &inputs, &[0]].concat()
            }
            0x0021 => {
                self.bound.push(u16::from_le_bytes([said.payload[10], said.payload[11]]));
                Vec::new()
            }
            0x0034 => {
                self.presence = Presence::Away;
                Vec::new()
            }
            _ => Vec::new(),
        };
        let payload = [&[said.payload[0], 0][..], &answer].concat();
        vec![Said { profile: 0, cluster: said.cluster | 0x8000, endpoint: 0, payload }]
    }

    fn application(&mut self, said: &Said) -> Vec<Said> {
        let Ok((header, rest)) = ZclHeader::read(&said.payload) else { return Vec::new() };
        if header.scope() == FrameScope::Foundation {
            let answer = Foundation::read(header.command, rest).ok().flatten();
            let answer = answer.and_then(|asked| self.general(said.cluster, asked));
            return answer.map(|answer| self.answer(said, &header, &answer)).into_iter().collect();
        }
        let changed = self.specific(said.cluster, header.command, rest);
        if (said.cluster, header.command) == (ZONE, 0) {
            self.enrolled_with = Some(header.sequence);
        }
        let status = if changed.is_some() { 0x00 } else { 0x81 };
        let mut all = Vec::new();
        if header.control & 0x10 == 0 {
            let response = Foundation::DefaultResponse { command: header.command, status };
            all.push(self.answer(said, &header, &response));
        }
        all.extend(
            changed.into_iter().flatten().map(|(cluster, id)| self.report(cluster, id)).collect::<Vec<_>>(),
        );
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
                self.set(ON_OFF, 0, "bool", on);
                Some(vec![(ON_OFF, 0)])
            }
            (LEVEL, 0 | 4, [level, ..]) => {
                self.set(LEVEL, 0, "uint8", (*level).into());
                self.set(ON_OFF, 0, "bool", i128::from(*level > 0));
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

    fn answer(&self, said: &Said, header: &ZclHeader, answer: &Foundation) -> Said {
        let mut payload = Vec::new();
        let header = ZclHeader {
            control: 0x18,
            manufacturer: None,
            sequence: header.sequence,
            command: answer.command(),
        };
        header.write(&mut payload);
        answer.write(&mut payload).unwrap();
        Said { endpoint: said.endpoint, payload, ..*said }
    }

    fn report(&mut self, cluster: u16, id: u16) -> Said {
        let value = self.attributes[&(cluster, id)].clone();
        let mut fields = Vec::new();
        Foundation::Report(vec![Attribute { id, value }]).write(&mut fields).unwrap();
        self.command(cluster, 0x18, 0x0a, &fields)
    }

    /// Something that it says unasked.
    pub(crate) fn command(&mut self, cluster: u16, control: u8, command: u8, fields: &[u8]) -> Said {
        self.sequence = self.sequence.wrapping_add(1);
        let payload = [&[control, self.sequence, command][..], fields].concat();
        Said { profile: HOME_AUTOMATION, cluster, endpoint: self.kind.endpoint(), payload }
    }

    pub(crate) fn number(&self, cluster: u16, id: u16) -> i128 {
        self.attributes[&(cluster, id)].number().unwrap()
    }

    fn set(&mut self, cluster: u16, id: u16, data_type: &str, number: i128) {
        self.attributes.insert((cluster, id), value(data_type, number));
    }
}

impl Kind {
    fn endpoint(self) -> u8 {
        if self == Self::Bulb { 11 } else { 1 }
    }

    /// What has a mains plug listens always.
    fn capability(self) -> u8 {
        if matches!(self, Self::Bulb | Self::Plug) { 0x8e } else { 0x80 }
    }

    fn clusters(self) -> &'static [u16] {
        match self {
            Self::Thermometer => &[0x0000, 0x0402, 0x0405],
            Self::Bulb => &[0x0000, 0x0003, ON_OFF, LEVEL],
            Self::Plug => &[0x0000, ON_OFF, 0x0702, 0x0b04],
            Self::Contact => &[0x0000, ZONE],
        }
    }

    fn attributes(self) -> BTreeMap<(u16, u16), Value> {
        let numbers: &[(u16, u16, &str, i128)] = match self {
            Self::Thermometer => &[(0x0402, 0, "int16", 2100), (0x0405, 0, "uint16", 5800)],
            Self::Bulb => &[(ON_OFF, 0, "bool", 0), (LEVEL, 0, "uint8", 254)],
            Self::Plug => &[
                (ON_OFF, 0, "bool", 0),
                (0x0702, 0, "uint48", 1500),
                (0x0702, 0x0300, "enum8", 0),
                (0x0702, 0x0301, "uint24", 1),
                (0x0702, 0x0302, "uint24", 1000),
                (0x0b04, 0x050b, "int16", 425),
                (0x0b04, 0x0604, "uint16", 1),
                (0x0b04, 0x0605, "uint16", 10),
            ],
            Self::Contact => &[(ZONE, 1, "enum16", 0x15), (ZONE, 2, "map16", 0)],
        };
        let model = format!("{self:?}");
        let text = |text: &str| Value::Text(Some(text.as_bytes().to_vec()), Length::Short);
        let mut all = BTreeMap::from([((0, 4), text("Emulated")), ((0, 5), text(&model))]);
        all.extend(numbers.iter().map(|(cluster, id, of, number)| ((*cluster, *id), value(of, *number))));
        all
    }
}

fn value(data_type: &str, number: i128) -> Value {
    Value::integer(DataType::named(data_type).unwrap(), number).unwrap()
}
