//! Up to where each chain is signed, and what that makes of a row.

use thingward_model::{Assurance, TenantName};

use crate::error::StoreError;
use crate::hot::{HotSnapshot, Table, chain_key};
use crate::row::{Row, Value};

/// Looks chains up at one moment; remembers the last one, since rows of a chain come together.
pub(crate) struct Signed<'a> {
    snapshot: &'a dyn HotSnapshot,
    tenant: &'a TenantName,
    last: Option<(Vec<u8>, Option<u64>)>,
}

impl<'a> Signed<'a> {
    pub(crate) const fn new(snapshot: &'a dyn HotSnapshot, tenant: &'a TenantName) -> Self {
        Self { snapshot, tenant, last: None }
    }

    /// What stands behind the row now: a row that came over a device's own connection is device-signed once a
    /// checkpoint covers it, and end-to-end when besides only the customer can open it.
    pub(crate) fn assurance(&mut self, row: &Row) -> Result<Assurance, StoreError> {
        if row.assurance != Assurance::Transport || self.through(row)?.is_none_or(|through| row.seq > through)
        {
            return Ok(row.assurance);
        }
        Ok(match row.value {
            Value::Sealed(_) => Assurance::EndToEnd,
            Value::Number(_) | Value::Bool(_) | Value::Text(_) | Value::Data(_) => Assurance::DeviceSigned,
        })
    }

    fn through(&mut self, row: &Row) -> Result<Option<u64>, StoreError> {
        let key = chain_key(self.tenant, &row.device, &row.stream, row.chain);
        if let Some((last, through)) = &self.last
            && *last == key
        {
            return Ok(*through);
        }
        let through = match self.snapshot.get(Table::Signed, &key)? {
            Some(bytes) => {
                let bytes =
                    bytes.try_into().map_err(|_| StoreError::corrupt("the signed part of a chain"))?;
                Some(u64::from_be_bytes(bytes))
            }
            None => None,
        };
        self.last = Some((key, through));
        Ok(through)
    }
}
