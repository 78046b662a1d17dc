//! What a host has a coordinator do: form a network and keep a copy of it, let nodes join with their install codes, ask
//! them what they are, bind them, and talk to them. Commands come out, and what was answered goes in.

mod interview;
mod join;
mod network;
mod talk;

pub use interview::{Interview, InterviewError, Progress};
pub use join::{close, permit};
pub use network::{Network, configure, form, read_backup, restore, run_backup};
pub use talk::{Request, bind, configure_reporting};
