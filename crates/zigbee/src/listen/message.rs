//! What the application support sublayer carries.

use zeroize::Zeroizing;

use super::heard::{Heard, Message, Secrecy, ZclContent};
use super::keys::KeyRing;
use crate::address::Eui64;
use crate::aps::{Addressing, ApsCommand, ApsFrameType, ApsHeader, TransportedKey};
use crate::bytes::{Malformed, Reader};
use crate::layout::Record;
use crate::library::{self, Clusters};
use crate::security::SecurityHeader;
use crate::zcl::{Foundation, FrameScope, ZclHeader};

/// Reads what a frame of the network layer carries. `source` is who made it.
pub(super) fn application(
    keys: &mut KeyRing,
    source: Option<Eui64>,
    bytes: &[u8],
    heard: &mut Heard,
) -> Result<Message, Malformed> {
    let (header, rest) = ApsHeader::read(bytes)?;
    let payload = if header.secured() {
        let before = bytes.len().saturating_sub(rest.len());
        let header_bytes = bytes.get(..before).unwrap_or_default();
        let (security, protected) = SecurityHeader::read(rest)?;
        let Some(payload) = keys.open_application(header_bytes, &security, source, protected, heard) else {
            return Ok(Message::Hidden);
        };
        payload
    } else {
        rest.to_vec()
    };
    match (header.frame_type(), header.addressing) {
        (ApsFrameType::Command, _) => {
            // A key may be in it.
            let command = ApsCommand::read(&Zeroizing::new(payload))?;
            if heard.is_new() {
                learn_key(keys, &command, heard.secrecy());
            }
            Ok(Message::Aps(command))
        }
        (ApsFrameType::Acknowledgement, _) => Ok(Message::ApsAcknowledgement(header)),
        (ApsFrameType::Data | ApsFrameType::InterPan, Some(_)) if header.is_fragment() => {
            Ok(Message::Fragment(header, payload))
        }
        (ApsFrameType::Data | ApsFrameType::InterPan, Some(addressing)) => data(header, addressing, payload),
        (ApsFrameType::Data | ApsFrameType::InterPan, None) => Ok(Message::Application(header, payload)),
    }
}

/// Keys that were transported are tried from here on.
fn learn_key(keys: &mut KeyRing, command: &ApsCommand, secrecy: Secrecy) {
    match command {
        ApsCommand::TransportKey(TransportedKey::Network { key, destination, .. }) => {
            keys.hand_out(key, *destination, secrecy);
        }
        ApsCommand::TransportKey(
            TransportedKey::TrustCentreLink { key, .. } | TransportedKey::ApplicationLink { key, .. },
        ) => {
            keys.hand_out_link(key, secrecy);
        }
        _ => {}
    }
}

fn data(header: ApsHeader, addressing: Addressing, payload: Vec<u8>) -> Result<Message, Malformed> {
    match library::profile(addressing.profile) {
        Some((_, Clusters::Device)) => zdo(addressing.cluster, &payload),
        Some((_, Clusters::Library)) => zcl(header, addressing.cluster, &payload),
        None => Ok(Message::Application(header, payload)),
    }
}

fn zdo(cluster: u16, payload: &[u8]) -> Result<Message, Malformed> {
    let mut reader = Reader::new(payload);
    let sequence = reader.u8("zdo.sequence")?;
    let info = library::zdo(cluster);
    let (record, rest) = match info {
        Some(info) => info.layout.read(reader.rest())?,
        None => (Record::default(), reader.rest()),
    };
    Ok(Message::Zdo { cluster, info, sequence, record, rest: rest.to_vec() })
}

fn zcl(aps: ApsHeader, cluster: u16, payload: &[u8]) -> Result<Message, Malformed> {
    let (header, rest) = ZclHeader::read(payload)?;
    let content = content(cluster, &header, rest).unwrap_or_else(ZclContent::Malformed);
    Ok(Message::Zcl { aps, cluster, header, content })
}

fn content(cluster: u16, header: &ZclHeader, rest: &[u8]) -> Result<ZclContent, Malformed> {
    if header.scope() == FrameScope::Foundation {
        let command = Foundation::read(header.command, rest)?;
        return Ok(command.map_or_else(|| ZclContent::Unknown(rest.to_vec()), ZclContent::Foundation));
    }
    // What a maker's own command is called and consists of, no table says.
    let known = header.manufacturer.is_none();
    match library::command(cluster, header.direction(), header.command).filter(|_| known) {
        Some(info) => {
            let (record, rest) = info.layout.read(rest)?;
            Ok(ZclContent::Command(info, record, rest.to_vec()))
        }
        None => Ok(ZclContent::Unknown(rest.to_vec())),
    }
}
