//! The network: formed, copied, formed again.

use crate::address::{Eui64, PanId};
use crate::bytes::{Malformed, Problem};
use crate::ezsp::EzspMessage;
use crate::layout::{Given, Item, Record};
use crate::security::Key;
use crate::zcl::Value;

/// Everything that makes a network what it is. Whoever has it can speak as its coordinator.
pub struct Network {
    /// Its short name.
    pub pan: PanId,
    /// Its long name.
    pub extended_pan: Eui64,
    /// Its channel, 11 to 26.
    pub channel: u8,
    /// Which settings these are.
    pub update_id: u8,
    /// Its key.
    pub key: Key,
    /// The key's number.
    pub key_sequence: u8,
    /// The coordinator's counter for the key.
    pub frame_counter: u32,
}

/// Sending power in dBm.
const TX_POWER: i128 = 8;
/// Frames that a restored coordinator skips: it sent some after the copy was made, and nobody takes a counter twice.
pub const COUNTER_MARGIN: u32 = 100_000;
/// The initial security state's bits (`EmberInitialSecurityBitmask`): link keys are hashed from one that the coordinator
/// keeps, and both keys are given.
const SECURITY: i128 = 0x0084 | 0x0100 | 0x0200 | 0x0800;
/// The counter goes on from where it was set.
const KEEPS_COUNTER: i128 = 0x1000;
/// The value that is the counter of network frames (`EzspValueId`).
const NETWORK_COUNTER: i128 = 0x23;
/// And the counter of frames under link keys, which is never ahead of it by more than the margin.
const LINK_COUNTER: i128 = 0x24;
/// From this version on, keys are in the hands of a security manager.
pub(super) const KEY_MANAGER_VERSION: u8 = 13;
/// The network's key by its kind (`EmberKeyType`, `sl_zb_sec_man_key_type_t`).
pub(super) const NETWORK_KEY: i128 = 0x03;
const MANAGED_NETWORK_KEY: i128 = 0x01;
/// Decisions (`EzspPolicyId`, `EzspDecisionBitmask`): nodes join with install codes, and those
/// that missed the network's key get it again under their own.
const TRUST_CENTRE_POLICY: i128 = 0x00;
const JOINS_BY_INSTALL_CODE: i128 = 0x01 | 0x02 | 0x10;
/// Nodes that ask for a link key of their own get it.
const LINK_KEY_POLICY: i128 = 0x05;
const LINK_KEY_OF_ITS_OWN: i128 = 0x51;
/// And none gets one for talking to another.
const APPLICATION_KEY_POLICY: i128 = 0x06;
const NO_APPLICATION_KEYS: i128 = 0x60;
/// What goes to the host is what it sent: only its tag comes back.
const CALLBACK_POLICY: i128 = 0x04;
const TAG_ONLY: i128 = 0x40;
/// Settings (`EzspConfigId`): Zigbee PRO, encryption with a code of 32 bits, announcements to the host too, and seconds
/// that a key waits for its node.
const SETTINGS: [(i128, i128); 4] = [(0x0c, 2), (0x0d, 5), (0x2a, 1), (0x36, 300)];

/// What a coordinator is told once before its network is formed: its settings, its endpoint, and who may join and gets which
/// key.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn configure() -> Result<Vec<EzspMessage>, Malformed> {
    let endpoint = vec![
        ("endpoint", Given::Number(1)),
        ("profile", Given::Number(0x0104)),
        ("device", Given::Number(0x0005)),
        ("flags", Given::Number(0)),
        ("inputCount", Given::Number(4)),
        ("outputCount", Given::Number(1)),
        ("inputs", Given::Numbers(vec![0x0000, 0x0003, 0x0006, 0x000a])),
        ("outputs", Given::Numbers(vec![0x0500])),
    ];
    let setting = |(id, value)| {
        EzspMessage::with(
            "setConfigurationValue",
            vec![("id", Given::Number(id)), ("value", Given::Number(value))],
        )
    };
    let policy = |(policy, decision)| {
        let given = vec![("policy", Given::Number(policy)), ("decision", Given::Number(decision))];
        EzspMessage::with("setPolicy", given)
    };
    let policies = [
        (TRUST_CENTRE_POLICY, JOINS_BY_INSTALL_CODE),
        (LINK_KEY_POLICY, LINK_KEY_OF_ITS_OWN),
        (APPLICATION_KEY_POLICY, NO_APPLICATION_KEYS),
        (CALLBACK_POLICY, TAG_ONLY),
    ];
    let endpoint = std::iter::once_with(|| EzspMessage::with("addEndpoint", endpoint));
    SETTINGS.into_iter().map(setting).chain(endpoint).chain(policies.into_iter().map(policy)).collect()
}

/// Asks the coordinator who it is: an EUI-64.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn run_address() -> Result<EzspMessage, Malformed> {
    EzspMessage::with("getEui64", Vec::new())
}

/// Has the coordinator go on with the network that it remembers. Status 0 where it has one, and 0x93 where it has none.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn resume() -> Result<EzspMessage, Malformed> {
    EzspMessage::with("networkInit", vec![("bitmask", Given::Number(0))])
}

/// Has the coordinator forget its network.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn forget() -> Result<EzspMessage, Malformed> {
    EzspMessage::with("leaveNetwork", Vec::new())
}

/// Forms a new network. `link_key` is what the trust centre hashes link keys from.
///
/// # Errors
///
/// With a channel that there is not, and with a key that everybody knows.
pub fn form(network: &Network, link_key: Key) -> Result<Vec<EzspMessage>, Malformed> {
    Ok(vec![security(network, link_key, SECURITY)?, form_network(network)?])
}

