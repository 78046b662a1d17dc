//! ASH: how a host and a coordinator of Silicon Labs talk over a serial line, so that nothing is lost or damaged. Section
//! numbers are those of UG101, UART-EZSP Gateway Protocol Reference.

mod frame;
mod host;
mod line;
mod output;

pub use frame::{AshError, AshFrame, DATA_BYTES_MAX, DATA_BYTES_MIN};
pub use host::AshHost;
pub use line::{LineDecoder, LineEvent};
pub use output::{AshFailure, AshOutput, SendError};
