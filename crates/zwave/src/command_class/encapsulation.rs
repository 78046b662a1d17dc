//! Commands around commands: CC, "Supervision", "Multi Channel", "Multi Command".

use super::Value;
use super::association::Endpoints;
use super::field::{Bytes, Counted, Duration, Encapsulated, Field};
use crate::ParseError;
use crate::bytes::Reader;

/// A command after its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizedCommand(pub Vec<u8>);

impl Field for SizedCommand {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let length = reader.u8()?;
        reader.take(length.into()).map(|bytes| Self(bytes.to_vec()))
    }
    fn write(&self, out: &mut Vec<u8>) {
        let bytes = self.0.get(..255).unwrap_or(&self.0);
        out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
        out.extend(bytes);
    }
    fn value(&self) -> Value {
        Value::Bytes(self.0.clone())
    }
}

bit_fields! {
    /// Which command is supervised, and whether more than one answer is wanted.
    Session {
        request_status_updates: bool = 7, 1,
        session_id: u8 = 0, 6,
    }
}

bit_fields! {
    /// Which command it is about, and whether this was the last word.
    Answer {
        more_updates_follow: bool = 7, 1,
        request_wake_up: bool = 6, 1,
        session_id: u8 = 0, 6,
    }
}

/// What became of a supervised command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SupervisionStatus {
    /// The thing has no such command, or not with these fields.
    NoSupport,
    /// It has begun and takes time.
    Working,
    /// It was not possible.
    Fail,
    /// It is done.
    Success,
}

impl Field for SupervisionStatus {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        match reader.u8()? {
            0x00 => Ok(Self::NoSupport),
            0x01 => Ok(Self::Working),
            0x02 => Ok(Self::Fail),
            0xff => Ok(Self::Success),
            other => Err(ParseError::Reserved { field: "supervision status", value: other.into() }),
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::NoSupport => 0x00,
            Self::Working => 0x01,
            Self::Fail => 0x02,
            Self::Success => 0xff,
        });
    }
    fn value(&self) -> Value {
        Value::Text(format!("{self:?}"))
    }
}

command_class! {
    /// Whether a command was done: class 0x6c.
    Supervision = 0x6c {
        Get = 0x01 { session: Session, encapsulated: SizedCommand },
        Report = 0x02 { answer: Answer, status: SupervisionStatus, duration: Duration },
    }
}

bit_fields! {
    /// How many endpoints there are.
    EndpointCount {
        count_is_dynamic: bool = 7, 1,
        identical_capabilities: bool = 6, 1,
    }
}

bit_fields! {
    /// An endpoint, and whether it comes and goes.
    Endpoint {
        is_dynamic: bool = 7, 1,
        endpoint_index: u8 = 0, 7,
    }
}

command_class! {
    /// Things in one thing: class 0x60.
    MultiChannel = 0x60 {
        /// Of version 1, which has instances of classes.
        InstanceGet = 0x04 { requested_class: u8 },
        InstanceReport = 0x05 { requested_class: u8, endpoint_count: u8 },
        InstanceEncapsulation = 0x06 { instance: u8, encapsulated: Encapsulated },
        EndpointGet = 0x07 {},
        EndpointReport = 0x08 {
            count: EndpointCount,
            individual_endpoints: u8,
            aggregated_endpoints: Option<u8>,
        },
        CapabilityGet = 0x09 { requested_endpoint: u8 },
        CapabilityReport = 0x0a { endpoint: Endpoint, generic: u8, specific: u8, classes: Bytes },
        EndpointFind = 0x0b { generic: u8, specific: u8 },
        EndpointFindReport = 0x0c {
            reports_to_follow: u8,
            generic: u8,
            specific: u8,
            found_endpoints: Vec<u8>,
        },
        Encapsulation = 0x0d { source: u8, destination: Endpoints, encapsulated: Encapsulated },
        AggregatedMembersGet = 0x0e { requested_endpoint: u8 },
        AggregatedMembersReport = 0x0f { aggregated_endpoint: u8, members: Counted<u8, 8> },
    }
}

command_class! {
    /// Several commands at once: class 0x8f.
    MultiCommand = 0x8f {
        Encapsulation = 0x01 { encapsulated: Counted<SizedCommand, 8> },
    }
}
