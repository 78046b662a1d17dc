//! A driver whose radio does what it is told over its line, one word and what it is about in each line of text; or, when a
//! kind of radio is named behind the line, one of this kind. Only tests start it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};
use thingward_model::Link;
use thingward_radio::wire::{
    Address, Counters, Name, Order, Reading, Readings, Report, Secret, Sentence, Text, Thing, Value, encode,
};
use thingward_radio::{Kind, Output, Radio, process};

fn main() -> ExitCode {
    let line = std::env::args().nth(1).and_then(|line| line.parse().ok());
    let Some(line) = line else { return ExitCode::from(2) };
    let Ok(inherited) = std::io::stderr().as_fd().try_clone_to_owned() else { return ExitCode::from(2) };
    let kind = std::env::args().nth(2).and_then(|word| Kind::of(&word));
    let mut radio = kind.map_or_else(|| Scripted::protocol(inherited.into()), Kind::protocol);
    let end = process::run(&line, &mut *radio);
    eprintln!("{end}");
    ExitCode::from(end.exit_code())
}

/// Says what it was ordered as readings of the thing `gateway`, and ticks when it was told to.
struct Scripted {
    outputs: VecDeque<Output>,
    words: Vec<u8>,
    due: Option<Duration>,
    said: u32,
    /// What was open before it was shut in.
    inherited: File,
}

impl Scripted {
    fn protocol(inherited: File) -> Box<dyn Radio> {
        Box::new(Self { outputs: VecDeque::new(), words: Vec::new(), due: None, said: 0, inherited })
    }

    fn report(&mut self, report: Report) {
        self.outputs.push_back(Output::Report(report));
    }

    fn say(&mut self, thing: &str, value: Value) {
        self.report(said(thing, value));
    }

    /// One line of the script: a word, and what it is about.
    fn obey(&mut self, words: &str) {
        let (word, what) = words.split_once(' ').unwrap_or((words, ""));
        let times: u32 = what.parse().unwrap_or(1);
        match word {
            "reading" => {
                self.said += 1;
                self.say(what, Value::Number(self.said.into()));
            }
            "flood" => (0..times).for_each(|number| self.say("loud", Value::Number(number.into()))),
            "keep" => self.report(Report::Keep(Secret::new(what.as_bytes().to_vec()))),
            "thing" => self.report(Report::Thing(Thing {
                address: Address::fitting(what),
                link: Link::ZwaveNone,
                description: b"{}".to_vec(),
            })),
            "left" => self.report(Report::Left(Address::fitting(what))),
            "trouble" => (0..times).for_each(|_| self.report(Report::Trouble(Sentence::fitting("again")))),
            "echo" => self.outputs.push_back(Output::Line(what.as_bytes().to_vec())),
            "tick" => self.due = Some(Duration::ZERO),
            "say" => eprintln!("{what}"),
            _ => misbehave(word, what, &mut self.inherited),
        }
    }
}

/// What no driver does.
#[expect(clippy::panic, reason = "that it is seen when one does is what is tested")]
fn misbehave(word: &str, what: &str, inherited: &mut File) {
    // Whatever comes of it, the next report says that it went on.
    let _ = match word {
        "garbage" => to_gateway(&[0xff; 64]),
        "lies" => (0..what.parse().unwrap_or(1)).try_for_each(|number: u32| {
            // So short a message is written whole, or not at all.
            let lie = encode(&said(&format!("liar-{}", number % 3), Value::Bool(true)));
            while to_gateway(&lie).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {}
            Ok(())
        }),
        // It answers without having been asked, and hears nothing any more.
        "deaf" => {
            let mut at = Instant::now();
            for answer in 0.. {
                while at.elapsed() < Duration::from_millis(20) {}
                at = Instant::now();
                let _ = to_gateway(&encode(&Report::Alive { answer, counters: Counters::default() }));
            }
            Ok(())
        }
        "wrong-answer" => {
            to_gateway(&encode(&Report::Alive { answer: 0xffff_ffff, counters: Counters::default() }))
        }
        "inherited-write" => inherited.write_all(b"?"),
        "inherited-read" => inherited.read(&mut [0]).map(drop),
        "signal" => kill_process(getpid(), Signal::TERM).map_err(Into::into),
        "open" => File::open(what).map(drop),
        "create" => File::create(what).map(drop),
        "connect" => TcpStream::connect(what).map(drop),
        "unix" => UnixStream::connect(what).map(drop),
        "udp" => UdpSocket::bind(what).map(drop),
        "exec" => Command::new(what).status().map(drop),
        "thread" => std::thread::Builder::new().spawn(|| {}).map(drop),
        "memory" => {
            drop(std::hint::black_box(vec![1_u8; 1 << 30]));
            Ok(())
        }
        "panic" => panic!("told to"),
        "spin" => loop {
            std::hint::spin_loop();
        },
        "exit" => std::process::exit(what.parse().unwrap_or_default()),
        _ => Ok(()),
    };
}

/// Past everything that bounds it.
fn to_gateway(bytes: &[u8]) -> std::io::Result<()> {
    rustix::io::write(rustix::stdio::stdout(), bytes)?;
    Ok(())
}

fn said(thing: &str, value: Value) -> Report {
    let reading = Reading { name: Name::fitting("said"), unit: Text::default(), value };
    Report::Readings(Readings {
        thing: Address::fitting(thing),
        link: Link::ZwaveNone,
        readings: vec![reading],
    })
}

impl Radio for Scripted {
    fn order(&mut self, order: Order, _: Duration) {
        match order {
            Order::Start(start) => {
                self.report(Report::Ready { network: Address::fitting("scripted") });
                if let Some(kept) = start.kept {
                    self.say("gateway", Value::Data(kept.expose().to_vec()));
                }
            }
            Order::Call(call) => self.report(Report::Done { id: call.id, failure: None }),
            other => self.say("gateway", Value::Text(Text::fitting(&format!("{other:?}")))),
        }
    }

    fn receive(&mut self, bytes: &[u8], _: Duration) {
        for &byte in bytes {
            if byte == b'\n' {
                let words = String::from_utf8_lossy(&std::mem::take(&mut self.words)).into_owned();
                self.obey(&words);
            } else {
                self.words.push(byte);
            }
        }
    }

    fn tick(&mut self, now: Duration) {
        self.due = (self.said < 3).then(|| now + Duration::from_millis(10));
        self.obey("reading clock");
    }

    fn due(&self) -> Option<Duration> {
        self.due
    }

    fn output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
