//! What goes into an action and comes out of it: nothing, a scalar, or a flat map of scalars.

use core::mem::discriminant;

use thingward_model::Shortest;
use thingward_model::cbor::{DOUBLE, Major, NULL, Reader, SINGLE, Writer};

use crate::FormatError;

/// Largest input or output in bytes.
pub const DATA_BYTES_MAX: usize = 512;
/// Most members of a map.
pub const MEMBERS_MAX: usize = 32;
/// Longest name of a member in bytes.
const KEY_BYTES_MAX: usize = 63;

/// One value. Numbers are doubles; a whole one is an integer to whoever wants one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// True or false.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// A text.
    Text(&'a str),
}

/// An input or output in its one encoding: deterministic CBOR (RFC 8949 §4.2.1), and numbers as the shortest of
/// integer, single and double that gives back the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data<'a>(&'a [u8]);

/// What data is.
#[derive(Debug, Clone)]
pub enum Shape<'a> {
    /// The action takes or gives nothing.
    Nothing,
    /// One value.
    Scalar(Scalar<'a>),
    /// Values by name.
    Map(Members<'a>),
}

impl<'a> Data<'a> {
    /// CBOR null.
    pub const NOTHING: Self = Self(&[0xf6]);

    /// Writes one value to the front of `out`.
    ///
    /// # Errors
    ///
    /// [`FormatError::Malformed`] for a number that is not finite, [`FormatError::TooLarge`] or
    /// [`FormatError::BufferTooSmall`].
    pub fn scalar(value: Scalar<'_>, out: &'a mut [u8]) -> Result<Self, FormatError> {
        let mut e = Writer::new(out);
        write_scalar(&mut e, value)?;
        let len = e.position();
        Self::of(out, len)
    }

    /// Writes a map to the front of `out`; members may come in any order.
    ///
    /// # Errors
    ///
    /// As [`Self::scalar`]; [`FormatError::Malformed`] also when a name comes twice.
    pub fn map(members: &[(&str, Scalar<'_>)], out: &'a mut [u8]) -> Result<Self, FormatError> {
        if members.len() > MEMBERS_MAX {
            return Err(FormatError::TooLarge);
        }
        let mut e = Writer::new(out);
        e.map(members.len())?;
        let mut last = None;
        for _ in members {
            // Few members, and no memory to sort them in.
            let next = members.iter().filter(|(k, _)| last.is_none_or(|last| order(last) < order(k)));
            let (key, value) = next.min_by_key(|(k, _)| order(k)).ok_or(FormatError::Malformed)?;
            if key.len() > KEY_BYTES_MAX {
                return Err(FormatError::TooLarge);
            }
            e.str(key)?;
            write_scalar(&mut e, *value)?;
            last = Some(key);
        }
        let len = e.position();
        Self::of(out, len)
    }

    fn of(out: &'a mut [u8], len: usize) -> Result<Self, FormatError> {
        if len > DATA_BYTES_MAX {
            return Err(FormatError::TooLarge);
        }
        out.get(..len).map(Self).ok_or(FormatError::BufferTooSmall)
    }

    /// Takes bytes that are data and nothing else.
    ///
    /// # Errors
    ///
    /// [`FormatError::Malformed`] also when they are not in their one encoding; [`FormatError::TooLarge`].
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut r = Reader::new(bytes);
        let data = Self::read(&mut r)?;
        r.end()?;
        Ok(data)
    }

    /// Reads data, leaving `r` behind it.
    pub(super) fn read(r: &mut Reader<'a>) -> Result<Self, FormatError> {
        let start = r.position();
        match (r.peek()?, r.next_major()?) {
            (NULL, _) => drop(r.raw(1)?),
            (_, Major::Map) => read_members(r)?,
            _ => drop(read_scalar(r)?),
        }
        let bytes = r.since(start)?;
        if bytes.len() > DATA_BYTES_MAX { Err(FormatError::TooLarge) } else { Ok(Self(bytes)) }
    }

    /// The encoding.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// What it is.
    #[must_use]
    pub fn shape(&self) -> Shape<'a> {
        let mut r = Reader::new(self.0);
        match r.next_major() {
            Ok(Major::Map) => {
                let left = r.map().unwrap_or_default();
                Shape::Map(Members { r, left })
            }
            _ if self.0 == Self::NOTHING.0 => Shape::Nothing,
            _ => read_scalar(&mut r).map_or(Shape::Nothing, Shape::Scalar),
        }
    }
}

/// The members of a map, in their order.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    r: Reader<'a>,
    left: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Scalar<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let key = self.r.str().ok()?;
        Some((key, read_scalar(&mut self.r).ok()?))
    }
}

/// The order of encoded keys: RFC 8949 §4.2.1. A longer text has a greater length in front of it.
const fn order(key: &str) -> (usize, &str) {
    (key.len(), key)
}

fn write_scalar(e: &mut Writer<'_>, value: Scalar<'_>) -> Result<(), FormatError> {
    match value {
        Scalar::Bool(b) => e.bool(b)?,
        Scalar::Text(t) => e.str(t)?,
        Scalar::Number(n) => return write_number(e, n),
    };
    Ok(())
}

fn write_number(e: &mut Writer<'_>, n: f64) -> Result<(), FormatError> {
    match Shortest::of(n).ok_or(FormatError::Malformed)? {
        Shortest::Whole(whole) => e.int(whole)?,
        // Minus zero is zero.
        Shortest::Single(single) if single.to_bits() << 1 == 0 => e.int(0)?,
        Shortest::Single(single) => e.f32(single)?,
        Shortest::Double(double) => e.f64(double)?,
    };
    Ok(())
}

fn read_members(r: &mut Reader<'_>) -> Result<(), FormatError> {
    let len = r.map()?;
    if len > MEMBERS_MAX {
        return Err(FormatError::TooLarge);
    }
    let mut last = None;
    for _ in 0..len {
        let key = r.str()?;
        if key.len() > KEY_BYTES_MAX {
            return Err(FormatError::TooLarge);
        }
        if last.is_some_and(|last| order(last) >= order(key)) {
            return Err(FormatError::Malformed);
        }
        read_scalar(r)?;
        last = Some(key);
    }
    Ok(())
}

fn read_scalar<'a>(r: &mut Reader<'a>) -> Result<Scalar<'a>, FormatError> {
    let number = match (r.peek()?, r.next_major()?) {
        (_, Major::Text) => return Ok(Scalar::Text(r.str()?)),
        (SINGLE, _) => Shortest::Single(f32::from_be_bytes(float(r)?)),
        (DOUBLE, _) => Shortest::Double(f64::from_be_bytes(float(r)?)),
        (_, Major::Simple) => return Ok(Scalar::Bool(r.bool()?)),
        _ => Shortest::Whole(r.int()?),
    };
    let value = number.number().ok_or(FormatError::Malformed)?;
    // One that has a shorter form has to be in it. Minus zero is zero.
    let shortest = Shortest::of(value).ok_or(FormatError::Malformed)?;
    let is_shortest = discriminant(&shortest) == discriminant(&number) && value.to_bits() != 1 << 63;
    if is_shortest { Ok(Scalar::Number(value)) } else { Err(FormatError::Malformed) }
}

/// The bytes of a floating-point number behind its head.
fn float<const N: usize>(r: &mut Reader<'_>) -> Result<[u8; N], FormatError> {
    r.raw(1)?;
    r.raw(N)?.try_into().map_err(|_| FormatError::Malformed)
}
