//! Records of one chain sealed under their tenant's key.
//!
//! ```text
//! key      = that of the first record
//! value    = version(1) | id of the tenant key(16) | box of the records
//! version  = 1, with one record / 2, with more
//! records  = 1*64 record
//! ```
//!
//! Up to 64 records of a chain that came in one group of messages and follow each other are in one block: one key, one box, one
//! change. Its numbers have no hole. What comes late begins another block. No number is in two blocks, so the record of a number
//! is in the last block that begins at or before it, or not there. Builds that know one record to a block refuse the others.
//!
//! The box is AES-256-GCM under a key of the chain, with the block's key as associated data. A key per chain
//! keeps the number of random 96-bit nonces under one key far below 2^32 (NIST SP 800-38D, §8.3).

use std::sync::Arc;

use minicbor::Decoder;
use thingward_model::TenantName;

use crate::error::StoreError;
use crate::hot::{block_key, chain_key, parse_block_key};
use crate::keys::{TenantKey, TenantKeyId, TenantKeyRing};
use crate::row::{Record, RecordKey};

/// A block of one record.
const ALONE: u8 = 1;
/// A block of more.
const TOGETHER: u8 = 2;
const RECORDS_MAX: u64 = 64;
/// Bytes of records after which no more are added.
const FULL_BYTES: usize = 64 * 1024;

/// Records on their way into one block.
pub struct Block {
    keys: Arc<TenantKeyRing>,
    key: Vec<u8>,
    first: RecordKey,
    count: u64,
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
        let mut records = Vec::new();
        record.encode(&mut records)?;
        Ok(Self { keys, key, first, count: 1, records })
    }

    /// Puts a record behind the others; `false` when it does not belong there, or there is no room.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] when the record breaks a bound; the block is as before.
    pub fn add(&mut self, record: &Record) -> Result<bool, StoreError> {
        let belongs = self.first.ahead(self.count) == Some(record.key());
        if !belongs || self.count >= RECORDS_MAX || self.records.len() >= FULL_BYTES {
            return Ok(false);
        }
        record.encode(&mut self.records)?;
        self.count += 1;
        Ok(true)
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
        value.push(if self.count == 1 { ALONE } else { TOGETHER });
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
    if ![ALONE, TOGETHER].contains(version) {
        return Err(corrupt());
    }
    let tenant_key =
        keys.find(&TenantKeyId::new(*id)).ok_or(StoreError::WrongKey { what: "a block of hot readings" })?;
    let plain = chain_secret(tenant_key, key)?.open(sealed, key).ok_or_else(corrupt)?;
    read(first, &plain).ok_or_else(corrupt)
}

/// The block that was opened last: who asks for its records one after the other has it opened once.
#[derive(Default)]
pub struct Opened {
    key: Vec<u8>,
    records: Vec<Record>,
    /// How many records were opened in all.
    pub count: u64,
}

impl Opened {
    /// Lets go of the records.
    pub fn forget(&mut self) {
        (self.key, self.records) = Default::default();
    }

    /// The record at `at`, when the block that is open has it.
    pub(crate) fn find(&self, tenant: &TenantName, at: &RecordKey) -> Option<&Record> {
        let is_of_chain = self.key.starts_with(&chain_key(tenant, &at.device, &at.stream, at.chain));
        self.records.iter().find(|record| is_of_chain && record.seq == at.seq)
    }

    /// Opens another block.
    ///
    /// # Errors
    ///
    /// As [`open_block`]; the other one stays.
    pub(crate) fn open(
        &mut self,
        keys: &TenantKeyRing,
        key: Vec<u8>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        if self.key != key {
            self.records = open_block(keys, &key, value)?;
            self.count += self.records.len() as u64;
            self.key = key;
        }
        Ok(())
    }
}

fn read(first: RecordKey, plain: &[u8]) -> Option<Vec<Record>> {
    let (mut d, mut records) = (Decoder::new(plain), vec![]);
    for count in 0.. {
        records.push(Record::decode(first.ahead(count)?, &mut d)?);
        if d.position() == plain.len() {
            break;
        }
    }
    Some(records)
}

/// The key of the block's chain: derived from everything in the block's key but the sequence number.
fn chain_secret(key: &TenantKey, block_key: &[u8]) -> Result<crate::secret::Secret, StoreError> {
    let chain = block_key.get(..block_key.len().saturating_sub(8)).unwrap_or_default();
    key.hot().derive(&[b"chain\0", chain])
}