/// Forms a network again, as it was copied.
///
/// # Errors
///
/// With a channel that there is not, with a counter that is used up, and with a key that everybody knows.
pub fn restore(network: &Network, link_key: Key) -> Result<Vec<EzspMessage>, Malformed> {
    let counter = network.frame_counter.checked_add(COUNTER_MARGIN);
    let counter = counter.ok_or(Malformed::new("network.frame_counter", Problem::Range))?;
    let set = |id| {
        let value = Given::Octets(counter.to_le_bytes().to_vec());
        EzspMessage::with("setValue", vec![("id", Given::Number(id)), ("value", value)])
    };
    Ok(vec![
        security(network, link_key, SECURITY | KEEPS_COUNTER)?,
        set(NETWORK_COUNTER)?,
        set(LINK_COUNTER)?,
        form_network(network)?,
    ])
}

/// Asks for what a copy needs; the answers go to [`read_backup`]. Version 13 of the protocol has other commands for keys.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn run_backup(version: u8) -> Result<Vec<EzspMessage>, Malformed> {
    let parameters = EzspMessage::with("getNetworkParameters", Vec::new())?;
    if version < KEY_MANAGER_VERSION {
        let key = vec![("keyType", Given::Number(NETWORK_KEY))];
        return Ok(vec![parameters, EzspMessage::with("getKey", key)?]);
    }
    let key = vec![
        ("keyType", Given::Number(MANAGED_NETWORK_KEY)),
        ("index", Given::Number(0)),
        ("derivedType", Given::Number(0)),
        ("partner", Given::Eui64(Eui64(0))),
        ("multiNetwork", Given::Number(0)),
        ("flags", Given::Number(0)),
        ("algorithm", Given::Number(0)),
    ];
    let info = EzspMessage::with("getNetworkKeyInfo", Vec::new())?;
    Ok(vec![parameters, EzspMessage::with("exportKey", key)?, info])
}

/// The copy, from the answers to [`run_backup`].
///
/// # Errors
///
/// When the coordinator has no network, or the answers are not those.
pub fn read_backup(answers: &[EzspMessage]) -> Result<Network, Malformed> {
    for answer in answers {
        match number::<u32>(&answer.record, "status")? {
            0 => {}
            status => return Err(Malformed::unknown("backup.status", status)),
        }
    }
    let find = |name| answers.iter().find(|answer| answer.info.name == name).map(|answer| &answer.record);
    let missing = |field| Malformed::new(field, Problem::Missing);
    let parameters = find("getNetworkParameters").ok_or(missing("backup.parameters"))?;
    let (key, counter, frame_counter) = match (find("getKey"), find("exportKey"), find("getNetworkKeyInfo")) {
        (Some(key), ..) => (key, key, "outgoingCounter"),
        (None, Some(key), Some(info)) => (key, info, "frameCounter"),
        (None, ..) => return Err(missing("backup.key")),
    };
    let Some(Item::Value(Value::Key(secret))) = key.get("key") else { return Err(missing("key")) };
    let Some(Item::Value(Value::Eui64(extended_pan))) = parameters.get("extendedPan") else {
        return Err(missing("extendedPan"));
    };
    Ok(Network {
        pan: PanId(number(parameters, "pan")?),
        extended_pan: *extended_pan,
        channel: number(parameters, "channel")?,
        update_id: number(parameters, "updateId")?,
        key: secret.clone(),
        key_sequence: number(counter, "sequence")?,
        frame_counter: number(counter, frame_counter)?,
    })
}

fn security(network: &Network, link_key: Key, bitmask: i128) -> Result<EzspMessage, Malformed> {
    // Whoever knows what link keys are hashed from has them all.
    secret("network.link_key", &link_key)?;
    secret("network.key", &network.key)?;
    let given = vec![
        ("bitmask", Given::Number(bitmask)),
        ("preconfiguredKey", Given::Key(link_key)),
        ("networkKey", Given::Key(network.key.clone())),
        ("networkKeySequence", Given::Number(network.key_sequence.into())),
        ("trustCenterEui64", Given::Eui64(Eui64(0))),
    ];
    EzspMessage::with("setInitialSecurityState", given)
}

/// A key that everybody knows is none.
pub(super) fn secret(field: &'static str, key: &Key) -> Result<(), Malformed> {
    if *key == Key::new(Key::WELL_KNOWN_LINK) {
        Err(Malformed::new(field, Problem::WellKnown))
    } else {
        Ok(())
    }
}

fn form_network(network: &Network) -> Result<EzspMessage, Malformed> {
    if !(11..=26).contains(&network.channel) {
        return Err(Malformed::unknown("network.channel", network.channel));
    }
    let given = vec![
        ("extendedPan", Given::Eui64(network.extended_pan)),
        ("pan", Given::Number(network.pan.0.into())),
        ("txPower", Given::Number(TX_POWER)),
        ("channel", Given::Number(network.channel.into())),
        ("joinMethod", Given::Number(0)),
        ("manager", Given::Number(0)),
        ("updateId", Given::Number(network.update_id.into())),
        ("channels", Given::Number(1i128 << network.channel)),
    ];
    EzspMessage::with("formNetwork", given)
}

pub(super) fn number<T: TryFrom<i128>>(record: &Record, name: &'static str) -> Result<T, Malformed> {
    let number = record.number(name).ok_or(Malformed::new(name, Problem::Missing))?;
    T::try_from(number).map_err(|_| Malformed::new(name, Problem::Range))
}
