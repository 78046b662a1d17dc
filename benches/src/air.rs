//! Radios that are not there: a coordinator of Zigbee with thermometers behind each line, in a thread of its own.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use thingward_zigbee::emulated::{Coordinator, Kind, Line, Node};

/// How often a line is looked at when nothing comes.
const TICK: Duration = Duration::from_millis(5);
const TEMPERATURE: u16 = 0x0402;
const FIRST_SHORT: u16 = 0x2001;
const DAY: Duration = Duration::from_secs(86_400);
/// How far apart things join.
const APART: Duration = Duration::from_millis(250);

/// What a radio is told.
enum Order {
    /// Things up to this one try to join.
    Join(u16),
    /// A thing measures this, in hundredths of a degree.
    Say(u16, i16),
}

/// A frame is on the line.
pub(crate) struct Written {
    pub(crate) address: String,
    pub(crate) hundredths: i16,
    pub(crate) at: Instant,
}

/// One radio.
pub(crate) struct Radio {
    number: u16,
    orders: Sender<Order>,
}

impl Radio {
    /// With so many things around it, none of which joins yet.
    pub(crate) fn new(number: u16, things: u16, line: &Path, written: Sender<Written>) -> Self {
        let listener = UnixListener::bind(line).unwrap();
        let (orders, told) = channel();
        std::thread::spawn(move || Served::new(number, things, told, written).run(&listener));
        Self { number, orders }
    }

    pub(crate) fn join(&self, things: u16) {
        self.orders.send(Order::Join(things)).unwrap();
    }

    pub(crate) fn say(&self, thing: u16, hundredths: i16) {
        self.orders.send(Order::Say(thing, hundredths)).unwrap();
    }

    pub(crate) fn address(&self, thing: u16) -> String {
        format!("{:016x}", eui64(self.number, thing))
    }
}

fn eui64(radio: u16, thing: u16) -> u64 {
    0x0015_8d00_0000_0000 | (u64::from(radio) << 16) | u64::from(thing)
}

struct Served {
    number: u16,
    line: Line,
    orders: Receiver<Order>,
    written: Sender<Written>,
    begun: Instant,
}

impl Served {
    fn new(number: u16, things: u16, orders: Receiver<Order>, written: Sender<Written>) -> Self {
        let node = |thing: u16| {
            let mut node = Node::new(Kind::Thermometer, eui64(number, thing), FIRST_SHORT + thing, None);
            (node.period, node.tries_at) = (DAY, DAY);
            node
        };
        let mut coordinator = Coordinator::with((0..things).map(node).collect());
        coordinator.eui64 = eui64(number, u16::MAX).to_le_bytes();
        Self { number, line: Line::new(coordinator), orders, written, begun: Instant::now() }
    }

    fn run(mut self, listener: &UnixListener) {
        for driver in listener.incoming() {
            self.line.connected();
            let _ = self.attend(driver.unwrap());
        }
    }

    fn attend(&mut self, mut driver: UnixStream) -> std::io::Result<()> {
        driver.set_read_timeout(Some(TICK))?;
        let mut room = [0; 1024];
        loop {
            match driver.read(&mut room) {
                Ok(0) => return Ok(()),
                Ok(len) => self.line.receive(&room[..len], self.begun.elapsed()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            // One at a time: what is said goes onto the line now, and waits for nothing else.
            let said = if self.line.is_quiet() { self.obey() } else { None };
            self.line.tick(self.begun.elapsed());
            let at = Instant::now();
            while let Some(bytes) = self.line.output() {
                driver.write_all(&bytes)?;
            }
            if let Some((thing, hundredths)) = said {
                let address = format!("{:016x}", eui64(self.number, thing));
                let _ = self.written.send(Written { address, hundredths, at });
            }
        }
    }

    /// Does what it is told; what a thing said.
    fn obey(&mut self) -> Option<(u16, i16)> {
        match self.orders.try_recv().ok()? {
            Order::Join(things) => {
                let now = self.begun.elapsed();
                self.line.coordinator(|coordinator| {
                    let away = coordinator.nodes.iter_mut().take(things.into());
                    for (at, node) in (0..).zip(away.filter(|node| node.tries_at == DAY)) {
                        node.tries_at = now + APART * at;
                    }
                });
                None
            }
            Order::Say(thing, hundredths) => {
                let said = self.line.coordinator(|coordinator| {
                    let fields = [&[0, 0, 0x29][..], &hundredths.to_le_bytes()].concat();
                    coordinator.nodes[usize::from(thing)].command(TEMPERATURE, 0x18, 0x0a, &fields)
                });
                self.line.say(thing.into(), said);
                Some((thing, hundredths))
            }
        }
    }
}
