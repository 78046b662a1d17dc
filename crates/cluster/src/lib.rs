//! What makes several nodes one service: a [`journal`] of everything that changes, written by one of them at a time, and the
//! [`lease`] that says which; and the [`link`] over which the others carry their connections to it. All is kept by NATS JetStream, on as many of its servers as the [`nats::Place`] says.
//!
//! NATS is a postman here. What it carries is sealed under the installation's key, so who has its servers can stop the
//! service and neither read nor change anything.

pub mod depot;
pub mod entry;
pub mod journal;
pub mod lease;
pub mod link;
pub mod nats;
pub mod s3;
pub mod snapshots;
