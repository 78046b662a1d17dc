//! Up to where each chain is signed, and what that makes of a row.

use thingward_model::{Assurance, DeviceName, StreamName, TenantName};

use crate::error::StoreError;
use crate::hot::{HotSnapshot, SignedPart, Table, chain_key};
use crate::row::{Row, Value};

/// A chain of a tenant.
type Chain = (DeviceName, StreamName, [u8; 8]);

/// Looks chains up at one moment; remembers the last one, since rows of a chain come together.
pub(crate) struct Signed<'a> {
    snapshot: &'a dyn HotSnapshot,
    tenant: &'a TenantName,
    last: Option<(Chain, Option<SignedPart>)>,
}

impl<'a> Signed<'a> {
    pub(crate) const fn new(snapshot: &'a dyn HotSnapshot, tenant: &'a TenantName) -> Self {
        Self { snapshot, tenant, last: None }
    }

    /// What stands behind the row now: a row that came over a device's own connection is device-signed once a
    /// checkpoint covers it, and end-to-end when besides only the customer can open it.
    pub(crate) fn assurance(&mut self, row: &Row) -> Result<Assurance, StoreError> {
        if row.assurance != Assurance::Transport || !self.is_signed(row)? {
            return Ok(row.assurance);
        }
        Ok(match row.value {
            Value::Sealed(_) => Assurance::EndToEnd,
            Value::Number(_) | Value::Bool(_) | Value::Text(_) | Value::Data(_) => Assurance::DeviceSigned,
        })
    }

    fn is_signed(&mut self, row: &Row) -> Result<bool, StoreError> {
        let chain = (row.device, row.stream, row.chain);
        if self.last.as_ref().is_none_or(|(last, _)| *last != chain) {
            let corrupt = || StoreError::corrupt("the signed part of a chain");
            let key = chain_key(self.tenant, &row.device, &row.stream, row.chain);
            let bytes = self.snapshot.get(Table::Signed, &key)?;
            let part = bytes.map(|b| SignedPart::decode(&b).ok_or_else(corrupt)).transpose()?;
            self.last = Some((chain, part));
        }
        let part = self.last.as_ref().and_then(|(_, part)| part.as_ref());
        Ok(part.is_some_and(|part| part.covers(row.seq)))
    }
}
