//! Everything from outside: published and recorded advertisements, broken ones, those sent again, and where they come
//! from.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

mod broken;
mod replay;
mod sources;
mod support;
mod vectors;
