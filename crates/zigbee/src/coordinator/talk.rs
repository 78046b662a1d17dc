//! Messages to nodes.

use crate::address::{Eui64, ShortAddress};
use crate::bytes::Malformed;
use crate::ezsp::EzspMessage;
use crate::layout::Given;
use crate::library;
use crate::zcl::{Attribute, Foundation, Reporting, Value, ZclHeader};

/// The coordinator's endpoint for applications.
const HOST_ENDPOINT: u8 = 1;
/// Home automation, which all nodes of Zigbee 3.0 speak.
const PROFILE: u16 = 0x0104;
/// Sensors of alarms: IAS Zone.
const ZONE: u16 = 0x0500;
/// All routers and the coordinator.
const ROUTERS: i128 = 0xfffc;
/// Try again, look for a way, ask for an acknowledgement (`EmberApsOption`).
const OPTIONS: i128 = 0x0040 | 0x0100 | 0x1000;

/// Under the link key of both ends (`EMBER_APS_OPTION_ENCRYPTION`).
const ENCRYPTED: i128 = 0x0020;

/// What protects a message to a node beside the network's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Nothing: every node of the network can read it, and could have sent it.
    Network,
    /// The link key that the node has with the coordinator alone.
    Link,
}

/// A message to an endpoint of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose functions.
    pub profile: u16,
    /// Which.
    pub cluster: u16,
    /// The host's endpoint.
    pub source: u8,
    /// The node's endpoint.
    pub destination: u8,
    /// The message.
    pub payload: Vec<u8>,
}

impl Request {
    /// A message to an application.
    #[must_use]
    pub const fn application(endpoint: u8, cluster: u16, payload: Vec<u8>) -> Self {
        Self { profile: PROFILE, cluster, source: HOST_ENDPOINT, destination: endpoint, payload }
    }

    /// A message to the device object, with the host's number for the exchange.
    pub(super) fn device_object(
        cluster: u16,
        sequence: u8,
        given: Vec<(&'static str, Given)>,
    ) -> Result<Self, Malformed> {
        let info = library::zdo(cluster).ok_or_else(|| Malformed::unknown("zdo.cluster", cluster))?;
        let mut payload = vec![sequence];
        info.layout.write(&info.layout.record(given)?, &mut payload)?;
        Ok(Self { profile: 0, cluster, source: 0, destination: 0, payload })
    }

    /// The command that sends it to a node. `tag` comes back when it was received or got lost.
    ///
    /// # Errors
    ///
    /// With more than a frame can carry.
    pub fn unicast(
        &self,
        node: ShortAddress,
        tag: u8,
        protection: Protection,
    ) -> Result<EzspMessage, Malformed> {
        let options = match protection {
            Protection::Network => OPTIONS,
            Protection::Link => OPTIONS | ENCRYPTED,
        };
        let given = vec![
            // Directly, to its short address.
            ("type", Given::Number(0)),
            ("destination", Given::Number(node.0.into())),
            ("profile", Given::Number(self.profile.into())),
            ("cluster", Given::Number(self.cluster.into())),
            ("sourceEndpoint", Given::Number(self.source.into())),
            ("destinationEndpoint", Given::Number(self.destination.into())),
            ("options", Given::Number(options)),
            ("group", Given::Number(0)),
            ("sequence", Given::Number(0)),
            ("tag", Given::Number(tag.into())),
            ("message", Given::Octets(self.payload.clone())),
        ];
        EzspMessage::with("sendUnicast", given)
    }
}

/// Tells all routers to let nodes join, for some seconds; zero: to let nobody join.
pub(super) fn permit_everywhere(seconds: u8) -> Result<EzspMessage, Malformed> {
    let given = vec![
        ("duration", Given::Number(seconds.into())),
        ("significance", Given::Number(1)),
        ("tlvs", Given::Numbers(Vec::new())),
    ];
    let request = Request::device_object(0x0036, 0, given)?;
    let given = vec![
        ("destination", Given::Number(ROUTERS)),
        ("profile", Given::Number(0)),
        ("cluster", Given::Number(request.cluster.into())),
        ("sourceEndpoint", Given::Number(0)),
        ("destinationEndpoint", Given::Number(0)),
        ("options", Given::Number(0)),
        ("group", Given::Number(0)),
        ("sequence", Given::Number(0)),
        // As far as it goes.
        ("radius", Given::Number(0)),
        ("tag", Given::Number(0)),
        ("message", Given::Octets(request.payload)),
    ];
    EzspMessage::with("sendBroadcast", given)
}

/// Binds a cluster of a node's endpoint to the host, which then gets its reports.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn bind(
    node: Eui64,
    endpoint: u8,
    cluster: u16,
    host: Eui64,
    sequence: u8,
) -> Result<Request, Malformed> {
    let given = vec![
        ("source", Given::Eui64(node)),
        ("sourceEndpoint", Given::Number(endpoint.into())),
        ("cluster", Given::Number(cluster.into())),
        ("mode", Given::Number(3)),
        ("destination", Given::Eui64(host)),
        ("destinationEndpoint", Given::Number(HOST_ENDPOINT.into())),
    ];
    Request::device_object(0x0021, sequence, given)
}

