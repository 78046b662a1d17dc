//! What may be done: operations with bounds, as AIF (RFC 9237 §2) writes them.
//!
//! ```text
//! scope      = [* [action, {* parameter => bound}]]
//! bound      = value              exactly this
//!            / [* value]          one of these
//!            / {? 0: int, ? 1: int}   at least, at most
//! ```
//!
//! A scope is asked, never computed with: what several scopes allow together is what each of them allows. So a
//! narrowing cannot widen, whatever stands in it.

use thingward_model::{NameRef, name};

use crate::cbor::{self, Major, Reader, Writer, comes_before};
use crate::{FormatError, Operation};

/// Largest scope in bytes. A device keeps one for what its description opens and one for each issuer.
pub const SCOPE_BYTES_MAX: usize = 256;
/// Most permissions of a scope.
pub const PERMISSIONS_MAX: usize = 8;
/// Most parameters that a permission bounds, and most arguments of an operation.
pub const BOUNDS_MAX: usize = 6;
/// Most values of an enumeration.
pub const CHOICES_MAX: usize = 16;
/// Longest text value and longest name of a parameter, in bytes.
pub const TEXT_BYTES_MAX: usize = 32;

/// Keys of a range.
const AT_LEAST: i64 = 0;
const AT_MOST: i64 = 1;

/// One value of a parameter. Numbers are whole, in the unit of the description: a fraction has no one encoding, and
/// 8-bit chips have no floating point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A text of at most [`TEXT_BYTES_MAX`] bytes.
    Text(&'a str),
}

/// What a parameter may be. It has to be there: an argument that is missing satisfies nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound<'a> {
    /// This value.
    Exactly(Value<'a>),
    /// One of these values, at least one.
    OneOf(&'a [Value<'a>]),
    /// A number from `at_least` to `at_most`, both included; one of them may be open.
    Range {
        /// Least value.
        at_least: Option<i64>,
        /// Greatest value.
        at_most: Option<i64>,
    },
}

/// One thing that may be done. Parameters without a bound are free as far as this permission goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission<'a> {
    /// The action of the device's description.
    pub action: NameRef<'a, name::Action>,
    /// Parameters with their bounds, in any order. The empty name is an input that is no map.
    pub bounds: &'a [(&'a str, Bound<'a>)],
}

/// Permissions in their one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a>(&'a [u8]);

/// How much a scope has to say about an operation to allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// An argument without a bound is free.
    MayBeFree,
    /// Every argument has to have a bound.
    MustBeBound,
}

impl<'a> Scope<'a> {
    /// Writes a scope to the front of `out`.
    ///
    /// # Errors
    ///
    /// [`FormatError::Malformed`] for an empty range or enumeration, or a parameter that comes twice;
    /// [`FormatError::TooLarge`] or [`FormatError::BufferTooSmall`].
    pub fn write(permissions: &[Permission<'_>], out: &'a mut [u8]) -> Result<Self, FormatError> {
        let bytes = cbor::written(out, |e| {
            e.array(permissions.len())?;
            permissions.iter().try_for_each(|p| write_permission(e, p))
        })?;
        Self::from_bytes(bytes)
    }

    /// Reads a scope that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when it is none, or not in its one encoding.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, FormatError> {
        if bytes.len() > SCOPE_BYTES_MAX {
            return Err(FormatError::TooLarge);
        }
        let mut r = Reader::new(bytes);
        for _ in 0..at_most(r.array()?, PERMISSIONS_MAX)? {
            let (_, bounds) = read_action(&mut r)?;
            let mut last = None;
            for _ in 0..bounds {
                let (name, _) = read_bound(&mut r)?;
                if last.is_some_and(|last| !comes_before(last, name)) {
                    return Err(FormatError::Malformed);
                }
                last = Some(name);
            }
        }
        r.end()?;
        Ok(Self(bytes))
    }

