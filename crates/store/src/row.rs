//! A reading as the store keeps and returns it.

use minicbor::{Decoder, Encoder, data::Type};
use thingward_model::limits::{READINGS_PER_RECORD_MAX, UNIT_BYTES_MAX, VALUE_BYTES_MAX};
use thingward_model::{Assurance, DeviceName, FieldName, Link, StreamName, Timestamp};

use crate::error::StoreError;

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number: SenML `v`.
    Number(f64),
    /// True or false: SenML `vb`.
    Bool(bool),
    /// Text: SenML `vs`.
    Text(String),
    /// Bytes: SenML `vd`.
    Data(Vec<u8>),
    /// Ciphertext that only the customer opens.
    Sealed(Vec<u8>),
}

/// One value of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Which of several values of the stream; none when the stream has one.
    pub field: Option<FieldName>,
    /// When it was measured.
    pub time: Timestamp,
    /// What was measured.
    pub value: Value,
    /// Unit in SenML terms (RFC 8428, §12.1), at most 16 bytes.
    pub unit: Option<String>,
}

/// What a gateway says of a record that it carried. On its word alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// Which gateway.
    pub gateway: DeviceName,
    /// How it had the record from the thing.
    pub link: Link,
    /// When it got it.
    pub received: Timestamp,
}

/// How a record came to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// From the device itself, over this link.
    Direct(Link),
    /// Through a gateway.
    Through(Hop),
}

impl Route {
    /// As what nothing else is said of: over TLS, with the device's own certificate.
    pub const TLS: Self = Self::Direct(Link::MutualTls);

    /// What a gateway says of it, where it came through one.
    #[must_use]
    pub const fn hop(self) -> Option<Hop> {
        match self {
            Self::Direct(_) => None,
            Self::Through(hop) => Some(hop),
        }
    }

    /// The link from the device, where there is something to say of it: `None` for [`Self::TLS`].
    #[must_use]
    pub const fn link(self) -> Option<Link> {
        match self {
            Self::Direct(Link::MutualTls) => None,
            Self::Direct(link) | Self::Through(Hop { link, .. }) => Some(link),
        }
    }
}

/// One record of a chain with the 1 to 64 readings that it carries: what is stored in one piece.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Who measured.
    pub device: DeviceName,
    /// Where it belongs.
    pub stream: StreamName,
    /// The chain that the record continues.
    pub chain: [u8; 8],
    /// The record's place in the chain.
    pub seq: u64,
    /// When the service received it.
    pub received: Timestamp,
    /// What stood behind it on arrival.
    pub assurance: Assurance,
    /// How it came.
    pub route: Route,
    /// Its readings, in the order sent.
    pub readings: Vec<Reading>,
}

/// One reading with everything known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Who measured.
    pub device: DeviceName,
    /// Where it belongs.
    pub stream: StreamName,
    /// Which of several values of the stream; none when the stream has one.
    pub field: Option<FieldName>,
    /// The chain that its record continues.
    pub chain: [u8; 8],
    /// Its record's place in the chain.
    pub seq: u64,
    /// Its place in the record, from 0.
    pub item: u8,
    /// When it was measured.
    pub time: Timestamp,
    /// When the service received it.
    pub received: Timestamp,
    /// What was measured.
    pub value: Value,
    /// Unit in SenML terms.
    pub unit: Option<String>,
    /// What stands behind it, now.
    pub assurance: Assurance,
    /// How it came.
    pub route: Route,
}

/// What rows are ordered by in answers: time first; no two rows of a tenant have the same.
pub(crate) type RowKey = (Timestamp, DeviceName, StreamName, Option<FieldName>, [u8; 8], u64, u8);

/// What belongs together in one line of a chart: same source, same unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// Who measured.
    pub device: DeviceName,
    /// Where it belongs.
    pub stream: StreamName,
    /// Which of several values of the stream.
    pub field: Option<FieldName>,
    /// Unit in SenML terms.
    pub unit: Option<String>,
}

