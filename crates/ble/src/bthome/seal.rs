//! Encryption: AES-CCM with the device's key; behind the text a counter and a tag, of four bytes each.

use crate::address::Address;
use crate::bthome::{SERVICE, SERVICE_V1_ENCRYPTED};
use crate::ccm::{TAG_BYTES, open_12, open_13};
use crate::error::Error;
use crate::key::{Devices, KeyKind};
use crate::report::Format;

/// Version 1 authenticates a constant.
const AAD_V1: [u8; 1] = [0x11];

struct Sealed<'a> {
    text: &'a [u8],
    counter: [u8; 4],
    tag: &'a [u8; TAG_BYTES],
}

fn split(data: &[u8], format: Format) -> Result<Sealed<'_>, Error> {
    let parts = data.split_last_chunk().and_then(|(rest, tag)| {
        let (text, counter) = rest.split_last_chunk()?;
        Some(Sealed { text, counter: *counter, tag })
    });
    parts.ok_or(Error::TooShort(format))
}

pub(super) fn open_v2(
    address: Address,
    info: u8,
    data: &[u8],
    devices: &mut Devices,
) -> Result<Vec<u8>, Error> {
    let sealed = split(data, Format::BthomeV2)?;
    let [a, b, c, d, e, f] = address.0;
    let [low, high] = SERVICE.to_le_bytes();
    let [w, x, y, z] = sealed.counter;
    let nonce = [a, b, c, d, e, f, low, high, info, w, x, y, z];
    devices.open(address, KeyKind::Authenticated, u32::from_le_bytes(sealed.counter), |key| {
        open_13(key, &nonce, &[], sealed.text, sealed.tag)
    })
}

pub(super) fn open_v1(address: Address, data: &[u8], devices: &mut Devices) -> Result<Vec<u8>, Error> {
    let sealed = split(data, Format::BthomeV1)?;
    let [a, b, c, d, e, f] = address.0;
    let [low, high] = SERVICE_V1_ENCRYPTED.to_le_bytes();
    let [w, x, y, z] = sealed.counter;
    let nonce = [a, b, c, d, e, f, low, high, w, x, y, z];
    devices.open(address, KeyKind::Authenticated, u32::from_le_bytes(sealed.counter), |key| {
        open_12(key, &nonce, &AAD_V1, sealed.text, sealed.tag)
    })
}
