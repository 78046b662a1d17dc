//! Which segments there are. Entries change in the same batch as the blocks that they replace.

use std::fmt;

use base16ct::lower::encode_string as hex;
use minicbor::{Decoder, Encoder};
use thingward_model::{DeviceName, TenantName, Timestamp};

use crate::error::StoreError;
use crate::hot::{HotSnapshot, Table, parse_tenant, scope_prefix};
use crate::secret::fill_random;

/// Names a segment: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId([u8; 16]);

impl SegmentId {
    pub(crate) fn random() -> Result<Self, StoreError> {
        let mut bytes = [0; 16];
        fill_random(&mut bytes)?;
        Ok(Self(bytes))
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex(&self.0))
    }
}

impl fmt::Debug for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is known of a segment without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Names it.
    pub id: SegmentId,
    /// Rows in it.
    pub rows: u64,
    /// Length of its file.
    pub bytes: u64,
    /// Earliest time of a row.
    pub time_min: Timestamp,
    /// Latest time of a row.
    pub time_max: Timestamp,
    /// First device by name.
    pub device_min: DeviceName,
    /// Last device by name.
    pub device_max: DeviceName,
    /// When it was made.
    pub created: Timestamp,
    /// SHA-256 over the bytes of the file that its encryption does not cover, and over its footer.
    pub(crate) digest: [u8; 32],
}

impl SegmentInfo {
    pub(crate) fn key(&self, tenant: &TenantName) -> Vec<u8> {
        let mut key = scope_prefix(tenant, None, None);
        key.extend_from_slice(&self.id.0);
        key
    }

    /// ```text
    /// entry = [rows, bytes, time_min, time_max, device_min, device_max, created, digest: bstr]
    /// ```
    pub(crate) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let mut e = Encoder::new(Vec::with_capacity(256));
        let written = (|| {
            e.array(8)?.u64(self.rows)?.u64(self.bytes)?;
            e.i64(self.time_min.as_micros())?.i64(self.time_max.as_micros())?;
            e.str(self.device_min.as_str())?.str(self.device_max.as_str())?;
            e.i64(self.created.as_micros())?.bytes(&self.digest)?;
            Ok::<_, minicbor::encode::Error<core::convert::Infallible>>(())
        })();
        written.map_err(|_| StoreError::Invalid { what: "manifest entry cannot be encoded" })?;
        Ok(e.into_writer())
    }

    fn decode(id: SegmentId, bytes: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        if d.array().ok()?? != 8 {
            return None;
        }
        Some(Self {
            id,
            rows: d.u64().ok()?,
            bytes: d.u64().ok()?,
            time_min: Timestamp::from_micros(d.i64().ok()?),
            time_max: Timestamp::from_micros(d.i64().ok()?),
            device_min: d.str().ok()?.parse().ok()?,
            device_max: d.str().ok()?.parse().ok()?,
            created: Timestamp::from_micros(d.i64().ok()?),
            digest: d.bytes().ok()?.try_into().ok()?,
        })
    }
}

/// The segments of a tenant, or of all of them.
pub(crate) fn segments_of(
    snapshot: &dyn HotSnapshot,
    tenant: Option<&TenantName>,
) -> Result<Vec<(TenantName, SegmentInfo)>, StoreError> {
    let prefix = tenant.map(|t| scope_prefix(t, None, None)).unwrap_or_default();
    let mut found = vec![];
    for pair in snapshot.scan(Table::Manifest, &prefix) {
        let (key, value) = pair?;
        let entry = parse_tenant(&key).and_then(|(tenant, id)| {
            let id = SegmentId(id.try_into().ok()?);
            Some((tenant, SegmentInfo::decode(id, &value)?))
        });
        found.push(entry.ok_or_else(|| StoreError::corrupt("an entry of the manifest"))?);
    }
    Ok(found)
}
