//! How attributes are reported: 2.5.7 to 2.5.10.

use super::{DataType, Value};
use crate::bytes::{Malformed, Reader};

/// How an attribute is to be reported.
#[derive(Debug, Clone, PartialEq)]
pub enum Reporting {
    /// The receiver reports it.
    Send {
        /// Which.
        id: u16,
        /// Its type.
        data_type: DataType,
        /// Seconds between two reports at least.
        least: u16,
        /// Seconds between two reports at most; 0xffff: never.
        most: u16,
        /// The change that is reported, of types that have one.
        change: Option<Value>,
    },
    /// The receiver gets reports of it.
    Receive {
        /// Which.
        id: u16,
        /// Seconds without a report after which something is wrong.
        timeout: u16,
    },
}

/// How it went with an attribute; without an attribute where all went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportingStatus {
    /// 0 is success.
    pub status: u8,
    /// Direction and attribute.
    pub attribute: Option<(u8, u16)>,
}

/// How an attribute is reported, or why it is not.
#[derive(Debug, Clone, PartialEq)]
pub enum ReportingRead {
    /// So.
    Configured(Reporting),
    /// Not, with status, direction and number.
    Failed(u8, u8, u16),
}

impl Reporting {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let direction = r.u8("zcl.direction")?;
        Self::read_directed(direction, r)
    }

    fn read_directed(direction: u8, r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = r.u16("zcl.attribute")?;
        match direction {
            0 => {
                let data_type = DataType::read(r)?;
                let (least, most) = (r.u16("zcl.interval")?, r.u16("zcl.interval")?);
                let analogue = data_type.is_analogue();
                let change = if analogue { Some(Value::read(data_type, r)?) } else { None };
                Ok(Self::Send { id, data_type, least, most, change })
            }
            1 => Ok(Self::Receive { id, timeout: r.u16("zcl.timeout")? }),
            other => Err(Malformed::unknown("zcl.direction", other)),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match self {
            Self::Send { id, data_type, least, most, change } => {
                write_directed((0, *id), out);
                out.push(data_type.number());
                out.extend(least.to_le_bytes());
                out.extend(most.to_le_bytes());
                change.as_ref().map_or(Ok(()), |change| change.write(out))
            }
            Self::Receive { id, timeout } => {
                write_directed((1, *id), out);
                out.extend(timeout.to_le_bytes());
                Ok(())
            }
        }
    }
}

impl ReportingStatus {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let status = r.u8("zcl.status")?;
        Ok(Self { status, attribute: if r.is_empty() { None } else { Some(read_directed(r)?) } })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.status);
        if let Some(attribute) = self.attribute {
            write_directed(attribute, out);
        }
    }
}

impl ReportingRead {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (status, direction) = (r.u8("zcl.status")?, r.u8("zcl.direction")?);
        match status {
            0 => Reporting::read_directed(direction, r).map(Self::Configured),
            _ => Ok(Self::Failed(status, direction, r.u16("zcl.attribute")?)),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match self {
            Self::Configured(reporting) => {
                out.push(0);
                reporting.write(out)
            }
            Self::Failed(status, direction, id) => {
                out.push(*status);
                write_directed((*direction, *id), out);
                Ok(())
            }
        }
    }
}

pub(super) fn read_directed(r: &mut Reader<'_>) -> Result<(u8, u16), Malformed> {
    Ok((r.u8("zcl.direction")?, r.u16("zcl.attribute")?))
}

pub(super) fn write_directed((direction, id): (u8, u16), out: &mut Vec<u8>) {
    out.push(direction);
    out.extend(id.to_le_bytes());
}
