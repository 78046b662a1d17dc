//! From JSON to a description, with a place for each complaint.

use core::fmt;
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use serde_json::{Map, Value};

use super::{
    AFFORDANCES_MAX, Action, CONTEXT, DESCRIPTION_BYTES_MAX, Event, NAMESPACE, Property, Schema,
    TEXT_BYTES_MAX, ThingDescription, UseStep, WORD_BYTES_MAX,
};

/// Why a text is no description that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescriptionError {
    /// Where, as a JSON Pointer (RFC 6901); empty for the whole document.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for DescriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the description" } else { &self.path };
        write!(f, "{path} {}", self.problem)
    }
}

impl core::error::Error for DescriptionError {}

type Read<T> = Result<T, DescriptionError>;

/// A value and where it stands.
pub(super) struct Place<'a> {
    pub(super) value: &'a Value,
    path: String,
}

impl<'a> Place<'a> {
    pub(super) fn fail<T>(&self, problem: impl Into<String>) -> Read<T> {
        Err(DescriptionError { path: self.path.clone(), problem: problem.into() })
    }

    pub(super) fn object(&self) -> Read<&'a Map<String, Value>> {
        self.value.as_object().map_or_else(|| self.fail("is not an object"), Ok)
    }

    /// The member of this name; `None` when there is none.
    pub(super) fn member(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name)?;
        Some(Self { value, path: format!("{}/{}", self.path, name.replace('~', "~0").replace('/', "~1")) })
    }

    fn item(&self, at: usize, value: &'a Value) -> Self {
        Self { value, path: format!("{}/{at}", self.path) }
    }

    pub(super) fn text(&self, bytes_max: usize) -> Read<String> {
        match self.value.as_str() {
            None => self.fail("is not a text"),
            Some(text) if text.len() > bytes_max => self.fail(format!("is longer than {bytes_max} bytes")),
            Some(text) => Ok(text.to_string()),
        }
    }

    pub(super) fn number(&self) -> Read<f64> {
        self.value.as_f64().map_or_else(|| self.fail("is not a number"), Ok)
    }

    pub(super) fn count(&self) -> Read<u64> {
        self.value.as_u64().map_or_else(|| self.fail("is not a whole number from 0 up"), Ok)
    }

    fn flag(&self) -> Read<bool> {
        self.value.as_bool().map_or_else(|| self.fail("is not true or false"), Ok)
    }

    pub(super) fn items(&self, max: usize) -> Read<Vec<Self>> {
        match self.value.as_array() {
            None => self.fail("is not an array"),
            Some(items) if items.len() > max => self.fail(format!("has more than {max} items")),
            Some(items) => Ok(items.iter().enumerate().map(|(at, v)| self.item(at, v)).collect()),
        }
    }

    /// The members of the object at `name`, in order; none when there is no such object.
    pub(super) fn members(&self, name: &str, max: usize) -> Read<Vec<(&'a str, Self)>> {
        let Some(place) = self.member(name) else { return Ok(Vec::new()) };
        let object = place.object()?;
        if object.len() > max {
            return place.fail(format!("has more than {max} members"));
        }
        let mut all = Vec::with_capacity(object.len());
        for key in object.keys() {
            if key.is_empty() || key.len() > WORD_BYTES_MAX {
                return place.fail(format!("has a name that is empty or longer than {WORD_BYTES_MAX} bytes"));
            }
            all.extend(place.member(key).map(|member| (key.as_str(), member)));
        }
        Ok(all)
    }

    /// What `read` makes of the member; `None` when there is none.
    pub(super) fn maybe<T>(&self, name: &str, read: impl FnOnce(&Self) -> Read<T>) -> Read<Option<T>> {
        self.member(name).as_ref().map(read).transpose()
    }

    pub(super) fn maybe_word(&self, name: &str) -> Read<Option<String>> {
        self.maybe(name, |p| p.text(WORD_BYTES_MAX))
    }

    pub(super) fn maybe_text(&self, name: &str) -> Read<Option<String>> {
        self.maybe(name, |p| p.text(TEXT_BYTES_MAX))
    }

    fn maybe_flag(&self, name: &str) -> Read<bool> {
        Ok(self.maybe(name, Self::flag)?.unwrap_or_default())
    }

    fn needed(&self, name: &str) -> Read<Self> {
        self.member(name).map_or_else(|| self.fail(format!("has no {name}")), Ok)
    }
}

pub(super) fn description(json: &[u8]) -> Read<ThingDescription> {
    let whole = |problem: String| DescriptionError { path: String::new(), problem };
    if json.len() > DESCRIPTION_BYTES_MAX {
        return Err(whole(format!("is larger than {DESCRIPTION_BYTES_MAX} bytes")));
    }
    let document: Value = serde_json::from_slice(json).map_err(|e| whole(format!("is not JSON: {e}")))?;
    let root = Place { value: &document, path: String::new() };
    root.object()?;
    check_context(&root, json)?;
    check_security(&root)?;
    let title = root.needed("title")?.text(WORD_BYTES_MAX)?;
    let id = root.maybe_text("id")?;
    let mut properties = BTreeMap::new();
    for (name, place) in root.members("properties", AFFORDANCES_MAX)? {
        properties.insert(name.to_string(), property(&place)?);
    }
    let mut actions = BTreeMap::new();
    for (name, place) in root.members("actions", AFFORDANCES_MAX)? {
        let name = name.parse().or_else(|e: crate::NameError| place.fail(e.to_string()))?;
        actions.insert(name, action(&place)?);
    }
    let mut events = BTreeMap::new();
    for (name, place) in root.members("events", AFFORDANCES_MAX)? {
        events.insert(name.to_string(), event(&place)?);
    }
    Ok(ThingDescription { title, id, properties, actions, events, document })
}

