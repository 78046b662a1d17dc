//! Opening readings that only the customer can read, here, with the customer's secret key.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use thingward_crypto::{RecipientSecretKey, VerifyingKey};
use thingward_model::{Timestamp, Value, senml};
use thingward_seal::{Item, Items, RecordKey, StatementKind};

use crate::failure::Failure;

/// Largest pack of a record, in bytes.
const PACK_BYTES_MAX: usize = thingward_model::limits::RECORD_BYTES_MAX;

/// The records' keys of the chains that this recipient opens, by chain.
pub(super) struct Chains(HashMap<String, RecordKey>);

impl Chains {
    /// From the service's list of chains. An open statement whose signature is not the device's is left out.
    pub(super) fn new(chains: &[Json], secret: &RecipientSecretKey) -> Result<Self, Failure> {
        let own = secret.public_key().map_err(Failure::of)?.id();
        let mut keys = HashMap::new();
        for chain in chains {
            let bytes =
                |field: &str| chain.get(field).and_then(Json::as_str).and_then(|t| STANDARD.decode(t).ok());
            let (Some(open), Some(signer)) = (bytes("open"), bytes("signer")) else { continue };
            let Some(Ok(Item::Statement(signed))) = Items::new(&open).next() else { continue };
            let verified = VerifyingKey::from_spki(&signer).ok().and_then(|key| signed.verify(&key).ok());
            let Some(statement) = verified else { continue };
            let StatementKind::Open { cipher, recipient, encapsulated, .. } = statement.kind else {
                continue;
            };
            if recipient != own {
                continue;
            }
            let key = RecordKey::derive(secret, &encapsulated, cipher, &statement.subject, &statement.chain);
            let id = chain.get("chain").and_then(Json::as_str).unwrap_or_default().to_owned();
            keys.insert(id, key.map_err(Failure::of)?);
        }
        Ok(Self(keys))
    }

    /// The readings inside a sealed one; the reading itself when it is not sealed.
    pub(super) fn open(&self, reading: &Json) -> Result<Vec<Json>, Failure> {
        let text = |field: &str| reading.get(field).and_then(Json::as_str).unwrap_or_default();
        if text("kind") != "sealed" {
            return Ok(vec![reading.clone()]);
        }
        let refused = || {
            Failure::NotPermitted(format!(
                "record {} of {} does not open with this key",
                reading.get("seq").unwrap_or(&Json::Null),
                text("device")
            ))
        };
        let key = self.0.get(text("chain")).ok_or_else(refused)?;
        let bytes = STANDARD.decode(text("value")).map_err(|_| refused())?;
        let Some(Ok(Item::Record(record))) = Items::new(&bytes).next() else { return Err(refused()) };
        let mut pack = [0; PACK_BYTES_MAX];
        let len = record.open(key, &mut pack).map_err(|_| refused())?;
        // What is relative in it counts from when the first who took it got it.
        let arrived =
            ["gateway_received", "received"].iter().find_map(|at| Timestamp::parse_rfc3339(text(at)));
        let arrived = arrived.unwrap_or(Timestamp::EPOCH);
        let mut opened = Vec::new();
        let each = |r: thingward_model::Reading<'_>| {
            let (kind, value) = match r.value {
                Value::Number(n) => ("number", json!(n)),
                Value::Bool(b) => ("bool", json!(b)),
                Value::Text(t) => ("text", json!(t)),
                Value::Data(d) => ("data", json!(STANDARD.encode(d))),
            };
            let inner = [
                ("time", json!(r.time.to_string())),
                ("field", json!(r.field.map(|f| f.to_string()))),
                ("unit", json!((!r.unit.is_empty()).then_some(r.unit))),
                ("kind", json!(kind)),
                ("value", value),
                ("item", json!(opened.len())),
            ];
            let mut one = reading.as_object().cloned().unwrap_or_default();
            one.extend(inner.map(|(name, value)| (name.to_owned(), value)));
            opened.push(Json::Object(one));
        };
        senml::decode(pack.get(..len).unwrap_or_default(), arrived, each).map_err(Failure::of)?;
        Ok(opened)
    }
}
