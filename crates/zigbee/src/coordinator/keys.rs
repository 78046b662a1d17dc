//! The network's key, in use: how far its counter is, and a new one.

use super::network::{self, KEY_MANAGER_VERSION};
use crate::address::{Eui64, ShortAddress};
use crate::bytes::Malformed;
use crate::ezsp::EzspMessage;
use crate::layout::Given;
use crate::security::Key;

/// Asks how far the coordinator's counter is; the answer goes to [`read_counter`].
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn run_counter(version: u8) -> Result<EzspMessage, Malformed> {
    if version < KEY_MANAGER_VERSION {
        return EzspMessage::with("getKey", vec![("keyType", Given::Number(network::NETWORK_KEY))]);
    }
    EzspMessage::with("getNetworkKeyInfo", Vec::new())
}

/// The counter, from the answer to [`run_counter`].
///
/// # Errors
///
/// When there is no key, or the answer is another.
pub fn read_counter(answer: &EzspMessage) -> Result<u32, Malformed> {
    match network::number::<u32>(&answer.record, "status")? {
        0 => {}
        status => return Err(Malformed::unknown("counter.status", status)),
    }
    let name = if answer.info.name == "getKey" { "outgoingCounter" } else { "frameCounter" };
    network::number(&answer.record, name)
}

/// Gives one node the network's next key, which is not used yet, under the link key that it has with the coordinator alone. The
/// coordinator holds it as its own next key from then on: all nodes are given the same one.
///
/// # Errors
///
/// With a key that everybody knows.
pub fn next_key(node: ShortAddress, eui64: Eui64, key: &Key) -> Result<EzspMessage, Malformed> {
    network::secret("network.key", key)?;
    let given = vec![
        ("node", Given::Number(node.0.into())),
        ("nodeEui64", Given::Eui64(eui64)),
        ("key", Given::Key(key.clone())),
    ];
    EzspMessage::with("unicastNwkKeyUpdate", given)
}

/// Has all nodes that have the next key use it. This goes to all, and says the key's number alone.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn switch_key() -> Result<EzspMessage, Malformed> {
    EzspMessage::with("broadcastNetworkKeySwitch", Vec::new())
}
