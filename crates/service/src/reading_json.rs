//! A record as SenML in JSON: RFC 8428 §5. Sealed readings are data that only the customer opens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value as Json, json};
use thingward_store::{Record, Value};

/// The pack as text. The base name is `<device>/<stream>/`; without its last slash where a stream has one value.
#[must_use]
pub(crate) fn senml(record: &Record) -> Vec<u8> {
    let stem = format!("{}/{}", record.device, record.stream);
    let pack = record.readings.iter().map(|reading| {
        let name = reading.field.map_or_else(|| stem.clone(), |field| format!("{stem}/{field}"));
        let mut entry = Map::new();
        entry.insert("n".to_owned(), Json::String(name));
        #[expect(
            clippy::cast_precision_loss,
            reason = "a double resolves microseconds for the next 200 years"
        )]
        let seconds = reading.time.as_micros() as f64 / 1e6;
        entry.insert("t".to_owned(), json!(seconds));
        if let Some(unit) = &reading.unit {
            entry.insert("u".to_owned(), Json::String(unit.clone()));
        }
        let (key, value) = match &reading.value {
            Value::Number(n) => ("v", json!(n)),
            Value::Bool(b) => ("vb", json!(b)),
            Value::Text(t) => ("vs", json!(t)),
            Value::Data(d) | Value::Sealed(d) => ("vd", json!(URL_SAFE_NO_PAD.encode(d))),
        };
        entry.insert(key.to_owned(), value);
        Json::Object(entry)
    });
    Json::Array(pack.collect()).to_string().into_bytes()
}