/// Has a node report attributes.
///
/// # Errors
///
/// With changes that are no values of their attributes.
pub fn configure_reporting(
    endpoint: u8,
    cluster: u16,
    reports: Vec<Reporting>,
    sequence: u8,
) -> Result<Request, Malformed> {
    general(endpoint, cluster, &Foundation::ConfigureReporting(reports), sequence)
}

/// Asks for attributes.
///
/// # Errors
///
/// Never.
pub fn read(endpoint: u8, cluster: u16, ids: Vec<u16>, sequence: u8) -> Result<Request, Malformed> {
    general(endpoint, cluster, &Foundation::Read(ids), sequence)
}

/// Tells a sensor of an alarm who its master is: the host (8.2.2.2.3, `iasCieAddress`).
///
/// # Errors
///
/// Never.
pub fn become_master(endpoint: u8, host: Eui64, sequence: u8) -> Result<Request, Malformed> {
    let address = Attribute { id: 0x0010, value: Value::Eui64(host) };
    general(endpoint, ZONE, &Foundation::Write(vec![address]), sequence)
}

/// Enrols a sensor of an alarm, whether it asked for it or not (8.2.2.3.1). All zones have the same number: their addresses
/// tell them apart.
#[must_use]
pub fn enrol(endpoint: u8, sequence: u8) -> Request {
    let mut payload = Vec::new();
    ZclHeader { control: 0x01, manufacturer: None, sequence, command: 0x00 }.write(&mut payload);
    payload.extend([0x00, 0x01]);
    Request::application(endpoint, ZONE, payload)
}

/// Tells a node that what it said unasked, with this header, was understood: it asks for that unless it says that it does
/// not (2.5.12.2).
///
/// # Errors
///
/// Never.
pub fn confirm(endpoint: u8, cluster: u16, header: &ZclHeader) -> Result<Request, Malformed> {
    let command = Foundation::DefaultResponse { command: header.command, status: 0 };
    let control = 0x10 | (header.control & 0x0c ^ 0x08);
    let mut payload = Vec::new();
    ZclHeader { control, command: command.command(), ..*header }.write(&mut payload);
    command.write(&mut payload)?;
    Ok(Request::application(endpoint, cluster, payload))
}

/// Tells a node to leave the network.
///
/// # Errors
///
/// Never, unless the tables are broken.
pub fn leave(node: Eui64, sequence: u8) -> Result<Request, Malformed> {
    Request::device_object(
        0x0034,
        sequence,
        vec![("device", Given::Eui64(node)), ("options", Given::Number(0))],
    )
}

/// A command that is the same in all clusters, which is answered by itself and by nothing else.
fn general(endpoint: u8, cluster: u16, command: &Foundation, sequence: u8) -> Result<Request, Malformed> {
    let mut payload = Vec::new();
    let header = ZclHeader { control: 0x10, manufacturer: None, sequence, command: command.command() };
    header.write(&mut payload);
    command.write(&mut payload)?;
    Ok(Request::application(endpoint, cluster, payload))
}
