//! Radios: each has a driver, a process of its own, and things, each of which is a device of its own upstream.
//!
//! The driver says what things there are and what they say; here each is a device whose key this gateway keeps, with a chain,
//! commands and a place in the queue of its own.

mod desk;
mod memory;
mod part;
mod roster;
mod run;
mod status;
mod thing;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use thingward_model::{DeviceName, Link};
use thingward_radio::Order;
use thingward_radio::wire::{Address, Admission, Exception, Secret};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::serial::Surroundings;

pub use self::roster::THINGS_MAX;
pub(crate) use self::status::{Finding, StatusBoard};
pub use self::status::{AdmissionStatus, RadioStatus, RadiosStatus, Refused, State, ThingStatus};

/// Most radios of a gateway.
pub const RADIOS_MAX: usize = 16;

/// What a radio speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RadioKind {
    /// Z-Wave, by a controller's Serial API.
    Zwave,
    /// Zigbee, by a coordinator's EZSP.
    Zigbee,
    /// Bluetooth LE advertisements, by HCI or from a recording.
    Ble,
    /// A Z-Wave JS server.
    ZwaveJs,
    /// A Zigbee2MQTT, by its broker.
    Zigbee2Mqtt,
}

impl RadioKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Zwave, Self::Zigbee, Self::Ble, Self::ZwaveJs, Self::Zigbee2Mqtt];

    /// The word that configuration and command line use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zwave => "zwave",
            Self::Zigbee => "zigbee",
            Self::Ble => "ble",
            Self::ZwaveJs => "zwave-js",
            Self::Zigbee2Mqtt => "zigbee2mqtt",
        }
    }

    /// The one with this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What is said of a message when nobody knows how it was protected.
    const fn least(self) -> Link {
        match self {
            Self::Zwave => Link::ZwaveNone,
            Self::Zigbee => Link::ZigbeeNetworkKey,
            Self::Ble => Link::BleNone,
            Self::ZwaveJs => Link::ZwaveJs,
            Self::Zigbee2Mqtt => Link::Zigbee2Mqtt,
        }
    }

    /// Whether a message of such a radio can have come so.
    const fn has(self, link: Link) -> bool {
        match self {
            Self::Zwave => matches!(
                link,
                Link::ZwaveNone
                    | Link::ZwaveS0
                    | Link::ZwaveS2Unauthenticated
                    | Link::ZwaveS2Authenticated
                    | Link::ZwaveS2Access
            ),
            Self::Zigbee => {
                matches!(link, Link::ZigbeeNetworkKey | Link::ZigbeeLinkKey | Link::ZigbeeInstallCode)
            }
            Self::Ble => matches!(link, Link::BleNone | Link::BleKey),
            Self::ZwaveJs => matches!(link, Link::ZwaveJs),
            Self::Zigbee2Mqtt => matches!(link, Link::Zigbee2Mqtt),
        }
    }
}

/// A radio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RadioSettings {
    /// What it is called. Its things are called after it where nothing else is said.
    pub name: DeviceName,
    /// What it speaks.
    pub kind: RadioKind,
    /// Where: a terminal, a Unix socket, or `tcp:HOST:PORT`.
    pub line: String,
    /// The speed of a terminal.
    pub baud: u32,
    /// What things are called upstream, by their addresses.
    pub names: BTreeMap<Address, DeviceName>,
    /// Things that may join in a way that is otherwise refused, each with a reason.
    pub exceptions: Vec<Exception>,
    /// The program that runs its driver.
    pub program: PathBuf,
}

/// That things may join for a while.
#[derive(Debug, Clone)]
pub(crate) struct Admitting {
    pub(crate) seconds: u16,
    /// Which radio; all of them without it.
    pub(crate) radio: Option<String>,
    /// What is printed on the thing.
    pub(crate) printed: Option<Secret>,
}

/// The radios that run. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Radios {
    orders: Vec<(DeviceName, mpsc::Sender<Order>)>,
    pub(crate) board: StatusBoard,
}

impl Radios {
    /// Starts them; they run until the tasks are dropped.
    ///
    /// # Errors
    ///
    /// When what is known of one, or of its things, cannot be read.
    pub(crate) fn start(
        settings: Vec<RadioSettings>,
        tasks: &mut JoinSet<()>,
        around: &Surroundings,
    ) -> io::Result<Self> {
        let mut radios = Self::default();
        for radio in settings {
            let name = radio.name;
            let (task, orders) = run::Run::open(radio, around.clone(), radios.board.clone())?;
            tasks.spawn(task.run());
            radios.orders.push((name, orders));
        }
        Ok(radios)
    }

    /// Lets things join, or nobody any more.
    pub(crate) fn admit(&self, admitting: &Admitting) {
        for (name, orders) in &self.orders {
            if admitting.radio.as_ref().is_some_and(|radio| radio != name.as_str()) {
                continue;
            }
            let order = match admitting.seconds {
                0 => Order::Close,
                seconds => Order::Admit(Admission { seconds, printed: admitting.printed.clone() }),
            };
            if orders.try_send(order).is_err() {
                tracing::warn!(radio = %name, "the radio has too much to do to let things join");
            }
        }
    }
}
