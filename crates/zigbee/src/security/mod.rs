//! What protects frames: 4.5 and annexes A to C of the Zigbee specification, revision 22.

mod counter;
mod hash;
mod header;
mod install_code;
mod key;
mod protect;

pub use counter::{FrameCounters, Freshness};
pub use hash::{hash, keyed_hash};
pub use header::{KeyIdentifier, SecurityHeader, SecurityLevel};
pub use install_code::{InstallCode, InstallCodeError};
pub use key::{Key, KeyError};
pub use protect::{OpenError, open, seal};
