//! The listeners that service and gateway share, in front of a sequential core: MQTT over TLS connections, and CoAP under
//! OSCORE ([`coap`]).
//!
//! The core decides about messages; here are only sockets, handshakes and their bounds.

mod allowance;
mod balancer;
pub mod coap;
mod crowd;
mod guesses;
mod limits;
mod link;
mod listener;
mod member;
mod output;
mod place;
mod tls;

pub use allowance::{Received, TurnOver};
pub use balancer::{Balancers, Network};
pub use crowd::{Members, Presence, Turn, Turns};
pub use guesses::{GUESS_WINDOW_SECONDS, GUESSES_MAX, Guesses};
pub use limits::ConnectionLimits;
pub use listener::{Core, MqttListener, SharedTls, next_conn};
pub use member::Member;
pub use output::{Output, TooSlow, Waiting, output};
pub use place::place;