    /// The encoding.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether one of the permissions allows `operation`.
    ///
    /// # Errors
    ///
    /// [`FormatError`] never, in practice: the bytes were read before.
    pub(crate) fn allows(
        &self,
        operation: &Operation<'_>,
        arguments: Arguments,
    ) -> Result<bool, FormatError> {
        let mut r = Reader::new(self.0);
        let mut is_allowed = false;
        for _ in 0..r.array()? {
            let (action, bounds) = read_action(&mut r)?;
            let mut holds = action == operation.action();
            for _ in 0..bounds {
                let (name, limit) = read_bound(&mut r)?;
                holds &= match operation.argument(name)? {
                    Some(value) => limit.holds(value)?,
                    None => false,
                };
            }
            // Names are told apart by their order, so as many bounds that hold as arguments are all of them.
            let is_bound = bounds == operation.arguments_len();
            is_allowed |= holds && (is_bound || arguments == Arguments::MayBeFree);
        }
        Ok(is_allowed)
    }
}

/// A bound with its values, for hosts.
#[cfg(feature = "std")]
pub(crate) enum OwnedLimit<'a> {
    OneOf(std::vec::Vec<Value<'a>>),
    Range(Option<i64>, Option<i64>),
}

/// Hands `take` each permission of a scope.
#[cfg(feature = "std")]
pub(crate) fn read_permissions<'a>(
    scope: &Scope<'a>,
    mut take: impl FnMut(
        NameRef<'a, name::Action>,
        std::vec::Vec<(&'a str, OwnedLimit<'a>)>,
    ) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let mut r = Reader::new(scope.0);
    for _ in 0..r.array()? {
        let (action, bounds) = read_action(&mut r)?;
        let mut limits = std::vec::Vec::new();
        for _ in 0..bounds {
            let (name, limit) = read_bound(&mut r)?;
            limits.push((name, limit.owned()?));
        }
        take(action, limits)?;
    }
    Ok(())
}

/// A bound as it stands in an encoded scope.
enum Limit<'a> {
    /// As many values as the number says, from where the reader stands.
    OneOf(usize, Reader<'a>),
    Range(i64, i64),
}

#[cfg(feature = "std")]
impl<'a> Limit<'a> {
    fn owned(self) -> Result<OwnedLimit<'a>, FormatError> {
        match self {
            Self::OneOf(len, mut r) => {
                let values = (0..len).map(|_| read_value(&mut r)).collect::<Result<_, _>>()?;
                Ok(OwnedLimit::OneOf(values))
            }
            // The greatest number there is says as much as no end; one end has to be there.
            Self::Range(least, most) => {
                let at_most = (most < i64::MAX).then_some(most);
                let at_least = (least > i64::MIN || at_most.is_none()).then_some(least);
                Ok(OwnedLimit::Range(at_least, at_most))
            }
        }
    }
}

impl Limit<'_> {
    fn holds(self, value: Value<'_>) -> Result<bool, FormatError> {
        match self {
            Self::OneOf(len, mut r) => {
                let mut is_there = false;
                for _ in 0..len {
                    is_there |= read_value(&mut r)? == value;
                }
                Ok(is_there)
            }
            Self::Range(least, most) => Ok(matches!(value, Value::Integer(n) if (least..=most).contains(&n))),
        }
    }
}

fn read_action<'a>(r: &mut Reader<'a>) -> Result<(NameRef<'a, name::Action>, usize), FormatError> {
    if r.array()? != 2 {
        return Err(FormatError::Malformed);
    }
    Ok((r.name()?, at_most(r.map()?, BOUNDS_MAX)?))
}

