//! The device role under Linux: a shell around the device core.
//!
//! - [`home`]: the directory with identity and buffers; [`key_store`]: where its keys are; [`claim`], [`membership`], [`enrol`]: how an identity comes
//!   about and is renewed; [`attest`]: what it proves of itself;
//! - [`disk`], [`segments`], [`spool`], [`stream`]: readings that are durable before anybody is told so;
//! - [`http`], [`uplink`], [`backoff`]: the two ways to the service and how often to try; gateways use them too;
//! - [`agent`]: the running device, which [`input`] and [`replay`] give readings to.

pub mod agent;
pub mod attest;
pub mod backoff;
pub mod claim;
pub mod coap;
pub mod commands;
pub mod disk;
pub mod enrol;
pub mod grants;
pub mod home;
pub mod http;
pub mod input;
pub mod key_store;
pub mod local;
pub mod membership;
pub mod reading;
pub mod replay;
pub mod segments;
pub mod spool;
pub mod stream;
pub mod uplink;