/// A series where its names lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeriesRef<'a> {
    pub(crate) device: &'a DeviceName,
    pub(crate) stream: &'a StreamName,
    pub(crate) field: Option<&'a FieldName>,
    pub(crate) unit: Option<&'a str>,
}

impl From<SeriesRef<'_>> for Series {
    fn from(SeriesRef { device, stream, field, unit }: SeriesRef<'_>) -> Self {
        Self { device: *device, stream: *stream, field: field.copied(), unit: unit.map(ToOwned::to_owned) }
    }
}

impl PartialEq<SeriesRef<'_>> for Series {
    fn eq(&self, other: &SeriesRef<'_>) -> bool {
        self.device == *other.device
            && self.stream == *other.stream
            && self.field.as_ref() == other.field
            && self.unit.as_deref() == other.unit
    }
}

impl Row {
    pub(crate) fn key(&self) -> RowKey {
        (self.time, self.device, self.stream, self.field, self.chain, self.seq, self.item)
    }

    /// The series that the row is one point of.
    pub(crate) fn series(&self) -> SeriesRef<'_> {
        let Self { device, stream, field, unit, .. } = self;
        SeriesRef { device, stream, field: field.as_ref(), unit: unit.as_deref() }
    }
}

impl Record {
    pub(crate) const fn key(&self) -> RecordKey {
        RecordKey { device: self.device, stream: self.stream, chain: self.chain, seq: self.seq }
    }

    /// The readings, each with what it shares with the others.
    pub fn into_rows(self) -> impl Iterator<Item = Row> {
        let Self { device, stream, chain, seq, received, assurance, route, readings } = self;
        (0_u8..).zip(readings).map(move |(item, r)| Row {
            device,
            stream,
            field: r.field,
            chain,
            seq,
            item,
            time: r.time,
            received,
            value: r.value,
            unit: r.unit,
            assurance,
            route,
        })
    }

    /// Writes everything that the block says nothing of already, as CBOR. Nothing is written of what is refused.
    ///
    /// ```text
    /// record  = [received: int, assurance: uint, ? route, 1*64 reading]
    /// route   = [gateway: tstr, link: uint, received: int] / [link: uint]
    /// reading = [field: tstr / null, time: int, value, unit: tstr / null]
    /// value   = float64 / bool / tstr / bstr / [sealed: bstr]
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] when a bound of `thingward_model::limits` is broken.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) -> Result<(), StoreError> {
        self.check()?;
        let mut e = Encoder::new(into);
        self.write(&mut e).map_err(|_| StoreError::Invalid { what: "record cannot be encoded" })
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.readings.is_empty() || self.readings.len() > READINGS_PER_RECORD_MAX {
            return Err(StoreError::Invalid { what: "a record has 1 to 64 readings" });
        }
        if i64::try_from(self.seq).is_err() {
            return Err(StoreError::Invalid { what: "a sequence number is below 2^63" });
        }
        let fits = |r: &Reading| {
            let value = match &r.value {
                Value::Number(_) | Value::Bool(_) | Value::Sealed(_) => 0,
                Value::Text(t) => t.len(),
                Value::Data(d) => d.len(),
            };
            value <= VALUE_BYTES_MAX && r.unit.as_ref().is_none_or(|u| u.len() <= UNIT_BYTES_MAX)
        };
        if self.readings.iter().all(fits) {
            Ok(())
        } else {
            Err(StoreError::Invalid { what: "a value has at most 1024 bytes and a unit at most 16" })
        }
    }

    fn write(&self, e: &mut Encoder<&mut Vec<u8>>) -> Result<(), EncodeError> {
        let has_route = self.route != Route::TLS;
        e.array(2 + u64::from(has_route) + self.readings.len() as u64)?;
        e.i64(self.received.as_micros())?.u8(self.assurance as u8)?;
        match &self.route {
            &Route::TLS => {}
            Route::Direct(link) => {
                e.array(1)?.u8(link.code())?;
            }
            Route::Through(Hop { gateway, link, received }) => {
                e.array(3)?.str(gateway.as_str())?.u8(link.code())?.i64(received.as_micros())?;
            }
        }
        for r in &self.readings {
            e.array(4)?;
            write_text(e, r.field.as_ref().map(FieldName::as_str))?;
            e.i64(r.time.as_micros())?;
            match &r.value {
                Value::Number(v) => e.f64(*v)?,
                Value::Bool(v) => e.bool(*v)?,
                Value::Text(v) => e.str(v)?,
                Value::Data(v) => e.bytes(v)?,
                Value::Sealed(v) => e.array(1)?.bytes(v)?,
            };
            write_text(e, r.unit.as_deref())?;
        }
        Ok(())
    }

    /// Reverses [`Self::encode`]; the rest of the record comes from the block.
    pub(crate) fn decode(key: RecordKey, d: &mut Decoder<'_>) -> Option<Self> {
        let parts = usize::try_from(d.array().ok()??).ok()?.checked_sub(2)?;
        let received = Timestamp::from_micros(d.i64().ok()?);
        let assurance = assurance_from(d.u8().ok()?)?;
        // A reading has four parts.
        let route = match d.probe().array().ok()? {
            Some(1 | 3) => Some(read_route(d)?),
            _ => None,
        };
        let readings = parts.checked_sub(usize::from(route.is_some()))?;
        if readings == 0 || readings > READINGS_PER_RECORD_MAX {
            return None;
        }
        let readings = (0..readings).map(|_| read_reading(d)).collect::<Option<_>>()?;
        let RecordKey { device, stream, chain, seq } = key;
        Some(Self {
            device,
            stream,
            chain,
            seq,
            received,
            assurance,
            route: route.unwrap_or(Route::TLS),
            readings,
        })
    }
}

