//! One model: what a Zigbee node has becomes properties, actions and events of a Thing Description (W3C, TD 1.1), by the
//! lines of `data/things.csv`, and what it says and is told is translated by the same lines.
//!
//! What no line has passes through with its number, its type and its octets.

mod describe;
mod order;
mod table;
mod told;

pub use describe::describe;
pub use order::{Order, OrderError};
pub use told::{Scalar, Told};

use table::{Line, Subject};

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
}

impl Thing {
    /// A node with these endpoints.
    #[must_use]
    pub const fn new(endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints }
    }

    /// Everything that it has, with the endpoints where it is.
    fn lines(&self) -> impl Iterator<Item = (u8, &'static Line)> {
        self.endpoints.iter().flat_map(|endpoint| {
            table::lines().filter(|line| endpoint.has(line)).map(|line| (endpoint.id, line))
        })
    }

    /// The name of something: with the endpoint's number behind it where other endpoints have the same.
    fn name(&self, endpoint: u8, line: &Line) -> String {
        let same = self.endpoints.iter().filter(|endpoint| endpoint.has(line)).count();
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