fn read_bound<'a>(r: &mut Reader<'a>) -> Result<(&'a str, Limit<'a>), FormatError> {
    let name = read_text(r)?;
    let limit = match r.next_major()? {
        Major::Map => read_range(r)?,
        Major::Array => {
            let len = at_most(r.array()?, CHOICES_MAX)?;
            let values = *r;
            for _ in 0..len {
                read_value(r)?;
            }
            // One value stands by itself, and none would be nothing.
            if len < 2 {
                return Err(FormatError::Malformed);
            }
            Limit::OneOf(len, values)
        }
        _ => {
            let value = *r;
            read_value(r)?;
            Limit::OneOf(1, value)
        }
    };
    Ok((name, limit))
}

fn read_range<'a>(r: &mut Reader<'_>) -> Result<Limit<'a>, FormatError> {
    let (mut least, mut most) = (None, None);
    for _ in 0..at_most(r.map()?, 2)? {
        match r.int()? {
            AT_LEAST if least.is_none() && most.is_none() => least = Some(r.int()?),
            AT_MOST if most.is_none() => most = Some(r.int()?),
            _ => return Err(FormatError::Malformed),
        }
    }
    let is_open = least.is_none() && most.is_none();
    let (least, most) = (least.unwrap_or(i64::MIN), most.unwrap_or(i64::MAX));
    if is_open || least > most { Err(FormatError::Malformed) } else { Ok(Limit::Range(least, most)) }
}

pub(crate) fn read_value<'a>(r: &mut Reader<'a>) -> Result<Value<'a>, FormatError> {
    match r.next_major()? {
        Major::Simple => Ok(Value::Bool(r.bool()?)),
        Major::Text => Ok(Value::Text(read_text(r)?)),
        _ => Ok(Value::Integer(r.int()?)),
    }
}

pub(crate) fn read_text<'a>(r: &mut Reader<'a>) -> Result<&'a str, FormatError> {
    let text = r.str()?;
    if text.len() > TEXT_BYTES_MAX { Err(FormatError::TooLarge) } else { Ok(text) }
}

pub(crate) fn at_most(len: usize, max: usize) -> Result<usize, FormatError> {
    if len > max { Err(FormatError::TooLarge) } else { Ok(len) }
}

fn write_permission(e: &mut Writer<'_>, permission: &Permission<'_>) -> Result<(), FormatError> {
    e.array(2)?.str(permission.action.as_str())?;
    write_map(e, permission.bounds, write_bound)
}

/// Writes a map whose members come in any order.
pub(crate) fn write_map<T>(
    e: &mut Writer<'_>,
    members: &[(&str, T)],
    write: impl Fn(&mut Writer<'_>, &T) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    e.map(members.len())?;
    let mut last = None;
    for _ in members {
        // Few members, and no memory to sort them in. A name that comes twice leaves one round without a next.
        let left = members.iter().filter(|(name, _)| last.is_none_or(|last| comes_before(last, name)));
        let next = left.reduce(|a, b| if comes_before(b.0, a.0) { b } else { a });
        let (name, member) = next.ok_or(FormatError::Malformed)?;
        e.str(name)?;
        write(e, member)?;
        last = Some(*name);
    }
    Ok(())
}

fn write_bound(e: &mut Writer<'_>, bound: &Bound<'_>) -> Result<(), FormatError> {
    match bound {
        Bound::Exactly(value) | Bound::OneOf([value]) => write_value(e, value),
        Bound::OneOf(values) => {
            e.array(values.len())?;
            values.iter().try_for_each(|value| write_value(e, value))
        }
        Bound::Range { at_least, at_most } => {
            e.map(at_least.iter().chain(at_most).count())?;
            if let Some(least) = at_least {
                e.int(AT_LEAST)?.int(*least)?;
            }
            if let Some(most) = at_most {
                e.int(AT_MOST)?.int(*most)?;
            }
            Ok(())
        }
    }
}

pub(crate) fn write_value(e: &mut Writer<'_>, value: &Value<'_>) -> Result<(), FormatError> {
    match value {
        Value::Bool(b) => e.bool(*b)?,
        Value::Integer(n) => e.int(*n)?,
        Value::Text(t) => e.str(t)?,
    };
    Ok(())
}
