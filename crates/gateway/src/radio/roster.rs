//! Which things a radio has: their addresses, what they are called upstream, and what is known of them.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thingward_crypto::sealed::{SealingKey, read_private, write_private};
use thingward_model::{DeviceName, Link};
use thingward_radio::wire::Address;

/// Most things of a radio.
pub const THINGS_MAX: usize = 512;
const LABEL: &[u8] = b"thingward radio roster";

/// What is known of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: DeviceName,
    /// The best that protects its link.
    pub(super) link: Link,
    /// Its Thing Description.
    pub(super) description: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    link: String,
    /// Base64.
    description: String,
}

/// See the module.
pub(super) struct Roster {
    path: PathBuf,
    key: SealingKey,
    things: BTreeMap<Address, Known>,
}

impl Roster {
    /// The one in this file; an empty one when there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(super) fn load(path: PathBuf, key: SealingKey) -> io::Result<Self> {
        let sealed = match read_private(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, key, things: BTreeMap::new() });
            }
            sealed => sealed?,
        };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display()));
        let text = key.open(LABEL, &sealed).map_err(|_| damaged())?;
        let entries: BTreeMap<String, Entry> = serde_json::from_slice(&text).map_err(|_| damaged())?;
        let read = |(address, entry): (String, Entry)| Some((Address::new(&address)?, known(&entry)?));
        let things = entries.into_iter().map(read).collect::<Option<_>>().ok_or_else(damaged)?;
        Ok(Self { path, key, things })
    }

    pub(super) fn things(&self) -> impl Iterator<Item = (&Address, &Known)> {
        self.things.iter()
    }

    pub(super) fn get(&self, address: &Address) -> Option<&Known> {
        self.things.get(address)
    }

    pub(super) fn has_room(&self) -> bool {
        self.things.len() < THINGS_MAX
    }

    /// Keeps what is known of a thing. It is durable when this returns.
    pub(super) fn put(&mut self, address: Address, known: Known) -> io::Result<()> {
        if self.things.get(&address) == Some(&known) {
            return Ok(());
        }
        self.things.insert(address, known);
        self.save()
    }

    /// Forgets a thing.
    pub(super) fn remove(&mut self, address: &Address) -> io::Result<()> {
        match self.things.remove(address) {
            None => Ok(()),
            Some(_) => self.save(),
        }
    }

    fn save(&self) -> io::Result<()> {
        let entry = |known: &Known| Entry {
            name: known.name.to_string(),
            link: known.link.to_string(),
            description: STANDARD.encode(&known.description),
        };
        let entries: BTreeMap<&str, Entry> =
            self.things.iter().map(|(address, known)| (address.as_str(), entry(known))).collect();
        let sealed = self.key.seal(LABEL, &serde_json::to_vec(&entries)?).map_err(io::Error::other)?;
        write_private(&self.path, &sealed)
    }
}

fn known(entry: &Entry) -> Option<Known> {
    Some(Known {
        name: entry.name.parse().ok()?,
        link: entry.link.parse().ok()?,
        description: STANDARD.decode(&entry.description).ok()?,
    })
}
