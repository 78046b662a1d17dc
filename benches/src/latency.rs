//! From the moment that a frame is on the line of a radio to the moment that somebody who follows the readings at the service
//! has it: through the driver, the chain and the queue of the gateway, and what the service makes durable. And what a thing of a
//! radio takes of the gateway's memory.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::air::{Radio, Written};
use crate::clock::quantile;
use crate::house::{House, wait_for};

/// Radios, and things of each: while latency is measured, and when memory is measured a second time.
const RADIOS: u16 = 16;
const FEW: u16 = 13;
const MANY: u16 = 62;
/// Messages in a second, of all things together, and how many.
pub(crate) const RATE: u32 = 100;
pub(crate) const MESSAGES: u32 = 3_000;
/// What things say first is not what they are at from then on: memory is looked at when that is over.
const SETTLED: Duration = Duration::from_secs(20);
const ADMITTED: &str = "15m";

pub(crate) struct Latency {
    /// Sorted, in milliseconds.
    pub(crate) milliseconds: Vec<f64>,
    pub(crate) few: Memory,
    pub(crate) many: Memory,
}

pub(crate) struct Memory {
    pub(crate) things: u16,
    /// In KiB.
    pub(crate) gateway: u64,
    pub(crate) drivers: u64,
}

impl Latency {
    /// Of this part of all messages, how long the slowest took.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        quantile(&self.milliseconds, part)
    }

    /// What another thing takes, in KiB: at the gateway, and in its driver.
    pub(crate) fn of_a_thing(&self) -> (f64, f64) {
        let more = f64::from(self.many.things - self.few.things);
        let each = |few: u64, many: u64| (many as f64 - few as f64) / more;
        (each(self.few.gateway, self.many.gateway), each(self.few.drivers, self.many.drivers))
    }
}

/// Readings that came, by thing and hundredths of a degree.
type Came = Arc<Mutex<HashMap<(String, i16), Instant>>>;

pub(crate) fn measure(program: &Path) -> Latency {
    let folder = tempfile::tempdir().unwrap();
    let (tell, written) = channel();
    let (mut radios, mut settings, mut policies) = (Vec::new(), String::new(), String::new());
    for number in 0..RADIOS {
        let line = folder.path().join(format!("line-{number}"));
        let radio = Radio::new(number, MANY, &line, tell.clone());
        let line = line.display();
        writeln!(settings, "[gateway.radio.r{number}]\nkind = \"zigbee\"\nline = \"{line}\"").unwrap();
        for thing in 0..MANY {
            policies += &may_join_weakly(&format!("r{number}/{}", radio.address(thing)));
        }
        radios.push(radio);
    }
    let house = House::new(program, folder, &settings, &policies);
    let came = Came::default();
    let noted = Arc::clone(&came);
    house.follow(move |reading, at| {
        if reading["field"] == "temperature"
            && let Some((_, address)) = reading["device"].as_str().unwrap_or_default().split_once('-')
        {
            #[expect(clippy::cast_possible_truncation, reason = "it is some hundreds")]
            let hundredths = (reading["value"].as_f64().unwrap_or_default() * 100.0).round() as i16;
            noted.lock().unwrap().insert((address.to_owned(), hundredths), at);
        }
    });
    wait_for("the gateway", || {
        house.done(&["device", "list", "--tenant", "acme"]).as_array().is_some_and(|all| !all.is_empty())
    });
    house.done(&["gateway", "admit", "gateway", "--tenant", "acme", "--for", ADMITTED]);
    let few = join(&house, &radios, FEW, &came);
    let milliseconds = talk(&radios, &written, &came);
    let many = join(&house, &radios, MANY, &came);
    Latency { milliseconds, few, many }
}

/// An emulated thing has no install code.
fn may_join_weakly(thing: &str) -> String {
    format!(
        "@reason(\"emulated\") permit (principal == Thing::\"{thing}\", action == Action::\"things:join-weakly\", \
         resource == Gateway::\"gateway\");\n"
    )
}

/// So many things of each radio join, and each is heard once.
fn join(house: &House, radios: &[Radio], things: u16, came: &Came) -> Memory {
    radios.iter().for_each(|radio| radio.join(things));
    let all: u16 = RADIOS * things;
    wait_for("all things", || {
        let came = came.lock().unwrap();
        let heard: std::collections::HashSet<&String> = came.keys().map(|(thing, _)| thing).collect();
        heard.len() >= all.into()
    });
    std::thread::sleep(SETTLED);
    let (gateway, drivers) = house.memory();
    Memory { things: all, gateway, drivers }
}

/// All things say something in turn, at a fixed rate.
fn talk(radios: &[Radio], written: &std::sync::mpsc::Receiver<Written>, came: &Came) -> Vec<f64> {
    let begun = Instant::now();
    for number in 0..MESSAGES {
        let due = Duration::from_secs(1) * number / RATE;
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let turn = u16::try_from(number % u32::from(RADIOS * FEW)).unwrap();
        let hundredths = i16::try_from(number / u32::from(RADIOS * FEW) + 1).unwrap();
        radios[usize::from(turn % RADIOS)].say(turn / RADIOS, hundredths);
    }
    let mut milliseconds = Vec::new();
    for _ in 0..MESSAGES {
        let Written { address, hundredths, at } = written.recv().unwrap();
        let key = (address, hundredths);
        wait_for("a message", || came.lock().unwrap().contains_key(&key));
        let there = came.lock().unwrap()[&key];
        milliseconds.push((there - at).as_secs_f64() * 1e3);
    }
    milliseconds.sort_by(f64::total_cmp);
    milliseconds
}
