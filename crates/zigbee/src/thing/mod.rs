//! One model: what a Zigbee node has becomes properties, actions and events of a Thing Description (W3C, TD 1.1), by the
//! lines of `data/things.csv`, and what it says and is told is translated by the same lines.
//!
//! What no line has passes through with its number, its type and its octets.

mod describe;
mod figures;
mod order;
mod table;
mod told;
mod words;

pub use describe::describe;
pub use order::{Order, OrderError};
pub use told::{Scalar, Told};

use std::collections::BTreeMap;

use table::{Line, Subject};

use crate::library::AttributeInfo;

/// Where something of a node is: what its interview said of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its number.
    pub id: u8,
    /// Clusters whose server it is.
    pub servers: Vec<u16>,
    /// Clusters whose client it is.
    pub clients: Vec<u16>,
}

/// A node as a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    endpoints: Vec<Endpoint>,
    /// What it said of its own values, by endpoint, cluster and attribute.
    figures: BTreeMap<(u8, u16, u16), u32>,
}

impl Thing {
    /// A node with these endpoints.
    #[must_use]
    pub const fn new(endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints, figures: BTreeMap::new() }
    }

    /// Its endpoints.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The properties that it reports when it is told to, with their endpoints.
    pub fn reported(&self) -> impl Iterator<Item = (u8, &'static AttributeInfo)> {
        self.lines().filter_map(|(endpoint, line)| match line.subject {
            Subject::Property(info) if info.reportable => Some((endpoint, info)),
            _ => None,
        })
    }

    /// Clusters from which events come, with their endpoints.
    pub fn eventful(&self) -> impl Iterator<Item = (u8, u16)> {
        let events = self.lines().filter(|(_, line)| matches!(line.subject, Subject::Event(_)));
        events.map(|(endpoint, line)| (endpoint, line.cluster))
    }

    /// Everything that it has, with the endpoints where it is.
    fn lines(&self) -> impl Iterator<Item = (u8, &'static Line)> {
        self.endpoints.iter().flat_map(|endpoint| {
            table::lines().filter(|line| endpoint.has(line)).map(|line| (endpoint.id, line))
        })
    }

    /// The name of something: with the endpoint's number behind it where other endpoints have the same, of whatever cluster.
    fn name(&self, endpoint: u8, line: &Line) -> String {
        let has = |endpoint: &&Endpoint| table::named(line.name).iter().any(|line| endpoint.has(line));
        let same = self.endpoints.iter().filter(has).count();
        if same > 1 { format!("{}-{endpoint}", line.name) } else { line.name.to_owned() }
    }
}

impl Endpoint {
    /// Events of a keypad come from the client of a cluster; all else is the server's.
    fn has(&self, line: &Line) -> bool {
        match line.subject {
            Subject::Event(_) if line.is_from_client() => self.clients.contains(&line.cluster),
            _ => self.servers.contains(&line.cluster),
        }
    }
}
