//! Values: 2.6.2.

use super::{DataType, Integer};
use crate::address::Eui64;
use crate::bytes::{Malformed, Problem, Reader};
use crate::security::Key;

/// Structures within structures that are taken: 2.6.2.14 asks for no more.
pub const DEPTH_MAX: u8 = 15;

/// A value with its type. Strings and lists that say that they have no value are `None`.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// No value.
    NoData,
    /// Whole numbers of all kinds.
    Integer(Integer),
    /// Half precision, as its octets.
    Semi(u16),
    /// Single precision.
    Single(f32),
    /// Double precision.
    Double(f64),
    /// Octets, with their count in one octet or, where they are long, two.
    Octets(Option<Vec<u8>>, Length),
    /// Text, which nobody promises to be UTF-8.
    Text(Option<Vec<u8>>, Length),
    /// Values of one type.
    List(Collection, DataType, Option<Vec<Value>>),
    /// Values of any types.
    Structure(Option<Vec<Value>>),
    /// Hours, minutes, seconds, hundredths; 0xff for what is not said.
    TimeOfDay([u8; 4]),
    /// Years from 1900, month, day, day of the week; 0xff for what is not said.
    Date([u8; 4]),
    /// An extended address.
    Eui64(Eui64),
    /// A key.
    Key(Key),
}

/// How a string's length is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// In one octet.
    Short,
    /// In two.
    Long,
}

/// How values of one type belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// In order.
    Array,
    /// Each once.
    Set,
    /// Any number of times.
    Bag,
}

impl Value {
    /// A whole number of a type.
    ///
    /// # Errors
    ///
    /// When the type is not one of whole numbers, or the number does not fit it.
    pub fn integer(data_type: DataType, number: i128) -> Result<Self, Malformed> {
        Integer::new(data_type, number).map(Self::Integer)
    }

    /// Reads a value of a type from the start of the bytes, and gives what follows.
    ///
    /// # Errors
    ///
    /// With what is cut short, of an unknown type, or nested deeper than [`DEPTH_MAX`].
    pub fn parse(data_type: DataType, bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut reader = Reader::new(bytes);
        let value = Self::read(data_type, &mut reader)?;
        Ok((value, reader.rest()))
    }

    pub(crate) fn read(data_type: DataType, reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::read_within(data_type, reader, DEPTH_MAX)
    }

    fn read_within(data_type: DataType, reader: &mut Reader<'_>, depth: u8) -> Result<Self, Malformed> {
        if let Some(integer) = Integer::read(data_type, reader) {
            return integer.map(Self::Integer);
        }
        let deeper = depth.checked_sub(1).ok_or(Malformed::new("zcl.value", Problem::TooDeep));
        Ok(match data_type {
            DataType::SEMI => Self::Semi(reader.u16("zcl.value")?),
            DataType::SINGLE => Self::Single(f32::from_le_bytes(reader.array("zcl.value")?)),
            DataType::DOUBLE => Self::Double(f64::from_le_bytes(reader.array("zcl.value")?)),
            DataType::OCTETS => Self::Octets(short(reader)?, Length::Short),
            DataType::TEXT => Self::Text(short(reader)?, Length::Short),
            DataType::LONG_OCTETS => Self::Octets(long(reader)?, Length::Long),
            DataType::LONG_TEXT => Self::Text(long(reader)?, Length::Long),
            DataType::ARRAY => list(Collection::Array, reader, deeper?)?,
            DataType::SET => list(Collection::Set, reader, deeper?)?,
            DataType::BAG => list(Collection::Bag, reader, deeper?)?,
            DataType::STRUCTURE => structure(reader, deeper?)?,
            DataType::TIME_OF_DAY => Self::TimeOfDay(reader.array("zcl.value")?),
            DataType::DATE => Self::Date(reader.array("zcl.value")?),
            DataType::EUI64 => Self::Eui64(Eui64(reader.u64("zcl.value")?)),
            DataType::KEY => Self::Key(Key::new(reader.array("zcl.value")?)),
            _ => Self::NoData,
        })
    }

