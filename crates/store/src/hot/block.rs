//! A record sealed under its tenant's key.
//!
//! ```text
//! value = version(1) = 1 | id of the tenant key(16) | box of the record's CBOR
//! ```
//!
//! The box is AES-256-GCM under a key of the chain, with the block's key as associated data. A key per chain
//! keeps the number of random 96-bit nonces under one key far below 2^32 (NIST SP 800-38D, §8.3).

use thingward_model::TenantName;

use crate::error::StoreError;
use crate::hot::{block_key, parse_block_key};
use crate::keys::{TenantKey, TenantKeyId, TenantKeyRing};
use crate::row::{Record, RecordKey};

/// What this build writes and the only version that there is.
const VERSION: u8 = 1;

/// A record that is ready for a batch: nobody reads it without the tenant's key.
pub struct SealedRecord {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// Seals `record` under the newest key of `tenant`. Touches no disk.
pub(crate) fn seal_record(
    tenant: &TenantName,
    keys: &TenantKeyRing,
    record: &Record,
) -> Result<SealedRecord, StoreError> {
    let at = RecordKey { device: record.device, stream: record.stream, chain: record.chain, seq: record.seq };
    let key = block_key(tenant, &at);
    let tenant_key = keys.newest();
    let sealed = chain_secret(tenant_key, &key)?.seal(&record.encode()?, &key)?;
    let mut value = Vec::with_capacity(1 + TenantKeyId::BYTES + sealed.len());
    value.push(VERSION);
    value.extend_from_slice(tenant_key.id().as_bytes());
    value.extend_from_slice(&sealed);
    Ok(SealedRecord { key, value })
}

/// Opens what [`seal_record`] made.
///
/// # Errors
///
/// [`StoreError::WrongKey`] when the tenant has no such key, [`StoreError::Corrupt`] for anything else that does
/// not open.
pub(crate) fn open_block(keys: &TenantKeyRing, key: &[u8], value: &[u8]) -> Result<Record, StoreError> {
    let corrupt = || StoreError::corrupt("a block of hot readings");
    let (_, at) = parse_block_key(key).ok_or_else(corrupt)?;
    let (version, rest) = value.split_first().ok_or_else(corrupt)?;
    let (id, sealed) = rest.split_first_chunk().ok_or_else(corrupt)?;
    if *version != VERSION {
        return Err(corrupt());
    }
    let tenant_key =
        keys.find(&TenantKeyId::new(*id)).ok_or(StoreError::WrongKey { what: "a block of hot readings" })?;
    let plain = chain_secret(tenant_key, key)?.open(sealed, key).ok_or_else(corrupt)?;
    Record::decode(at, &plain).ok_or_else(corrupt)
}

/// The key of the block's chain: derived from everything in the block's key but the sequence number.
fn chain_secret(key: &TenantKey, block_key: &[u8]) -> Result<crate::secret::Secret, StoreError> {
    let chain = block_key.get(..block_key.len().saturating_sub(8)).unwrap_or_default();
    key.hot().derive(&[b"chain\0", chain])
}
