//! Permissions that own what they say, for hosts: read from people and programs, shown to them, and held against what a
//! description opens. Devices ask scopes and need none of this.
//!
//! As text: `reserve minutes=1..120 zone=a,b`, with `=5` for the input that is no map. As JSON:
//!
//! ```json
//! {"action": "reserve", "bounds": {"minutes": {"min": 1, "max": 120}, "zone": ["a", "b"]}}
//! ```

mod json;
mod text;

use core::fmt;
use std::borrow::ToOwned;
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use thingward_model::ActionName;

pub use json::{permissions_from_json, permissions_to_json};

use crate::scope::{OwnedLimit, read_permissions};
use crate::{Bound, FormatError, Permission, Scope, Value};

/// One thing that may be done: a [`Permission`] that owns what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedPermission {
    /// The action of the device's description.
    pub action: ActionName,
    /// Parameters with their bounds. The empty name is an input that is no map.
    pub bounds: BTreeMap<String, OwnedBound>,
}

/// A [`Bound`] that owns its values. At least one value, and a range that has one of its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedBound {
    /// One of these values.
    OneOf(Vec<OwnedValue>),
    /// A number from `at_least` to `at_most`, both included; one of them may be open.
    Range {
        /// Least value.
        at_least: Option<i64>,
        /// Greatest value.
        at_most: Option<i64>,
    },
}

/// A [`Value`] that owns its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
}

/// Why a permission is not within what is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beyond {
    /// The action is not open at all.
    Action(ActionName),
    /// The action has no such parameter that is open.
    Parameter(ActionName, String),
    /// The bound goes beyond this one.
    Bound(ActionName, String, OwnedBound),
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let input = |name: &String| if name.is_empty() { "its input".to_owned() } else { name.clone() };
        match self {
            Self::Action(action) => write!(f, "`{action}` is not open to grants"),
            Self::Parameter(action, name) => {
                write!(f, "`{action}`: {} is not open to grants", input(name))
            }
            Self::Bound(action, name, open) => {
                write!(f, "`{action}`: {} goes beyond what is open to grants, which is {open}", input(name))
            }
        }
    }
}

impl core::error::Error for Beyond {}

impl OwnedPermission {
    /// Whether it is within what `opened` allows. A parameter that it does not bound is bounded by what is open alone.
    ///
    /// # Errors
    ///
    /// [`Beyond`] says what is not.
    pub fn within(&self, opened: &[Self]) -> Result<(), Beyond> {
        let open = opened.iter().find(|open| open.action == self.action);
        let open = open.ok_or(Beyond::Action(self.action))?;
        for (name, bound) in &self.bounds {
            let limit = open.bounds.get(name);
            let limit = limit.ok_or_else(|| Beyond::Parameter(self.action, name.clone()))?;
            if !bound.is_within(limit) {
                return Err(Beyond::Bound(self.action, name.clone(), limit.clone()));
            }
        }
        Ok(())
    }
}

impl OwnedBound {
    fn is_within(&self, limit: &Self) -> bool {
        match (self, limit) {
            (Self::OneOf(values), Self::OneOf(allowed)) => values.iter().all(|value| allowed.contains(value)),
            (Self::OneOf(values), Self::Range { at_least, at_most }) => values.iter().all(|value| {
                matches!(value, OwnedValue::Integer(n)
                    if at_least.is_none_or(|least| *n >= least) && at_most.is_none_or(|most| *n <= most))
            }),
            (Self::Range { at_least, at_most }, Self::Range { at_least: open_least, at_most: open_most }) => {
                open_least.is_none_or(|open| at_least.is_some_and(|least| least >= open))
                    && open_most.is_none_or(|open| at_most.is_some_and(|most| most <= open))
            }
            // A range has no end that a list has; one of few numbers is written as a list.
            (Self::Range { .. }, Self::OneOf(_)) => false,
        }
    }
}

/// The permissions of a scope.
///
/// # Errors
///
/// [`FormatError`] never, in practice: the bytes were read before.
pub fn read(scope: &Scope<'_>) -> Result<Vec<OwnedPermission>, FormatError> {
    let mut all = Vec::new();
    read_permissions(scope, |action, limits| {
        let bounds = limits.into_iter().map(|(name, limit)| (name.to_owned(), OwnedBound::of(limit)));
        all.push(OwnedPermission {
            action: ActionName::new(action.as_str()).map_err(|_| FormatError::Malformed)?,
            bounds: bounds.collect(),
        });
        Ok(())
    })?;
    Ok(all)
}

/// Writes permissions to the front of `out`, which [`SCOPE_BYTES_MAX`](crate::SCOPE_BYTES_MAX) bytes suffice for.
///
/// # Errors
///
/// As [`Scope::write`].
pub fn write<'o>(permissions: &[OwnedPermission], out: &'o mut [u8]) -> Result<Scope<'o>, FormatError> {
    let values: Vec<Vec<Vec<Value<'_>>>> = permissions
        .iter()
        .map(|permission| permission.bounds.values().map(OwnedBound::values).collect())
        .collect();
    let bounds: Vec<Vec<(&str, Bound<'_>)>> = permissions
        .iter()
        .zip(&values)
        .map(|(permission, values)| {
            let bounds = permission.bounds.iter().zip(values);
            bounds.map(|((name, bound), values)| (name.as_str(), bound.borrowed(values))).collect()
        })
        .collect();
    let permissions: Vec<Permission<'_>> = permissions
        .iter()
        .zip(&bounds)
        .map(|(permission, bounds)| Permission { action: permission.action.borrowed(), bounds })
        .collect();
    Scope::write(&permissions, out)
}

impl OwnedBound {
    fn of(limit: OwnedLimit<'_>) -> Self {
        match limit {
            OwnedLimit::OneOf(values) => Self::OneOf(values.into_iter().map(OwnedValue::of).collect()),
            OwnedLimit::Range(at_least, at_most) => Self::Range { at_least, at_most },
        }
    }

    fn values(&self) -> Vec<Value<'_>> {
        match self {
            Self::OneOf(values) => values.iter().map(OwnedValue::borrowed).collect(),
            Self::Range { .. } => Vec::new(),
        }
    }

    const fn borrowed<'a>(&self, values: &'a [Value<'a>]) -> Bound<'a> {
        match self {
            Self::OneOf(_) => Bound::OneOf(values),
            Self::Range { at_least, at_most } => Bound::Range { at_least: *at_least, at_most: *at_most },
        }
    }
}

impl OwnedValue {
    fn of(value: Value<'_>) -> Self {
        match value {
            Value::Bool(b) => Self::Bool(b),
            Value::Integer(n) => Self::Integer(n),
            Value::Text(text) => Self::Text(text.to_owned()),
        }
    }

    const fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Bool(b) => Value::Bool(*b),
            Self::Integer(n) => Value::Integer(*n),
            Self::Text(text) => Value::Text(text.as_str()),
        }
    }
}

#[cfg(test)]
mod tests;