impl RecordKey {
    /// That of the record so many behind it.
    pub(crate) fn ahead(self, count: u64) -> Option<Self> {
        Some(Self { seq: self.seq.checked_add(count)?, ..self })
    }
}

/// What tells one record of a tenant from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordKey {
    pub(crate) device: DeviceName,
    pub(crate) stream: StreamName,
    pub(crate) chain: [u8; 8],
    pub(crate) seq: u64,
}

type EncodeError = minicbor::encode::Error<core::convert::Infallible>;

fn write_text(e: &mut Encoder<&mut Vec<u8>>, text: Option<&str>) -> Result<(), EncodeError> {
    match text {
        Some(text) => e.str(text)?,
        None => e.null()?,
    };
    Ok(())
}

fn read_route(d: &mut Decoder<'_>) -> Option<Route> {
    if d.array().ok()? == Some(1) {
        return Some(Route::Direct(Link::from_code(d.u8().ok()?)?));
    }
    let gateway = d.str().ok()?.parse().ok()?;
    let link = Link::from_code(d.u8().ok()?)?;
    Some(Route::Through(Hop { gateway, link, received: Timestamp::from_micros(d.i64().ok()?) }))
}

fn read_reading(d: &mut Decoder<'_>) -> Option<Reading> {
    if d.array().ok()?? != 4 {
        return None;
    }
    let field = match read_text(d)? {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    let time = Timestamp::from_micros(d.i64().ok()?);
    let value = match d.datatype().ok()? {
        Type::F64 => Value::Number(d.f64().ok()?),
        Type::Bool => Value::Bool(d.bool().ok()?),
        Type::String => Value::Text(d.str().ok()?.to_owned()),
        Type::Bytes => Value::Data(d.bytes().ok()?.to_vec()),
        Type::Array if d.array().ok()?? == 1 => Value::Sealed(d.bytes().ok()?.to_vec()),
        _ => return None,
    };
    Some(Reading { field, time, value, unit: read_text(d)?.map(str::to_owned) })
}

fn read_text<'b>(d: &mut Decoder<'b>) -> Option<Option<&'b str>> {
    if d.datatype().ok()? == Type::Null {
        d.null().ok()?;
        return Some(None);
    }
    d.str().ok().map(Some)
}

fn assurance_from(number: u8) -> Option<Assurance> {
    Assurance::ALL.into_iter().find(|a| *a as u8 == number)
}

#[cfg(test)]
mod tests;
