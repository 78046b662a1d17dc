//! What the service keeps: who is who, what they measured, and the keys that make it readable.
//!
//! One data directory holds four things:
//!
//! ```text
//! registry.sqlite                      names, public keys, certificates, tokens, wrapped tenant keys   (registry)
//! hot/                                 the latest readings, one sealed block per record, and the state
//!                                      that must change in one step with them                          (hot)
//! segments/<tenant>/<segment>.parquet  history: Parquet with modular encryption                        (segment)
//! logs/<tenant>/tile/…                 the audit log: tiles and entry bundles that are full             (log)
//! ```
//!
//! Readings are sealed under keys derived from their tenant's key, which only the customer's key opens
//! ([`keys`]). Nothing here reads a clock: times come in as arguments. The registry is asynchronous; everything
//! else blocks on the disk and belongs on a blocking thread.

pub mod error;
pub mod hot;
pub mod keys;
pub mod log;
pub mod query;
pub mod registry;
pub mod row;
mod secret;
pub mod segment;
mod shelf;
pub mod store;

pub use error::{PlaceProblem, StoreError};
pub use row::{Hop, Reading, Record, Route, Row, Series, Value};
pub use shelf::Depot;
pub use store::{Opening, Store};
