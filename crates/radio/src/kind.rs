//! What radios speak.

use getrandom::SysRng;
use rand_core::UnwrapErr;
use thingward_model::Link;

use crate::Radio;
use crate::ble::BleRadio;
use crate::wire::Secret;
use crate::zigbee::ZigbeeRadio;
use crate::zigbee2mqtt::Zigbee2MqttRadio;
use crate::zwave::ZwaveRadio;
use crate::zwave_js::ZwaveJsRadio;

/// What a radio speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bluetooth LE advertisements, by HCI or from a recording.
    Ble,
    /// Zigbee, by a coordinator's EZSP.
    Zigbee,
    /// A Zigbee2MQTT, by its broker.
    Zigbee2Mqtt,
    /// Z-Wave, by a controller's Serial API.
    Zwave,
    /// A Z-Wave JS server.
    ZwaveJs,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ble, Self::Zigbee, Self::Zigbee2Mqtt, Self::Zwave, Self::ZwaveJs];

    /// The word that configuration and command line use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ble => "ble",
            Self::Zigbee => "zigbee",
            Self::Zigbee2Mqtt => "zigbee2mqtt",
            Self::Zwave => "zwave",
            Self::ZwaveJs => "zwave-js",
        }
    }

    /// The one with this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The protocol, at its beginning.
    #[must_use]
    pub fn protocol(self) -> Box<dyn Radio> {
        match self {
            Self::Ble => Box::new(BleRadio::new()),
            Self::Zigbee => Box::new(ZigbeeRadio::default()),
            Self::Zigbee2Mqtt => Box::new(Zigbee2MqttRadio::new()),
            Self::Zwave => Box::new(ZwaveRadio::new(UnwrapErr(SysRng))),
            Self::ZwaveJs => Box::new(ZwaveJsRadio::new()),
        }
    }

    /// What a driver had kept, to go on from when it comes out of a backup: what was counted since is not known, so that it is
    /// counted on beyond it. `None` when it cannot be.
    #[must_use]
    pub fn restored(self, kept: &Secret) -> Option<Secret> {
        match self {
            Self::Zigbee => crate::zigbee::restored(kept),
            // Z-Wave agrees on its nonces anew; what advertises counts up by itself, and sources keep their own.
            Self::Ble | Self::Zigbee2Mqtt | Self::Zwave | Self::ZwaveJs => Some(kept.clone()),
        }
    }

    /// How messages of such a radio can have come; the first is the least.
    #[must_use]
    pub const fn links(self) -> &'static [Link] {
        match self {
            Self::Ble => &[Link::BleNone, Link::BleKey],
            Self::Zigbee => &[Link::ZigbeeNetworkKey, Link::ZigbeeLinkKey, Link::ZigbeeInstallCode],
            Self::Zigbee2Mqtt => &[Link::Zigbee2Mqtt],
            Self::Zwave => &[
                Link::ZwaveNone,
                Link::ZwaveS0,
                Link::ZwaveS2Unauthenticated,
                Link::ZwaveS2Authenticated,
                Link::ZwaveS2Access,
            ],
            Self::ZwaveJs => &[Link::ZwaveJs],
        }
    }
}
