//! Parts of attributes that are structures: 2.5.15 to 2.5.17.

use super::{DEPTH_MAX, DataType, Value};
use crate::bytes::{Malformed, Problem, Reader, count};

/// The way to a part of an attribute: 2.5.15.1.3, 2.5.16.1.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// What to do with the part, in the high bits: 1 adds to a set or bag, 2 removes from it.
    pub operation: u8,
    /// Its place, from the outside in; none for the whole.
    pub indexes: Vec<u16>,
}

/// A part that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementRead {
    /// Of which attribute.
    pub id: u16,
    /// Which.
    pub selector: Selector,
}

/// A part that is set.
#[derive(Debug, Clone, PartialEq)]
pub struct ElementWrite {
    /// Of which attribute.
    pub id: u16,
    /// Which.
    pub selector: Selector,
    /// To this.
    pub value: Value,
}

/// How that went; without a part where all went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementStatus {
    /// 0 is success.
    pub status: u8,
    /// The part.
    pub element: Option<ElementRead>,
}

impl Selector {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let indicator = r.u8("zcl.selector")?;
        let depth = indicator & 15;
        let indexes = (0..depth).map(|_| r.u16("zcl.index")).collect::<Result<_, _>>()?;
        Ok(Self { operation: indicator >> 4, indexes })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let depth = count("zcl.selector", self.indexes.len())?;
        if depth > DEPTH_MAX || self.operation > 15 {
            return Err(Malformed::new("zcl.selector", Problem::TooDeep));
        }
        out.push(depth | (self.operation << 4));
        out.extend(self.indexes.iter().flat_map(|index| index.to_le_bytes()));
        Ok(())
    }
}

impl ElementRead {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { id: r.u16("zcl.attribute")?, selector: Selector::read(r)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.extend(self.id.to_le_bytes());
        self.selector.write(out)
    }
}

impl ElementWrite {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let ElementRead { id, selector } = ElementRead::read(r)?;
        let data_type = DataType::read(r)?;
        Ok(Self { id, selector, value: Value::read(data_type, r)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.extend(self.id.to_le_bytes());
        self.selector.write(out)?;
        out.push(self.value.data_type().number());
        self.value.write(out)
    }
}

impl ElementStatus {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let status = r.u8("zcl.status")?;
        Ok(Self { status, element: if r.is_empty() { None } else { Some(ElementRead::read(r)?) } })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.push(self.status);
        self.element.as_ref().map_or(Ok(()), |element| element.write(out))
    }
}
