//! Commands of the cluster library, as a person reads them.

use std::fmt;

use super::{cluster_name, raw};
use crate::library as tables;
use crate::listen::heard::ZclContent;
use crate::zcl::{
    Attribute, DataType, Direction, Foundation, FrameScope, Reporting, ReportingRead, Value, ZclHeader,
    status,
};

pub(super) fn zcl(
    f: &mut fmt::Formatter<'_>,
    cluster: u16,
    header: &ZclHeader,
    content: &ZclContent,
) -> fmt::Result {
    let name = cluster_name(cluster);
    match content {
        ZclContent::Foundation(command) => {
            write!(f, "{} {name}", foundation_name(command))?;
            maker(f, header)?;
            Named { cluster, header }.foundation(f, command)
        }
        ZclContent::Command(info, record, rest) => {
            write!(f, "{name} {}", info.name)?;
            if !record.0.is_empty() {
                write!(f, ": {record}")?;
            }
            raw(f, rest)
        }
        ZclContent::Unknown(rest) => {
            command(f, &name, header)?;
            raw(f, rest)
        }
        ZclContent::Malformed(malformed) => {
            command(f, &name, header)?;
            write!(f, ": malformed: {malformed}")
        }
    }
}

/// A command by its number.
fn command(f: &mut fmt::Formatter<'_>, name: &str, header: &ZclHeader) -> fmt::Result {
    let whose = match (header.scope(), header.direction()) {
        (FrameScope::Foundation, _) => "general command",
        (FrameScope::Cluster, Direction::ToServer) => "command",
        (FrameScope::Cluster, Direction::ToClient) => "response",
    };
    write!(f, "{name} {whose} {:#04x}", header.command)?;
    maker(f, header)
}

fn maker(f: &mut fmt::Formatter<'_>, header: &ZclHeader) -> fmt::Result {
    header.manufacturer.map_or(Ok(()), |maker| write!(f, " (manufacturer {maker:#06x})"))
}

/// Names attributes of a cluster.
struct Named<'a> {
    cluster: u16,
    header: &'a ZclHeader,
}

impl Named<'_> {
    fn foundation(&self, f: &mut fmt::Formatter<'_>, command: &Foundation) -> fmt::Result {
        match command {
            Foundation::Read(ids) => row(f, ids, |f, id| f.write_str(&self.name(*id))),
            Foundation::ReadResponse(list) => row(f, list, |f, read| match &read.value {
                Ok(value) => self.attribute(f, read.id, value),
                Err(error) => write!(f, "{}: {}", self.name(read.id), status(*error)),
            }),
            Foundation::Write(list)
            | Foundation::WriteUndivided(list)
            | Foundation::WriteNoResponse(list)
            | Foundation::Report(list) => {
                row(f, list, |f, Attribute { id, value }| self.attribute(f, *id, value))
            }
            Foundation::WriteResponse(list) => row(f, list, |f, one| match one.id {
                Some(id) => write!(f, "{}: {}", self.name(id), status(one.status)),
                None => f.write_str(&status(one.status)),
            }),
            Foundation::ConfigureReporting(list) => row(f, list, |f, one| self.reporting(f, one)),
            Foundation::ConfigureReportingResponse(list) => row(f, list, |f, one| match one.attribute {
                Some((_, id)) => write!(f, "{}: {}", self.name(id), status(one.status)),
                None => f.write_str(&status(one.status)),
            }),
            Foundation::ReadReporting(list) => row(f, list, |f, (_, id)| f.write_str(&self.name(*id))),
            Foundation::ReadReportingResponse(list) => row(f, list, |f, one| match one {
                ReportingRead::Configured(reporting) => self.reporting(f, reporting),
                ReportingRead::Failed(error, _, id) => write!(f, "{}: {}", self.name(*id), status(*error)),
            }),
            Foundation::DefaultResponse { command, status: number } => {
                write!(f, " command {command:#04x}: {}", status(*number))
            }
            Foundation::Discover(start, most) | Foundation::DiscoverExtended(start, most) => {
                write!(f, " from {start:#06x}, at most {most}")
            }
            Foundation::DiscoverResponse(_, list) => row(f, list, |f, (id, _)| f.write_str(&self.name(*id))),
            Foundation::DiscoverExtendedResponse(_, list) => {
                row(f, list, |f, (id, _, _)| f.write_str(&self.name(*id)))
            }
            Foundation::ReadStructured(list) => {
                row(f, list, |f, one| write!(f, "{}{:?}", self.name(one.id), one.selector.indexes))
            }
            Foundation::WriteStructured(list) => row(f, list, |f, one| {
                write!(f, "{}{:?} = {}", self.name(one.id), one.selector.indexes, one.value)
            }),
            Foundation::WriteStructuredResponse(list) => row(f, list, |f, one| match &one.element {
                Some(element) => write!(f, "{}: {}", self.name(element.id), status(one.status)),
                None => f.write_str(&status(one.status)),
            }),
            Foundation::DiscoverCommands(_, start, most) => write!(f, " from {start:#04x}, at most {most}"),
            Foundation::DiscoverCommandsResponse(_, _, list) => {
                row(f, list, |f, command| write!(f, "{command:#04x}"))
            }
        }
    }

    /// The attribute's name; its number where it has none or is a maker's own.
    fn name(&self, id: u16) -> String {
        match self.info(id) {
            Some(info) => info.name.to_owned(),
            None => match (id, self.header.manufacturer) {
                (0xfffd, None) => "clusterRevision".to_owned(),
                (0xfffe, None) => "attributeReportingStatus".to_owned(),
                _ => format!("attribute {id:#06x}"),
            },
        }
    }

    fn info(&self, id: u16) -> Option<&'static tables::AttributeInfo> {
        tables::attribute(self.cluster, id).filter(|_| self.header.manufacturer.is_none())
    }

    /// A value with the unit that its attribute has. One of another type than the attribute's is shown as it came.
    fn attribute(&self, f: &mut fmt::Formatter<'_>, id: u16, value: &Value) -> fmt::Result {
        write!(f, "{} = ", self.name(id))?;
        let info = self.info(id).filter(|info| info.data_type == value.data_type());
        match info {
            Some(info) => match info.scaled(value) {
                Some(scaled) => f.write_str(&scaled),
                None => write!(f, "{value}"),
            },
            None => write!(f, "{value} (type {:#04x})", value.data_type().number()),
        }
    }

    fn reporting(&self, f: &mut fmt::Formatter<'_>, reporting: &Reporting) -> fmt::Result {
        match reporting {
            Reporting::Send { id, least, most, change, .. } => {
                write!(f, "{} every {least} s to {most} s", self.name(*id))?;
                change.as_ref().map_or(Ok(()), |change| write!(f, " or on a change of {change}"))
            }
            Reporting::Receive { id, timeout } => write!(f, "{} within {timeout} s", self.name(*id)),
        }
    }
}

