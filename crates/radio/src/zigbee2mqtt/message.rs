//! What Zigbee2MQTT says of its devices, as far as it is listened to.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::device::Device;
use crate::lenient::{List, Plain};

/// Most devices.
pub(super) const DEVICES_MAX: usize = 256;
/// Most things that a device exposes, features of such a thing, and parts of a feature.
const EXPOSES_MAX: usize = 64;
const FEATURES_MAX: usize = 32;
const PARTS_MAX: usize = 8;
/// Most values of an enumeration.
const VALUES_MAX: usize = 64;

/// The state of the bridge.
#[derive(Debug, Deserialize)]
pub(super) struct BridgeState {
    pub(super) state: String,
}

/// A device.
#[derive(Debug, Deserialize)]
pub(super) struct DeviceState {
    pub(super) ieee_address: String,
    #[serde(default)]
    pub(super) friendly_name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) disabled: bool,
    #[serde(default)]
    pub(super) interview_completed: bool,
    pub(super) definition: Option<Definition>,
}

/// What is known of its model.
#[derive(Debug, Deserialize)]
pub(super) struct Definition {
    #[serde(default)]
    pub(super) vendor: String,
    #[serde(default)]
    pub(super) model: String,
    #[serde(default)]
    pub(super) exposes: List<Expose, EXPOSES_MAX>,
}

/// Something that it exposes.
pub(super) type Expose = Exposed<List<Feature, FEATURES_MAX>>;
/// Of what that consists.
pub(super) type Feature = Exposed<List<Part, PARTS_MAX>>;
/// Of what that consists.
type Part = Exposed<IgnoredAny>;

/// Something exposed, with its parts.
#[derive(Debug, Deserialize)]
pub(super) struct Exposed<P> {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) name: String,
    /// Its member in messages.
    #[serde(default)]
    pub(super) property: String,
    pub(super) endpoint: Option<Plain>,
    /// Bit 0: it is told; bit 1: it can be set.
    #[serde(default)]
    pub(super) access: u8,
    pub(super) unit: Option<String>,
    pub(super) value_on: Option<Plain>,
    pub(super) value_off: Option<Plain>,
    pub(super) value_min: Option<Plain>,
    pub(super) value_max: Option<Plain>,
    #[serde(default)]
    pub(super) values: List<Plain, VALUES_MAX>,
    #[serde(default)]
    pub(super) features: P,
}

/// The devices. Each is made small before the next is read.
#[derive(Debug, Default)]
pub(super) struct Devices {
    pub(super) coordinator: Option<String>,
    pub(super) devices: Vec<Device>,
    pub(super) is_cut: bool,
}

impl<'de> Deserialize<'de> for Devices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Devices;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of devices")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Devices, A::Error> {
                let mut all = Devices::default();
                while all.devices.len() < DEVICES_MAX {
                    let Some(state) = seq.next_element::<DeviceState>()? else { return Ok(all) };
                    if state.kind == "Coordinator" {
                        all.coordinator.get_or_insert(state.ieee_address);
                    } else {
                        all.devices.extend(Device::new(&state));
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    all.is_cut = true;
                }
                Ok(all)
            }
        }
        deserializer.deserialize_seq(All)
    }
}
