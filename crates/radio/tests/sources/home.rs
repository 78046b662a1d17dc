//! A driver's protocol on a line, and what it reports.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use thingward_radio::wire::{Address, Argument, Call, Exception, Name, Sentence, Start, Thing, Value};
use thingward_radio::{Order, Output, Radio, Report};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A protocol with its line.
pub(crate) struct Home<R> {
    pub(crate) radio: R,
    line: TcpStream,
    began: Instant,
    /// What was reported and not looked at yet.
    reports: Vec<Report>,
    /// Whether the protocol cannot go on.
    pub(crate) is_over: bool,
}

impl<R: Radio> Home<R> {
    /// A protocol on this port, started.
    pub(crate) fn start(radio: R, port: u16, start: Start) -> Self {
        let line = TcpStream::connect(("127.0.0.1", port)).unwrap();
        line.set_nodelay(true).unwrap();
        line.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let mut home = Self { radio, line, began: Instant::now(), reports: Vec::new(), is_over: false };
        home.order(Order::Start(start));
        home
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.radio.order(order, self.began.elapsed());
    }

    /// One round of the line; whether the other side is still there.
    fn turn(&mut self) -> bool {
        let mut buffer = [0; 512];
        let is_there = match self.line.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.radio.receive(&buffer[..length], self.began.elapsed());
                true
            }
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                true
            }
        };
        self.radio.tick(self.began.elapsed());
        while let Some(output) = self.radio.output() {
            match output {
                Output::Line(bytes) if is_there => self.line.write_all(&bytes).unwrap(),
                Output::Line(_) => {}
                Output::Report(report) => self.reports.push(report),
                Output::End => self.is_over = true,
            }
        }
        is_there
    }

    /// Goes on until a report is what is waited for.
    pub(crate) fn until<T>(&mut self, mut wanted: impl FnMut(&Report) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let is_there = self.turn();
            if let Some((at, found)) =
                self.reports.iter().enumerate().find_map(|(at, report)| Some((at, wanted(report)?)))
            {
                self.reports.remove(at);
                return found;
            }
            assert!(is_there && Instant::now() < deadline, "waited in vain; seen: {:#?}", self.reports);
        }
    }

    /// What is reported in a while.
    pub(crate) fn during(&mut self, time: Duration) -> Vec<Report> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn();
        }
        std::mem::take(&mut self.reports)
    }

    /// Has a thing do something; why it was not done.
    pub(crate) fn call(&mut self, thing: &str, action: &str, arguments: &[(&str, Value)]) -> Option<String> {
        let argument = |(name, value): &(&str, Value)| Argument { name: name_of(name), value: value.clone() };
        let arguments = arguments.iter().map(argument).collect();
        let call = Call { id: 7, thing: address(thing), action: name_of(action), arguments };
        self.order(Order::Call(call));
        self.until(|report| match report {
            Report::Done { id: 7, failure } => Some(failure.as_ref().map(ToString::to_string)),
            _ => None,
        })
    }

    /// A thing that it has.
    pub(crate) fn thing(&mut self, who: &str) -> Thing {
        self.until(|report| match report {
            Report::Thing(thing) if thing.address.as_str() == who => Some(thing.clone()),
            _ => None,
        })
    }

    /// The value that a thing says under a name, when it does, with its unit.
    pub(crate) fn reading(&mut self, who: &str, name: &str) -> (Value, String) {
        self.until(|report| match report {
            Report::Readings(said) if said.thing.as_str() == who => {
                let reading = said.readings.iter().find(|reading| reading.name.as_str() == name)?;
                Some((reading.value.clone(), reading.unit.to_string()))
            }
            _ => None,
        })
    }
}

pub(crate) fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn name_of(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn excepting(thing: &str) -> Start {
    let reason = Sentence::new("an old plug that switches a lamp").unwrap();
    Start { exceptions: vec![Exception { thing: address(thing), reason }], ..Start::default() }
}
