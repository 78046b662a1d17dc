//! Encryption: AES-CCM, with a tag in versions 4 and 5.

use crate::ccm::{TAG_BYTES, open_12, stream_13};
use crate::draft::Draft;
use crate::error::Error;
use crate::key::{Devices, KeyKind};
use crate::mibeacon::devices::Product;
use crate::mibeacon::frame::Frame;
use crate::mibeacon::objects;
use crate::report::Format;

const AAD: [u8; 1] = [0x11];

/// Versions 4 and 5: behind the text three bytes of the counter and the tag.
pub(super) fn open(frame: &Frame<'_>, devices: &mut Devices) -> Result<Vec<u8>, Error> {
    let parts = frame.payload.split_last_chunk::<TAG_BYTES>().and_then(|(rest, tag)| {
        let (text, counter) = rest.split_last_chunk::<3>()?;
        Some((text, *counter, tag))
    });
    let (text, counter, tag) = parts.ok_or(Error::TooShort(Format::MiBeacon))?;
    let [a, b, c, d, e, f] = frame.address.to_air();
    let [_, _, product_low, product_high, count] = frame.head;
    let [x, y, z] = counter;
    let nonce = [a, b, c, d, e, f, product_low, product_high, count, x, y, z];
    devices.open(frame.address, KeyKind::Authenticated, frame.counter(counter), |key| {
        open_12(key, &nonce, &AAD, text, tag)
    })
}

/// Versions 2 and 3: behind the text three bytes of the counter and one that checks nothing we know of.
///
/// There is no tag, so a key is taken for the right one when its text is objects, and all of them have a meaning.
pub(super) fn open_legacy(
    frame: &Frame<'_>,
    product: Option<Product>,
    devices: &mut Devices,
) -> Result<Draft, Error> {
    let parts = frame.payload.split_last_chunk::<4>();
    let (text, [x, y, z, _]) = parts.ok_or(Error::TooShort(Format::MiBeacon))?;
    let [a, b, c, d, e, _] = frame.address.to_air();
    let [h0, h1, h2, h3, h4] = frame.head;
    let nonce = [h0, h1, h2, h3, h4, *x, *y, *z, a, b, c, d, e];
    devices.open(frame.address, KeyKind::Legacy, frame.counter([*x, *y, *z]), |key| {
        let mut draft = Draft::default();
        objects::read(&stream_13(key, &nonce, text), product, &mut draft);
        draft.is_understood().then_some(draft)
    })
}
