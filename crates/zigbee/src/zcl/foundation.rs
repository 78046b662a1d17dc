//! Commands that are the same in all clusters: 2.5.

use super::reporting::{self, Reporting, ReportingRead, ReportingStatus};
use super::structured::{ElementRead, ElementStatus, ElementWrite};
use super::{DataType, Value};
use crate::bytes::{Malformed, Reader};

/// A command that is the same in all clusters.
#[derive(Debug, Clone, PartialEq)]
pub enum Foundation {
    /// What are these attributes?
    Read(Vec<u16>),
    /// This.
    ReadResponse(Vec<AttributeRead>),
    /// Set them.
    Write(Vec<Attribute>),
    /// Set them all or none.
    WriteUndivided(Vec<Attribute>),
    /// How that went; without an attribute where all went well.
    WriteResponse(Vec<AttributeStatus>),
    /// Set them and say nothing.
    WriteNoResponse(Vec<Attribute>),
    /// Report these.
    ConfigureReporting(Vec<Reporting>),
    /// How that went; without an attribute where all went well.
    ConfigureReportingResponse(Vec<ReportingStatus>),
    /// How are these reported? With directions.
    ReadReporting(Vec<(u8, u16)>),
    /// So.
    ReadReportingResponse(Vec<ReportingRead>),
    /// They are this.
    Report(Vec<Attribute>),
    /// How a command went.
    DefaultResponse {
        /// Which.
        command: u8,
        /// 0 is success: table 2-12.
        status: u8,
    },
    /// Which attributes are there?
    Discover(u16, u8),
    /// These, and whether that is all.
    DiscoverResponse(u8, Vec<(u16, u8)>),
    /// What are these parts of attributes?
    ReadStructured(Vec<ElementRead>),
    /// Set them.
    WriteStructured(Vec<ElementWrite>),
    /// How that went.
    WriteStructuredResponse(Vec<ElementStatus>),
    /// Which commands are taken (true) or sent (false)?
    DiscoverCommands(bool, u8, u8),
    /// These, and whether that is all.
    DiscoverCommandsResponse(bool, u8, Vec<u8>),
    /// Which attributes are there, and who may do what with them?
    DiscoverExtended(u16, u8),
    /// These, with type and access, and whether that is all.
    DiscoverExtendedResponse(u8, Vec<(u16, u8, u8)>),
}

/// An attribute with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// Its number.
    pub id: u16,
    /// Its value.
    pub value: Value,
}

/// An attribute with its value, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeRead {
    /// Its number.
    pub id: u16,
    /// Its value, or the status that says why not: table 2-12.
    pub value: Result<Value, u8>,
}

/// How it went with an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeStatus {
    /// 0 is success: table 2-12.
    pub status: u8,
    /// Absent where all went well.
    pub id: Option<u16>,
}

impl Foundation {
    /// Reads what follows the header of a command; `None` for a command that this code does not know.
    ///
    /// # Errors
    ///
    /// With what is cut short or of an unknown type.
    pub fn read(command: u8, bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader::new(bytes);
        let r = &mut reader;
        let read = match command {
            0x00 => Self::Read(all(r, |r| r.u16("zcl.attribute"))?),
            0x01 => Self::ReadResponse(all(r, AttributeRead::read)?),
            0x02 => Self::Write(all(r, Attribute::read)?),
            0x03 => Self::WriteUndivided(all(r, Attribute::read)?),
            0x04 => Self::WriteResponse(all(r, AttributeStatus::read)?),
            0x05 => Self::WriteNoResponse(all(r, Attribute::read)?),
            0x06 => Self::ConfigureReporting(all(r, Reporting::read)?),
            0x07 => Self::ConfigureReportingResponse(all(r, ReportingStatus::read)?),
            0x08 => Self::ReadReporting(all(r, reporting::read_directed)?),
            0x09 => Self::ReadReportingResponse(all(r, ReportingRead::read)?),
            0x0a => Self::Report(all(r, Attribute::read)?),
            0x0b => Self::DefaultResponse { command: r.u8("zcl.command")?, status: r.u8("zcl.status")? },
            0x0c => Self::Discover(r.u16("zcl.attribute")?, r.u8("zcl.maximum")?),
            0x0d => Self::DiscoverResponse(
                r.u8("zcl.complete")?,
                all(r, |r| Ok((r.u16("zcl.attribute")?, r.u8("zcl.data_type")?)))?,
            ),
            0x0e => Self::ReadStructured(all(r, ElementRead::read)?),
            0x0f => Self::WriteStructured(all(r, ElementWrite::read)?),
            0x10 => Self::WriteStructuredResponse(all(r, ElementStatus::read)?),
            0x11 | 0x13 => {
                Self::DiscoverCommands(command == 0x11, r.u8("zcl.command")?, r.u8("zcl.maximum")?)
            }
            0x12 | 0x14 => {
                Self::DiscoverCommandsResponse(command == 0x12, r.u8("zcl.complete")?, r.rest().to_vec())
            }
            0x15 => Self::DiscoverExtended(r.u16("zcl.attribute")?, r.u8("zcl.maximum")?),
            0x16 => Self::DiscoverExtendedResponse(r.u8("zcl.complete")?, all(r, extended)?),
            _ => return Ok(None),
        };
        reader.finish("zcl.command")?;
        Ok(Some(read))
    }

