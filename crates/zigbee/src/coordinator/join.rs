//! Who may join.

use super::network::KEY_MANAGER_VERSION;
use super::talk::permit_everywhere;
use crate::address::{Eui64, ShortAddress};
use crate::bytes::Malformed;
use crate::ezsp::EzspMessage;
use crate::layout::Given;
use crate::security::{InstallCode, Key};

/// Seconds that a network may stay open: 2.4.3.3.7, longer is for ever.
const SECONDS_MAX: u8 = 254;

/// Lets one node join that shows the key of its install code, for some seconds. Nobody joins without. `version` is that of
/// the protocol.
///
/// # Errors
///
/// With an address that stands for any node or for none.
pub fn permit(
    version: u8,
    node: Eui64,
    code: &InstallCode,
    seconds: u8,
) -> Result<Vec<EzspMessage>, Malformed> {
    let mut commands = vec![expect(version, node, code.link_key())?];
    commands.extend(open(seconds)?);
    Ok(commands)
}

/// Lets one node join under the key that everybody knows: whoever listens then gets the network's key.
///
/// # Errors
///
/// With an address that stands for any node or for none.
pub fn expect_insecure(version: u8, node: Eui64) -> Result<EzspMessage, Malformed> {
    expect(version, node, Key::new(Key::WELL_KNOWN_LINK))
}

/// Forgets which keys nodes will show.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn expect_nobody() -> Result<EzspMessage, Malformed> {
    EzspMessage::with("clearTransientLinkKeys", Vec::new())
}

/// Which key a node will show.
fn expect(version: u8, node: Eui64, key: Key) -> Result<EzspMessage, Malformed> {
    if matches!(node, Eui64(0 | u64::MAX)) {
        return Err(Malformed::unknown("join.node", node.0));
    }
    let mut key = vec![("partner", Given::Eui64(node)), ("key", Given::Key(key))];
    let command = if version < KEY_MANAGER_VERSION {
        "addTransientLinkKey"
    } else {
        key.push(("flags", Given::Number(0)));
        "importTransientKey"
    };
    EzspMessage::with(command, key)
}

/// Lets nobody join any more.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn close() -> Result<Vec<EzspMessage>, Malformed> {
    open(0)
}

/// Lets nodes join whose keys are expected, for some seconds: the coordinator first, then all routers.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn open(seconds: u8) -> Result<Vec<EzspMessage>, Malformed> {
    let seconds = seconds.min(SECONDS_MAX);
    let here = EzspMessage::with("permitJoining", vec![("duration", Given::Number(seconds.into()))])?;
    Ok(vec![here, permit_everywhere(seconds)?])
}

/// Sends a node away: it is told to leave, and its parent to have nothing to do with it.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn remove(node: ShortAddress, eui64: Eui64) -> Result<EzspMessage, Malformed> {
    let given = vec![
        ("node", Given::Number(node.0.into())),
        ("nodeEui64", Given::Eui64(eui64)),
        ("target", Given::Eui64(eui64)),
    ];
    EzspMessage::with("removeDevice", given)
}

/// Asks the coordinator who has a short address.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn look_up(node: ShortAddress) -> Result<EzspMessage, Malformed> {
    EzspMessage::with("lookupEui64ByNodeId", vec![("node", Given::Number(node.0.into()))])
}
