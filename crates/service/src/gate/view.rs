//! What somebody gets of a message: the values that they may see, decided when it is delivered.

use bytes::Bytes;
use serde_json::Value as Json;
use thingward_model::{DeviceName, FieldName, StreamName};
use thingward_mqtt::broker::Message;
use thingward_mqtt::topic::TopicName;
use thingward_policy::Reader;

/// The payload as the reader may see it; `None` when nothing is left. `topic` is `devices/<name>/<area>/…`.
pub(super) fn of(reader: &Reader, topic: &TopicName, message: &Message) -> Option<Bytes> {
    let rest = topic.as_str().strip_prefix("devices/")?;
    let (device, rest) = rest.split_once('/')?;
    let (area, name) = rest.split_once('/')?;
    let device: DeviceName = device.parse().ok()?;
    if area == "children" {
        // What goes to a thing behind a gateway is the thing's.
        let inner = TopicName::try_from(format!("devices/{name}").as_str()).ok()?;
        return of(reader, &inner, message);
    }
    if area == "telemetry" {
        return telemetry(reader, &device, &name.parse().ok()?, &message.payload);
    }
    let field: Option<FieldName> = name.parse().ok();
    reader.sees(&device, &area.parse().ok()?, field.as_ref(), None).then(|| message.payload.clone())
}

/// A pack as [`super::announcement`] writes them: every record has its full name.
fn telemetry(reader: &Reader, device: &DeviceName, stream: &StreamName, pack: &Bytes) -> Option<Bytes> {
    let Json::Array(mut records) = serde_json::from_slice(pack).ok()? else { return None };
    let all = records.len();
    records.retain(|record| {
        let name = record.get("n").and_then(Json::as_str).unwrap_or_default();
        let field = name.splitn(3, '/').nth(2).map(str::parse::<FieldName>).transpose();
        let unit = record.get("u").and_then(Json::as_str);
        field.is_ok_and(|field| reader.sees(device, stream, field.as_ref(), unit))
    });
    match records.len() {
        0 => None,
        left if left == all => Some(pack.clone()),
        _ => Some(Json::Array(records).to_string().into()),
    }
}
