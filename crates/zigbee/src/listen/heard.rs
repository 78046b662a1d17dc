//! What was heard.

use std::time::Duration;

use crate::address::{Eui64, PanId};
use crate::aps::{ApsCommand, ApsHeader};
use crate::bytes::Malformed;
use crate::green_power::{GreenPowerDevice, GreenPowerFrame};
use crate::ieee802154::{Address, Beacon, MacCommand};
use crate::layout::Record;
use crate::library::{CommandInfo, ZdoInfo};
use crate::nwk::NwkCommand;
use crate::security::{Freshness, KeyIdentifier};
use crate::zcl::{Foundation, ZclHeader};

/// A frame, and what could be made of it.
pub struct Heard {
    /// The network.
    pub pan: Option<PanId>,
    /// Who made it.
    pub source: Option<Address>,
    /// For whom it is.
    pub destination: Option<Address>,
    /// Who sent it on, where that is somebody else.
    pub via: Option<Address>,
    /// The Green Power device who made it.
    pub green_power: Option<GreenPowerDevice>,
    /// How it is protected, from the outside in. None means that anybody can have sent it.
    pub protections: Vec<Protection>,
    /// How long ago the same frame was first heard, where its sender repeats it because nobody acknowledged it.
    pub repeats: Option<Duration>,
    /// What it says.
    pub message: Message,
}

/// A layer that protects frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// The network: hop by hop, with a key that all nodes have.
    Network,
    /// The application: from end to end.
    Application,
    /// A Green Power device.
    GreenPower,
}

/// How one layer protects a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// Which layer.
    pub layer: Layer,
    /// Whose key; none of a Green Power device.
    pub key: Option<KeyIdentifier>,
    /// The sender's counter.
    pub frame_counter: u32,
    /// Who protected it.
    pub source: Option<Eui64>,
    /// What could be made of it.
    pub state: ProtectionState,
}

/// What could be made of a protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtectionState {
    /// A key opened it.
    Opened {
        /// Whether it was there before.
        freshness: Freshness,
        /// Who may have the key.
        secrecy: Secrecy,
    },
    /// No key at hand opens it, or it was changed on its way.
    NotOpened,
    /// It does not say who made it, and nobody knows.
    UnknownSource,
    /// There was nothing to open, and nothing was checked but the counter.
    Unchecked(Freshness),
}

/// Who may have a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// As far as was heard, those who should.
    Secret,
    /// Everybody who listened: it went over the air in the clear, or under keys that are not secret. Whoever sent it may also
    /// have made it up.
    GivenAway,
    /// Everybody.
    WellKnown,
}

/// What a frame says.
pub enum Message {
    /// Nothing that can be read.
    Malformed(Malformed),
    /// A frame was received, by its number.
    Acknowledgement(Option<u8>),
    /// A network is here.
    Beacon(Beacon),
    /// A command of the MAC layer.
    Mac(MacCommand),
    /// Something that no key at hand opens.
    Hidden,
    /// A command of the network layer.
    Nwk(NwkCommand),
    /// A command of the application support sublayer.
    Aps(ApsCommand),
    /// A message was received.
    ApsAcknowledgement(ApsHeader),
    /// A part of a longer message.
    Fragment(ApsHeader, Vec<u8>),
    /// A message of the device object.
    Zdo {
        /// Which cluster.
        cluster: u16,
        /// What it is called and consists of, where that is known.
        info: Option<&'static ZdoInfo>,
        /// The sender's number for the exchange.
        sequence: u8,
        /// Its fields.
        record: Record,
        /// What follows them, or all of it where the message is unknown.
        rest: Vec<u8>,
    },
    /// A command of the cluster library.
    Zcl {
        /// Header of the layer below.
        aps: ApsHeader,
        /// Which cluster.
        cluster: u16,
        /// Its header.
        header: ZclHeader,
        /// What follows.
        content: ZclContent,
    },
    /// A frame of a Green Power device.
    GreenPower(GreenPowerFrame),
    /// A message of a profile that is not the library's, with its header.
    Application(ApsHeader, Vec<u8>),
    /// A frame that is not Zigbee's.
    Other(Vec<u8>),
}

/// What follows a header of the cluster library.
pub enum ZclContent {
    /// A command that is the same in all clusters.
    Foundation(Foundation),
    /// A command of the cluster.
    Command(&'static CommandInfo, Record, Vec<u8>),
    /// A command that no table has.
    Unknown(Vec<u8>),
    /// A command that is broken.
    Malformed(Malformed),
}

impl Heard {
    pub(super) const fn new(message: Message) -> Self {
        Self {
            pan: None,
            source: None,
            destination: None,
            via: None,
            green_power: None,
            protections: Vec::new(),
            repeats: None,
            message,
        }
    }

    /// Whether no layer that was opened says that the frame was there before. A counter that nothing vouches for says
    /// nothing: anybody could make others look like replays.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.opened_all(|freshness| matches!(freshness, Freshness::Fresh | Freshness::Untracked))
    }

    /// Whether something may be learnt from it: nothing from what was there before, or may have been.
    pub(super) fn is_new(&self) -> bool {
        self.opened_all(|freshness| freshness == Freshness::Fresh)
    }

    /// How secret is what it says: as secret as the best of the keys that protect it.
    pub(super) fn secrecy(&self) -> Secrecy {
        let secret = |state| matches!(state, ProtectionState::Opened { secrecy: Secrecy::Secret, .. });
        let any = self.protections.iter().any(|protection| secret(protection.state));
        if any { Secrecy::Secret } else { Secrecy::GivenAway }
    }

    /// Whether it gives a key to everybody who listens.
    #[must_use]
    pub fn gives_key_away(&self) -> bool {
        match &self.message {
            Message::Aps(ApsCommand::TransportKey(_)) => self.opened().is_none(),
            Message::GreenPower(frame) => frame.gives_key_away(),
            _ => false,
        }
    }

    fn opened_all(&self, holds: impl Fn(Freshness) -> bool) -> bool {
        self.protections.iter().all(|protection| match protection.state {
            ProtectionState::Opened { freshness, .. } => holds(freshness),
            ProtectionState::NotOpened | ProtectionState::UnknownSource | ProtectionState::Unchecked(_) => {
                true
            }
        })
    }
}

impl Protection {
    pub(super) const fn unchecked(frame_counter: u32, freshness: Freshness) -> Self {
        let state = ProtectionState::Unchecked(freshness);
        Self { layer: Layer::GreenPower, key: None, frame_counter, source: None, state }
    }
}
