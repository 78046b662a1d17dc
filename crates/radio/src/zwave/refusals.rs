//! What kind of thing was refused.

use thingward_zwave::controller::Unsound;
use thingward_zwave::security0::EncapsulationError;
use thingward_zwave::security2::Unopened;

use crate::wire::RefusalKind;

/// `None` for what a node does that has started again, and that is answered with a nonce.
pub(super) const fn kind(unsound: &Unsound) -> Option<RefusalKind> {
    Some(match unsound {
        Unsound::Security2(Unopened::NoNonce) => return None,
        Unsound::Security2(Unopened::Repeated(_)) | Unsound::Security0(EncapsulationError::Nonce(_)) => {
            RefusalKind::Replay
        }
        Unsound::Stranger
        | Unsound::Refused
        | Unsound::Below { .. }
        | Unsound::Nonce
        | Unsound::KeyExchange
        | Unsound::Security2(Unopened::OutOfStep)
        | Unsound::Security0(EncapsulationError::Forged) => RefusalKind::Forgery,
        Unsound::Line
        | Unsound::Message(_)
        | Unsound::Command(_)
        | Unsound::Status
        | Unsound::Security2(Unopened::Message(_))
        | Unsound::Security0(EncapsulationError::Parse(_) | EncapsulationError::Partial) => {
            RefusalKind::Malformed
        }
    })
}
