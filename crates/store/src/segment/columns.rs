//! Rows as Arrow columns, and back.

use std::cell::Cell;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array,
    Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use thingward_model::{Assurance, DeviceName, FieldName, Link, StreamName, Timestamp};

use crate::error::StoreError;
use crate::row::{Hop, Route, Row, Value};

/// Rows that are turned into columns at a time.
pub(crate) const WRITE_ROWS: usize = 8192;

/// Columns that aggregates of numbers need.
pub(crate) const NUMBERS: &[&str] =
    &["device", "stream", "field", "chain", "seq", "time", "value", "unit", "assurance"];
/// Columns whose few different texts are read once each, and not for every row.
const FEW_TEXTS: &[&str] = &["device", "stream", "field", "unit", "assurance", "link", "gateway"];

const UTC: &str = "UTC";

pub(crate) fn schema() -> SchemaRef {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()));
    Arc::new(Schema::new(vec![
        Field::new("device", DataType::Utf8, false),
        Field::new("stream", DataType::Utf8, false),
        Field::new("field", DataType::Utf8, true),
        Field::new("chain", DataType::FixedSizeBinary(8), false),
        Field::new("seq", DataType::Int64, false),
        Field::new("item", DataType::UInt8, false),
        Field::new("time", time(), false),
        Field::new("received", time(), false),
        Field::new("value", DataType::Float64, true),
        Field::new("bool", DataType::Boolean, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("data", DataType::Binary, true),
        Field::new("sealed", DataType::Binary, true),
        Field::new("unit", DataType::Utf8, true),
        Field::new("assurance", DataType::Utf8, false),
        Field::new("link", DataType::Utf8, true),
        Field::new("gateway", DataType::Utf8, true),
        Field::new("gateway_received", time(), true),
    ]))
}

/// How a file with columns of this schema is read.
pub(crate) fn read_schema(of_file: &Schema) -> SchemaRef {
    let read = |field: &Arc<Field>| {
        if !FEW_TEXTS.contains(&field.name().as_str()) {
            return Arc::clone(field);
        }
        let texts = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        Arc::new(field.as_ref().clone().with_data_type(texts))
    };
    let fields = of_file.fields().iter().map(read).collect::<Vec<_>>();
    Arc::new(Schema::new_with_metadata(fields, of_file.metadata().clone()))
}

/// The rows as one batch of [`schema`].
pub(crate) fn batch_of(rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let texts =
        |of: fn(&Row) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(of))) };
    let times = |of: fn(&Row) -> Timestamp| -> ArrayRef {
        let micros = rows.iter().map(|r| of(r).as_micros());
        Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone(UTC))
    };
    let bytes = |of: fn(&Value) -> Option<&[u8]>| -> ArrayRef {
        Arc::new(rows.iter().map(|r| of(&r.value)).collect::<BinaryArray>())
    };
    let seqs = rows.iter().map(|r| r.seq.cast_signed());
    let numbers = rows.iter().map(|r| if let Value::Number(v) = r.value { Some(v) } else { None });
    let bools = rows.iter().map(|r| if let Value::Bool(v) = r.value { Some(v) } else { None });
    let words = rows.iter().map(|r| if let Value::Text(v) = &r.value { Some(v.as_str()) } else { None });
    let links = rows.iter().map(|r| r.route.link().map(Link::as_str));
    let gateways = rows.iter().map(|r| r.route.hop().map(|hop| hop.gateway));
    let at_gateways = rows.iter().map(|r| r.route.hop().map(|hop| hop.received.as_micros()));
    let chains = rows.iter().map(|r| Some(r.chain));
    let chains = FixedSizeBinaryArray::try_from_sparse_iter_with_size(chains, 8)?;
    RecordBatch::try_new(
        schema(),
        vec![
            texts(|r| r.device.as_str()),
            texts(|r| r.stream.as_str()),
            Arc::new(rows.iter().map(|r| r.field.as_ref().map(FieldName::as_str)).collect::<StringArray>()),
            Arc::new(chains),
            Arc::new(Int64Array::from_iter_values(seqs)),
            Arc::new(UInt8Array::from_iter_values(rows.iter().map(|r| r.item))),
            times(|r| r.time),
            times(|r| r.received),
            Arc::new(numbers.collect::<Float64Array>()),
            Arc::new(bools.collect::<BooleanArray>()),
            Arc::new(words.collect::<StringArray>()),
            bytes(|v| if let Value::Data(v) = v { Some(v) } else { None }),
            bytes(|v| if let Value::Sealed(v) = v { Some(v) } else { None }),
            Arc::new(rows.iter().map(|r| r.unit.as_deref()).collect::<StringArray>()),
            texts(|r| r.assurance.as_str()),
            Arc::new(links.collect::<StringArray>()),
            Arc::new(gateways.map(|g| g.map(|g| g.to_string())).collect::<StringArray>()),
            Arc::new(at_gateways.collect::<TimestampMicrosecondArray>().with_timezone(UTC)),
        ],
    )
}

