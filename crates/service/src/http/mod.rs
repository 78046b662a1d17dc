//! HTTP: enrolment and API over TLS, and the API alone on a socket for whoever owns the data directory.
//!
//! ```text
//! server    connections: handshakes, limits, who the peer is            patience  and who reads nothing
//! est       RFC 7030, membership, CRL
//! caller    who calls, and whether it may                             body  bounded requests, streamed answers
//! order     changes under the caller's own key
//! cookie    what browsers keep for us                                 console  the pages, and what browsers are told
//! api       one module per noun; every handler holds a permit         openapi  the document of it
//! ```

mod api;
mod app;
mod attestation;
mod body;
mod caller;
mod console;
mod cookie;
mod error;
mod est;
mod openapi;
mod ops;
mod order;
mod patience;
mod server;

pub use app::App;
pub(crate) use caller::Peer;
pub use openapi::document;
pub use server::admin_socket;
pub(crate) use server::{Listeners, Site, Stop, Stream, Web, drain, stopped};

#[cfg(test)]
mod tests;
