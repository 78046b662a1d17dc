//! Up to where each chain is signed, and what that makes of a row.

use thingward_model::{Assurance, TenantName};

use crate::error::StoreError;
use crate::hot::{HotSnapshot, SignedPart, Table, chain_key};
use crate::row::{Row, Value};

/// Looks chains up at one moment; remembers the last one, since rows of a chain come together.
pub(crate) struct Signed<'a> {
    snapshot: &'a dyn HotSnapshot,
    tenant: &'a TenantName,
    last: Option<(Vec<u8>, SignedPart)>,
}

impl<'a> Signed<'a> {
    pub(crate) const fn new(snapshot: &'a dyn HotSnapshot, tenant: &'a TenantName) -> Self {
        Self { snapshot, tenant, last: None }
    }

    /// What stands behind the row now: a row that came over a device's own connection is device-signed once a
    /// checkpoint covers it, and end-to-end when besides only the customer can open it.
    pub(crate) fn assurance(&mut self, row: &Row) -> Result<Assurance, StoreError> {
        if row.assurance != Assurance::Transport || !self.signed(row)?.covers(row.seq) {
            return Ok(row.assurance);
        }
        Ok(match row.value {
            Value::Sealed(_) => Assurance::EndToEnd,
            Value::Number(_) | Value::Bool(_) | Value::Text(_) | Value::Data(_) => Assurance::DeviceSigned,
        })
    }

    fn signed(&mut self, row: &Row) -> Result<&SignedPart, StoreError> {
        let key = chain_key(self.tenant, &row.device, &row.stream, row.chain);
        if self.last.as_ref().is_none_or(|(last, _)| *last != key) {
            let part = match self.snapshot.get(Table::Signed, &key)? {
                None => SignedPart::default(),
                Some(bytes) => SignedPart::decode(&bytes)
                    .ok_or_else(|| StoreError::corrupt("the signed part of a chain"))?,
            };
            self.last = Some((key, part));
        }
        match &self.last {
            Some((_, part)) => Ok(part),
            None => Err(StoreError::corrupt("the signed part of a chain")),
        }
    }
}
