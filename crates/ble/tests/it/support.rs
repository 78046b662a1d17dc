//! Advertisements as devices would send them.

use aes::Aes128;
use aes::cipher::KeyInit;
use ccm::Ccm;
use ccm::aead::{AeadInOut, Nonce};
use ccm::consts::{U4, U12, U13};
use thingward_ble::hci::{Advertisement, DataStatus};
use thingward_ble::{Address, AddressKind, BindKey, Error, Receiver, Report};

pub(crate) const ADDRESS: Address = Address([0x54, 0x48, 0xe6, 0x8f, 0x80, 0xa5]);
pub(crate) const KEY: [u8; 16] = *b"a key of a thing";
/// Temperature and humidity in BTHome.
pub(crate) const OBJECTS: [u8; 6] = [0x02, 0xca, 0x09, 0x03, 0xbf, 0x13];

pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// A structure of an advertisement.
pub(crate) fn structure(kind: u8, tag: u16, data: &[u8]) -> Vec<u8> {
    let len = u8::try_from(data.len() + 3).unwrap();
    [&[len, kind][..], &tag.to_le_bytes(), data].concat()
}

pub(crate) fn advertisement(address: Address, data: &[u8]) -> Advertisement<'_> {
    Advertisement {
        address,
        address_kind: AddressKind::Public,
        rssi: Some(-60),
        set: None,
        status: DataStatus::Complete,
        data,
    }
}

/// What `receiver` makes of service data.
pub(crate) fn service(receiver: &mut Receiver, service: u16, data: &[u8]) -> Vec<Result<Report, Error>> {
    receiver.receive(&advertisement(ADDRESS, &structure(0x16, service, data)))
}

pub(crate) fn with_key(last: Option<u32>) -> Receiver {
    let mut receiver = Receiver::default();
    receiver.devices.trust(ADDRESS, BindKey::new(&KEY), last).unwrap();
    receiver
}

fn seal<A: AeadInOut + KeyInit>(nonce: &[u8], aad: &[u8], text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut sealed = text.to_vec();
    let nonce = <&Nonce<A>>::try_from(nonce).unwrap();
    let cipher = A::new_from_slice(&KEY).unwrap();
    let tag = cipher.encrypt_inout_detached(nonce, aad, sealed.as_mut_slice().into()).unwrap();
    (sealed, tag.to_vec())
}

/// BTHome version 2.
pub(crate) fn bthome(counter: u32, objects: &[u8]) -> Vec<u8> {
    let counter = counter.to_le_bytes();
    let nonce = [&ADDRESS.0[..], &[0xd2, 0xfc, 0x41], &counter].concat();
    let (sealed, tag) = seal::<Ccm<Aes128, U4, U13>>(&nonce, &[], objects);
    [&[0x41][..], &sealed, &counter, &tag].concat()
}

/// BTHome version 1.
pub(crate) fn bthome_v1(counter: u32, objects: &[u8]) -> Vec<u8> {
    let counter = counter.to_le_bytes();
    let nonce = [&ADDRESS.0[..], &[0x1e, 0x18], &counter].concat();
    let (sealed, tag) = seal::<Ccm<Aes128, U4, U12>>(&nonce, &[0x11], objects);
    [&sealed[..], &counter, &tag].concat()
}

/// MiBeacon version 5 of a thermometer.
pub(crate) fn mibeacon(counter: u32, objects: &[u8]) -> Vec<u8> {
    let [low, above @ ..] = counter.to_le_bytes();
    let head = [0x48, 0x58, 0x59, 0x4f, low];
    let nonce = [&ADDRESS.to_air()[..], &head[2..], &above].concat();
    let (sealed, tag) = seal::<Ccm<Aes128, U4, U12>>(&nonce, &[0x11], objects);
    [&head[..], &sealed, &above, &tag].concat()
}
