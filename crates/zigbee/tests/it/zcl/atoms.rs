//! Values as a flat row of text, so that two ways to nest them can be held against each other.

use serde_json::Value as Json;
use thingward_zigbee::layout::{Item, Record};
use thingward_zigbee::zcl::{Attribute, DataType, ElementRead, Foundation, Reporting, ReportingRead, Value};

use crate::vectors::hex;

/// All numbers, texts and octets that a third party's value has.
pub(crate) fn expected(json: &Json) -> Vec<String> {
    match json {
        Json::Null => Vec::new(),
        Json::Bool(bool) => vec![u8::from(*bool).to_string()],
        Json::Number(number) => vec![number.to_string()],
        Json::String(text) => vec![text.clone()],
        Json::Array(items) => items.iter().flat_map(expected).collect(),
        Json::Object(fields) => {
            let special = ["$hex", "$bigint", "$number"].iter().find_map(|name| fields.get(*name));
            match (special, fields.get("elementType")) {
                (Some(text), _) => vec![text.as_str().unwrap().to_owned()],
                // Octets in an array are given as their numbers, with their count.
                (None, Some(Json::Number(n))) if n.as_u64() == Some(0x41) => {
                    let octets = |item: &Json| {
                        let all: Vec<u8> = item.as_array().unwrap().iter().map(octet).collect();
                        hex(&all)
                    };
                    fields["elements"].as_array().unwrap().iter().map(octets).collect()
                }
                (None, Some(_)) => expected(&fields["elements"]),
                // Attributes of one maker are texts with numbered values in them.
                (None, None) if fields.keys().all(|key| key.parse::<u8>().is_ok()) && !fields.is_empty() => {
                    fields
                        .iter()
                        .flat_map(|(key, value)| [vec![key.clone()], expected(value)].concat())
                        .collect()
                }
                (None, None) => fields.values().flat_map(expected).collect(),
            }
        }
    }
}

pub(crate) fn octet(json: &Json) -> u8 {
    u8::try_from(json.as_u64().unwrap()).unwrap()
}

/// The same of ours.
#[derive(Default)]
pub(crate) struct Atoms(pub(crate) Vec<String>);