impl tables::AttributeInfo {
    /// A value in its unit, with the decimals that it has; `None` where there is no number or nothing to scale.
    #[must_use]
    pub fn scaled(&self, value: &Value) -> Option<String> {
        let scale = self.scale?;
        let number = match value {
            Value::Integer(integer) if integer.is_non_value() => return None,
            // Numbers with a unit have at most 32 bits, which a double holds exactly.
            Value::Integer(integer) => integer.number() as f64,
            Value::Single(number) if number.is_finite() => f64::from(*number),
            _ => return None,
        };
        let unit = self.unit.map(|unit| format!(" {unit}")).unwrap_or_default();
        match value.data_type() {
            DataType::SINGLE => Some(format!("{}{unit}", number * scale.factor)),
            _ => Some(format!("{:.*}{unit}", scale.decimals, number * scale.factor)),
        }
    }
}

fn row<T>(
    f: &mut fmt::Formatter<'_>,
    list: &[T],
    one: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in list.iter().enumerate() {
        f.write_str(if i == 0 { " " } else { ", " })?;
        one(f, item)?;
    }
    Ok(())
}

const fn foundation_name(command: &Foundation) -> &'static str {
    match command {
        Foundation::Read(_) => "Read Attributes",
        Foundation::ReadResponse(_) => "Read Attributes Response",
        Foundation::Write(_) => "Write Attributes",
        Foundation::WriteUndivided(_) => "Write Attributes Undivided",
        Foundation::WriteResponse(_) => "Write Attributes Response",
        Foundation::WriteNoResponse(_) => "Write Attributes No Response",
        Foundation::ConfigureReporting(_) => "Configure Reporting",
        Foundation::ConfigureReportingResponse(_) => "Configure Reporting Response",
        Foundation::ReadReporting(_) => "Read Reporting Configuration",
        Foundation::ReadReportingResponse(_) => "Read Reporting Configuration Response",
        Foundation::Report(_) => "Report Attributes",
        Foundation::DefaultResponse { .. } => "Default Response",
        Foundation::Discover(..) => "Discover Attributes",
        Foundation::DiscoverResponse(..) => "Discover Attributes Response",
        Foundation::ReadStructured(_) => "Read Attributes Structured",
        Foundation::WriteStructured(_) => "Write Attributes Structured",
        Foundation::WriteStructuredResponse(_) => "Write Attributes Structured Response",
        Foundation::DiscoverCommands(true, ..) => "Discover Commands Received",
        Foundation::DiscoverCommandsResponse(true, ..) => "Discover Commands Received Response",
        Foundation::DiscoverCommands(false, ..) => "Discover Commands Generated",
        Foundation::DiscoverCommandsResponse(false, ..) => "Discover Commands Generated Response",
        Foundation::DiscoverExtended(..) => "Discover Attributes Extended",
        Foundation::DiscoverExtendedResponse(..) => "Discover Attributes Extended Response",
    }
}
