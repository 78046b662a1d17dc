//! Keys of the hot store.
//!
//! ```text
//! block key = tenant 00 device 00 stream 00 chain(8) seq(8, big endian)
//! chain key = the same without seq
//! ```
//!
//! Names have no byte 00, so no key is the beginning of a key of another tenant, device or stream, and the
//! records of a chain lie in their order.

use thingward_model::{DeviceName, StreamName, TenantName};

use crate::row::RecordKey;

pub(crate) fn block_key(tenant: &TenantName, at: &RecordKey) -> Vec<u8> {
    let mut key = chain_key(tenant, &at.device, &at.stream, at.chain);
    key.extend_from_slice(&at.seq.to_be_bytes());
    key
}

pub(crate) fn chain_key(
    tenant: &TenantName,
    device: &DeviceName,
    stream: &StreamName,
    chain: [u8; 8],
) -> Vec<u8> {
    let mut key = scope_prefix(tenant, Some(device), Some(stream));
    key.extend_from_slice(&chain);
    key
}

/// The beginning of all keys of a tenant, of one device of it, or of one stream of that device. A stream without
/// a device narrows nothing.
pub(crate) fn scope_prefix(
    tenant: &TenantName,
    device: Option<&DeviceName>,
    stream: Option<&StreamName>,
) -> Vec<u8> {
    let mut key = Vec::with_capacity(96);
    let mut push = |name: &[u8]| {
        key.extend_from_slice(name);
        key.push(0);
    };
    push(tenant.as_bytes());
    if let Some(device) = device {
        push(device.as_bytes());
        if let Some(stream) = stream {
            push(stream.as_bytes());
        }
    }
    key
}

/// Reverses [`block_key`].
pub(crate) fn parse_block_key(key: &[u8]) -> Option<(TenantName, RecordKey)> {
    let (tenant, rest) = split_name(key)?;
    let (device, rest) = split_name(rest)?;
    let (stream, rest) = split_name(rest)?;
    let (chain, seq) = rest.split_first_chunk::<8>()?;
    let seq = u64::from_be_bytes(seq.try_into().ok()?);
    let at = RecordKey { device: device.parse().ok()?, stream: stream.parse().ok()?, chain: *chain, seq };
    Some((tenant.parse().ok()?, at))
}

/// The tenant of a key, and what follows it.
pub(crate) fn parse_tenant(key: &[u8]) -> Option<(TenantName, &[u8])> {
    let (tenant, rest) = split_name(key)?;
    Some((tenant.parse().ok()?, rest))
}

fn split_name(key: &[u8]) -> Option<(&str, &[u8])> {
    let end = key.iter().position(|b| *b == 0)?;
    let (name, rest) = key.split_at_checked(end)?;
    Some((std::str::from_utf8(name).ok()?, rest.get(1..)?))
}