/// The standard's context has to be there, and ours where our terms are: under another binding `tw:sensitive` would
/// mean something else, and be overlooked.
fn check_context(root: &Place<'_>, json: &[u8]) -> Read<()> {
    let context = root.needed("@context")?;
    let entries = match context.value {
        Value::Array(_) => context.items(AFFORDANCES_MAX)?,
        _ => vec![Place { value: context.value, path: context.path.clone() }],
    };
    if !entries.iter().any(|e| e.value.as_str() == Some(CONTEXT)) {
        return context.fail(format!("does not name {CONTEXT}"));
    }
    let is_ours = |e: &Place<'_>| e.value.get("tw").and_then(Value::as_str) == Some(NAMESPACE);
    let uses_ours = json.windows(4).any(|w| w == b"\"tw:");
    if uses_ours && !entries.iter().any(is_ours) {
        return context.fail(format!("has to bind tw to {NAMESPACE}, for the description uses tw: terms"));
    }
    Ok(())
}

/// §5.3.1.1: which schemes there are, and which of them apply. The link itself is secured by its certificates.
fn check_security(root: &Place<'_>) -> Read<()> {
    let schemes = root.needed("securityDefinitions")?;
    for (name, scheme) in root.members("securityDefinitions", AFFORDANCES_MAX)? {
        if name.starts_with('@') {
            continue;
        }
        scheme.needed("scheme")?.text(WORD_BYTES_MAX)?;
    }
    let security = root.needed("security")?;
    let names = match security.value {
        Value::Array(_) => security.items(AFFORDANCES_MAX)?,
        _ => vec![Place { value: security.value, path: security.path.clone() }],
    };
    if names.is_empty() {
        return security.fail("names no scheme");
    }
    for name in names {
        let text = name.text(WORD_BYTES_MAX)?;
        if schemes.value.get(&text).is_none() {
            return name.fail("is not in securityDefinitions");
        }
    }
    Ok(())
}

/// §5.3.1.2: an affordance has at least one form.
fn check_forms(place: &Place<'_>) -> Read<()> {
    place.object()?;
    let forms = place.needed("forms")?;
    let all = forms.items(AFFORDANCES_MAX)?;
    if all.is_empty() {
        return forms.fail("is empty");
    }
    for form in all {
        form.needed("href")?.text(TEXT_BYTES_MAX)?;
    }
    Ok(())
}

fn property(place: &Place<'_>) -> Read<Property> {
    check_forms(place)?;
    let stream = place.maybe("tw:stream", |p| {
        p.text(WORD_BYTES_MAX)?.parse().or_else(|e: crate::NameError| p.fail(e.to_string()))
    })?;
    Ok(Property { schema: Schema::read(place, 1)?, stream, category: place.maybe_word("tw:category")? })
}

fn action(place: &Place<'_>) -> Read<Action> {
    check_forms(place)?;
    let roles = place.maybe("tw:roles", |p| {
        p.items(AFFORDANCES_MAX)?.iter().map(|role| role.text(WORD_BYTES_MAX)).collect::<Read<Vec<_>>>()
    })?;
    let (is_sensitive, is_open_to_grants) =
        (place.maybe_flag("tw:sensitive")?, place.maybe_flag("tw:grants")?);
    if is_sensitive && is_open_to_grants {
        return place.fail("is sensitive and open to grants: a grant is nobody's own approval of an input");
    }
    let step = place.maybe("tw:step", use_step)?;
    if step.is_some() && !is_open_to_grants {
        return place.fail("has a tw:step and is not open to grants");
    }
    Ok(Action {
        title: place.maybe_word("title")?,
        description: place.maybe_text("description")?,
        input: place.maybe("input", |p| Schema::read(p, 1))?,
        output: place.maybe("output", |p| Schema::read(p, 1))?,
        is_safe: place.maybe_flag("safe")?,
        is_idempotent: place.maybe_flag("idempotent")?,
        roles: roles.unwrap_or_else(|| vec!["administrator".to_string(), "operator".to_string()]),
        is_sensitive,
        is_open_to_grants,
        step,
    })
}

fn use_step(place: &Place<'_>) -> Read<UseStep> {
    match place.text(WORD_BYTES_MAX)?.as_str() {
        "start" => Ok(UseStep::Start),
        "end" => Ok(UseStep::End),
        _ => place.fail("is none of start, end"),
    }
}

fn event(place: &Place<'_>) -> Read<Event> {
    check_forms(place)?;
    Ok(Event { title: place.maybe_word("title")?, data: place.maybe("data", |p| Schema::read(p, 1))? })
}
