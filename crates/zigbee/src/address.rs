//! Addresses of nodes and networks.

use std::fmt;

/// An extended (IEEE, EUI-64) address. It is sent with its last octet first and written with its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Eui64(pub u64);

/// A node's short address in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShortAddress(pub u16);

/// A network's short name on its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PanId(pub u16);

impl ShortAddress {
    /// The coordinator.
    pub const COORDINATOR: Self = Self(0x0000);
    /// No node has it: it is that of nodes without one (IEEE 802.15.4-2015, 8.4.3.1).
    pub const UNKNOWN: Self = Self(0xfffe);

    /// Whether frames to it go to more than one node: addresses from 0xfff8 (Zigbee 3.6.6, table 3-75).
    #[must_use]
    pub const fn is_broadcast(self) -> bool {
        self.0 >= 0xfff8
    }
}

impl fmt::Display for Eui64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.to_be_bytes().iter().enumerate() {
            write!(f, "{}{byte:02x}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Display for ShortAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0xfffb => f.write_str("low-power routers"),
            0xfffc => f.write_str("routers"),
            0xfffd => f.write_str("awake nodes"),
            0xffff => f.write_str("all nodes"),
            short => write!(f, "0x{short:04x}"),
        }
    }
}

impl fmt::Display for PanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04x}", self.0)
    }
}