/// A batch of a segment, read row by row. Columns that were not asked for are absent.
pub(crate) struct Columns<'a> {
    pub(crate) len: usize,
    device: Words<'a, DeviceName>,
    stream: Words<'a, StreamName>,
    field: Words<'a, FieldName>,
    chain: &'a FixedSizeBinaryArray,
    seq: &'a Int64Array,
    item: Option<&'a UInt8Array>,
    time: &'a TimestampMicrosecondArray,
    received: Option<&'a TimestampMicrosecondArray>,
    number: &'a Float64Array,
    boolean: Option<&'a BooleanArray>,
    text: Option<&'a StringArray>,
    data: Option<&'a BinaryArray>,
    sealed: Option<&'a BinaryArray>,
    unit: Texts<'a>,
    assurance: Words<'a, Assurance>,
    route: Option<RouteColumns<'a>>,
}

/// How they came. Segments from before there were links have no such columns.
struct RouteColumns<'a> {
    link: Words<'a, Link>,
    gateway: Words<'a, DeviceName>,
    received: &'a TimestampMicrosecondArray,
}

impl<'a> RouteColumns<'a> {
    fn of(batch: &'a RecordBatch) -> Option<Self> {
        let (link, gateway) = (Words::of(batch, "link")?, Words::of(batch, "gateway")?);
        Some(Self { link, gateway, received: column(batch, "gateway_received")? })
    }

    fn at(&self, at: usize) -> Result<Route, StoreError> {
        let Some(link) = self.link.at(at)? else { return Ok(Route::TLS) };
        let Some(gateway) = self.gateway.at(at)? else { return Ok(Route::Direct(link)) };
        Ok(Route::Through(Hop { gateway, link, received: Timestamp::from_micros(self.received.value(at)) }))
    }
}

impl<'a> Columns<'a> {
    /// `None` when a column is missing or has another type.
    pub(crate) fn of(batch: &'a RecordBatch) -> Option<Self> {
        Some(Self {
            len: batch.num_rows(),
            device: Words::of(batch, "device")?,
            stream: Words::of(batch, "stream")?,
            field: Words::of(batch, "field")?,
            chain: column(batch, "chain")?,
            seq: column(batch, "seq")?,
            item: column(batch, "item"),
            time: column(batch, "time")?,
            received: column(batch, "received"),
            number: column(batch, "value")?,
            boolean: column(batch, "bool"),
            text: column(batch, "text"),
            data: column(batch, "data"),
            sealed: column(batch, "sealed"),
            unit: Texts::of(batch, "unit")?,
            assurance: Words::of(batch, "assurance")?,
            route: RouteColumns::of(batch),
        })
    }

    /// With all that a row has. `None` as [`Self::of`].
    pub(crate) fn whole(batch: &'a RecordBatch) -> Option<Self> {
        Self::of(batch).filter(|columns| columns.item.is_some() && columns.received.is_some())
    }

    pub(crate) fn time(&self, at: usize) -> Timestamp {
        Timestamp::from_micros(self.time.value(at))
    }

    pub(crate) fn device(&self, at: usize) -> Result<DeviceName, StoreError> {
        self.device.required(at)
    }

    pub(crate) fn stream(&self, at: usize) -> Result<StreamName, StoreError> {
        self.stream.required(at)
    }

    pub(crate) fn field(&self, at: usize) -> Result<Option<FieldName>, StoreError> {
        self.field.at(at)
    }

    /// The chain of the row at `at`, and its number there.
    pub(crate) fn place(&self, at: usize) -> Result<([u8; 8], u64), StoreError> {
        let chain = self.chain.value(at).try_into().map_err(|_| corrupt())?;
        Ok((chain, self.seq.value(at).cast_unsigned()))
    }

    /// What stood behind the row at `at` when it was written.
    pub(crate) fn assurance(&self, at: usize) -> Result<Assurance, StoreError> {
        self.assurance.required(at)
    }

    pub(crate) fn unit(&self, at: usize) -> Option<&str> {
        self.unit.at(at)
    }