    /// The octets that are sent, without the type.
    ///
    /// # Errors
    ///
    /// With strings and lists longer than can be counted, or list items of another type than the list's.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match self {
            Self::NoData => {}
            Self::Integer(integer) => integer.write(out),
            Self::Semi(raw) => out.extend(raw.to_le_bytes()),
            Self::Single(number) => out.extend(number.to_le_bytes()),
            Self::Double(number) => out.extend(number.to_le_bytes()),
            Self::Octets(octets, length) | Self::Text(octets, length) => {
                write_string(octets.as_deref(), *length, out)?;
            }
            Self::List(_, element, items) => {
                out.push(element.number());
                if items.iter().flatten().any(|item| item.data_type() != *element) {
                    return Err(Malformed::new("zcl.element", Problem::Range));
                }
                write_items(items.as_deref(), out, |_, _| {})?;
            }
            Self::Structure(items) => {
                write_items(items.as_deref(), out, |item, out| out.push(item.data_type().number()))?;
            }
            Self::TimeOfDay(octets) | Self::Date(octets) => out.extend(octets),
            Self::Eui64(eui64) => out.extend(eui64.0.to_le_bytes()),
            Self::Key(key) => out.extend(key.octets()),
        }
        Ok(())
    }

    /// Its type.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        match self {
            Self::NoData => DataType::NO_DATA,
            Self::Integer(integer) => integer.data_type(),
            Self::Semi(_) => DataType::SEMI,
            Self::Single(_) => DataType::SINGLE,
            Self::Double(_) => DataType::DOUBLE,
            Self::Octets(_, Length::Short) => DataType::OCTETS,
            Self::Octets(_, Length::Long) => DataType::LONG_OCTETS,
            Self::Text(_, Length::Short) => DataType::TEXT,
            Self::Text(_, Length::Long) => DataType::LONG_TEXT,
            Self::List(Collection::Array, ..) => DataType::ARRAY,
            Self::List(Collection::Set, ..) => DataType::SET,
            Self::List(Collection::Bag, ..) => DataType::BAG,
            Self::Structure(_) => DataType::STRUCTURE,
            Self::TimeOfDay(_) => DataType::TIME_OF_DAY,
            Self::Date(_) => DataType::DATE,
            Self::Eui64(_) => DataType::EUI64,
            Self::Key(_) => DataType::KEY,
        }
    }

    /// The whole number that it is.
    #[must_use]
    pub fn number(&self) -> Option<i128> {
        match self {
            Self::Integer(integer) => Some(integer.number()),
            _ => None,
        }
    }
}

/// The count that says that there is no value: 2.6.2.8, 2.6.2.10.
const NO_SHORT: u8 = 0xff;
const NO_LONG: u16 = 0xffff;

fn short(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    match reader.u8("zcl.length")? {
        NO_SHORT => Ok(None),
        len => Ok(Some(reader.take("zcl.value", len.into())?.to_vec())),
    }
}

fn long(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    match reader.u16("zcl.length")? {
        NO_LONG => Ok(None),
        len => Ok(Some(reader.take("zcl.value", len.into())?.to_vec())),
    }
}

/// The count of a list's items. Each takes an octet at least, so that a few octets cannot ask for much memory.
fn items(reader: &mut Reader<'_>) -> Result<Option<u16>, Malformed> {
    match reader.u16("zcl.count")? {
        NO_LONG => Ok(None),
        count if usize::from(count) > reader.left() => {
            let problem = Problem::Truncated { needed: count.into(), left: reader.left() };
            Err(Malformed::new("zcl.element", problem))
        }
        count => Ok(Some(count)),
    }
}

fn list(collection: Collection, reader: &mut Reader<'_>, depth: u8) -> Result<Value, Malformed> {
    let element = DataType::read(reader)?;
    let Some(count) = items(reader)? else { return Ok(Value::List(collection, element, None)) };
    if element == DataType::NO_DATA && count > 0 {
        return Err(Malformed::unknown("zcl.element", element.number()));
    }
    let items = (0..count).map(|_| Value::read_within(element, reader, depth)).collect::<Result<_, _>>()?;
    Ok(Value::List(collection, element, Some(items)))
}

fn structure(reader: &mut Reader<'_>, depth: u8) -> Result<Value, Malformed> {
    let Some(count) = items(reader)? else { return Ok(Value::Structure(None)) };
    let item = |_| DataType::read(reader).and_then(|of| Value::read_within(of, reader, depth));
    Ok(Value::Structure(Some((0..count).map(item).collect::<Result<_, _>>()?)))
}

fn write_string(octets: Option<&[u8]>, length: Length, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let len = octets.map(<[u8]>::len);
    let over = |len| Malformed::new("zcl.length", Problem::TooMuch(len));
    match (len, length) {
        (None, Length::Short) => out.push(NO_SHORT),
        (None, Length::Long) => out.extend(NO_LONG.to_le_bytes()),
        (Some(len), Length::Short) => {
            let short = u8::try_from(len).ok().filter(|len| *len != NO_SHORT);
            out.push(short.ok_or_else(|| over(len))?);
        }
        (Some(len), Length::Long) => out.extend(counted(len)?.to_le_bytes()),
    }
    out.extend(octets.unwrap_or_default());
    Ok(())
}

fn write_items(
    items: Option<&[Value]>,
    out: &mut Vec<u8>,
    mut before: impl FnMut(&Value, &mut Vec<u8>),
) -> Result<(), Malformed> {
    let Some(items) = items else {
        out.extend(NO_LONG.to_le_bytes());
        return Ok(());
    };
    out.extend(counted(items.len())?.to_le_bytes());
    for item in items {
        before(item, out);
        item.write(out)?;
    }
    Ok(())
}

fn counted(len: usize) -> Result<u16, Malformed> {
    let count = u16::try_from(len).ok().filter(|count| *count != NO_LONG);
    count.ok_or_else(|| Malformed::new("zcl.count", Problem::TooMuch(len)))
}
