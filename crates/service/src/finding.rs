//! Suspected compromise: what was seen, where, since when and how often. Changes with the chain it is about.

use std::collections::BTreeMap;

use minicbor::{Decoder, Encoder};
use thingward_model::{DeviceName, StreamName, TenantName, Timestamp};
use thingward_store::hot::{Batch, Space};
use thingward_store::{Store, StoreError};

/// Where findings are in the store.
const PREFIX: &[u8] = b"finding\0";
/// Most findings kept; further kinds and places are only counted.
const FINDINGS_MAX: usize = 100_000;
/// Most findings kept of one device.
const FINDINGS_OF_DEVICE_MAX: usize = 256;
/// Longest detail, in bytes.
const DETAIL_BYTES_MAX: usize = 256;

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Whose.
    pub tenant: TenantName,
    /// Which device.
    pub device: DeviceName,
    /// Which of its streams; `None` for the device as a whole.
    pub stream: Option<StreamName>,
    /// What was seen, one of a fixed set of words.
    pub kind: String,
}

/// One line of the list of findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where and what.
    pub place: Place,
    /// The latest occurrence in words.
    pub detail: String,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// How often.
    pub count: u64,
}

/// All findings.
#[derive(Default)]
pub struct Findings {
    all: BTreeMap<Place, Finding>,
}

impl Findings {
    /// Reads what earlier runs found.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn load(store: &Store) -> Result<Self, StoreError> {
        let mut findings = Self::default();
        for (key, value) in store.scan(Space::Meta, PREFIX, FINDINGS_MAX)? {
            let found = parse_key(&key).zip(decode(&value));
            let Some((place, (detail, first_seen, last_seen, count))) = found else { continue };
            let finding = Finding { place: place.clone(), detail, first_seen, last_seen, count };
            findings.all.insert(place, finding);
        }
        Ok(findings)
    }

    /// Counts one occurrence; the change goes into `batch`. False when there was no room for it.
    #[must_use]
    pub fn note(&mut self, place: Place, detail: String, now: Timestamp, batch: &mut Batch) -> bool {
        if !self.all.contains_key(&place) && !self.has_room(&place) {
            return false;
        }
        let mut detail = detail;
        detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
        let fresh = || Finding {
            place: place.clone(),
            detail: String::new(),
            first_seen: now,
            last_seen: now,
            count: 0,
        };
        let finding = self.all.entry(place.clone()).or_insert_with(fresh);
        finding.detail = detail;
        finding.last_seen = now;
        finding.count += 1;
        batch.put(Space::Meta, key(&place), encode(finding));
        true
    }

    /// Whether there is room for one more of this device: none may use up what is there for all.
    fn has_room(&self, place: &Place) -> bool {
        let first = Place { stream: None, kind: String::new(), ..place.clone() };
        let of_device =
            self.all.range(first..).take_while(|(p, _)| p.tenant == place.tenant && p.device == place.device);
        self.all.len() < FINDINGS_MAX && of_device.count() < FINDINGS_OF_DEVICE_MAX
    }

    /// The findings of a tenant.
    #[must_use]
    pub fn of_tenant(&self, tenant: &TenantName) -> Vec<Finding> {
        self.all.values().filter(|f| f.place.tenant == *tenant).cloned().collect()
    }
}

fn key(place: &Place) -> Vec<u8> {
    let stream = place.stream.as_ref().map_or("", StreamName::as_str);
    let mut key = PREFIX.to_vec();
    for part in [place.tenant.as_str(), place.device.as_str(), stream, &place.kind] {
        key.extend_from_slice(part.as_bytes());
        key.push(0);
    }
    key
}

fn parse_key(key: &[u8]) -> Option<Place> {
    let text = std::str::from_utf8(key.strip_prefix(PREFIX)?).ok()?;
    let mut parts = text.split('\0');
    let (tenant, device) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let stream = match parts.next()? {
        "" => None,
        name => Some(name.parse().ok()?),
    };
    Some(Place { tenant, device, stream, kind: parts.next()?.to_owned() })
}

/// `[detail, first seen, last seen, count]`; times in microseconds.
fn encode(finding: &Finding) -> Vec<u8> {
    let mut e = Encoder::new(Vec::new());
    let written = e.array(4).and_then(|e| e.str(&finding.detail)).and_then(|e| {
        e.i64(finding.first_seen.as_micros())?.i64(finding.last_seen.as_micros())?.u64(finding.count)
    });
    debug_assert!(written.is_ok(), "writing to memory cannot fail");
    e.into_writer()
}

fn decode(bytes: &[u8]) -> Option<(String, Timestamp, Timestamp, u64)> {
    let mut d = Decoder::new(bytes);
    (d.array().ok()? == Some(4)).then_some(())?;
    let detail = d.str().ok()?.to_owned();
    let (first, last) = (d.i64().ok()?, d.i64().ok()?);
    Some((detail, Timestamp::from_micros(first), Timestamp::from_micros(last), d.u64().ok()?))
}
