//! Rows in forms that other programs read.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use base16ct::lower::encode_string as hex;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value as Json};
use thingward_model::assurance::UnknownWord;

use crate::error::StoreError;
use crate::query::{Cursor, ReadingPage};
use crate::row::{Row, Value};
use crate::segment::{batch_of, schema};

/// A form for rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header line (RFC 4180). Bytes are base64.
    Csv,
    /// One JSON object per line. Bytes are base64.
    JsonLines,
    /// Parquet with the columns of a segment, not encrypted.
    Parquet,
    /// SenML JSON (RFC 8428). Sealed rows are data.
    SenmlJson,
}

impl FromStr for Format {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "csv" => Ok(Self::Csv),
            "jsonl" => Ok(Self::JsonLines),
            "parquet" => Ok(Self::Parquet),
            "senml" => Ok(Self::SenmlJson),
            _ => Err(UnknownWord { wanted: "csv, jsonl, parquet, senml" }),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Parquet => "parquet",
            Self::SenmlJson => "senml",
        })
    }
}

/// Writes all rows that `next_page` gives, page by page, and returns how many there were.
pub(crate) fn export(
    format: Format,
    out: impl Write + Send,
    mut next_page: impl FnMut(Option<Cursor>) -> Result<ReadingPage, StoreError>,
) -> Result<u64, StoreError> {
    let mut writer = Writer::new(format, out)?;
    let (mut count, mut cursor) = (0, None);
    loop {
        let page = next_page(cursor)?;
        writer.write(&page.rows)?;
        count += page.rows.len() as u64;
        cursor = page.next;
        if cursor.is_none() {
            writer.finish()?;
            return Ok(count);
        }
    }
}

enum Writer<W: Write + Send> {
    Csv(W),
    JsonLines(W),
    Parquet(Box<ArrowWriter<W>>),
    Senml { out: W, empty: bool },
}

const CSV_HEADER: &[u8] = b"time,device,stream,field,kind,value,unit,assurance,received,chain,seq,item,\
    link,gateway,gateway_received\r\n";

impl<W: Write + Send> Writer<W> {
    fn new(format: Format, mut out: W) -> Result<Self, StoreError> {
        Ok(match format {
            Format::Csv => {
                out.write_all(CSV_HEADER).map_err(failed)?;
                Self::Csv(out)
            }
            Format::JsonLines => Self::JsonLines(out),
            Format::Parquet => {
                let properties = WriterProperties::builder().set_compression(Compression::LZ4_RAW).build();
                let writer = ArrowWriter::try_new(out, schema(), Some(properties)).map_err(parquet_failed)?;
                Self::Parquet(Box::new(writer))
            }
            Format::SenmlJson => {
                out.write_all(b"[").map_err(failed)?;
                Self::Senml { out, empty: true }
            }
        })
    }

