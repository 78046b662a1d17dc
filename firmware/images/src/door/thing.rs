//! What the door can do.

use thingward_device::{Call, Thing};
use thingward_seal::command::Refusal;

#[derive(Default)]
pub(crate) struct Door {
    /// How often it was opened since the start.
    pub(crate) opened: u16,
}

impl Thing for Door {
    const STREAM: &'static str = "door";
    const FIRMWARE: (&'static str, &'static str) = ("door", env!("CARGO_PKG_VERSION"));
    type Failure = &'static str;

    fn opened<'b>(&self, room: &'b mut [u8; 128]) -> &'b [u8] {
        // [["open", {}]]
        let scope = [0x81, 0x82, 0x64, b'o', b'p', b'e', b'n', 0xa0];
        room[..scope.len()].copy_from_slice(&scope);
        &room[..scope.len()]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Refusal> {
        match (call.action(), call.arguments_len()) {
            ("open", 0) => Ok(()),
            ("open", _) => Err(Refusal::BadInput),
            _ => Err(Refusal::UnknownAction),
        }
    }

    fn perform(&mut self, _: &Call<'_>) -> Result<(), &'static str> {
        self.opened = self.opened.saturating_add(1);
        Ok(())
    }
}
