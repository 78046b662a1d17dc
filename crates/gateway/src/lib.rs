//! The gateway role: a device with children.
//!
//! Things connect with their own certificates; what they publish is made durable here, sealed, before it is
//! acknowledged, and goes on to the service unchanged in an envelope that the gateway signs. A child's chain
//! verifies at the service as if the gateway were not there.

pub mod accounts;
mod as_gateway;
pub mod backup;
mod coap;
mod core;
mod crl;
mod forward;
mod gateway;
pub mod home_assistant;
mod local;
pub mod queue;
pub mod radio;
mod relay;
pub mod serial;
mod standing;
pub mod stepped {
    //! The core by steps: see [`SteppedCore`].
    pub use crate::core::stepped::{SteppedCore, envelope};
}
mod switchboard;
mod time;

pub use gateway::{Gateway, GatewaySettings, GatewayStatus, StartError};
