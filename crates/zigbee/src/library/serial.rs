//! What hosts and coordinators tell each other.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{number, table};
use crate::layout::Layout;

/// A command of EZSP with its answer, or news.
#[derive(Debug, PartialEq, Eq)]
pub struct EzspInfo {
    /// Its number.
    pub id: u16,
    /// Its name.
    pub name: &'static str,
    command: Layout,
    response: Layout,
    /// What they are from version 14 of the protocol on, where that is something else.
    later: Option<(Layout, Layout)>,
}

/// The version from which on statuses have 32 bits, and messages other fields.
const LATER: u8 = 14;

/// A command of ZNP, its answer, or news.
#[derive(Debug, PartialEq, Eq)]
pub struct ZnpInfo {
    /// Which part of the coordinator.
    pub subsystem: u8,
    /// Its number there.
    pub command: u8,
    /// Its name.
    pub name: &'static str,
    /// What it consists of.
    pub layout: Layout,
}

impl EzspInfo {
    /// What the command, or the coordinator's answer or news, consists of in versions 8 to 13 of the protocol: what hosts
    /// write commands as.
    #[must_use]
    pub const fn layout(&self, response: bool) -> &Layout {
        if response { &self.response } else { &self.command }
    }

    /// The same in a version of the protocol.
    #[must_use]
    pub fn layout_of(&self, version: u8, response: bool) -> &Layout {
        match &self.later {
            Some((command, answer)) if version >= LATER => {
                if response {
                    answer
                } else {
                    command
                }
            }
            _ => self.layout(response),
        }
    }
}

/// The command or news of a number.
#[must_use]
pub fn ezsp(id: u16) -> Option<&'static EzspInfo> {
    EZSP.get(&id)
}

/// The command or news of a name.
#[must_use]
pub fn ezsp_named(name: &str) -> Option<&'static EzspInfo> {
    EZSP.values().find(|info| info.name == name)
}

/// The command, answer or news of a kind and number.
#[must_use]
pub fn znp(kind: u8, subsystem: u8, command: u8) -> Option<&'static ZnpInfo> {
    ZNP.get(&(kind, subsystem, command))
}

/// The command, answer or news of a kind and name.
#[must_use]
pub fn znp_named(kind: u8, name: &str) -> Option<&'static ZnpInfo> {
    ZNP.iter().find(|((of, _, _), info)| *of == kind && info.name == name).map(|(_, info)| info)
}

pub(super) const EZSP_LINES: &str = include_str!("../../data/ezsp.csv");
pub(super) const EZSP_LATER_LINES: &str = include_str!("../../data/ezsp14.csv");
pub(super) const ZNP_LINES: &str = include_str!("../../data/znp.csv");

static EZSP: LazyLock<BTreeMap<u16, EzspInfo>> = LazyLock::new(|| {
    let mut infos = table(EZSP_LINES, ezsp_line);
    for (id, later) in table(EZSP_LATER_LINES, ezsp_line) {
        if let Some(info) = infos.get_mut(&id) {
            info.later = Some((later.command, later.response));
        }
    }
    infos
});
static ZNP: LazyLock<BTreeMap<(u8, u8, u8), ZnpInfo>> = LazyLock::new(|| table(ZNP_LINES, znp_line));

/// How many lines of these tables could be read.
pub(super) fn read() -> usize {
    let later = EZSP.values().filter(|info| info.later.is_some()).count();
    EZSP.len() + later + ZNP.len()
}

fn ezsp_line(line: &'static str) -> Option<(u16, EzspInfo)> {
    let mut columns = line.split(',');
    let (id, name) = (number(columns.next()?)?, columns.next()?);
    let (command, response) = (Layout::parse(columns.next()?)?, Layout::parse(columns.next()?)?);
    Some((id, EzspInfo { id, name, command, response, later: None }))
}

fn znp_line(line: &'static str) -> Option<((u8, u8, u8), ZnpInfo)> {
    let mut columns = line.split(',');
    let (kind, subsystem) = (columns.next()?.parse().ok()?, columns.next()?.parse().ok()?);
    let command = u8::try_from(number(columns.next()?)?).ok()?;
    let name = columns.next()?;
    let layout = Layout::parse(columns.next()?)?;
    Some(((kind, subsystem, command), ZnpInfo { subsystem, command, name, layout }))
}
