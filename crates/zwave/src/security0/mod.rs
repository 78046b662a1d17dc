//! Security 0: CC, "Security 0 (S0) Command Class". For old things only: its key is handed out under one that everybody
//! knows, so that whoever listens to an inclusion has it.

mod frame;
mod nonces;

pub use frame::{
    COMMAND_MAX0, EncapsulationError, FRAME_MAX0, NetworkKeys0, Nonce, Part, decrypt, open, seal,
};
pub use nonces::OwnNonces;
