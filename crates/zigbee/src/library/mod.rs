//! Names and layouts of what clusters, the device object, Green Power devices and coordinators have, from the tables in
//! `data/`, which a reader can hold against the specifications.

mod serial;

pub use serial::{EzspInfo, ZnpInfo, ezsp, ezsp_named, znp, znp_named};

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::layout::Layout;
use crate::zcl::{DataType, Direction};

/// An attribute of a cluster.
#[derive(Debug)]
pub struct AttributeInfo {
    /// Its cluster.
    pub cluster: u16,
    /// Its number.
    pub id: u16,
    /// Its name, which is also that of a description's property.
    pub name: &'static str,
    /// Its type.
    pub data_type: DataType,
    /// Whether it can be written.
    pub writable: bool,
    /// Whether servers have to be able to report it.
    pub reportable: bool,
    /// Its unit, of the value times [`scale`](Self::scale).
    pub unit: Option<&'static str>,
    /// What one step of the value is.
    pub scale: Option<Scale>,
}

/// What one step of a value is: a decimal figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// The figure.
    pub factor: f64,
    /// Its decimals.
    pub decimals: usize,
}

/// A command of a cluster.
#[derive(Debug)]
pub struct CommandInfo {
    /// Its cluster.
    pub cluster: u16,
    /// For whom.
    pub direction: Direction,
    /// Its number.
    pub id: u8,
    /// Its name, which is also that of a description's action or event.
    pub name: &'static str,
    /// What it consists of.
    pub layout: Layout,
}

/// A message of the device object.
#[derive(Debug)]
pub struct ZdoInfo {
    /// Its name.
    pub name: &'static str,
    /// What it consists of, after the sequence number.
    pub layout: Layout,
}

/// What the clusters of a profile are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clusters {
    /// Messages of the device object.
    Device,
    /// Those of the library.
    Library,
}

/// The profile's name, and what its clusters are. Makers' own profiles are known only where their clusters are the library's.
#[must_use]
pub fn profile(id: u16) -> Option<(&'static str, Clusters)> {
    PROFILES.get(&id).copied()
}

/// The cluster's name.
#[must_use]
pub fn cluster(id: u16) -> Option<&'static str> {
    CLUSTERS.get(&id).copied()
}

/// An attribute that is not a manufacturer's own.
#[must_use]
pub fn attribute(cluster: u16, id: u16) -> Option<&'static AttributeInfo> {
    ATTRIBUTES.get(&(cluster, id))
}

/// A command that is not a manufacturer's own.
#[must_use]
pub fn command(cluster: u16, direction: Direction, id: u8) -> Option<&'static CommandInfo> {
    COMMANDS.get(&(cluster, direction, id))
}

/// A message of the device object.
#[must_use]
pub fn zdo(cluster: u16) -> Option<&'static ZdoInfo> {
    ZDO.get(&cluster)
}

/// The name of a Green Power device's command.
#[must_use]
pub fn green_power_command(id: u8) -> Option<&'static str> {
    GREEN_POWER.get(&id.into()).copied()
}

/// How many lines of the tables there are, and how many of them could be read.
#[must_use]
pub fn lines() -> (usize, usize) {
    let texts = [PROFILE_LINES, CLUSTER_LINES, ATTRIBUTE_LINES, COMMAND_LINES, ZDO_LINES, GREEN_POWER_LINES];
    let texts = texts.into_iter().chain([serial::EZSP_LINES, serial::EZSP_LATER_LINES, serial::ZNP_LINES]);
    let written = texts.map(|text| text.lines().skip(1).count()).sum();
    let clusters = PROFILES.len() + CLUSTERS.len() + ATTRIBUTES.len() + COMMANDS.len();
    let read = clusters + ZDO.len() + GREEN_POWER.len() + serial::read();
    (written, read)
}

