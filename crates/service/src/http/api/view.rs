//! Readings as JSON.

use base16ct::lower::encode_string as hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thingward_store::query::Window;
use thingward_store::{Row, Value};
use utoipa::ToSchema;

/// One reading with everything known about it. Lines of a JSON Lines export are the same.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct ReadingView {
    /// When it was measured.
    time: String,
    /// Who measured.
    device: String,
    /// Where it belongs.
    stream: String,
    /// Which of several values of the stream; null when it has one.
    field: Option<String>,
    /// `number`, `bool`, `text`, `data` or `sealed`.
    kind: String,
    /// What was measured; bytes are base64.
    value: ValueView,
    /// Unit in SenML terms (RFC 8428 §12.1).
    unit: Option<String>,
    /// `none`, `transport`, `gateway-sealed`, `device-signed` or `end-to-end`.
    assurance: String,
    /// When the service received it.
    received: String,
    /// The chain of its record.
    chain: String,
    /// Its record's place in the chain.
    seq: u64,
    /// Its place in the record.
    item: u8,
    /// How it came from the thing, to its gateway or to the service: `zigbee-link-key`, `zwave-s2-access`, `oscore` and others;
    /// null when it came to the service over TLS, with the thing's own certificate.
    link: Option<String>,
    /// The gateway that it came through.
    gateway: Option<String>,
    /// When the gateway got it, by its clock.
    gateway_received: Option<String>,
}

/// A number, true or false, text, or base64 of bytes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum ValueView {
    /// A number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// Text, or base64 of bytes.
    Text(String),
}

impl From<Row> for ReadingView {
    fn from(row: Row) -> Self {
        let (kind, value) = match row.value {
            Value::Number(v) => ("number", ValueView::Number(v)),
            Value::Bool(v) => ("bool", ValueView::Bool(v)),
            Value::Text(v) => ("text", ValueView::Text(v)),
            Value::Data(v) => ("data", ValueView::Text(STANDARD.encode(v))),
            Value::Sealed(v) => ("sealed", ValueView::Text(STANDARD.encode(v))),
        };
        Self {
            time: row.time.to_string(),
            device: row.device.to_string(),
            stream: row.stream.to_string(),
            field: row.field.map(|f| f.to_string()),
            kind: kind.to_owned(),
            value,
            unit: row.unit,
            assurance: row.assurance.to_string(),
            received: row.received.to_string(),
            chain: hex(&row.chain),
            seq: row.seq,
            item: row.item,
            link: row.route.link().map(|link| link.to_string()),
            gateway: row.route.hop().map(|hop| hop.gateway.to_string()),
            gateway_received: row.route.hop().map(|hop| hop.received.to_string()),
        }
    }
}

/// Some readings in the order of their times.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct ReadingPageView {
    /// The readings.
    pub(in crate::http) readings: Vec<ReadingView>,
    /// What to give as `cursor` for the next page; null when these were the last.
    pub(in crate::http) next: Option<String>,
}

/// The numbers of one series in one stretch of time.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct WindowView {
    /// Who measured.
    device: String,
    /// Where it belongs.
    stream: String,
    /// Which of several values of the stream.
    field: Option<String>,
    /// Unit in SenML terms.
    unit: Option<String>,
    /// When the window starts; it ends before the next.
    start: String,
    /// How many numbers.
    count: u64,
    /// Their mean.
    mean: f64,
    /// The least.
    min: f64,
    /// The greatest.
    max: f64,
    /// In the order asked for.
    percentiles: Vec<f64>,
}

impl From<Window> for WindowView {
    fn from(w: Window) -> Self {
        Self {
            device: w.series.device.to_string(),
            stream: w.series.stream.to_string(),
            field: w.series.field.map(|f| f.to_string()),
            unit: w.series.unit,
            start: w.start.to_string(),
            count: w.count,
            mean: w.mean,
            min: w.min,
            max: w.max,
            percentiles: w.percentiles,
        }
    }
}
