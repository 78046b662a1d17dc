//! A node is asked what it is: its descriptor, its endpoints, what each of them has, and who made it.

use super::talk::Request;
use crate::address::ShortAddress;
use crate::bytes::{Malformed, Reader};
use crate::layout::{Given, Item, Record};
use crate::library;
use crate::thing::{Endpoint, Thing};
use crate::zcl::{Foundation, FrameScope, Value, ZclHeader};

/// Endpoints of a node that are asked about.
const ENDPOINTS_MAX: usize = 32;
/// Messages of the device object, as requests.
const NODE: u16 = 0x0002;
const SIMPLE: u16 = 0x0004;
const ACTIVE: u16 = 0x0005;
/// The bit that makes a request's number that of its response.
const RESPONSE: u16 = 0x8000;
const BASIC: u16 = 0x0000;
const MANUFACTURER: u16 = 0x0004;
const MODEL: u16 = 0x0005;
/// The general command that asks for attributes.
const READ: u8 = 0x00;

/// The course of an interview. Ask, hand over what comes, ask again.
#[derive(Debug, Clone)]
pub struct Interview {
    node: ShortAddress,
    sequence: u8,
    step: Step,
    /// Endpoints that were not asked about yet, the next one last.
    left: Vec<u8>,
    endpoints: Vec<Endpoint>,
    capability: u8,
    manufacturer_code: u16,
    manufacturer: Option<String>,
    model: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Node,
    Endpoints,
    Simple(u8),
    Basic(u8),
    Done,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The message was the answer: there is a next question, or none.
    Answered,
    /// The message was something else.
    NotForUs,
}

