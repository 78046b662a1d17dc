//! What a server of Z-Wave JS says, as far as it is listened to.

use serde::Deserialize;

use super::parts::{Arguments, Numbers};
use crate::lenient::{List, Plain};

/// Most nodes of a network that are told of.
pub(super) const NODES_MAX: usize = 232;
/// Most values of a node that are looked at.
const VALUES_MAX: usize = 512;

/// A message. Which of its parts are there depends on its kind.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) home_id: Option<u32>,
    pub(super) min_schema_version: Option<u32>,
    pub(super) max_schema_version: Option<u32>,
    pub(super) message_id: Option<String>,
    #[serde(default)]
    pub(super) success: bool,
    pub(super) error_code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) zwave_error_message: Option<String>,
    pub(super) result: Option<Answer>,
    pub(super) event: Option<Event>,
}

/// What a command gave.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) state: Option<State>,
    /// What became of a value that was to be written.
    pub(super) result: Option<Written>,
}

/// What became of a value that was to be written.
#[derive(Debug, Deserialize)]
pub(super) struct Written {
    pub(super) status: u16,
    pub(super) message: Option<String>,
}

/// All that there is.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    pub(super) controller: Controller,
    pub(super) nodes: List<NodeState, NODES_MAX>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Controller {
    pub(super) home_id: Option<u32>,
    pub(super) own_node_id: Option<u16>,
}

/// A node.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeState {
    pub(super) node_id: u16,
    #[serde(default)]
    pub(super) ready: bool,
    #[serde(default)]
    pub(super) is_controller_node: bool,
    pub(super) highest_security_class: Option<i16>,
    pub(super) name: Option<String>,
    pub(super) label: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) device_config: Option<DeviceConfig>,
    #[serde(default)]
    pub(super) values: List<ValueState, VALUES_MAX>,
}

/// What is known of a product.
#[derive(Debug, Deserialize)]
pub(super) struct DeviceConfig {
    pub(super) manufacturer: Option<String>,
    pub(super) label: Option<String>,
    pub(super) description: Option<String>,
}

/// A value of a node. In events it is written among their arguments.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ValueState {
    pub(super) command_class: u16,
    #[serde(default)]
    pub(super) endpoint: u16,
    pub(super) property: Plain,
    pub(super) property_key: Option<Plain>,
    #[serde(default)]
    pub(super) metadata: Metadata,
}

/// What kind of value it is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    pub(super) cc_specific: Numbers,
    pub(super) unit: Option<String>,
    pub(super) min: Option<Plain>,
    pub(super) max: Option<Plain>,
    /// By number.
    pub(super) states: Numbers,
}

/// Something happened.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    pub(super) source: String,
    pub(super) event: String,
    pub(super) node_id: Option<u16>,
    pub(super) node: Option<NodeState>,
    pub(super) node_state: Option<NodeState>,
    pub(super) cc_id: Option<u16>,
    #[serde(default)]
    pub(super) args: Arguments,
}

/// What an event says more.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Said {
    pub(super) command_class: Option<u16>,
    #[serde(default)]
    pub(super) endpoint: u16,
    pub(super) property: Option<Plain>,
    pub(super) property_key: Option<Plain>,
    pub(super) new_value: Option<Plain>,
    pub(super) value: Option<Plain>,
    pub(super) metadata: Option<Metadata>,
    /// Of a notification.
    #[serde(rename = "type")]
    pub(super) kind: Option<Plain>,
    pub(super) event: Option<Plain>,
    pub(super) event_type: Option<Plain>,
}

impl ValueState {
    /// The value whose metadata an event tells.
    pub(super) fn of(said: &mut Said) -> Option<Self> {
        Some(Self {
            command_class: said.command_class?,
            endpoint: said.endpoint,
            property: said.property.clone()?,
            property_key: said.property_key.clone(),
            metadata: said.metadata.take()?,
        })
    }
}

impl Written {
    /// Why it is not written; `None` when it is, or is being.
    pub(super) fn failure(&self) -> Option<String> {
        let why = match self.status {
            // It works on it; it did it, and whether or not that was confirmed.
            1 | 254 | 255 => return None,
            0 => "the node cannot do it",
            2 => "the node did not do it",
            3 => "the node has no such endpoint",
            4 => "Z-Wave JS cannot do it",
            5 => "the node does not take this value",
            _ => "Z-Wave JS did not do it",
        };
        let more = self.message.as_ref().map(|more| format!(": {more}")).unwrap_or_default();
        Some(format!("{why}{more}"))
    }
}
