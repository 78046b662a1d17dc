//! Commands of the application support sublayer, which is how keys travel: 4.4.10.

use crate::address::{Eui64, ShortAddress};
use crate::bytes::{Malformed, Reader};
use crate::security::Key;

/// A command of this layer.
pub enum ApsCommand {
    /// A key for its receiver: 4.4.10.1.
    TransportKey(TransportedKey),
    /// A router says who came or left: 4.4.10.2.
    UpdateDevice {
        /// Who.
        device: Eui64,
        /// Its address.
        address: ShortAddress,
        /// What it did: table 4-14.
        status: u8,
    },
    /// A router is told to send somebody away: 4.4.10.3.
    RemoveDevice(Eui64),
    /// Somebody asks for a key: 4.4.10.4.
    RequestKey {
        /// 2: of an application, 4: of the trust centre.
        kind: u8,
        /// With whom, for an application's key.
        partner: Option<Eui64>,
    },
    /// The network goes over to a key that was transported before: 4.4.10.5.
    SwitchKey(u8),
    /// A frame for somebody who has no network key, inside: 4.4.10.6.
    Tunnel {
        /// For whom.
        destination: Eui64,
        /// The frame, secured with their link key.
        frame: Vec<u8>,
    },
    /// Somebody proves that they have the new link key: 4.4.10.7.
    VerifyKey {
        /// 4: of the trust centre.
        kind: u8,
        /// Who.
        source: Eui64,
        /// The keyed hash that only the key gives.
        hash: [u8; 16],
    },
    /// Whether the proof was right: 4.4.10.8.
    ConfirmKey {
        /// 0 is success.
        status: u8,
        /// 4: of the trust centre.
        kind: u8,
        /// Whose.
        destination: Eui64,
    },
    /// Any other.
    Other {
        /// Its number.
        id: u8,
        /// What follows, unread.
        content: Vec<u8>,
    },
}

/// A key on its way: 4.4.10.1.3.
pub enum TransportedKey {
    /// The network's.
    Network {
        /// The key.
        key: Key,
        /// Its number.
        sequence: u8,
        /// For whom; nobody in particular where it is zero.
        destination: Eui64,
        /// The trust centre.
        source: Eui64,
    },
    /// Between a node and its trust centre.
    TrustCentreLink {
        /// The key.
        key: Key,
        /// For whom.
        destination: Eui64,
        /// The trust centre.
        source: Eui64,
    },
    /// Between two nodes.
    ApplicationLink {
        /// The key.
        key: Key,
        /// With whom.
        partner: Eui64,
        /// Whether the receiver asked for it.
        initiator: bool,
    },
}

impl ApsCommand {
    /// Reads a command.
    ///
    /// # Errors
    ///
    /// With what is cut short or reserved.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let id = reader.u8("aps.command")?;
        let r = &mut reader;
        // Later revisions append to these commands.
        Ok(match id {
            0x05 => Self::TransportKey(TransportedKey::read(r)?),
            0x06 => Self::UpdateDevice {
                device: eui64(r)?,
                address: ShortAddress(r.u16("aps.device_address")?),
                status: r.u8("aps.device_status")?,
            },
            0x07 => Self::RemoveDevice(eui64(r)?),
            0x08 => {
                let kind = r.u8("aps.key_type")?;
                Self::RequestKey { kind, partner: if kind == 2 { Some(eui64(r)?) } else { None } }
            }
            0x09 => Self::SwitchKey(r.u8("aps.key_sequence")?),
            0x0e => Self::Tunnel { destination: eui64(r)?, frame: r.rest().to_vec() },
            0x0f => Self::VerifyKey {
                kind: r.u8("aps.key_type")?,
                source: eui64(r)?,
                hash: r.array("aps.key_hash")?,
            },
            0x10 => Self::ConfirmKey {
                status: r.u8("aps.status")?,
                kind: r.u8("aps.key_type")?,
                destination: eui64(r)?,
            },
            _ => Self::Other { id, content: r.rest().to_vec() },
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TransportKey(_) => "Transport Key",
            Self::UpdateDevice { .. } => "Update Device",
            Self::RemoveDevice(_) => "Remove Device",
            Self::RequestKey { .. } => "Request Key",
            Self::SwitchKey(_) => "Switch Key",
            Self::Tunnel { .. } => "Tunnel",
            Self::VerifyKey { .. } => "Verify Key",
            Self::ConfirmKey { .. } => "Confirm Key",
            Self::Other { .. } => "APS Command",
        }
    }
}

impl TransportedKey {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = r.u8("aps.key_type")?;
        let key = Key::new(r.array("aps.key")?);
        match kind {
            1 => Ok(Self::Network {
                key,
                sequence: r.u8("aps.key_sequence")?,
                destination: eui64(r)?,
                source: eui64(r)?,
            }),
            3 => Ok(Self::ApplicationLink {
                key,
                partner: eui64(r)?,
                initiator: r.u8("aps.key_initiator")? != 0,
            }),
            4 => Ok(Self::TrustCentreLink { key, destination: eui64(r)?, source: eui64(r)? }),
            other => Err(Malformed::unknown("aps.key_type", other)),
        }
    }
}

fn eui64(r: &mut Reader<'_>) -> Result<Eui64, Malformed> {
    Ok(Eui64(r.u64("aps.command_eui64")?))
}
