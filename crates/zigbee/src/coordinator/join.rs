//! Who may join.

use super::network::KEY_MANAGER_VERSION;
use super::talk::permit_everywhere;
use crate::address::Eui64;
use crate::bytes::Malformed;
use crate::ezsp::EzspMessage;
use crate::layout::Given;
use crate::security::InstallCode;

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
    if matches!(node, Eui64(0 | u64::MAX)) {
        return Err(Malformed::unknown("join.node", node.0));
    }
    let mut key = vec![("partner", Given::Eui64(node)), ("key", Given::Key(code.link_key()))];
    let command = if version < KEY_MANAGER_VERSION {
        "addTransientLinkKey"
    } else {
        key.push(("flags", Given::Number(0)));
        "importTransientKey"
    };
    let mut commands = vec![EzspMessage::with(command, key)?];
    commands.extend(open(seconds.min(SECONDS_MAX))?);
    Ok(commands)
}

/// Lets nobody join any more.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn close() -> Result<Vec<EzspMessage>, Malformed> {
    open(0)
}

/// The coordinator first, then all routers.
fn open(seconds: u8) -> Result<Vec<EzspMessage>, Malformed> {
    let here = EzspMessage::with("permitJoining", vec![("duration", Given::Number(seconds.into()))])?;
    Ok(vec![here, permit_everywhere(seconds)?])
}
