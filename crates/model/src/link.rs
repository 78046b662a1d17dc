//! How a thing is connected to its gateway, and what protects that link.

use core::fmt;
use core::str::FromStr;

use crate::assurance::UnknownWord;

/// How a thing's message came to the gateway, as it was seen on the link. Written as one byte in envelopes and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Link {
    /// TLS 1.3 with the thing's own certificate.
    MutualTls = 1,
    /// A serial line, on which the thing has proved its key.
    Serial = 2,
    /// Zigbee, under the network key, which every node of the network has.
    ZigbeeNetworkKey = 3,
    /// Zigbee, under a link key that only this node has, and that it got in the open or under a key that everybody knows.
    ZigbeeLinkKey = 4,
    /// Zigbee, under a link key that it got by its install code.
    ZigbeeInstallCode = 5,
    /// Z-Wave in the clear.
    ZwaveNone = 6,
    /// Z-Wave Security 0.
    ZwaveS0 = 7,
    /// Z-Wave Security 2, its device-specific key not compared.
    ZwaveS2Unauthenticated = 8,
    /// Z-Wave Security 2, its device-specific key compared.
    ZwaveS2Authenticated = 9,
    /// Z-Wave Security 2, with the key of doors and garages.
    ZwaveS2Access = 10,
    /// A Bluetooth LE advertisement that anybody may have sent.
    BleNone = 11,
    /// A Bluetooth LE advertisement under the thing's own key.
    BleKey = 12,
    /// CoAP under OSCORE, with keys from EDHOC.
    Oscore = 13,
    /// On the word of Zigbee2MQTT.
    Zigbee2Mqtt = 14,
    /// On the word of Z-Wave JS.
    ZwaveJs = 15,
}

impl Link {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 15] = [
        Self::MutualTls,
        Self::Serial,
        Self::ZigbeeNetworkKey,
        Self::ZigbeeLinkKey,
        Self::ZigbeeInstallCode,
        Self::ZwaveNone,
        Self::ZwaveS0,
        Self::ZwaveS2Unauthenticated,
        Self::ZwaveS2Authenticated,
        Self::ZwaveS2Access,
        Self::BleNone,
        Self::BleKey,
        Self::Oscore,
        Self::Zigbee2Mqtt,
        Self::ZwaveJs,
    ];

    /// Its code in envelopes and rows.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The one with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|link| link.code() == code)
    }

    /// Whether the thing itself signs. Where it does not, the gateway holds a key for it: then no checkpoint is the thing's
    /// word, and no reading is more than [gateway-sealed](crate::Assurance::GatewaySealed).
    #[must_use]
    pub const fn is_thing_itself(self) -> bool {
        matches!(self, Self::MutualTls | Self::Serial | Self::Oscore)
    }

    /// The word that CLI, API and files use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MutualTls => "mutual-tls",
            Self::Serial => "serial",
            Self::ZigbeeNetworkKey => "zigbee-network-key",
            Self::ZigbeeLinkKey => "zigbee-link-key",
            Self::ZigbeeInstallCode => "zigbee-install-code",
            Self::ZwaveNone => "zwave-none",
            Self::ZwaveS0 => "zwave-s0",
            Self::ZwaveS2Unauthenticated => "zwave-s2-unauthenticated",
            Self::ZwaveS2Authenticated => "zwave-s2-authenticated",
            Self::ZwaveS2Access => "zwave-s2-access",
            Self::BleNone => "ble-none",
            Self::BleKey => "ble-key",
            Self::Oscore => "oscore",
            Self::Zigbee2Mqtt => "zigbee2mqtt",
            Self::ZwaveJs => "zwave-js",
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Link {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|link| link.as_str() == text)
            .ok_or(UnknownWord { wanted: "the links of gateways" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_has_a_code_and_a_word_of_its_own() {
        for link in Link::ALL {
            assert_eq!(Link::from_code(link.code()), Some(link));
            assert_eq!(link.as_str().parse(), Ok(link));
        }
        assert_eq!(Link::from_code(0), None);
        assert_eq!(Link::from_code(16), None);
    }
}
