//! What a thing is asked or told, and what answers it.

use std::time::Duration;

use thingward_zigbee::Malformed;
use thingward_zigbee::address::Eui64;
use thingward_zigbee::coordinator::{
    Interview, Request, become_master, bind, configure_reporting, enrol, read,
};
use thingward_zigbee::library::{self, AttributeInfo};
use thingward_zigbee::thing::Order;
use thingward_zigbee::zcl::{AttributeRead, Direction, Foundation, FrameScope, Reporting, Value, ZclHeader};

use super::told::Message;

/// The device object's answer to a request to bind.
const BIND_RESPONSE: u16 = 0x8021;
/// Seconds between two reports at least, and at most.
const REPORT_LEAST: u16 = 1;
const REPORT_MOST: u16 = 600;

/// How long a call waits until the thing is told: less than the gateway's 20 s by the time that an answer has.
pub(super) const PATIENCE: Duration = Duration::from_secs(11);

/// One thing to be asked or told.
#[derive(Clone)]
pub(super) enum Job {
    /// What are you?
    Interview(Box<Interview>),
    /// What are your values worth?
    Figures { endpoint: u8, cluster: u16, ids: Vec<u16> },
    /// Send what you say of a cluster here.
    Bind { endpoint: u8, cluster: u16 },
    /// Say when these change.
    Report { endpoint: u8, cluster: u16, attributes: Vec<&'static AttributeInfo> },
    /// Here is who takes your alarms.
    Master { endpoint: u8 },
    /// They are taken; the number of the request for it, where there was one.
    Enrol { endpoint: u8, request: Option<u8> },
    /// What are these?
    Read { endpoint: u8, cluster: u16, ids: Vec<u16> },
    /// Do something. It is not told twice, and not later than that.
    Call { id: u32, order: Order, due: Duration },
}

/// What a message is to a job.
pub(super) enum Answer {
    /// Nothing.
    Other,
    /// It is done, with this status, and maybe with values.
    Done(u8, Vec<AttributeRead>),
}

impl Job {
    /// Its message.
    pub(super) fn request(
        &self,
        node: Eui64,
        host: Eui64,
        sequence: u8,
    ) -> Result<Option<Request>, Malformed> {
        match self {
            Self::Interview(interview) => return interview.question(),
            Self::Figures { endpoint, cluster, ids } | Self::Read { endpoint, cluster, ids } => {
                read(*endpoint, *cluster, ids.clone(), sequence)
            }
            Self::Bind { endpoint, cluster } => bind(node, *endpoint, *cluster, host, sequence),
            Self::Report { endpoint, cluster, attributes } => {
                let reports = attributes.iter().map(|info| reporting(info)).collect::<Result<_, _>>()?;
                configure_reporting(*endpoint, *cluster, reports, sequence)
            }
            Self::Master { endpoint } => become_master(*endpoint, host, sequence),
            Self::Enrol { endpoint, request } => Ok(enrol(*endpoint, request.unwrap_or(sequence))),
            Self::Call { order, .. } => {
                Ok(Request::application(order.endpoint, order.cluster, order.frame(sequence)))
            }
        }
        .map(Some)
    }

    /// Whether a message answers it.
    pub(super) fn answer(&self, message: &Message, sequence: u8) -> Answer {
        let (endpoint, cluster) = match self {
            // It knows its own answers.
            Self::Interview(_) => return Answer::Other,
            Self::Bind { .. } => return bound(message, sequence),
            Self::Figures { endpoint, cluster, .. }
            | Self::Read { endpoint, cluster, .. }
            | Self::Report { endpoint, cluster, .. } => (*endpoint, *cluster),
            Self::Master { endpoint } | Self::Enrol { endpoint, .. } => (*endpoint, 0x0500),
            Self::Call { order, .. } => (order.endpoint, order.cluster),
        };
        if message.profile == 0 || (message.endpoint, message.cluster) != (endpoint, cluster) {
            return Answer::Other;
        }
        let Ok((header, rest)) = ZclHeader::read(&message.payload) else { return Answer::Other };
        let sequence = match self {
            Self::Enrol { request: Some(request), .. } => *request,
            _ => sequence,
        };
        if header.sequence != sequence || header.direction() != Direction::ToClient {
            return Answer::Other;
        }
        match header.scope() {
            FrameScope::Foundation => general(header.command, rest),
            FrameScope::Cluster if matches!(self, Self::Call { .. }) => specific(cluster, &header, rest),
            FrameScope::Cluster => Answer::Other,
        }
    }
}

fn bound(message: &Message, sequence: u8) -> Answer {
    match message.payload.as_slice() {
        [number, status, ..]
            if (message.profile, message.cluster, *number) == (0, BIND_RESPONSE, sequence) =>
        {
            Answer::Done(*status, Vec::new())
        }
        _ => Answer::Other,
    }
}

fn general(command: u8, rest: &[u8]) -> Answer {
    match Foundation::read(command, rest) {
        Ok(Some(Foundation::ReadResponse(values))) => Answer::Done(0, values),
        Ok(Some(Foundation::DefaultResponse { status, .. })) => Answer::Done(status, Vec::new()),
        Ok(Some(Foundation::WriteResponse(statuses))) => Answer::Done(
            statuses.iter().map(|status| status.status).find(|status| *status != 0).unwrap_or(0),
            Vec::new(),
        ),
        Ok(Some(Foundation::ConfigureReportingResponse(statuses))) => Answer::Done(
            statuses.iter().map(|status| status.status).find(|status| *status != 0).unwrap_or(0),
            Vec::new(),
        ),
        _ => Answer::Other,
    }
}

/// A cluster's own answer, as locks give: it says how it went, or is there because it went well.
fn specific(cluster: u16, header: &ZclHeader, rest: &[u8]) -> Answer {
    let info = library::command(cluster, Direction::ToClient, header.command);
    let record = info.and_then(|info| info.layout.read(rest).ok()).map(|(record, _)| record);
    let status = record.and_then(|record| record.number("status")).unwrap_or(0);
    Answer::Done(u8::try_from(status).unwrap_or(u8::MAX), Vec::new())
}

/// When a value is worth a report: hundredths when they are ten.
fn reporting(info: &AttributeInfo) -> Result<Reporting, Malformed> {
    let step = if info.scale.is_some_and(|scale| scale.decimals >= 2) { 10 } else { 1 };
    let change = match info.data_type {
        data_type if !data_type.is_analogue() => None,
        thingward_zigbee::zcl::DataType::SINGLE => Some(Value::Single(1e-6)),
        data_type => Some(Value::integer(data_type, step)?),
    };
    Ok(Reporting::Send {
        id: info.id,
        data_type: info.data_type,
        least: REPORT_LEAST,
        most: REPORT_MOST,
        change,
    })
}