impl Atoms {
    fn put(&mut self, atom: impl ToString) {
        self.0.push(atom.to_string());
    }

    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::NoData => {}
            Value::Integer(integer) => self.put(integer.number()),
            Value::Semi(raw) => self.put(raw),
            Value::Single(number) => self.put(f64::from(*number)),
            Value::Double(number) => self.put(number),
            Value::Octets(octets, _) => self.put(hex(octets.as_deref().unwrap_or_default())),
            Value::Text(text, _) => {
                let text = text.as_deref().unwrap_or_default();
                self.put(String::from_utf8_lossy(text));
                self.numbered(text);
            }
            Value::List(_, _, items) => items.iter().flatten().for_each(|item| self.value(item)),
            Value::Structure(items) => items.iter().flatten().for_each(|item| {
                self.put(item.data_type().number());
                self.value(item);
            }),
            Value::TimeOfDay(octets) => octets.iter().for_each(|octet| self.put(octet)),
            Value::Date([year, month, day, weekday]) => {
                self.put(1900 + u16::from(*year));
                let said = |octet: &u8| if *octet == 0xff { "NaN".to_owned() } else { octet.to_string() };
                [month, day, weekday].into_iter().for_each(|octet| self.put(said(octet)));
            }
            Value::Eui64(eui64) => self.put(format!("0x{:016x}", eui64.0)),
            Value::Key(_) => {
                let mut octets = Vec::new();
                value.write(&mut octets).unwrap();
                self.put(hex(&octets));
            }
        }
    }

    /// Numbered values in a text.
    fn numbered(&mut self, mut text: &[u8]) {
        while let [number, data_type, rest @ ..] = text {
            let Some(data_type) = DataType::new(*data_type) else { return };
            let Ok((value, rest)) = Value::parse(data_type, rest) else { return };
            self.put(number);
            self.value(&value);
            text = rest;
        }
    }

    fn attribute(&mut self, attribute: &Attribute) {
        self.put(attribute.id);
        self.put(attribute.value.data_type().number());
        self.value(&attribute.value);
    }

    fn element(&mut self, element: &ElementRead) {
        self.put(element.id);
        element.selector.indexes.iter().for_each(|index| self.put(index));
        if element.selector.indexes.is_empty() {
            self.put(element.selector.operation << 4);
        }
    }

    fn reporting(&mut self, reporting: &Reporting) {
        match reporting {
            Reporting::Send { id, data_type, least, most, change } => {
                self.put(0);
                self.put(id);
                self.put(data_type.number());
                self.put(least);
                self.put(most);
                change.iter().for_each(|change| self.value(change));
            }
            Reporting::Receive { id, timeout } => {
                self.put(1);
                self.put(id);
                self.put(timeout);
            }
        }
    }

    pub(crate) fn foundation(&mut self, command: &Foundation) {
        match command {
            Foundation::Read(ids) => ids.iter().for_each(|id| self.put(id)),
            Foundation::ReadResponse(list) => list.iter().for_each(|read| match &read.value {
                Ok(value) => {
                    self.put(0);
                    self.attribute(&Attribute { id: read.id, value: value.clone() });
                }
                Err(status) => {
                    self.put(read.id);
                    self.put(status);
                }
            }),
            Foundation::Write(list)
            | Foundation::WriteUndivided(list)
            | Foundation::WriteNoResponse(list)
            | Foundation::Report(list) => list.iter().for_each(|attribute| self.attribute(attribute)),
            Foundation::WriteResponse(list) => list.iter().for_each(|one| {
                self.put(one.status);
                one.id.iter().for_each(|id| self.put(id));
            }),
            Foundation::ConfigureReporting(list) => list.iter().for_each(|one| self.reporting(one)),
            Foundation::ConfigureReportingResponse(list) => list.iter().for_each(|one| {
                self.put(one.status);
                one.attribute.iter().for_each(|(direction, id)| self.row(&[(*direction).into(), *id]));
            }),
            Foundation::ReadReporting(list) => {
                list.iter().for_each(|(direction, id)| self.row(&[(*direction).into(), *id]));
            }
            Foundation::ReadReportingResponse(list) => list.iter().for_each(|one| match one {
                ReportingRead::Configured(reporting) => {
                    self.put(0);
                    self.reporting(reporting);
                }
                ReportingRead::Failed(status, direction, id) => {
                    self.row(&[(*status).into(), (*direction).into(), *id]);
                }
            }),
            Foundation::DefaultResponse { command, status } => {
                self.row(&[(*command).into(), (*status).into()])
            }
            Foundation::Discover(start, most) | Foundation::DiscoverExtended(start, most) => {
                self.row(&[*start, (*most).into()]);
            }
            Foundation::DiscoverResponse(complete, list) => {
                self.put(complete);
                list.iter().for_each(|(id, data_type)| self.row(&[*id, (*data_type).into()]));
            }
            Foundation::ReadStructured(list) => list.iter().for_each(|one| self.element(one)),
            Foundation::WriteStructured(list) => list.iter().for_each(|one| {
                self.element(&ElementRead { id: one.id, selector: one.selector.clone() });
                self.put(one.value.data_type().number());
                self.value(&one.value);
            }),
            Foundation::WriteStructuredResponse(list) => list.iter().for_each(|one| {
                self.put(one.status);
                one.element.iter().for_each(|element| self.element(element));
            }),
            Foundation::DiscoverCommands(_, start, most) => self.row(&[(*start).into(), (*most).into()]),
            Foundation::DiscoverCommandsResponse(_, complete, list) => {
                self.put(complete);
                list.iter().for_each(|command| self.put(command));
            }
            Foundation::DiscoverExtendedResponse(complete, list) => {
                self.put(complete);
                list.iter().for_each(|(id, kind, access)| self.row(&[*id, (*kind).into(), (*access).into()]));
            }
        }
    }

    fn row(&mut self, numbers: &[u16]) {
        numbers.iter().for_each(|number| self.put(number));
    }

    pub(crate) fn record(&mut self, record: &Record) {
        record.0.iter().for_each(|(name, item)| self.item(name, item));
        if let (Some(command), Some(Item::Value(Value::Octets(Some(payload), _)))) =
            (record.number("gpdCommand"), record.get("gpdPayload"))
        {
            self.put(payload.len());
            if command == 0xe0 {
                self.commissioning(payload);
            }
        }
    }

    fn item(&mut self, name: &str, item: &Item) {
        match item {
            // A scene's values are given one by one, by the types of their attributes, which the frame does not have.
            Item::Value(Value::Octets(Some(octets), _)) if name == "values" => {
                self.put(octets.len());
                let numbers: &[Vec<u8>] = &match octets.as_slice() {
                    [a, b, c, d] => vec![vec![*a, *b], vec![*c, *d]],
                    octets => octets.iter().map(|octet| vec![*octet]).collect(),
                };
                let number = |le: &Vec<u8>| le.iter().rev().fold(0u64, |n, octet| n << 8 | u64::from(*octet));
                numbers.iter().for_each(|le| self.put(number(le)));
            }
            Item::Value(value) => self.value(value),
            Item::Record(record) => self.record(record),
            Item::List(items) => items.iter().for_each(|item| self.item(name, item)),
        }
    }

    fn commissioning(&mut self, payload: &[u8]) {
        use thingward_zigbee::green_power::Commissioning;
        let commissioning = Commissioning::read(payload).unwrap();
        assert_eq!(commissioning.to_bytes().unwrap(), payload);
        self.put(commissioning.device);
        self.put(commissioning.options);
        self.put(commissioning.extended.unwrap());
        self.put(hex(&payload[3..19]));
        assert!(commissioning.key.is_some());
        self.put(commissioning.key_mic.unwrap());
        self.put(commissioning.frame_counter.unwrap());
        let application = commissioning.application.unwrap();
        self.put(application.flags);
        self.put(application.manufacturer.unwrap_or(0));
        self.put(application.model.unwrap_or(0));
        let commands = application.commands.unwrap_or_default();
        self.put(commands.len());
        self.put(hex(&commands));
        let (servers, clients) = application.clusters.unwrap_or_default();
        self.put(servers.len());
        self.put(clients.len());
        assert!(servers.is_empty() && clients.is_empty());
        self.put("");
        self.put("");
        let switch = application.switch.unwrap_or_else(|| vec![0, 0]);
        switch.iter().for_each(|octet| self.put(octet));
    }
}
