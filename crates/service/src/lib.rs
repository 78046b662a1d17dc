//! The service role: listeners, ingest pipeline, enrolment, API.

pub mod authority;
pub mod core;
pub mod directory;
pub mod enrolment;
pub mod http;
pub mod payload;
mod service;
pub mod settings;
pub mod shared;
