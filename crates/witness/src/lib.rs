//! The witness role: co-signs audit logs that only grow, on a machine that is not the service's.
//!
//! What it decides is in `thingward_audit::witness`. Here is what that needs:
//!
//! - [`home`]: the folder with the witness's keys and what it has seen;
//! - [`witness`]: one decision at a time for each log, durable before it is signed;
//! - [`server`]: the listener, C2SP tlog-witness over TLS 1.3;
//! - [`client`]: the other end, for a service that wants cosignatures.

pub mod client;
pub mod fingerprint;
pub mod home;
pub mod server;
pub mod witness;

pub use fingerprint::Fingerprint;
