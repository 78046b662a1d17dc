//! IEEE 802.15.4, the layer that Zigbee's frames travel in. Section numbers are those of IEEE 802.15.4-2015.

mod command;
mod fcs;
mod frame;
mod header;

pub use command::{Beacon, MacCommand, ZigbeeBeacon};
pub use fcs::{Fcs, fcs};
pub use frame::Frame;
pub use header::{Address, AuxiliarySecurity, Endpoint, FrameControl, FrameType, Header};

/// Octets of the longest frame with its checksum: aMaxPHYPacketSize, 11.2.
pub const FRAME_BYTES_MAX: usize = 127;