const PROFILE_LINES: &str = include_str!("../../data/profiles.csv");
const CLUSTER_LINES: &str = include_str!("../../data/clusters.csv");
const ATTRIBUTE_LINES: &str = include_str!("../../data/attributes.csv");
const COMMAND_LINES: &str = include_str!("../../data/commands.csv");
const ZDO_LINES: &str = include_str!("../../data/zdo.csv");
const GREEN_POWER_LINES: &str = include_str!("../../data/green_power_commands.csv");

static PROFILES: LazyLock<BTreeMap<u16, (&str, Clusters)>> =
    LazyLock::new(|| table(PROFILE_LINES, profile_line));
static CLUSTERS: LazyLock<BTreeMap<u16, &str>> = LazyLock::new(|| table(CLUSTER_LINES, named));
static ATTRIBUTES: LazyLock<BTreeMap<(u16, u16), AttributeInfo>> =
    LazyLock::new(|| table(ATTRIBUTE_LINES, attribute_line));
static COMMANDS: LazyLock<BTreeMap<(u16, Direction, u8), CommandInfo>> =
    LazyLock::new(|| table(COMMAND_LINES, command_line));
static ZDO: LazyLock<BTreeMap<u16, ZdoInfo>> = LazyLock::new(|| table(ZDO_LINES, zdo_line));
static GREEN_POWER: LazyLock<BTreeMap<u16, &str>> = LazyLock::new(|| table(GREEN_POWER_LINES, named));

/// The lines behind the heading. A test sees to it that all of them can be read.
fn table<K: Ord, V>(text: &'static str, line: impl Fn(&'static str) -> Option<(K, V)>) -> BTreeMap<K, V> {
    text.lines().skip(1).filter_map(line).collect()
}

fn named(line: &'static str) -> Option<(u16, &'static str)> {
    let (id, name) = line.split_once(',')?;
    Some((number(id)?, name))
}

fn profile_line(line: &'static str) -> Option<(u16, (&'static str, Clusters))> {
    let mut columns = line.split(',');
    let (id, name) = (number(columns.next()?)?, columns.next()?);
    let clusters = match columns.next()? {
        "device" => Clusters::Device,
        "library" => Clusters::Library,
        _ => return None,
    };
    Some((id, (name, clusters)))
}

fn attribute_line(line: &'static str) -> Option<((u16, u16), AttributeInfo)> {
    let mut columns = line.split(',');
    let (cluster, id) = (number(columns.next()?)?, number(columns.next()?)?);
    let name = columns.next()?;
    let data_type = DataType::named(columns.next()?)?;
    let access = columns.next()?;
    let unit = columns.next().filter(|unit| !unit.is_empty());
    let scale = columns.next().filter(|scale| !scale.is_empty()).map(scale).transpose().ok()?;
    let (writable, reportable) = (access.contains('w'), access.contains('p'));
    let info = AttributeInfo { cluster, id, name, data_type, writable, reportable, unit, scale };
    Some(((cluster, id), info))
}

fn command_line(line: &'static str) -> Option<((u16, Direction, u8), CommandInfo)> {
    let mut columns = line.split(',');
    let cluster = number(columns.next()?)?;
    let direction = match columns.next()? {
        "server" => Direction::ToServer,
        "client" => Direction::ToClient,
        _ => return None,
    };
    let id = u8::try_from(number(columns.next()?)?).ok()?;
    let name = columns.next()?;
    let layout = Layout::parse(columns.next()?)?;
    Some(((cluster, direction, id), CommandInfo { cluster, direction, id, name, layout }))
}

fn zdo_line(line: &'static str) -> Option<(u16, ZdoInfo)> {
    let mut columns = line.split(',');
    let (cluster, name) = (number(columns.next()?)?, columns.next()?);
    Some((cluster, ZdoInfo { name, layout: Layout::parse(columns.next()?)? }))
}

fn number(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn scale(text: &str) -> Result<Scale, std::num::ParseFloatError> {
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    Ok(Scale { factor: text.parse()?, decimals })
}
