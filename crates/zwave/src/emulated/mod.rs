//! A controller on the Serial API with a bulb in its network, neither of which is there: for demos and tests.
//!
//! [`Controller`] is the controller's end of the line. [`Node`] is the bulb: it joins with Security 2, when somebody lets it
//! and knows its device-specific key, and is read and switched from then on. What goes over the air is bytes in memory.

mod bulb;
mod controller;
mod flash;
mod joining;
mod node;

pub use bulb::Bulb;
pub use controller::Controller;
pub use flash::NoFlash;
pub use joining::Fault;
pub use node::Node;
