//! What is known of a radio's things: who they are there, what they are called upstream, and what they can do. A sealed file in
//! the folder of each.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thingward_agent::disk::create_private_dir;
use thingward_crypto::sealed::{SealingKey, read_private, write_private};
use thingward_model::{DeviceName, Link};
use thingward_radio::wire::Address;

pub(super) const FILE: &str = "thing";
pub(super) const LABEL: &[u8] = b"thingward radio thing";

/// What is known of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) address: Address,
    pub(super) name: DeviceName,
    /// The best that protects its link.
    pub(super) link: Link,
    /// Its Thing Description.
    pub(super) description: Vec<u8>,
    /// Whether it left the radio.
    pub(super) is_gone: bool,
}

#[derive(Serialize, Deserialize)]
struct File {
    address: String,
    link: String,
    /// Base64.
    description: String,
    is_gone: bool,
}

/// Those in a radio's folder. What does not open is left out, and said in the log: the others are there.
///
/// # Errors
///
/// When the folder cannot be read.
pub(super) fn load(folder: &Path, key: &SealingKey) -> io::Result<Vec<Known>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.join(FILE).exists() {
            continue;
        }
        match Known::load(&path, key) {
            Ok(known) => all.push(known),
            Err(error) => {
                tracing::error!(folder = %path.display(), %error, "what is known of a thing does not open");
            }
        }
    }
    Ok(all)
}

impl Known {
    fn load(folder: &Path, key: &SealingKey) -> io::Result<Self> {
        let text = key.open(LABEL, &read_private(&folder.join(FILE))?).map_err(io::Error::other)?;
        let file: File = serde_json::from_slice(&text)?;
        let read = || {
            Some(Self {
                address: Address::new(&file.address)?,
                name: folder.file_name()?.to_str()?.parse().ok()?,
                link: file.link.parse().ok()?,
                description: STANDARD.decode(&file.description).ok()?,
                is_gone: file.is_gone,
            })
        };
        read().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is damaged"))
    }

    /// Keeps it in its folder of the radio's. It is durable when this returns.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub(super) fn save(&self, radio: &Path, key: &SealingKey) -> io::Result<()> {
        let folder = radio.join(self.name.as_str());
        create_private_dir(&folder)?;
        let file = File {
            address: self.address.to_string(),
            link: self.link.to_string(),
            description: STANDARD.encode(&self.description),
            is_gone: self.is_gone,
        };
        let sealed = key.seal(LABEL, &serde_json::to_vec(&file)?).map_err(io::Error::other)?;
        write_private(&folder.join(FILE), &sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Known {
        let (address, description) = (Address::new(name).unwrap(), vec![1, 2, 3]);
        let name = name.parse().unwrap();
        Known { address, name, link: Link::ZwaveS0, description, is_gone: false }
    }

    #[test]
    fn what_is_known_is_there_after_a_restart_and_what_is_damaged_takes_nothing_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let key = SealingKey::load_or_create(&folder.path().join("key")).unwrap();
        let (first, second) = (known("z-1"), Known { is_gone: true, ..known("z-2") });
        for thing in [&first, &second] {
            thing.save(folder.path(), &key).unwrap();
        }
        let mut all = load(folder.path(), &key).unwrap();
        all.sort_by_key(|known| known.name);
        assert_eq!(all, [first, second.clone()]);
        write_private(&folder.path().join("z-1").join(FILE), b"damaged").unwrap();
        assert_eq!(load(folder.path(), &key).unwrap(), [second]);
        let other = SealingKey::load_or_create(&folder.path().join("other")).unwrap();
        assert_eq!(load(folder.path(), &other).unwrap(), []);
    }
}
