//! The secret of the part: it stands behind what the device keeps.

use thingward_device::{DeviceSecret, Flash as _};
use zeroize::Zeroizing;

use crate::part::{MEMORY_BYTES, Memory};

/// What a chip in use has in fuses, or where only its boot loader reads it.
pub(crate) struct Secret(pub(crate) Memory);

impl DeviceSecret for Secret {
    fn read(&mut self) -> Option<Zeroizing<[u8; 32]>> {
        let mut secret = Zeroizing::new([0; 32]);
        self.0.read(MEMORY_BYTES, secret.as_mut()).ok()?;
        (*secret != [0xff; 32]).then_some(secret)
    }

    fn erase(&mut self) {
        // There is nothing else to be done when that fails.
        let _ = self.0.write(MEMORY_BYTES, &[0xff; 32]);
    }
}
