//! The service role: listeners, ingest pipeline, enrolment, API.
//!
//! Start with [`service::Service::start`]; [`core`] is the hot path.

pub mod access;
mod accounts;
mod ahead;
pub mod attestation;
pub mod audit;
pub mod authority;
mod beacon;
mod chores;
mod coap;
mod command;
pub mod core;
mod description;
pub mod directory;
pub mod enrolment;
pub mod finding;
pub mod fsck;
pub mod gate;
mod gateway_status;
mod grants;
pub mod http;
mod membership;
pub mod metrics;
pub mod node;
mod past;
pub mod payload;
pub mod pipeline;
mod purchases;
mod recent;
mod refusals;
mod reign;
mod sealer;
pub mod service;
pub mod settings;
pub mod shared;
mod sign_in;
mod standing;
pub mod stream_state;
mod topics;
mod uses;
pub mod witness;
