//! What goes into an action and comes out of it: nothing, a scalar, or a flat map of scalars.

use minicbor::Decoder;
use minicbor::data::Type;
use thingward_model::Shortest;

use crate::FormatError;
use crate::cose::{self, SliceEncoder};

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
        let mut e = cose::encoder(out);
        write_scalar(&mut e, value)?;
        let len = e.writer().position();
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
        let mut e = cose::encoder(out);
        e.map(members.len() as u64)?;
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
        let len = e.writer().position();
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
        let mut d = Decoder::new(bytes);
        let data = Self::decode(&mut d)?;
        if d.position() == bytes.len() { Ok(data) } else { Err(FormatError::Malformed) }
    }

    /// Reads data, leaving `d` behind it.
    pub(super) fn decode(d: &mut Decoder<'a>) -> Result<Self, FormatError> {
        let start = d.position();
        match d.datatype()? {
            Type::Null => d.null()?,
            Type::Map => {
                let len = d.map()?.ok_or(FormatError::Malformed)?;
                if len > MEMBERS_MAX as u64 {
                    return Err(FormatError::TooLarge);
                }
                if d.position() - start != header_bytes(len) {
                    return Err(FormatError::Malformed);
                }
                let mut last = None;
                for _ in 0..len {
                    let key = read_text(d)?;
                    if key.len() > KEY_BYTES_MAX {
                        return Err(FormatError::TooLarge);
                    }
                    if last.is_some_and(|last| order(last) >= order(key)) {
                        return Err(FormatError::Malformed);
                    }
                    read_scalar(d)?;
                    last = Some(key);
                }
            }
            _ => {
                read_scalar(d)?;
            }
        }
        let bytes = d.input().get(start..d.position()).ok_or(FormatError::Malformed)?;
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
        let mut d = Decoder::new(self.0);
        match d.datatype() {
            Ok(Type::Map) => {
                let left = d.map().ok().flatten().unwrap_or_default();
                Shape::Map(Members { d, left })
            }
            Ok(Type::Null) | Err(_) => Shape::Nothing,
            Ok(_) => read_scalar(&mut d).map_or(Shape::Nothing, Shape::Scalar),
        }
    }
}

/// The members of a map, in their order.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    d: Decoder<'a>,
    left: u64,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Scalar<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let key = read_text(&mut self.d).ok()?;
        Some((key, read_scalar(&mut self.d).ok()?))
    }
}

/// The order of encoded keys: RFC 8949 §4.2.1. A longer text has a greater length in front of it.
const fn order(key: &str) -> (usize, &str) {
    (key.len(), key)
}

fn write_scalar(e: &mut SliceEncoder<'_>, value: Scalar<'_>) -> Result<(), FormatError> {
    match value {
        Scalar::Bool(b) => e.bool(b)?,
        Scalar::Text(t) => e.str(t)?,
        Scalar::Number(n) => return write_number(e, n),
    };
    Ok(())
}

fn write_number(e: &mut SliceEncoder<'_>, n: f64) -> Result<(), FormatError> {
    match Shortest::of(n).ok_or(FormatError::Malformed)? {
        Shortest::Whole(whole) => e.i64(whole)?,
        // Minus zero is zero.
        Shortest::Single(single) if single.to_bits() << 1 == 0 => e.i64(0)?,
        Shortest::Single(single) => e.f32(single)?,
        Shortest::Double(double) => e.f64(double)?,
    };
    Ok(())
}

fn read_scalar<'a>(d: &mut Decoder<'a>) -> Result<Scalar<'a>, FormatError> {
    match d.datatype()? {
        Type::Bool => Ok(Scalar::Bool(d.bool()?)),
        Type::String => Ok(Scalar::Text(read_text(d)?)),
        _ => Ok(Scalar::Number(read_number(d)?)),
    }
}

fn read_number(d: &mut Decoder<'_>) -> Result<f64, FormatError> {
    let start = d.position();
    let n = match d.datatype()? {
        Type::F32 => Shortest::Single(d.f32()?),
        Type::F64 => Shortest::Double(read_double(d)?),
        _ => Shortest::Whole(d.i64()?),
    };
    let n = n.number().ok_or(FormatError::Malformed)?;
    let mut again = [0; 9];
    let mut e = cose::encoder(&mut again);
    write_number(&mut e, n)?;
    let len = e.writer().position();
    let is_the_encoding = d.input().get(start..d.position()) == again.get(..len);
    if is_the_encoding { Ok(n) } else { Err(FormatError::Malformed) }
}

/// Not as the codec does, which takes a single for one as well.
fn read_double(d: &mut Decoder<'_>) -> Result<f64, FormatError> {
    let bits =
        d.input().get(d.position()..).and_then(<[u8]>::first_chunk::<9>).ok_or(FormatError::Malformed)?;
    let [_, bits @ ..] = *bits;
    d.set_position(d.position() + 9);
    Ok(f64::from_be_bytes(bits))
}

fn read_text<'a>(d: &mut Decoder<'a>) -> Result<&'a str, FormatError> {
    let start = d.position();
    let text = d.str()?;
    let header = d.position().saturating_sub(start).saturating_sub(text.len());
    let shortest = header_bytes(text.len() as u64);
    if header == shortest { Ok(text) } else { Err(FormatError::Malformed) }
}

/// Bytes of the head of an item with this argument: RFC 8949 §3.
const fn header_bytes(argument: u64) -> usize {
    match argument {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}
