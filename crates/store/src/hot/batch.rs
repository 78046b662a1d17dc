//! A group of changes that become durable together.

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use thingward_model::{DeviceName, StreamName, TenantName};

use crate::hot::{SealedBlock, chain_key};

/// A table that another part of the service owns: its keys and values are bytes to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// MQTT session state.
    Sessions,
    /// Chain state of each stream.
    Chains,
    /// The last entries of the audit logs.
    Log,
    /// Commands that wait, and those that have ended.
    Commands,
    /// What devices say that they can do.
    Descriptions,
    /// Uses of grants, and how many there are of each.
    Uses,
    /// Everything else that must change in one step with readings.
    Meta,
}

/// Which records of a chain a device's signature stands behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPart {
    /// Every record up to this one, save the exceptions.
    pub through: u64,
    /// First and last record of ranges that stay unsigned.
    pub exceptions: Vec<(u64, u64)>,
}

impl SignedPart {
    /// Whether a signature stands behind record `seq`.
    #[must_use]
    pub fn covers(&self, seq: u64) -> bool {
        seq <= self.through && !self.exceptions.iter().any(|(first, last)| (*first..=*last).contains(&seq))
    }

    /// All numbers in order, eight bytes each.
    fn encode(&self) -> Vec<u8> {
        let pairs = self.exceptions.iter().flat_map(|(first, last)| [*first, *last]);
        std::iter::once(self.through).chain(pairs).flat_map(u64::to_be_bytes).collect()
    }

    /// Reverses [`Self::encode`].
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (words, []) = bytes.as_chunks::<8>() else { return None };
        let mut numbers = words.iter().map(|w| u64::from_be_bytes(*w));
        let mut signed = Self { through: numbers.next()?, exceptions: Vec::new() };
        while let Some(first) = numbers.next() {
            signed.exceptions.push((first, numbers.next()?));
        }
        Some(signed)
    }
}

/// Every table of the hot store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// Sealed blocks, of one or more records each.
    Records,
    /// Which part of each chain is signed.
    Signed,
    /// One entry per history segment.
    Manifest,
    /// A table of another owner.
    Owner(Space),
}

impl Table {
    pub(crate) const ALL: [Self; 10] = [
        Self::Records,
        Self::Signed,
        Self::Manifest,
        Self::Owner(Space::Sessions),
        Self::Owner(Space::Chains),
        Self::Owner(Space::Log),
        Self::Owner(Space::Commands),
        Self::Owner(Space::Descriptions),
        Self::Owner(Space::Uses),
        Self::Owner(Space::Meta),
    ];

    /// Its name on disk. Never changes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Signed => "signed",
            Self::Manifest => "manifest",
            Self::Owner(Space::Sessions) => "sessions",
            Self::Owner(Space::Chains) => "chains",
            Self::Owner(Space::Log) => "log",
            Self::Owner(Space::Commands) => "commands",
            Self::Owner(Space::Descriptions) => "descriptions",
            Self::Owner(Space::Uses) => "uses",
            Self::Owner(Space::Meta) => "meta",
        }
    }

    /// What its keys begin with where all tables are together. Never changes, and none begins with another.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Records => "r",
            Self::Signed => "s",
            Self::Manifest => "m",
            Self::Owner(Space::Sessions) => "S",
            Self::Owner(Space::Chains) => "C",
            Self::Owner(Space::Log) => "L",
            Self::Owner(Space::Commands) => "D",
            Self::Owner(Space::Descriptions) => "T",
            Self::Owner(Space::Uses) => "U",
            Self::Owner(Space::Meta) => "M",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }
}

/// One change, for those who implement a hot store.
pub struct Op {
    /// Where.
    pub table: Table,
    /// The key that changes.
    pub key: Vec<u8>,
    /// Its new value; none means removal.
    pub value: Option<Vec<u8>>,
}

/// Changes that become durable together or not at all. A later change of the same key wins.
#[derive(Default)]
pub struct Batch {
    ops: Vec<Op>,
}

impl Batch {
    /// No changes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the changes of a later batch.
    pub fn extend(&mut self, later: Self) {
        self.ops.extend(later.ops);
    }

    /// Number of changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// True when there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Adds records of readings.
    pub fn put_block(&mut self, block: SealedBlock) {
        self.push(Table::Records, block.key, Some(block.value));
    }

    /// Sets `key` of `space` to `value`.
    pub fn put(&mut self, space: Space, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.push(Table::Owner(space), key.into(), Some(value.into()));
    }

    /// Removes `key` of `space`; no error when it is not there.
    pub fn delete(&mut self, space: Space, key: impl Into<Vec<u8>>) {
        self.push(Table::Owner(space), key.into(), None);
    }

    /// A signed statement of the chain matched: which of its records are device-signed.
    ///
    /// The caller MUST NOT pass less than an earlier call for the chain.
    pub fn set_signed(
        &mut self,
        tenant: &TenantName,
        device: &DeviceName,
        stream: &StreamName,
        chain: [u8; 8],
        signed: &SignedPart,
    ) {
        let key = chain_key(tenant, device, stream, chain);
        self.push(Table::Signed, key, Some(signed.encode()));
    }

    pub(crate) fn push(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.ops.push(Op { table, key, value });
    }

    /// All changes as one entry of a journal: an array of `[table, key, value or null]`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new(Vec::new());
        let written = e.array(self.ops.len() as u64).and_then(|e| {
            for Op { table, key, value } in &self.ops {
                e.array(3)?.str(table.name())?.bytes(key)?;
                match value {
                    Some(value) => e.bytes(value)?,
                    None => e.null()?,
                };
            }
            Ok(e)
        });
        debug_assert!(written.is_ok(), "writing to memory cannot fail");
        e.into_writer()
    }

    /// Reverses [`Self::encode`].
    #[must_use]
    pub fn decode(entry: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(entry);
        let count = d.array().ok()??;
        let mut batch = Self::new();
        for _ in 0..count {
            if d.array().ok()? != Some(3) {
                return None;
            }
            let table = Table::named(d.str().ok()?)?;
            let key = d.bytes().ok()?.to_vec();
            let value = if d.datatype().ok()? == Type::Null {
                d.null().ok()?;
                None
            } else {
                Some(d.bytes().ok()?.to_vec())
            };
            batch.push(table, key, value);
        }
        (d.position() == entry.len()).then_some(batch)
    }

    /// The changes in the order in which they were made.
    #[must_use]
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }
}
