//! The service role: listeners, ingest pipeline, enrolment, API.

pub mod directory;
pub mod payload;
pub mod settings;
