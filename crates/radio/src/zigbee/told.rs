//! What things say.

use std::time::Duration;

use thingward_zigbee::address::{Eui64, ShortAddress};
use thingward_zigbee::coordinator::{Protection, confirm};
use thingward_zigbee::security::hash;
use thingward_zigbee::thing::{Scalar, Told, describe};
use thingward_zigbee::zcl::{
    Attribute, AttributeRead, DataType, Foundation, FrameScope, Value as ZclValue, ZclHeader,
};
use thingward_zigbee::{Malformed, library};

use super::ZigbeeRadio;
use super::ask::Purpose;
use super::job::Job;
use super::news;
use super::report::address;
use crate::wire::{
    DATA_BYTES_MAX, DESCRIPTION_BYTES_MAX, Name, READINGS_MAX, Reading, Readings, RefusalKind, Report, Text,
    Thing, Value, Words,
};

/// What a node says of itself when it came, or came back.
const ANNOUNCEMENT: u16 = 0x0013;
/// Sensors of alarms, and their request to be enrolled.
const ZONE: u16 = 0x0500;
const ENROL_REQUEST: u8 = 0x01;
/// The attribute that a changed state is the value of.
const ZONE_STATUS: u16 = 0x0002;

/// The general command that reports, and the bit of a header by which nobody asks for a confirmation.
const REPORT: u8 = 0x0a;
const NO_CONFIRMATION: u8 = 0x10;

/// A message of a node, as the coordinator hands it over.
pub(super) struct Message {
    pub(super) sender: ShortAddress,
    pub(super) profile: u16,
    pub(super) cluster: u16,
    pub(super) endpoint: u8,
    /// The sender's number for it.
    pub(super) counter: u8,
    pub(super) is_under_link_key: bool,
    pub(super) payload: Vec<u8>,
}

impl ZigbeeRadio {
    pub(super) fn message(&mut self, message: &Message, now: Duration) {
        if message.sender == ShortAddress::COORDINATOR || self.kept.is_none() {
            return;
        }
        if message.profile == 0 && message.cluster == ANNOUNCEMENT {
            return self.announced(message, now);
        }
        let joining = self.joining.iter().find(|(_, joining)| joining.short == message.sender);
        let known = || self.kept.as_ref().and_then(|kept| kept.at(message.sender)).map(|node| node.eui64);
        match joining.map(|(eui64, _)| *eui64).or_else(known) {
            Some(node) if self.is_forbidden(node) => {
                let reason = "it came under the key that everybody knows, and is no exception any more";
                self.refuse(Some(node), RefusalKind::Join, reason, now);
            }
            Some(node) => self.message_of(node, message, now),
            None => self.look_up(message.sender, now),
        }
    }

    fn message_of(&mut self, node: Eui64, message: &Message, now: Duration) {
        let digest =
            hash(&[&message.cluster.to_le_bytes()[..], &[message.endpoint], &message.payload].concat());
        if self.talks.entry(node).or_default().repeats(message.counter, digest) {
            return self.refuse(Some(node), RefusalKind::Replay, "a message came a second time", now);
        }
        self.spoke(message.sender, node, now);
        if self.answers(node, message, now) || message.profile == 0 {
            return;
        }
        match self.said(node, message) {
            Ok(readings) => {
                self.tell(node, message, readings);
                self.confirm(message, now);
            }
            Err(malformed) => self.refuse(Some(node), RefusalKind::Malformed, &malformed.to_string(), now),
        }
    }

    /// What was understood is confirmed where the node wants that.
    fn confirm(&mut self, message: &Message, now: Duration) {
        let Ok((header, _)) = ZclHeader::read(&message.payload) else { return };
        let is_answer = header.scope() == FrameScope::Foundation && header.command != REPORT;
        if header.control & NO_CONFIRMATION == 0 && !is_answer && self.asking.has_room() {
            let confirmation = confirm(message.endpoint, message.cluster, &header);
            let confirmation =
                confirmation.and_then(|request| request.unicast(message.sender, 0, Protection::Network));
            self.ask(confirmation, Purpose::Hint, now);
        }
    }

    /// A node says that it is there.
    fn announced(&mut self, message: &Message, now: Duration) {
        let info = library::zdo(ANNOUNCEMENT);
        let record = info.and_then(|info| info.layout.read(message.payload.get(1..)?).ok());
        let said = record.and_then(|(record, _)| {
            Some((news::eui64(&record, "eui64")?, u16::try_from(record.number("address")?).ok()?))
        });
        match said {
            Some((eui64, short)) if short == message.sender.0 => self.claimed(message.sender, eui64, now),
            _ => self.refuse(None, RefusalKind::Malformed, "a node announces another, or nothing", now),
        }
    }

