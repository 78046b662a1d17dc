//! A coordinator of Zigbee, with a thermometer in a room.

use std::time::Duration;

use getrandom::SysRng;
use rand_core::{Rng, UnwrapErr};
use thingward_zigbee::emulated::{Coordinator, Kind, Line, Node};
use thingward_zigbee::security::InstallCode;
use zeroize::Zeroizing;

use super::Emulated;
use super::home::Home;
use crate::failure::Failure;
use crate::things::{self, Dice, Thing};

/// Its address in the network.
const SHORT: u16 = 0x2001;
/// How often the thermometer reports.
const PERIOD: Duration = Duration::from_secs(5);
/// First octet of an address that no maker has.
const LOCAL: u8 = 0x02;
/// What it measures: the field, its cluster, and how many steps of the attribute one is.
const MEASURED: [(&str, u16, f64); 2] = [("temperature", 0x0402, 100.0), ("humidity", 0x0405, 100.0)];

pub(super) struct Thermometer {
    printed: Zeroizing<String>,
    address: String,
    line: Line,
    room: Box<dyn Thing>,
    dice: Dice,
    measures_at: Duration,
}

impl Thermometer {
    /// As it was, or a new one.
    pub(super) fn open(home: &Home) -> Result<Self, Failure> {
        let printed = match home.read("printed")? {
            Some(printed) => Zeroizing::new(String::from_utf8_lossy(&printed).trim().to_owned()),
            None => new(),
        };
        let (eui64, node) = node(&printed)
            .ok_or_else(|| Failure::Failed("what is printed on the thermometer cannot be read".to_owned()))?;
        let mut coordinator = Coordinator::with(vec![node]);
        match home.read("flash")? {
            Some(flash) => coordinator.resume(&flash).map_err(Failure::of)?,
            None => coordinator.eui64 = random_address().to_le_bytes(),
        }
        Ok(Self {
            printed,
            address: format!("{eui64:016x}"),
            line: Line::new(coordinator),
            room: things::Kind::Thermometer.build(),
            dice: Dice::new(eui64),
            measures_at: Duration::ZERO,
        })
    }

    /// What the room is like now.
    fn measure(&mut self) {
        let measured = self.room.step(PERIOD.as_secs_f64(), &mut self.dice);
        self.line.coordinator(|coordinator| {
            for (field, value) in measured.iter().filter_map(|measured| measured.as_number()) {
                let attribute = MEASURED.iter().find(|(name, ..)| *name == field);
                for (node, (_, cluster, steps)) in coordinator.nodes.iter_mut().zip(attribute) {
                    if let Ok(number) = format!("{:.0}", value * steps).parse() {
                        node.set(*cluster, 0, number);
                    }
                }
            }
        });
    }
}

impl Emulated for Thermometer {
    fn printed(&self) -> Zeroizing<String> {
        self.printed.clone()
    }

    fn address(&self) -> String {
        self.address.clone()
    }

    fn flash(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.line.coordinator(|coordinator| coordinator.flash()))
    }

    fn connected(&mut self) {
        self.line.connected();
    }

    fn receive(&mut self, bytes: &[u8], now: Duration) {
        self.line.receive(bytes, now);
    }

    fn tick(&mut self, now: Duration) {
        if now >= self.measures_at {
            self.measures_at = now + PERIOD;
            self.measure();
        }
        self.line.tick(now);
    }

    fn output(&mut self) -> Option<Vec<u8>> {
        self.line.output()
    }
}

/// What is printed on a new thermometer.
fn new() -> Zeroizing<String> {
    let mut code = Zeroizing::new([0; 16]);
    UnwrapErr(SysRng).fill_bytes(&mut *code);
    let code = InstallCode::of(&code).printed();
    Zeroizing::new(format!("{:016x}:{}", random_address(), *code))
}

fn random_address() -> u64 {
    let [_, rest @ ..] = UnwrapErr(SysRng).next_u64().to_be_bytes();
    let [a, b, c, d, e, f, g] = rest;
    u64::from_be_bytes([LOCAL, a, b, c, d, e, f, g])
}

/// The thermometer that this is printed on, and its address.
fn node(printed: &str) -> Option<(u64, Node)> {
    let (address, code) = printed.split_once(':')?;
    let (eui64, code) = (u64::from_str_radix(address, 16).ok()?, InstallCode::parse(code).ok()?);
    let mut node = Node::new(Kind::Thermometer, eui64, SHORT, Some(&code));
    node.period = PERIOD;
    node.uses_link_key = true;
    Some((eui64, node))
}
