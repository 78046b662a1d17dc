//! `zigbee`: what goes over the air.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use thingward_crypto::sealed::read_private;
use thingward_model::Timestamp;
use thingward_zigbee::capture::{Capture, CaptureError, Captured, has_checksums};
use thingward_zigbee::ieee802154::{Address, Fcs};
use thingward_zigbee::listen::{
    Heard, KeyRing, Layer, Listener, Message, Protection, ProtectionState, Secrecy, ZclContent,
};
use thingward_zigbee::security::{Freshness, InstallCode, Key};
use zeroize::Zeroizing;

use super::Global;
use crate::failure::Failure;
use crate::output::{self, Output};

/// A capture is read into memory as a whole.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Hexadecimal digits of a key. Install codes have other lengths.
const KEY_DIGITS: usize = 32;

#[derive(Debug, Subcommand)]
pub(super) enum Zigbee {
    /// Show a capture: who said what to whom, how it was protected, and what was sent again.
    Decode(Decode),
}

/// Show a capture.
#[derive(Debug, Args)]
pub(super) struct Decode {
    /// The capture: pcap or pcapng of IEEE 802.15.4, with checksums, without, or with tags (link types 195, 230, 283).
    file: PathBuf,
    /// A network key or link key, 32 hexadecimal digits, or an install code. Other users of this machine can see it here;
    /// --key-file hides it. The link key that everybody knows is there already, and keys that the capture transports are
    /// learnt.
    #[arg(long, value_name = "HEX")]
    key: Vec<String>,
    /// A file with a key or install code on each line. Only its owner may read it.
    #[arg(long, value_name = "FILE")]
    key_file: Vec<PathBuf>,
}

impl Zigbee {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Decode(decode) => decode.run(global),
        }
    }
}

impl Decode {
    fn run(&self, global: &Global) -> Result<(), Failure> {
        let mut listener = Listener::new(self.keys()?);
        let file = read(&self.file)?;
        let failed = |e| Failure::Failed(format!("{}: {e}", self.file.display()));
        let checked = has_checksums(&file).map_err(failed)?;
        let mut seen = Seen::default();
        for (number, captured) in (1u64..).zip(Capture::open(&file).map_err(failed)?) {
            let frame = match captured {
                Ok(captured) => Frame::of(number, &captured, checked, &mut listener),
                Err(error @ CaptureError::Frame(_)) => Frame::damaged(number, error),
                Err(error) => return Err(failed(error)),
            };
            seen.count(&frame);
            match global.output {
                Output::Text => output::line(&frame.text()),
                Output::Json => output::line(&frame.json().to_string()),
            }
        }
        if global.output == Output::Text {
            output::line(&seen.text());
        }
        Ok(())
    }

    fn keys(&self) -> Result<KeyRing, Failure> {
        let mut ring = KeyRing::default();
        for key in &self.key {
            add(&mut ring, key).map_err(Failure::Usage)?;
        }
        for file in &self.key_file {
            let text = read_private(file).map_err(Failure::file(file))?;
            let text = Zeroizing::new(String::from_utf8_lossy(&text).into_owned());
            let lines = (1u64..).zip(text.lines().map(str::trim));
            for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
                let wrong = |e| Failure::Failed(format!("{}, line {number}: {e}", file.display()));
                add(&mut ring, line).map_err(wrong)?;
            }
        }
        Ok(ring)
    }
}

/// Nobody has to know whether a key is a network's or a link's: it is tried as both.
fn add(ring: &mut KeyRing, text: &str) -> Result<(), String> {
    let digits = text.chars().filter(char::is_ascii_hexdigit).count();
    let (network, link) = if digits == KEY_DIGITS {
        let key = Key::from_hex(text).map_err(|e| e.to_string())?;
        (ring.add_network(key.clone()), ring.add_link(key))
    } else {
        let neither =
            |e| format!("neither a key of {KEY_DIGITS} hexadecimal digits nor an install code: {e}");
        let code = InstallCode::parse(text).map_err(neither)?;
        (true, ring.add_link(code.link_key()))
    };
    if network && link { Ok(()) } else { Err("more keys than are kept".to_owned()) }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // A pipe does not say how long it is.
    let read = File::open(file).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    let length = u64::try_from(read.map_err(Failure::file(file))?).unwrap_or(u64::MAX);
    if length > FILE_BYTES_MAX {
        let file = file.display();
        return Err(Failure::Failed(format!(
            "{file} is too long: captures up to {FILE_BYTES_MAX} bytes are read; Wireshark's editcap -c cuts one"
        )));
    }
    Ok(bytes)
}

/// A frame of the file, and what there is to say of it.
struct Frame {
    number: u64,
    /// Absent where the frame was not captured whole, or the file does not say it.
    time: Option<Timestamp>,
    heard: Result<Heard, String>,
}

impl Frame {
    fn of(number: u64, captured: &Captured<'_>, checked: bool, listener: &mut Listener) -> Self {
        let micros = |at: Duration| i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
        let time = captured.at.map(|at| Timestamp::from_micros(micros(at)));
        let heard = match captured.fcs {
            Fcs::Bad { found, computed } if checked => {
                Err(format!("damaged: checksum is {found:#06x}, the bytes give {computed:#06x}"))
            }
            Fcs::Good | Fcs::Absent | Fcs::Bad { .. } => Ok(listener.hear(captured.at, captured.frame)),
        };
        Self { number, time, heard }
    }