    /// What a message says that answers nothing.
    fn said(&mut self, node: Eui64, message: &Message) -> Result<Vec<Reading>, Malformed> {
        let (header, rest) = ZclHeader::read(&message.payload)?;
        if header.scope() == FrameScope::Foundation {
            return Ok(match Foundation::read(header.command, rest)? {
                Some(Foundation::Report(attributes)) => {
                    self.readings(node, message.endpoint, message.cluster, &header, &attributes)
                }
                _ => Vec::new(),
            });
        }
        if (message.cluster, header.command) == (ZONE, ENROL_REQUEST) && header.manufacturer.is_none() {
            self.put(node, Job::Enrol { endpoint: message.endpoint, request: Some(header.sequence) });
            return Ok(Vec::new());
        }
        let Some(info) = library::command(message.cluster, header.direction(), header.command) else {
            return Ok(Vec::new());
        };
        let (record, _) = info.layout.read(rest)?;
        let thing = self.kept.as_ref().and_then(|kept| kept.node(node)).map(|node| &node.thing);
        let event = thing.and_then(|thing| thing.event(message.endpoint, message.cluster, &header, &record));
        let Some(Told::Event { name, data }) = event else { return Ok(Vec::new()) };
        let state = data.number("zoneStatus").and_then(|status| {
            let value = ZclValue::integer(DataType::named("map16")?, status).ok()?;
            Some(Attribute { id: ZONE_STATUS, value })
        });
        let value = match (&state, data.0.is_empty()) {
            (Some(state), _) => Value::Number(state.value.number().unwrap_or(0) as f64),
            (None, true) => Value::Bool(true),
            (None, false) => Value::Text(Words::fitting(&data.to_string())),
        };
        let mut readings = vec![Reading { name: Name::fitting(&name), unit: Text::default(), value }];
        let states: Vec<Attribute> = state.into_iter().collect();
        readings.extend(self.readings(node, message.endpoint, message.cluster, &header, &states));
        Ok(readings)
    }

    /// Values that a thing was asked for.
    pub(super) fn read(&mut self, node: Eui64, endpoint: u8, message: &Message, values: Vec<AttributeRead>) {
        let Ok((header, _)) = ZclHeader::read(&message.payload) else { return };
        let values =
            values.into_iter().filter_map(|read| Some(Attribute { id: read.id, value: read.value.ok()? }));
        let readings = self.readings(node, endpoint, message.cluster, &header, &values.collect::<Vec<_>>());
        self.tell(node, message, readings);
    }

    fn readings(
        &self,
        node: Eui64,
        endpoint: u8,
        cluster: u16,
        header: &ZclHeader,
        attributes: &[Attribute],
    ) -> Vec<Reading> {
        let Some(node) = self.kept.as_ref().and_then(|kept| kept.node(node)) else { return Vec::new() };
        let first = node.thing.endpoints().first().map(|endpoint| endpoint.id);
        let told =
            attributes.iter().map(|attribute| node.thing.attribute(endpoint, cluster, header, attribute));
        told.filter_map(|told| reading(told, first)).collect()
    }

    fn tell(&mut self, node: Eui64, message: &Message, readings: Vec<Reading>) {
        let Some(known) = self.kept.as_ref().and_then(|kept| kept.node(node)) else { return };
        // Nobody knows of a thing that was not announced.
        if self.keeper.is_waiting(node) {
            return;
        }
        let link = known.link(message.is_under_link_key);
        for readings in readings.chunks(READINGS_MAX) {
            self.say(Report::Readings(Readings { thing: address(node), link, readings: readings.to_vec() }));
        }
    }

    /// Tells the gateway what a thing is; whether it is known.
    pub(super) fn tell_thing(&mut self, eui64: Eui64) -> bool {
        if self.is_forbidden(eui64) {
            return false;
        }
        let Some(node) = self.kept.as_ref().and_then(|kept| kept.node(eui64)) else { return false };
        let title = node.title();
        let described =
            describe(&node.thing, &title).map(|description| description.as_json().to_string().into_bytes());
        let description = described.ok().filter(|description| description.len() <= DESCRIPTION_BYTES_MAX);
        let link = node.best_link();
        match description {
            Some(description) => {
                self.say(Report::Thing(Thing { address: address(eui64), link, description }))
            }
            None => self.refuse(
                Some(eui64),
                RefusalKind::Malformed,
                "it has more than a description may say",
                Duration::ZERO,
            ),
        }
        true
    }
}

/// A reading; none where the thing says that it has no value.
fn reading(told: Told, first: Option<u8>) -> Option<Reading> {
    match told {
        Told::Property { name, unit, value } => {
            let value = match value? {
                Scalar::Number(number) => Value::Number(number),
                Scalar::Bool(bool) => Value::Bool(bool),
                Scalar::Text(text) => Value::Text(Words::fitting(&text)),
            };
            Some(Reading { name: Name::fitting(&name), unit: Text::fitting(unit), value })
        }
        Told::Raw { endpoint, cluster, manufacturer, attribute, data_type, octets } => {
            let maker = manufacturer.map(|maker| format!("-m{maker:04x}")).unwrap_or_default();
            let at = if first == Some(endpoint) { String::new() } else { format!("-e{endpoint}") };
            let name = format!("raw-{cluster:04x}-{attribute:04x}-{data_type:02x}{maker}{at}");
            let value = Value::Data(octets.into_iter().take(DATA_BYTES_MAX).collect());
            Some(Reading { name: Name::fitting(&name), unit: Text::default(), value })
        }
        Told::Event { .. } => None,
    }
}
