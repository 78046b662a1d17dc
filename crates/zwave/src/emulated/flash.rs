//! What a controller and its bulb still know when they had no power.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::controller::BULB;
use super::{Bulb, Controller, Node};
use crate::bytes::Reader;
use crate::{HomeId, Key, ParseError, S2Class, SecurityClass};

/// Of this format.
const FORMAT: u8 = 1;

/// What is there is no flash of such a controller and its bulb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no flash of an emulated controller and its bulb")]
pub struct NoFlash;

impl From<ParseError> for NoFlash {
    fn from(_: ParseError) -> Self {
        Self
    }
}

impl<R: CryptoRng> Controller<R> {
    /// What both keep, which is secret: the network, the bulb's own key, the keys that it was given, how bright it is.
    ///
    /// Nonces are not in it: they are agreed on again.
    #[must_use]
    pub fn flash(&self) -> Zeroizing<Vec<u8>> {
        let node = &self.node;
        // Who has not joined yet begins again.
        let held = |class: &S2Class| node.security2.network_key(*class).filter(|_| node.is_member());
        let mut flash = Zeroizing::new(vec![FORMAT]);
        flash.extend(node.home.0.to_be_bytes());
        flash.extend(*node.private);
        flash.extend([node.bulb.level(), node.bulb.before(), u8::from(self.is_there)]);
        for class in S2Class::ALL {
            if let Some(key) = held(&class) {
                flash.push(SecurityClass::S2(class).bit());
                flash.extend(key.expose());
            }
        }
        flash
    }

    /// Goes on with what was kept.
    ///
    /// # Errors
    ///
    /// [`NoFlash`].
    pub fn resume(flash: &[u8], requested: u8, rng: R) -> Result<Self, NoFlash> {
        let mut reader = Reader::new(flash);
        if reader.u8()? != FORMAT {
            return Err(NoFlash);
        }
        let home = HomeId(reader.u32()?);
        let mut node = Node::new(home, BULB, requested, rng);
        node.private = Zeroizing::new(reader.array()?);
        let [level, before, is_there] = reader.array()?;
        node.bulb = Bulb::of(level, before);
        while !reader.is_empty() {
            let (class, key) = (reader.u8()?, Key::new(reader.array()?));
            node.hold(class, key).ok_or(NoFlash)?;
            node.joining.is_done = true;
        }
        Ok(Self::with(node, is_there == 1))
    }
}