    fn damaged(number: u64, why: impl ToString) -> Self {
        Self { number, time: None, heard: Err(why.to_string()) }
    }

    fn text(&self) -> String {
        let time = self.time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        let said = match &self.heard {
            Ok(heard) => {
                format!("{:<26} {:<32} {}", way(heard), heard.security(), heard.message)
            }
            Err(why) => why.clone(),
        };
        // What was on the air may hold anything; a terminal must not obey it.
        let said: String = said.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        format!("{:>6} {time:<27} {}", self.number, said.trim_end())
    }

    fn json(&self) -> Json {
        let time = self.time.map(|time| time.to_string());
        let heard = match &self.heard {
            Ok(heard) => heard,
            Err(why) => return json!({"frame": self.number, "time": time, "kind": "damaged", "what": why}),
        };
        json!({
            "frame": self.number,
            "time": time,
            "pan": heard.pan.map(|pan| pan.to_string()),
            "source": heard.source.map(address),
            "destination": heard.destination.map(address),
            "via": heard.via.map(address),
            "green_power_device": heard.green_power.map(|device| device.to_string()),
            "security": heard.protections.iter().map(protection).collect::<Vec<_>>(),
            "key_in_the_clear": heard.gives_key_away(),
            "replayed": !heard.is_fresh() && heard.repeats.is_none(),
            "repeated": heard.repeats.is_some(),
            "kind": kind(&heard.message),
            "what": heard.message.to_string(),
        })
    }
}

/// From whom to whom.
fn way(heard: &Heard) -> String {
    let source = match (heard.green_power, heard.source) {
        (Some(device), _) => device.to_string(),
        (None, Some(source)) => source.to_string(),
        (None, None) => "-".to_owned(),
    };
    let destination = heard.destination.map_or_else(|| "-".to_owned(), |destination| destination.to_string());
    let via = heard.via.map(|via| format!(" via {via}")).unwrap_or_default();
    format!("{source} → {destination}{via}")
}

/// An address for programs: the short ones as numbers, broadcasts too.
fn address(address: Address) -> String {
    match address {
        Address::Short(short) => format!("{:#06x}", short.0),
        Address::Extended(eui64) => eui64.to_string(),
    }
}

fn protection(protection: &Protection) -> Json {
    let layer = match protection.layer {
        Layer::Network => "network",
        Layer::Application => "application",
        Layer::GreenPower => "green-power",
    };
    let (state, fresh) = match protection.state {
        ProtectionState::Opened { freshness, .. } => ("opened", Some(freshness)),
        ProtectionState::NotOpened => ("not-opened", None),
        ProtectionState::UnknownSource => ("unknown-source", None),
        ProtectionState::Unchecked(freshness) => ("unchecked", Some(freshness)),
    };
    let fresh = fresh.map(|freshness| match freshness {
        Freshness::Fresh => "fresh",
        Freshness::Replayed { .. } => "replayed",
        Freshness::Exhausted => "exhausted",
        Freshness::Untracked => "untracked",
    });
    json!({
        "layer": layer,
        "frame_counter": protection.frame_counter,
        "source": protection.source.map(|source| source.to_string()),
        "state": state,
        "freshness": fresh,
        "well_known_key": matches!(protection.state, ProtectionState::Opened { secrecy: Secrecy::WellKnown, .. }),
        "key_given_away": matches!(protection.state, ProtectionState::Opened { secrecy: Secrecy::GivenAway, .. }),
    })
}

const fn kind(message: &Message) -> &'static str {
    match message {
        Message::Malformed(_) | Message::Zcl { content: ZclContent::Malformed(_), .. } => "malformed",
        Message::Acknowledgement(_) => "acknowledgement",
        Message::Beacon(_) => "beacon",
        Message::Mac(_) => "mac-command",
        Message::Hidden => "hidden",
        Message::Nwk(_) => "network-command",
        Message::Aps(_) => "aps-command",
        Message::ApsAcknowledgement(_) => "aps-acknowledgement",
        Message::Fragment(..) => "fragment",
        Message::Zdo { .. } => "zdo",
        Message::Zcl { .. } => "zcl",
        Message::GreenPower(_) => "green-power",
        Message::Application(..) => "application",
        Message::Other(_) => "other",
    }
}

/// What was seen in all.
#[derive(Default)]
struct Seen {
    frames: u64,
    opened: u64,
    hidden: u64,
    replayed: u64,
    damaged: u64,
    malformed: u64,
}

impl Seen {
    fn count(&mut self, frame: &Frame) {
        self.frames += 1;
        let Ok(heard) = &frame.heard else {
            self.damaged += 1;
            return;
        };
        self.opened += u64::from(heard.opened().is_some());
        self.hidden += u64::from(matches!(heard.message, Message::Hidden));
        self.replayed += u64::from(!heard.is_fresh() && heard.repeats.is_none());
        self.malformed += u64::from(kind(&heard.message) == "malformed");
    }

    fn text(&self) -> String {
        let Self { frames, opened, hidden, replayed, damaged, malformed } = self;
        format!(
            "{frames} frames: {opened} opened, {hidden} hidden, {replayed} replayed, {malformed} malformed, \
             {damaged} damaged"
        )
    }
}
