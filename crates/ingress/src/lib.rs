//! The MQTT listener that service and gateway share: TLS connections in front of a sequential core.
//!
//! The core decides about messages; here are only sockets, handshakes and their bounds.

mod limits;
mod listener;
mod member;
mod output;

pub use limits::ConnectionLimits;
pub use listener::{Core, MqttListener, SharedTls};
pub use member::Member;
pub use output::{Ended, Output, TooSlow, Waiting, output};
