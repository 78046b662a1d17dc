//! A server of Z-Wave JS as a source: its nodes become things, on its word.
//!
//! The server is spoken to over a WebSocket (see the README of `zwave-js-server` for the messages). It says with which class
//! of Z-Wave's security each of its nodes speaks. Nobody here can check that, so that all is on its word
//! ([`thingward_model::Link::ZwaveJs`]), whatever the class.
//!
//! What the server remembers of earlier is not told as a reading: nobody knows when it was so. What it tells from then on is.

mod message;
mod network;
mod node;
mod parts;
mod socket;
mod table;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::outbox::Outbox;
use crate::wire::{AdmissionState, Exception, Order, RefusalKind, Report};
use crate::{Output, Radio};
use message::{Message, NODES_MAX};
use network::reason;
use node::Node;
use socket::{Socket, SocketError};

/// The oldest messages that are understood, and the newest that were looked at.
const SCHEMA_MIN: u32 = 32;
const SCHEMA_MAX: u32 = 47;
/// So long the server has to tell all that there is.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// So long it has for a call. A gateway waits a little longer.
const CALL_TIME: Duration = Duration::from_secs(15);
/// After so long a silence it is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(30);

/// The client of a server of Z-Wave JS.
#[derive(Default)]
pub struct ZwaveJsRadio {
    phase: Phase,
    exceptions: Vec<Exception>,
    home: u32,
    nodes: BTreeMap<u16, Node>,
    /// Nodes that nobody wants any more.
    ignored: BTreeSet<u16>,
    calls: BTreeMap<u32, Waiting>,
    next_message: u32,
    heard: Duration,
    asked: bool,
    outbox: Outbox,
}

#[derive(Default)]
enum Phase {
    /// Nothing was ordered yet.
    #[default]
    Idle,
    /// Until all that there is was told, which has to be by then.
    Greeting(Socket, Duration),
    Listening(Socket),
    /// It cannot go on.
    Broken,
}

/// A call whose answer is to come.
struct Waiting {
    call: u32,
    until: Duration,
}

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("Z-Wave JS: {0}")]
    Socket(#[from] SocketError),
    #[error("Z-Wave JS: what it says first is not understood: {0}")]
    Greeting(serde_json::Error),
    #[error(
        "Z-Wave JS speaks schema {0} to {1} of its messages, and {SCHEMA_MIN} to {SCHEMA_MAX} are known here"
    )]
    Schema(u32, u32),
    #[error("Z-Wave JS refuses to tell what there is: {0}")]
    Refused(String),
    #[error("Z-Wave JS has more than {NODES_MAX} nodes")]
    TooManyNodes,
    #[error("Z-Wave JS does not say which network it has")]
    NoNetwork,
    #[error("Z-Wave JS is silent")]
    Silent,
}

