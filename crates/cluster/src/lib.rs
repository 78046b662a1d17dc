//! What makes several nodes one service: a [`journal`] of everything that changes, written by one of them at a time, and the
//! [`lease`] that says which; and the [`link`] over which the others carry their connections to it. All is kept by NATS
//! JetStream, on as many of its servers as the [`nats::Place`] says; files that never change are there too ([`depot`]), or in
//! a store that speaks S3 ([`s3`]).
//!
//! NATS is a postman here. Journal and links are sealed under the installation's key, so who has its servers can stop the
//! service and neither read nor change anything of them. Of files, segments are encrypted under the tenants' keys; tiles of
//! logs can be read where they are, and that nobody changed them is known from the log's end, which is in the journal.

pub mod depot;
pub mod entry;
pub mod journal;
pub mod lease;
pub mod link;
pub mod nats;
pub mod s3;
pub mod snapshots;