    fn write(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        match self {
            Self::Csv(out) => rows.iter().try_for_each(|r| write_csv(out, r)).map_err(failed),
            Self::JsonLines(out) => {
                rows.iter().try_for_each(|r| writeln!(out, "{}", Json::Object(json(r)))).map_err(failed)
            }
            Self::Parquet(writer) => {
                let batch = batch_of(rows).map_err(|e| StoreError::database("write an export", e))?;
                writer.write(&batch).map_err(parquet_failed)
            }
            Self::Senml { out, empty } => {
                for row in rows {
                    let separator = if std::mem::take(empty) { "\n" } else { ",\n" };
                    write!(out, "{separator}{}", Json::Object(senml(row))).map_err(failed)?;
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<(), StoreError> {
        match self {
            Self::Csv(mut out) | Self::JsonLines(mut out) => out.flush().map_err(failed),
            Self::Parquet(writer) => writer.close().map(drop).map_err(parquet_failed),
            Self::Senml { mut out, .. } => out.write_all(b"\n]\n").and_then(|()| out.flush()).map_err(failed),
        }
    }
}

fn failed(e: io::Error) -> StoreError {
    StoreError::from_io("write an export", e)
}

fn parquet_failed(e: parquet::errors::ParquetError) -> StoreError {
    StoreError::database("write an export", e)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Text(_) => "text",
        Value::Data(_) => "data",
        Value::Sealed(_) => "sealed",
    }
}

fn write_csv(out: &mut impl Write, row: &Row) -> io::Result<()> {
    let value = match &row.value {
        Value::Number(v) => v.to_string(),
        Value::Bool(v) => v.to_string(),
        Value::Text(v) => quoted(v),
        Value::Data(v) | Value::Sealed(v) => STANDARD.encode(v),
    };
    let field = row.field.as_ref().map_or("", |f| f.as_str());
    let unit = quoted(row.unit.as_deref().unwrap_or_default());
    let (time, received, kind, chain) = (row.time, row.received, kind(&row.value), hex(&row.chain));
    let Row { device, stream, assurance, seq, item, .. } = row;
    write!(out, "{time},{device},{stream},{field},{kind},{value},{unit},")?;
    write!(out, "{assurance},{received},{chain},{seq},{item},")?;
    let link = row.route.link().map_or("", |link| link.as_str());
    match row.route.hop() {
        Some(hop) => write!(out, "{link},{},{}\r\n", hop.gateway, hop.received),
        None => write!(out, "{link},,\r\n"),
    }
}

/// RFC 4180, §2: quotes around what has quotes, commas or line ends, with quotes doubled.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn json(row: &Row) -> Map<String, Json> {
    let value = match &row.value {
        Value::Number(v) => Json::from(*v),
        Value::Bool(v) => Json::from(*v),
        Value::Text(v) => Json::from(v.as_str()),
        Value::Data(v) | Value::Sealed(v) => Json::from(STANDARD.encode(v)),
    };
    let mut object = Map::new();
    let mut put = |name: &str, value: Json| object.insert(name.to_owned(), value);
    put("time", row.time.to_string().into());
    put("device", row.device.as_str().into());
    put("stream", row.stream.as_str().into());
    put("field", row.field.as_ref().map_or(Json::Null, |f| f.as_str().into()));
    put("kind", kind(&row.value).into());
    put("value", value);
    put("unit", row.unit.as_deref().map_or(Json::Null, Json::from));
    put("assurance", row.assurance.as_str().into());
    put("received", row.received.to_string().into());
    put("chain", hex(&row.chain).into());
    put("seq", row.seq.into());
    put("item", row.item.into());
    let hop = row.route.hop();
    put("link", row.route.link().map_or(Json::Null, |link| link.as_str().into()));
    put("gateway", hop.map_or(Json::Null, |hop| hop.gateway.as_str().into()));
    put("gateway_received", hop.map_or(Json::Null, |hop| hop.received.to_string().into()));
    object
}

/// One SenML record: RFC 8428, §4. The name is device, stream and field, joined by `/`. What only the customer opens
/// is data: the sealed record.
#[must_use]
pub fn senml(row: &Row) -> Map<String, Json> {
    let field = row.field.as_ref().map(|f| format!("/{f}")).unwrap_or_default();
    let (label, value) = match &row.value {
        Value::Number(v) => ("v", Json::from(*v)),
        Value::Bool(v) => ("vb", Json::from(*v)),
        Value::Text(v) => ("vs", Json::from(v.as_str())),
        Value::Data(v) | Value::Sealed(v) => ("vd", Json::from(URL_SAFE_NO_PAD.encode(v))),
    };
    let mut object = Map::new();
    object.insert("n".to_owned(), format!("{}/{}{field}", row.device, row.stream).into());
    if let Some(unit) = &row.unit {
        object.insert("u".to_owned(), unit.as_str().into());
    }
    object.insert(label.to_owned(), value);
    object.insert("t".to_owned(), seconds(row.time.as_micros()));
    object
}

/// Seconds as SenML has them. A double resolves microseconds until the year 2255.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn seconds(micros: i64) -> Json {
    if micros % 1_000_000 == 0 { Json::from(micros / 1_000_000) } else { Json::from(micros as f64 / 1e6) }
}
