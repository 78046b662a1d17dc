//! A controller in memory that answers what a host asks at its start, and nothing else.

use std::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use thingward_radio::wire::{Secret, Start};
use thingward_radio::zwave::ZwaveRadio;
use thingward_radio::{Order, Output, Radio, Report};
use thingward_zwave::serial::message::{Capabilities, InitData};
use thingward_zwave::serial::request::function;
use thingward_zwave::serial::{AddMode, Decoder, Message, NodeIdType, Request, Unit};
use thingward_zwave::{HomeId, NodeId};

const WIDTH: NodeIdType = NodeIdType::Short;
pub(crate) const HOME: HomeId = HomeId(0xc0ff_ee01);
const FUNCTIONS: [u8; 3] = [function::SEND_DATA, function::ADD_NODE, function::GET_PROTOCOL_INFO];

/// A driver, and a controller of this network that answers what a host asks at its start.
pub(crate) struct Bench {
    pub(crate) radio: ZwaveRadio<ChaCha20Rng>,
    decoder: Decoder,
    home: HomeId,
    pub(crate) now: Duration,
    pub(crate) reports: Vec<Report>,
    pub(crate) kept: Option<Secret>,
    /// Whether it has given its line up.
    pub(crate) ended: bool,
    /// How the host had the controller let nodes in.
    pub(crate) modes: Vec<AddMode>,
}

impl Bench {
    pub(crate) fn unstarted(home: HomeId) -> Self {
        Self {
            radio: ZwaveRadio::new(ChaCha20Rng::from_seed([3; 32])),
            decoder: Decoder::default(),
            home,
            now: Duration::ZERO,
            reports: Vec::new(),
            kept: None,
            ended: false,
            modes: Vec::new(),
        }
    }

    pub(crate) fn new(home: HomeId, kept: Option<Secret>) -> Self {
        let mut bench = Self::unstarted(home);
        bench.order(Order::Start(Start { kept, ..Start::default() }));
        bench
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.radio.order(order, self.now);
        self.settle();
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.radio.receive(bytes, self.now);
        self.settle();
    }

    /// Time goes by, in steps of what is due.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.radio.due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.radio.tick(self.now);
            self.settle();
        }
        self.now = end;
    }

    pub(crate) fn settle(&mut self) {
        while let Some(output) = self.radio.output() {
            match output {
                Output::Line(bytes) => self.answer(&bytes),
                Output::End => self.ended = true,
                Output::Report(Report::Keep(secret)) => {
                    self.kept = Some(secret);
                    self.radio.order(Order::Kept, self.now);
                }
                Output::Report(report) => self.reports.push(report),
            }
        }
    }

    pub(crate) fn answer(&mut self, bytes: &[u8]) {
        let mut units = Vec::new();
        self.decoder.push(bytes, |unit| units.push(unit));
        for unit in units {
            let Unit::Frame(frame) = unit else { continue };
            self.radio.receive(&[0x06], self.now);
            let answer = match Request::parse(&frame, WIDTH) {
                Ok(Request::GetControllerId) => Message::ControllerId(self.home, NodeId::FIRST),
                Ok(Request::GetCapabilities) => Message::Capabilities(Capabilities {
                    version: [1, 0],
                    product: [0; 3],
                    functions: FUNCTIONS.to_vec(),
                }),
                Ok(Request::GetInitData) => {
                    let nodes = vec![NodeId::FIRST];
                    Message::InitData(InitData { version: 9, capabilities: 8, nodes, chip: None })
                }
                Ok(Request::AddNode(mode, _)) => {
                    self.modes.push(mode);
                    continue;
                }
                _ => continue,
            };
            self.radio.receive(&answer.to_frame(WIDTH).unwrap().to_bytes(), self.now);
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.reports.iter().any(|report| matches!(report, Report::Ready { .. }))
    }

    pub(crate) fn trouble(&self) -> Option<&str> {
        self.reports.iter().find_map(|report| match report {
            Report::Trouble(trouble) => Some(trouble.as_str()),
            _ => None,
        })
    }
}
