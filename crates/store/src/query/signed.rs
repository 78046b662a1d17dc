//! Up to where each chain is signed, and what that makes of a row.

use thingward_model::{Assurance, DeviceName, StreamName, TenantName};

use crate::error::StoreError;
use crate::hot::{HotSnapshot, SignedPart, Table, chain_key};
use crate::row::{Row, Value};

/// A chain of a tenant.
pub(crate) type Chain = (DeviceName, StreamName, [u8; 8]);

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
        let assurance = self.of_open(row.assurance, (row.device, row.stream, row.chain), row.seq)?;
        let was_signed_since = assurance != row.assurance;
        Ok(match row.value {
            Value::Sealed(_) if was_signed_since => Assurance::EndToEnd,
            _ => assurance,
        })
    }

    /// The same of a row that the service opens and that was kept with this assurance, by its chain and its number there.
    pub(crate) fn of_open(
        &mut self,
        kept: Assurance,
        chain: Chain,
        seq: u64,
    ) -> Result<Assurance, StoreError> {
        let is_signed = kept == Assurance::Transport && self.is_signed(chain, seq)?;
        Ok(if is_signed { Assurance::DeviceSigned } else { kept })
    }

    fn is_signed(&mut self, chain: Chain, seq: u64) -> Result<bool, StoreError> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != chain) {
            let corrupt = || StoreError::corrupt("the signed part of a chain");
            let (device, stream, id) = &chain;
            let key = chain_key(self.tenant, device, stream, *id);
            let bytes = self.snapshot.get(Table::Signed, &key)?;
            let part = bytes.map(|b| SignedPart::decode(&b).ok_or_else(corrupt)).transpose()?;
            self.last = Some((chain, part));
        }
        let part = self.last.as_ref().and_then(|(_, part)| part.as_ref());
        Ok(part.is_some_and(|part| part.covers(seq)))
    }
}
