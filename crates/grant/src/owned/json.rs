//! Permissions in JSON, as the API has them.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde_json::{Map, Value as Json, json};

use super::{OwnedBound, OwnedPermission, OwnedValue};

/// As the API shows them.
#[must_use]
pub fn permissions_to_json(permissions: &[OwnedPermission]) -> Json {
    permissions.iter().map(permission_to_json).collect()
}

fn permission_to_json(permission: &OwnedPermission) -> Json {
    let bounds: Map<String, Json> =
        permission.bounds.iter().map(|(name, bound)| (name.clone(), bound_to_json(bound))).collect();
    if bounds.is_empty() {
        return json!({"action": permission.action.as_str()});
    }
    json!({"action": permission.action.as_str(), "bounds": bounds})
}

fn bound_to_json(bound: &OwnedBound) -> Json {
    match bound {
        OwnedBound::OneOf(values) => match values.as_slice() {
            [value] => value_to_json(value),
            values => values.iter().map(value_to_json).collect(),
        },
        OwnedBound::Range { at_least, at_most } => {
            let ends = [("min", at_least), ("max", at_most)];
            let ends = ends.into_iter().filter_map(|(name, end)| Some((name.to_string(), (*end)?.into())));
            Json::Object(ends.collect())
        }
    }
}

fn value_to_json(value: &OwnedValue) -> Json {
    match value {
        OwnedValue::Bool(b) => (*b).into(),
        OwnedValue::Integer(n) => (*n).into(),
        OwnedValue::Text(text) => text.as_str().into(),
    }
}

/// Reverses [`permissions_to_json`].
///
/// # Errors
///
/// What is wrong, and what would be right.
pub fn permissions_from_json(json: &Json) -> Result<Vec<OwnedPermission>, String> {
    let all = json.as_array().ok_or("`permissions` is no list")?;
    all.iter().map(permission_from_json).collect()
}

fn permission_from_json(json: &Json) -> Result<OwnedPermission, String> {
    let members = json.as_object().ok_or("a permission is `{\"action\": …, \"bounds\": {…}}`")?;
    if let Some(other) = members.keys().find(|name| !matches!(name.as_str(), "action" | "bounds")) {
        return Err(format!("a permission has `action` and `bounds`, and no `{other}`"));
    }
    let action = members.get("action").and_then(Json::as_str).ok_or("a permission has an `action`")?;
    let action = action.parse().map_err(|e| format!("`action` {e}"))?;
    let mut bounds = BTreeMap::new();
    match members.get("bounds") {
        None | Some(Json::Null) => {}
        Some(Json::Object(all)) => {
            for (name, bound) in all {
                let bound = bound_from_json(bound);
                let wrong =
                    || format!("the bound of `{name}` is no value, list of values, or {{\"min\", \"max\"}}");
                bounds.insert(name.clone(), bound.ok_or_else(wrong)?);
            }
        }
        Some(_) => return Err("`bounds` has a bound for each parameter".to_string()),
    }
    Ok(OwnedPermission { action, bounds })
}

fn bound_from_json(json: &Json) -> Option<OwnedBound> {
    match json {
        Json::Array(values) if !values.is_empty() => {
            values.iter().map(value_from_json).collect::<Option<_>>().map(OwnedBound::OneOf)
        }
        Json::Object(ends) => {
            let end = |name| ends.get(name).map(|end: &Json| end.as_i64().ok_or(())).transpose().ok();
            let (at_least, at_most) = (end("min")?, end("max")?);
            let is_known = ends.keys().all(|name| matches!(name.as_str(), "min" | "max"));
            let is_range = match (at_least, at_most) {
                (None, None) => false,
                (Some(least), Some(most)) => least <= most,
                _ => true,
            };
            (is_known && is_range).then_some(OwnedBound::Range { at_least, at_most })
        }
        value => Some(OwnedBound::OneOf([value_from_json(value)?].into())),
    }
}

fn value_from_json(json: &Json) -> Option<OwnedValue> {
    match json {
        Json::Bool(b) => Some(OwnedValue::Bool(*b)),
        Json::Number(n) => n.as_i64().map(OwnedValue::Integer),
        Json::String(text) => Some(OwnedValue::Text(text.clone())),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}
