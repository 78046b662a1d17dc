//! What a host has a coordinator do: form a network and keep a copy of it, let nodes join with their install codes, ask
//! them what they are, bind them, and talk to them. Commands come out, and what was answered goes in.

mod interview;
mod join;
mod keys;
mod network;
mod talk;

pub use interview::{Interview, InterviewError, Progress};
pub use join::{close, expect_insecure, expect_nobody, look_up, open, permit, remove};
pub use keys::{next_key, read_counter, run_counter, switch_key};
pub use network::{
    COUNTER_MARGIN, Network, configure, forget, form, read_backup, restore, resume, run_address, run_backup,
};
pub use talk::{Protection, Request, become_master, bind, configure_reporting, confirm, enrol, leave, read};