impl ZwaveJsRadio {
    /// A client without a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn start(&mut self, exceptions: Vec<Exception>, now: Duration) -> Result<(), Broken> {
        self.exceptions = exceptions;
        self.heard = now;
        let socket = Socket::open()?;
        self.phase = Phase::Greeting(socket, now + ANSWER_TIME);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8], now: Duration) -> Result<(), Broken> {
        let Some(socket) = self.phase.socket() else { return Ok(()) };
        socket.receive(bytes)?;
        (self.heard, self.asked) = (now, false);
        while let Some(socket) = self.phase.socket()
            && let Some(text) = socket.take()?
        {
            self.text(&text)?;
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Broken> {
        let is_greeting = matches!(self.phase, Phase::Greeting(..));
        let message: Message = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) if is_greeting => return Err(Broken::Greeting(error)),
            Err(error) => {
                let reason = format!("a message of Z-Wave JS is not understood: {error}");
                self.outbox.refused(None, RefusalKind::Malformed, &reason);
                return Ok(());
            }
        };
        match message.kind.as_str() {
            "version" if is_greeting => self.version(&message),
            "result" if self.answered(&message) => Ok(()),
            "result" if is_greeting => self.greeted(message),
            "event" => message.event.map_or(Ok(()), |event| self.event(event)),
            _ => Ok(()),
        }
    }

    /// The server says what it speaks; it is told what is spoken here, and asked for all.
    fn version(&mut self, said: &Message) -> Result<(), Broken> {
        let (low, high) =
            (said.min_schema_version.unwrap_or_default(), said.max_schema_version.unwrap_or_default());
        if low > SCHEMA_MAX || high < SCHEMA_MIN {
            return Err(Broken::Schema(low, high));
        }
        self.home = said.home_id.unwrap_or_default();
        self.command("initialize", json!({"schemaVersion": high.min(SCHEMA_MAX)}))?;
        self.command("start_listening", json!({}))?;
        Ok(())
    }

    fn greeted(&mut self, said: Message) -> Result<(), Broken> {
        if !said.success {
            return Err(Broken::Refused(reason(&said)));
        }
        let Some(state) = said.result.and_then(|result| result.state) else { return Ok(()) };
        self.begin(state)
    }

    /// Sends a command; gives its number.
    fn command(&mut self, name: &str, arguments: Json) -> Result<u32, Broken> {
        self.next_message = self.next_message.wrapping_add(1);
        let number = self.next_message;
        let mut command = arguments;
        if let Some(members) = command.as_object_mut() {
            members.insert("messageId".to_owned(), number.to_string().into());
            members.insert("command".to_owned(), name.into());
        }
        if let Some(socket) = self.phase.socket() {
            socket.send(command.to_string())?;
        }
        Ok(number)
    }

    fn time(&mut self, now: Duration) -> Result<(), Broken> {
        let late: Vec<u32> =
            self.calls.iter().filter(|(_, waiting)| now >= waiting.until).map(|(id, _)| *id).collect();
        for call in late.iter().filter_map(|id| self.calls.remove(id)) {
            let failure = format!(
                "Z-Wave JS did not answer within {} seconds; it may still do it",
                CALL_TIME.as_secs()
            );
            self.outbox.done(call.call, Some(&failure));
        }
        let is_late = matches!(self.phase, Phase::Greeting(_, until) if now >= until);
        let is_silent = now >= self.heard + PING_EVERY * 2;
        let is_quiet = now >= self.heard + PING_EVERY && !self.asked;
        match self.phase.socket() {
            Some(_) if is_late || is_silent => Err(Broken::Silent),
            Some(socket) if is_quiet => {
                self.asked = true;
                Ok(socket.ping()?)
            }
            _ => Ok(()),
        }
    }

    /// What came of something: where it cannot go on, the gateway hears why, and whoever waits that it will not be.
    fn settle(&mut self, result: Result<(), Broken>) {
        if let Some(socket) = self.phase.socket() {
            let bytes = socket.take_output();
            self.outbox.line(bytes);
        }
        if let Err(broken) = result {
            self.phase = Phase::Broken;
            for waiting in std::mem::take(&mut self.calls).into_values() {
                self.outbox.done(waiting.call, Some("the connection to Z-Wave JS is gone"));
            }
            self.outbox.end(&broken.to_string());
        }
    }
}

impl Phase {
    fn socket(&mut self) -> Option<&mut Socket> {
        match self {
            Self::Greeting(socket, _) | Self::Listening(socket) => Some(socket),
            Self::Idle | Self::Broken => None,
        }
    }
}

impl Radio for ZwaveJsRadio {
    fn order(&mut self, order: Order, now: Duration) {
        let result = match order {
            Order::Start(start) => self.start(start.exceptions, now),
            Order::Call(call) => self.call(&call, now),
            Order::Admit(_) => {
                self.outbox.refused(None, RefusalKind::Join, "things join at Z-Wave JS, with its own means");
                self.outbox.report(Report::Admission(AdmissionState::Closed));
                Ok(())
            }
            Order::Close => {
                self.outbox.report(Report::Admission(AdmissionState::Closed));
                Ok(())
            }
            Order::Remove(thing) => {
                let id = self.nodes.keys().copied().find(|id| self.address(*id) == thing);
                if let Some(id) = id {
                    self.ignored.insert(id);
                    self.forget(id);
                }
                Ok(())
            }
            Order::Kept | Order::Roll | Order::Ask(_) => Ok(()),
        };
        self.settle(result);
    }

    fn receive(&mut self, bytes: &[u8], now: Duration) {
        let result = self.bytes(bytes, now);
        self.settle(result);
    }

    fn tick(&mut self, now: Duration) {
        let result = self.time(now);
        self.settle(result);
    }

    fn due(&self) -> Option<Duration> {
        let quiet = match self.phase {
            Phase::Idle | Phase::Broken => None,
            Phase::Greeting(_, until) => Some(until),
            Phase::Listening(_) if self.asked => Some(self.heard + PING_EVERY * 2),
            Phase::Listening(_) => Some(self.heard + PING_EVERY),
        };
        self.calls.values().map(|waiting| waiting.until).chain(quiet).min()
    }

    fn output(&mut self) -> Option<Output> {
        self.outbox.take()
    }
}
