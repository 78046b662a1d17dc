//! What several nodes of the service stand on, as real servers on loopback. Each ends with the value that stands for it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stand on this: what does not start ends them"
)]

mod haproxy;
mod nats;
mod process;
mod relay;
mod s3;

pub use haproxy::{BALANCER, LoadBalancer, Service};
pub use nats::NatsServers;
pub use process::{free_port, is_installed};
pub use relay::Relay;
pub use s3::{BUCKET, CREDENTIALS, S3Server};
