//! What a device's description opens to grants, as a scope. For hosts; a chip has the scope that was made from it.

use core::fmt;
use std::string::String;
use std::vec::Vec;

use serde_json::Value as Json;
use thingward_model::ActionName;
use thingward_model::description::{Action, Bounds, Kind, Schema, ThingDescription};

use crate::{Bound, FormatError, Operation, Permission, Scope, Value};

/// Whole numbers beyond this are not all exact as doubles, which descriptions have.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Why a description cannot open what it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpeningError {
    /// An input has no bounds that a grant could be checked against.
    Unbounded {
        /// The action.
        action: ActionName,
        /// The member of its input; empty for the input itself.
        member: String,
        /// What would have to be there.
        problem: &'static str,
    },
    /// It is more than a device keeps.
    Format(FormatError),
}

impl fmt::Display for OpeningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unbounded { action, member, problem } if member.is_empty() => {
                write!(f, "{action} cannot be open to grants: its input {problem}")
            }
            Self::Unbounded { action, member, problem } => {
                write!(f, "{action} cannot be open to grants: {member} {problem}")
            }
            Self::Format(e) => write!(f, "what the description opens to grants is {e}"),
        }
    }
}

impl core::error::Error for OpeningError {}

/// What `description` opens to grants: its actions with `tw:grants`, within the bounds of their inputs. Written to the
/// front of `out`, which [`SCOPE_BYTES_MAX`](crate::SCOPE_BYTES_MAX) bytes suffice for.
///
/// A grant has to give every argument that is opened. A member that need not be given, and has no bounds, is left out:
/// nobody gives it by a grant.
///
/// # Errors
///
/// [`OpeningError`] when an input has no bounds, or all are too many.
pub fn opened<'o>(description: &ThingDescription, out: &'o mut [u8]) -> Result<Scope<'o>, OpeningError> {
    let mut inputs = Vec::new();
    for (name, action) in description.actions.iter().filter(|(_, action)| action.is_open_to_grants) {
        let unbounded = |(member, problem): (&str, _)| OpeningError::Unbounded {
            action: *name,
            member: member.into(),
            problem,
        };
        inputs.push((*name, members(action).map_err(unbounded)?));
    }
    let bounds: Vec<(ActionName, Vec<(&str, Bound<'_>)>)> = inputs
        .iter()
        .map(|(name, members)| (*name, members.iter().map(|(m, allowed)| (*m, allowed.bound())).collect()))
        .collect();
    let permissions: Vec<Permission<'_>> =
        bounds.iter().map(|(action, bounds)| Permission { action: action.borrowed(), bounds }).collect();
    Scope::write(&permissions, out).map_err(OpeningError::Format)
}

/// The input of an action as descriptions have it: null for no argument, the value of the one without a name, or a map.
///
/// # Errors
///
/// As [`Operation::argument`].
pub fn input(operation: &Operation<'_>) -> Result<Json, FormatError> {
    let (mut whole, mut members) = (Json::Null, serde_json::Map::new());
    operation.each_argument(|name, value| {
        let value = match value {
            Value::Bool(b) => Json::from(b),
            Value::Integer(n) => Json::from(n),
            Value::Text(text) => Json::from(text),
        };
        match name {
            "" => whole = value,
            _ => drop(members.insert(name.into(), value)),
        }
    })?;
    Ok(if members.is_empty() { whole } else { Json::Object(members) })
}

/// A bound that owns its values.
enum Allowed<'a> {
    OneOf(Vec<Value<'a>>),
    Range { at_least: Option<i64>, at_most: Option<i64> },
}

impl Allowed<'_> {
    fn bound(&self) -> Bound<'_> {
        match self {
            Self::OneOf(values) => Bound::OneOf(values),
            Self::Range { at_least, at_most } => Bound::Range { at_least: *at_least, at_most: *at_most },
        }
    }
}

type Members<'a> = Vec<(&'a str, Allowed<'a>)>;

/// The members of an action's input, or the input under the empty name.
fn members(action: &Action) -> Result<Members<'_>, (&str, &'static str)> {
    let Some(input) = &action.input else { return Ok(Vec::new()) };
    let Kind::Object { properties, required } = &input.kind else {
        return Ok([("", allowed(input).map_err(|problem| ("", problem))?)].into());
    };
    let mut members = Vec::new();
    for (name, schema) in properties {
        match allowed(schema) {
            Ok(allowed) => members.push((name.as_str(), allowed)),
            Err(problem) if required.contains(name) => return Err((name, problem)),
            Err(_) => {}
        }
    }
    Ok(members)
}

fn allowed(schema: &Schema) -> Result<Allowed<'_>, &'static str> {
    if !schema.one_of.is_empty() {
        return Err("has alternatives");
    }
    if !schema.choices.is_empty() {
        return choices(schema);
    }
    match &schema.kind {
        Kind::Boolean => Ok(Allowed::OneOf([Value::Bool(false), Value::Bool(true)].into())),
        Kind::Integer(bounds) | Kind::Number(bounds) => range(bounds),
        Kind::Text { .. } => Err("is a text without an enum"),
        Kind::Any | Kind::Null | Kind::Object { .. } | Kind::Array { .. } => {
            Err("is no truth, number or text")
        }
    }
}

/// The values of an `enum` that the rest of the schema does not rule out.
fn choices(schema: &Schema) -> Result<Allowed<'_>, &'static str> {
    let value = |choice| match choice {
        &Json::Bool(b) => Some(Value::Bool(b)),
        Json::Number(n) => n.as_f64().and_then(whole).map(Value::Integer),
        Json::String(text) => Some(Value::Text(text)),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    };
    let valid = schema.choices.iter().filter(|choice| schema.validate(choice).is_ok());
    let values: Option<Vec<Value<'_>>> = valid.map(value).collect();
    match values {
        Some(values) if !values.is_empty() => Ok(Allowed::OneOf(values)),
        Some(_) => Err("has an enum of which nothing is valid"),
        None => Err("has an enum with something else than truths, whole numbers and texts"),
    }
}

/// The whole numbers within the bounds.
fn range(bounds: &Bounds) -> Result<Allowed<'static>, &'static str> {
    if bounds.multiple_of.is_some_and(|step| step != 1.0) {
        return Err("goes in steps; an enum of its values would do");
    }
    let inexact = "has a bound that is not exact as a whole number";
    let exact = |bound: Option<f64>| bound.map(|b| whole(b).ok_or(inexact)).transpose();
    let least = exact(bounds.minimum.map(f64::ceil))?;
    let above = exact(bounds.exclusive_minimum.map(f64::floor))?;
    let most = exact(bounds.maximum.map(f64::floor))?;
    let below = exact(bounds.exclusive_maximum.map(f64::ceil))?;
    let at_least = least.max(above.map(|n| n.saturating_add(1)));
    let at_most = [most, below.map(|n| n.saturating_sub(1))].into_iter().flatten().min();
    match (at_least, at_most) {
        (None, None) => Err("is a number without bounds"),
        (Some(least), Some(most)) if least > most => Err("has bounds with no whole number between them"),
        _ => Ok(Allowed::Range { at_least, at_most }),
    }
}

fn whole(n: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and in the range of exact integers")]
    (n.fract() == 0.0 && n.abs() <= EXACT_INTEGER_MAX).then_some(n as i64)
}

#[cfg(test)]
mod tests;