    /// The command's number and the octets that follow the header.
    ///
    /// # Errors
    ///
    /// With values that cannot be sent.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match self {
            Self::Read(ids) => ids.iter().for_each(|id| out.extend(id.to_le_bytes())),
            Self::ReadResponse(read) => read.iter().try_for_each(|read| read.write(out))?,
            Self::Write(attributes)
            | Self::WriteUndivided(attributes)
            | Self::WriteNoResponse(attributes)
            | Self::Report(attributes) => attributes.iter().try_for_each(|attribute| attribute.write(out))?,
            Self::WriteResponse(statuses) => statuses.iter().for_each(|status| status.write(out)),
            Self::ConfigureReporting(list) => list.iter().try_for_each(|one| one.write(out))?,
            Self::ConfigureReportingResponse(list) => list.iter().for_each(|one| one.write(out)),
            Self::ReadReporting(list) => list.iter().for_each(|one| reporting::write_directed(*one, out)),
            Self::ReadReportingResponse(list) => list.iter().try_for_each(|one| one.write(out))?,
            Self::DefaultResponse { command, status } => out.extend([command, status]),
            Self::Discover(start, most) | Self::DiscoverExtended(start, most) => {
                out.extend(start.to_le_bytes());
                out.push(*most);
            }
            Self::DiscoverResponse(complete, attributes) => {
                out.push(*complete);
                attributes.iter().for_each(|(id, kind)| {
                    out.extend(id.to_le_bytes());
                    out.push(*kind);
                });
            }
            Self::ReadStructured(list) => list.iter().try_for_each(|one| one.write(out))?,
            Self::WriteStructured(list) => list.iter().try_for_each(|one| one.write(out))?,
            Self::WriteStructuredResponse(list) => list.iter().try_for_each(|one| one.write(out))?,
            Self::DiscoverCommands(_, start, most) => out.extend([start, most]),
            Self::DiscoverCommandsResponse(_, complete, commands) => {
                out.push(*complete);
                out.extend(commands);
            }
            Self::DiscoverExtendedResponse(complete, attributes) => {
                out.push(*complete);
                attributes.iter().for_each(|(id, kind, access)| {
                    out.extend(id.to_le_bytes());
                    out.extend([kind, access]);
                });
            }
        }
        Ok(())
    }

    /// The command's number: table 2-3.
    #[must_use]
    pub const fn command(&self) -> u8 {
        match self {
            Self::Read(_) => 0x00,
            Self::ReadResponse(_) => 0x01,
            Self::Write(_) => 0x02,
            Self::WriteUndivided(_) => 0x03,
            Self::WriteResponse(_) => 0x04,
            Self::WriteNoResponse(_) => 0x05,
            Self::ConfigureReporting(_) => 0x06,
            Self::ConfigureReportingResponse(_) => 0x07,
            Self::ReadReporting(_) => 0x08,
            Self::ReadReportingResponse(_) => 0x09,
            Self::Report(_) => 0x0a,
            Self::DefaultResponse { .. } => 0x0b,
            Self::Discover(..) => 0x0c,
            Self::DiscoverResponse(..) => 0x0d,
            Self::ReadStructured(_) => 0x0e,
            Self::WriteStructured(_) => 0x0f,
            Self::WriteStructuredResponse(_) => 0x10,
            Self::DiscoverCommands(true, ..) => 0x11,
            Self::DiscoverCommandsResponse(true, ..) => 0x12,
            Self::DiscoverCommands(false, ..) => 0x13,
            Self::DiscoverCommandsResponse(false, ..) => 0x14,
            Self::DiscoverExtended(..) => 0x15,
            Self::DiscoverExtendedResponse(..) => 0x16,
        }
    }
}

/// Everything that is left, one after the other.
fn all<'a, T>(
    reader: &mut Reader<'a>,
    one: impl Fn(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut all = Vec::new();
    while !reader.is_empty() {
        all.push(one(reader)?);
    }
    Ok(all)
}

fn extended(r: &mut Reader<'_>) -> Result<(u16, u8, u8), Malformed> {
    Ok((r.u16("zcl.attribute")?, r.u8("zcl.data_type")?, r.u8("zcl.access")?))
}

impl Attribute {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = r.u16("zcl.attribute")?;
        let data_type = DataType::read(r)?;
        Ok(Self { id, value: Value::read(data_type, r)? })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.extend(self.id.to_le_bytes());
        out.push(self.value.data_type().number());
        self.value.write(out)
    }
}

impl AttributeRead {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = r.u16("zcl.attribute")?;
        let value = match r.u8("zcl.status")? {
            0 => Ok(DataType::read(r).and_then(|data_type| Value::read(data_type, r))?),
            status => Err(status),
        };
        Ok(Self { id, value })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.extend(self.id.to_le_bytes());
        match &self.value {
            Ok(value) => {
                out.extend([0, value.data_type().number()]);
                value.write(out)
            }
            Err(status) => {
                out.push(*status);
                Ok(())
            }
        }
    }
}

impl AttributeStatus {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let status = r.u8("zcl.status")?;
        Ok(Self { status, id: if r.is_empty() { None } else { Some(r.u16("zcl.attribute")?) } })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.status);
        out.extend(self.id.iter().flat_map(|id| id.to_le_bytes()));
    }
}