/// Why a node cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InterviewError {
    /// It answers with this status.
    #[error("the node refuses with status {0:#04x}")]
    Refused(u8),
    /// It answers what cannot be read, or has more endpoints than are taken.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl Interview {
    /// An interview of a node. `sequence` is the first of the numbers that its questions have.
    #[must_use]
    pub const fn new(node: ShortAddress, sequence: u8) -> Self {
        Self {
            node,
            sequence,
            step: Step::Node,
            left: Vec::new(),
            endpoints: Vec::new(),
            capability: 0,
            manufacturer_code: 0,
            manufacturer: None,
            model: None,
        }
    }

    /// The question that is open; `None` when there is no more. To be asked again when no answer came.
    ///
    /// # Errors
    ///
    /// Never, unless the tables are broken.
    pub fn question(&self) -> Result<Option<Request>, Malformed> {
        let address = ("address", Given::Number(self.node.0.into()));
        let ask = |cluster, given| Request::device_object(cluster, self.sequence, given).map(Some);
        match self.step {
            Step::Node => ask(NODE, vec![address, ("tlvs", Given::Numbers(Vec::new()))]),
            Step::Endpoints => ask(ACTIVE, vec![address]),
            Step::Simple(endpoint) => {
                ask(SIMPLE, vec![address, ("endpoint", Given::Number(endpoint.into()))])
            }
            Step::Basic(endpoint) => {
                let command = Foundation::Read(vec![MANUFACTURER, MODEL]);
                let sequence = self.sequence;
                let mut payload = Vec::new();
                ZclHeader { control: 0x10, manufacturer: None, sequence, command: READ }.write(&mut payload);
                command.write(&mut payload)?;
                Ok(Some(Request::application(endpoint, BASIC, payload)))
            }
            Step::Done => Ok(None),
        }
    }

    /// Takes a message that the node sent.
    ///
    /// # Errors
    ///
    /// When it refuses, or its answer cannot be used.
    pub fn heard(&mut self, profile: u16, cluster: u16, payload: &[u8]) -> Result<Progress, InterviewError> {
        let answered = match self.step {
            Step::Node => self.answer(profile, cluster, NODE, payload)?.map(|record| self.node(&record)),
            Step::Endpoints => {
                self.answer(profile, cluster, ACTIVE, payload)?.map(|record| self.active(&record))
            }
            Step::Simple(endpoint) => {
                let answer = self.answer(profile, cluster, SIMPLE, payload)?;
                answer.map(|record| Ok(self.simple(endpoint, &record)))
            }
            Step::Basic(_) if profile != 0 && cluster == BASIC => self.basic(payload)?.map(Ok),
            Step::Basic(_) | Step::Done => None,
        };
        match answered {
            None => Ok(Progress::NotForUs),
            Some(step) => {
                self.step = step?;
                self.sequence = self.sequence.wrapping_add(1);
                Ok(Progress::Answered)
            }
        }
    }

    /// What it is, when everything was asked.
    #[must_use]
    pub fn thing(&self) -> Option<Thing> {
        (self.step == Step::Done).then(|| Thing::new(self.endpoints.clone()))
    }

    /// Who made it, and what they call it.
    #[must_use]
    pub fn maker(&self) -> (Option<&str>, Option<&str>) {
        (self.manufacturer.as_deref(), self.model.as_deref())
    }

    /// What it can do, as bits, and its maker's number.
    #[must_use]
    pub const fn descriptor(&self) -> (u8, u16) {
        (self.capability, self.manufacturer_code)
    }

    /// The fields of an answer to the open question; `None` for any other message.
    fn answer(
        &self,
        profile: u16,
        cluster: u16,
        asked: u16,
        payload: &[u8],
    ) -> Result<Option<Record>, InterviewError> {
        let mut reader = Reader::new(payload);
        let sequence = reader.u8("zdo.sequence");
        if profile != 0 || cluster != asked | RESPONSE || sequence != Ok(self.sequence) {
            return Ok(None);
        }
        let Some(info) = library::zdo(cluster) else { return Ok(None) };
        let (record, _) = info.layout.read(reader.rest())?;
        match record.number("status").and_then(|status| u8::try_from(status).ok()) {
            Some(0) if record.number("address") == Some(self.node.0.into()) => Ok(Some(record)),
            Some(0) | None => Ok(None),
            Some(status) => Err(InterviewError::Refused(status)),
        }
    }

    fn node(&mut self, record: &Record) -> Result<Step, InterviewError> {
        let number = |name| record.number(name).unwrap_or(0);
        self.capability = u8::try_from(number("capability")).unwrap_or(0);
        self.manufacturer_code = u16::try_from(number("manufacturer")).unwrap_or(0);
        Ok(Step::Endpoints)
    }

    fn active(&mut self, record: &Record) -> Result<Step, InterviewError> {
        let mut endpoints = numbers::<u8>(record, "endpoints");
        if endpoints.len() > ENDPOINTS_MAX {
            let problem = crate::Problem::TooMuch(endpoints.len());
            return Err(Malformed::new("zdo.endpoints", problem).into());
        }
        endpoints.reverse();
        self.left = endpoints;
        Ok(self.next())
    }

    fn simple(&mut self, endpoint: u8, record: &Record) -> Step {
        let (servers, clients) = (numbers(record, "inputs"), numbers(record, "outputs"));
        self.endpoints.push(Endpoint { id: endpoint, servers, clients });
        self.next()
    }

    /// The next endpoint, or who made it, or nothing.
    fn next(&mut self) -> Step {
        if let Some(endpoint) = self.left.pop() {
            return Step::Simple(endpoint);
        }
        let basic = self.endpoints.iter().find(|endpoint| endpoint.servers.contains(&BASIC));
        basic.map_or(Step::Done, |endpoint| Step::Basic(endpoint.id))
    }

    fn basic(&mut self, payload: &[u8]) -> Result<Option<Step>, InterviewError> {
        let Ok((header, rest)) = ZclHeader::read(payload) else { return Ok(None) };
        if header.sequence != self.sequence || header.scope() != FrameScope::Foundation {
            return Ok(None);
        }
        let list = match Foundation::read(header.command, rest)? {
            Some(Foundation::ReadResponse(list)) => list,
            // It does not answer such questions: nobody knows who made it.
            Some(Foundation::DefaultResponse { command: READ, .. }) => Vec::new(),
            _ => return Ok(None),
        };
        for read in list {
            let Ok(Value::Text(Some(text), _)) = read.value else { continue };
            let text = String::from_utf8(text).ok();
            match read.id {
                MANUFACTURER => self.manufacturer = text,
                MODEL => self.model = text,
                _ => {}
            }
        }
        Ok(Some(Step::Done))
    }
}

fn numbers<T: TryFrom<i128>>(record: &Record, name: &str) -> Vec<T> {
    let Some(Item::List(items)) = record.get(name) else { return Vec::new() };
    items.iter().filter_map(|item| T::try_from(item.number()?).ok()).collect()
}
