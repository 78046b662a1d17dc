//! What people and programs see of a grant.

use serde_json::{Map, Value as Json, json};
use thingward_grant::owned::{permissions_from_json, permissions_to_json, read};
use thingward_grant::{Audience, FormatError, Grant, Reference, Terms};

use super::file::text_of;
use crate::failure::Failure;

/// What stands in a grant's file, on nobody's word: whether the issuer signed it, the device says.
pub(super) fn of_file(bytes: &[u8]) -> Result<Json, Failure> {
    read_file(bytes).map_err(|e| Failure::Failed(format!("the grant is {e}")))
}

fn read_file(bytes: &[u8]) -> Result<Json, FormatError> {
    let grant = Grant::decode(bytes)?;
    let origin = grant.origin_unverified();
    let blocks: Vec<Json> = grant.terms_unverified().map(|terms| block(&terms?)).collect::<Result<_, _>>()?;
    let mut seen = json!({
        "id": hex(&origin.id),
        "tenant": origin.issuer.as_str(),
        "issuer_key_id": hex(&grant.key_id()),
        "epoch": origin.epoch,
        "reason": origin.reference.map(|r| match r {
            Reference::Payment(text) | Reference::Reason(text) => text,
        }),
        "holder": grant.holder_unverified()?.map(text_of),
        "bytes": bytes.len(),
    });
    // Each hand-over demands more; all of it has to be met.
    let (first, narrowings) = blocks.split_first().ok_or(FormatError::Malformed)?;
    if let (Some(seen), Some(first)) = (seen.as_object_mut(), first.as_object()) {
        seen.extend(first.clone());
    }
    if !narrowings.is_empty() {
        add(&mut seen, "narrowed", narrowings.into());
    }
    Ok(seen)
}

fn block(terms: &Terms<'_>) -> Result<Json, FormatError> {
    let mut block = Map::new();
    let scope = terms.scope.map(|scope| read(&scope)).transpose()?;
    let audience = terms.audience.map(|audience| match audience {
        Audience::Device(name) => format!("device/{name}"),
        Audience::Class(name) => format!("class/{name}"),
    });
    let all = [
        ("audience", audience.map(Json::from)),
        ("permissions", scope.map(|scope| permissions_to_json(&scope))),
        ("not_before", terms.not_before.map(|t| t.to_string().into())),
        ("expires", terms.expires.map(|t| t.to_string().into())),
        ("uses", terms.uses.map(Json::from)),
    ];
    block.extend(all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Ok(block.into())
}

/// Whether a grant that came says what was asked for, and nothing else.
pub(super) fn says(bytes: &[u8], asked: &Json) -> bool {
    let Ok(seen) = read_file(bytes) else { return false };
    let names = ["audience", "permissions", "holder", "not_before", "expires", "uses", "reason", "narrowed"];
    names.iter().all(|name| {
        let [seen, asked] = [&seen, asked].map(|object| object.get(name).unwrap_or(&Json::Null));
        seen == asked
    })
}

/// With permissions as people type them.
pub(super) fn for_people(seen: &Json) -> Json {
    let mut seen = seen.clone();
    let Some(members) = seen.as_object_mut() else { return seen };
    if let Some(permissions) = members.get_mut("permissions") {
        *permissions = typed(permissions);
    }
    if let Some(Json::Array(narrowed)) = members.get_mut("narrowed") {
        narrowed.iter_mut().for_each(|block| *block = for_people(block));
    }
    seen
}

fn typed(permissions: &Json) -> Json {
    match permissions_from_json(permissions) {
        Ok(all) => all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ").into(),
        Err(_) => permissions.clone(),
    }
}

/// Sets a member of an object.
pub(super) fn add(object: &mut Json, name: &str, value: Json) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Whether a text can be a grant's id.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