    /// The number at `at`; `None` when the value is another.
    pub(crate) fn number(&self, at: usize) -> Option<f64> {
        self.number.is_valid(at).then(|| self.number.value(at))
    }

    /// The row at `at` of whole columns; `None` when it has no value.
    pub(crate) fn row(&self, at: usize) -> Result<Option<Row>, StoreError> {
        let Some(value) = self.value(at) else { return Ok(None) };
        let (chain, seq) = self.place(at)?;
        Ok(Some(Row {
            device: self.device(at)?,
            stream: self.stream(at)?,
            field: self.field(at)?,
            chain,
            seq,
            item: self.item.ok_or_else(corrupt)?.value(at),
            time: self.time(at),
            received: Timestamp::from_micros(self.received.ok_or_else(corrupt)?.value(at)),
            value,
            unit: self.unit(at).map(ToOwned::to_owned),
            assurance: self.assurance(at)?,
            route: self.route.as_ref().map_or(Ok(Route::TLS), |columns| columns.at(at))?,
        }))
    }

    fn value(&self, at: usize) -> Option<Value> {
        if let Some(number) = self.number(at) {
            return Some(Value::Number(number));
        }
        if let Some(c) = self.boolean.filter(|c| c.is_valid(at)) {
            return Some(Value::Bool(c.value(at)));
        }
        if let Some(c) = self.text.filter(|c| c.is_valid(at)) {
            return Some(Value::Text(c.value(at).to_owned()));
        }
        if let Some(c) = self.data.filter(|c| c.is_valid(at)) {
            return Some(Value::Data(c.value(at).to_vec()));
        }
        self.sealed.filter(|c| c.is_valid(at)).map(|c| Value::Sealed(c.value(at).to_vec()))
    }
}

fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Option<&'a T> {
    batch.column_by_name(name)?.as_any().downcast_ref()
}

fn corrupt() -> StoreError {
    StoreError::corrupt("a row of a segment")
}

/// A column of few texts.
struct Texts<'a> {
    places: &'a DictionaryArray<Int32Type>,
    texts: &'a StringArray,
}

impl<'a> Texts<'a> {
    fn of(batch: &'a RecordBatch, name: &str) -> Option<Self> {
        let places: &DictionaryArray<Int32Type> = column(batch, name)?;
        Some(Self { places, texts: places.values().as_any().downcast_ref()? })
    }

    /// Where the text of a row is.
    fn place(&self, at: usize) -> Option<usize> {
        self.places.key(at)
    }

    fn at(&self, at: usize) -> Option<&'a str> {
        Some(self.texts.value(self.place(at)?))
    }
}

/// A column of few texts that say something. Rows are sorted, so what one says is most often what the row before said.
struct Words<'a, T> {
    texts: Texts<'a>,
    last: Cell<Option<(usize, T)>>,
}

impl<'a, T: FromStr + Copy> Words<'a, T> {
    fn of(batch: &'a RecordBatch, name: &str) -> Option<Self> {
        Some(Self { texts: Texts::of(batch, name)?, last: Cell::new(None) })
    }

    fn at(&self, at: usize) -> Result<Option<T>, StoreError> {
        let Some(place) = self.texts.place(at) else { return Ok(None) };
        if let Some((last, word)) = self.last.get()
            && last == place
        {
            return Ok(Some(word));
        }
        let word = self.texts.texts.value(place).parse().map_err(|_| corrupt())?;
        self.last.set(Some((place, word)));
        Ok(Some(word))
    }

    fn required(&self, at: usize) -> Result<T, StoreError> {
        self.at(at)?.ok_or_else(corrupt)
    }
}

#[cfg(test)]
mod tests {
    use arrow::compute::cast;

    use super::*;
    use crate::segment::tests::mixed;

    #[test]
    fn rows_of_a_segment_from_before_there_were_links_came_through_no_gateway() {
        let rows: Vec<Row> = mixed("pump", "main", 1).into_rows().collect();
        let batch = batch_of(&rows).unwrap();
        let read = |column: (&ArrayRef, &Arc<Field>)| cast(column.0, column.1.data_type()).unwrap();
        let schema = read_schema(&batch.schema());
        let columns = batch.columns().iter().zip(schema.fields()).map(read).collect();
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        let old = batch.project(&(0..15).collect::<Vec<_>>()).unwrap();
        for (at, row) in rows.into_iter().enumerate() {
            assert!(row.route.hop().is_some());
            let read = |batch| Columns::of(batch).unwrap().row(at).unwrap().unwrap();
            assert_eq!(read(&batch), row);
            assert_eq!(read(&old), Row { route: Route::TLS, ..row });
        }
    }
}
