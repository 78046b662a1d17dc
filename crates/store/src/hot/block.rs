//! Records of one chain sealed under their tenant's key.
//!
//! ```text
//! key      = that of the first record
//! value    = version(1) = 2 | id of the tenant key(16) | box of the records
//! records  = 1*64 (seq - first seq: uint, record)
//! ```
//!
//! What came of a chain in one group of messages is in one block, in the order of its numbers: one key, one box, one change.
//! A block has no holes. What comes late begins another one, and the record of a number is in the last block that begins at or
//! before it, or not there.
//! A value of version 1 has one record alone, without a number. It is read, and not written any more.
//!
//! The box is AES-256-GCM under a key of the chain, with the block's key as associated data. A key per chain
//! keeps the number of random 96-bit nonces under one key far below 2^32 (NIST SP 800-38D, §8.3).

use std::sync::Arc;

use minicbor::{Decoder, Encoder};
use thingward_model::TenantName;

use crate::error::StoreError;
use crate::hot::{block_key, parse_block_key};
use crate::keys::{TenantKey, TenantKeyId, TenantKeyRing};
use crate::row::{Record, RecordKey};

/// What this build writes.
const VERSION: u8 = 2;
/// What earlier builds wrote.
const ONE_RECORD: u8 = 1;
const RECORDS_MAX: u8 = 64;
/// Bytes of records after which no more are added.
const FULL_BYTES: usize = 64 * 1024;

/// Records on their way into one block.
pub struct Block {
    keys: Arc<TenantKeyRing>,
    key: Vec<u8>,
    first: RecordKey,
    last: u64,
    count: u8,
    records: Vec<u8>,
}

/// A block that is ready for a batch: nobody reads it without the tenant's key.
pub struct SealedBlock {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Block {
    /// Begins one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] when the record breaks a bound.
    pub(crate) fn new(
        tenant: &TenantName,
        keys: Arc<TenantKeyRing>,
        record: &Record,
    ) -> Result<Self, StoreError> {
        let first = record.key();
        let key = block_key(tenant, &first);
        let mut block = Self { keys, key, first, last: first.seq, count: 1, records: Vec::new() };
        block.write(record)?;
        Ok(block)
    }

    /// Puts a record behind the others; `false` when it does not belong there, or there is no room.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] when the record breaks a bound; the block is as before.
    pub fn add(&mut self, record: &Record) -> Result<bool, StoreError> {
        let belongs = record.key().is_behind(&self.first) && Some(record.seq) == self.last.checked_add(1);
        if !belongs || self.count >= RECORDS_MAX || self.records.len() >= FULL_BYTES {
            return Ok(false);
        }
        self.write(record)?;
        (self.last, self.count) = (record.seq, self.count + 1);
        Ok(true)
    }

    fn write(&mut self, record: &Record) -> Result<(), StoreError> {
        let before = self.records.len();
        let offset = record.seq.saturating_sub(self.first.seq);
        let numbered = Encoder::new(&mut self.records).u64(offset).map(drop);
        let invalid = |_| StoreError::Invalid { what: "record cannot be encoded" };
        let written = numbered.map_err(invalid).and_then(|()| record.encode(&mut self.records));
        if written.is_err() {
            self.records.truncate(before);
        }
        written
    }

    /// Seals it under the tenant's newest key. Touches no disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] when there is no randomness.
    pub fn seal(self) -> Result<SealedBlock, StoreError> {
        let tenant_key = self.keys.newest();
        let sealed = chain_secret(tenant_key, &self.key)?.seal(&self.records, &self.key)?;
        let mut value = Vec::with_capacity(1 + TenantKeyId::BYTES + sealed.len());
        value.push(VERSION);
        value.extend_from_slice(tenant_key.id().as_bytes());
        value.extend_from_slice(&sealed);
        Ok(SealedBlock { key: self.key, value })
    }
}

/// Opens what [`Block::seal`] made.
///
/// # Errors
///
/// [`StoreError::WrongKey`] when the tenant has no such key, [`StoreError::Corrupt`] for anything else that does
/// not open.
pub(crate) fn open_block(keys: &TenantKeyRing, key: &[u8], value: &[u8]) -> Result<Vec<Record>, StoreError> {
    let corrupt = || StoreError::corrupt("a block of hot readings");
    let (_, first) = parse_block_key(key).ok_or_else(corrupt)?;
    let (version, rest) = value.split_first().ok_or_else(corrupt)?;
    let (id, sealed) = rest.split_first_chunk().ok_or_else(corrupt)?;
    let tenant_key =
        keys.find(&TenantKeyId::new(*id)).ok_or(StoreError::WrongKey { what: "a block of hot readings" })?;
    let plain = chain_secret(tenant_key, key)?.open(sealed, key).ok_or_else(corrupt)?;
    let mut d = Decoder::new(&plain);
    let records = match *version {
        VERSION => read(first, &mut d),
        ONE_RECORD => Record::decode(first, &mut d).map(|record| vec![record]),
        _ => None,
    };
    records.filter(|_| d.position() == plain.len()).ok_or_else(corrupt)
}

fn read(first: RecordKey, d: &mut Decoder<'_>) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    while d.position() < d.input().len() {
        let seq = first.seq.checked_add(d.u64().ok()?)?;
        records.push(Record::decode(RecordKey { seq, ..first }, d)?);
    }
    (!records.is_empty()).then_some(records)
}

/// The key of the block's chain: derived from everything in the block's key but the sequence number.
fn chain_secret(key: &TenantKey, block_key: &[u8]) -> Result<crate::secret::Secret, StoreError> {
    let chain = block_key.get(..block_key.len().saturating_sub(8)).unwrap_or_default();
    key.hot().derive(&[b"chain\0", chain])
}
