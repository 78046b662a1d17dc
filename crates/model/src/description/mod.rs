//! What a thing can do, as a W3C Web of Things Thing Description 1.1.
//!
//! What is read here is what the product uses; everything else that the standard allows stays in the document and is
//! passed on. Our own terms have the prefix `tw:`, which the document's `@context` has to bind to [`NAMESPACE`]:
//!
//! | Term | On | Meaning |
//! |---|---|---|
//! | `tw:roles` | action | the roles that may ask for it; administrator and operator without it |
//! | `tw:sensitive` | action | each command needs the user's own passkey over exactly this input |
//! | `tw:grants` | action | grants reach it, within the bounds of its input; without it none does |
//! | `tw:step` | action | the [step](UseStep) of a use that it is: a grant begins once and ends once |
//! | `tw:category` | property | what kind of data it is, for policy: `location`, `personal` |
//! | `tw:stream` | property | the stream that carries it, when not the thing's only one |

mod input;
mod read;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use serde_json::Value;

pub use input::InputError;
pub use read::DescriptionError;
pub use schema::{Bounds, Kind, Schema};

use crate::name::{ActionName, StreamName};

/// The context of TD 1.1: §5.3.1.1 demands it.
pub const CONTEXT: &str = "https://www.w3.org/2022/wot/td/v1.1";
/// What the prefix `tw` stands for.
pub const NAMESPACE: &str = "urn:thingward:td:";

/// Largest description in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 64 * 1024;
/// Most properties, most actions and most events.
pub const AFFORDANCES_MAX: usize = 64;
/// Most levels of a data schema.
pub const SCHEMA_DEPTH_MAX: usize = 4;
/// Most members of an object in a schema, and most alternatives.
pub const SCHEMA_MEMBERS_MAX: usize = 32;
/// Most values of an `enum`.
pub const CHOICES_MAX: usize = 64;
/// Longest name, title, unit or word, in bytes.
pub const WORD_BYTES_MAX: usize = 128;
/// Longest description of anything, in bytes.
pub const TEXT_BYTES_MAX: usize = 2048;

/// A thing's description.
#[derive(Debug, Clone, PartialEq)]
pub struct ThingDescription {
    /// What people call this kind of thing.
    pub title: String,
    /// A URI of the thing, when it has one.
    pub id: Option<String>,
    /// What it measures and is.
    pub properties: BTreeMap<String, Property>,
    /// What it can be told to do.
    pub actions: BTreeMap<ActionName, Action>,
    /// What it tells unasked.
    pub events: BTreeMap<String, Event>,
    document: Value,
}

/// What a thing measures or is.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// What its values are.
    pub schema: Schema,
    /// The stream that carries it.
    pub stream: Option<StreamName>,
    /// What kind of data it is.
    pub category: Option<String>,
}

/// What a thing can be told to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// What people call it.
    pub title: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// What it takes; `None` for nothing.
    pub input: Option<Schema>,
    /// What it gives; `None` for nothing that is said.
    pub output: Option<Schema>,
    /// It changes nothing.
    pub is_safe: bool,
    /// Twice is the same as once.
    pub is_idempotent: bool,
    /// Who may ask for it.
    pub roles: Vec<String>,
    /// It needs the user's own approval of each input.
    pub is_sensitive: bool,
    /// Grants reach it.
    pub is_open_to_grants: bool,
    /// Which step it is of what a grant allows; `None` for what can be done as often as the grant says.
    pub step: Option<UseStep>,
}

/// A step in the course of what one grant allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UseStep {
    /// What was granted begins.
    Start,
    /// It is given up.
    End,
}

/// What a thing tells unasked.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What people call it.
    pub title: Option<String>,
    /// What it carries.
    pub data: Option<Schema>,
}

impl ThingDescription {
    /// Reads a description.
    ///
    /// # Errors
    ///
    /// [`DescriptionError`] says where and what.
    pub fn parse(json: &[u8]) -> Result<Self, DescriptionError> {
        read::description(json)
    }

    /// The document with everything that stood in it.
    #[must_use]
    pub const fn as_json(&self) -> &Value {
        &self.document
    }
}
