//! What devices say that they can do, as policies and readers of the API need it.

use std::collections::BTreeMap;

use thingward_model::description::ThingDescription;
use thingward_model::{ActionName, DeviceName, FieldName, TenantName};
use thingward_policy::{Categories, Operation, UserRole};

use crate::pipeline::Via;

/// The key under which a device's description is kept.
pub(crate) fn key(tenant: &TenantName, device: &DeviceName) -> Vec<u8> {
    format!("{tenant}\0{device}").into_bytes()
}

/// Reverses [`key`].
pub(crate) fn names(key: &[u8]) -> Option<(TenantName, DeviceName)> {
    let (tenant, device) = std::str::from_utf8(key).ok()?.split_once('\0')?;
    Some((tenant.parse().ok()?, device.parse().ok()?))
}

/// As it is kept: the way that it came, then the document.
pub(crate) fn encode(via: Via, document: &[u8]) -> Vec<u8> {
    [&[u8::from(via == Via::Gateway)], document].concat()
}

/// Reverses [`encode`].
pub(crate) fn decode(kept: &[u8]) -> Option<(Via, &[u8])> {
    match kept.split_first()? {
        (0, document) => Some((Via::Device, document)),
        (1, document) => Some((Via::Gateway, document)),
        _ => None,
    }
}

/// Its actions as policies see them. A role that no user has is nobody's.
pub(crate) fn operations(thing: &ThingDescription) -> BTreeMap<ActionName, Operation> {
    let role = |word: &String| word.parse::<UserRole>().ok();
    let operation = |(name, action): (&ActionName, &thingward_model::description::Action)| {
        let roles = action.roles.iter().filter_map(role).collect();
        (*name, Operation { roles, is_sensitive: action.is_sensitive })
    };
    thing.actions.iter().map(operation).collect()
}

/// What its fields are about.
pub(crate) fn categories(thing: &ThingDescription) -> BTreeMap<FieldName, Categories> {
    let categories = thing.properties.iter().filter_map(|(name, property)| {
        let about = match property.category.as_deref()? {
            "location" => Categories { location: true, personal: false },
            "personal" => Categories { location: false, personal: true },
            _ => return None,
        };
        Some((name.parse().ok()?, about))
    });
    categories.collect()
}
