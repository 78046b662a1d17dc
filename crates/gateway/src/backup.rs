//! A copy of what the radios of a gateway have to remember, sealed for somebody's key, and the way back.
//!
//! It has the keys of networks and what makes each thing the device that it is; not what things said, and not where their
//! chains are: a chain that went on from an old copy would use its numbers twice. So each thing begins a new chain.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thingward_agent::disk::create_private_dir;
use thingward_agent::home::Home;
use thingward_crypto::sealed::{SealingKey, sync_parent};
use thingward_crypto::{CryptoError, RecipientPublicKey, RecipientSecretKey, system_rng};
use thingward_model::clock::now;
use thingward_model::{DeviceName, Principal};
use thingward_radio::Kind;
use thingward_radio::wire::Secret;
use zeroize::{Zeroize, Zeroizing};

use crate::radio::{self, Remembered};

/// What it begins with.
const MAGIC: &[u8] = b"thingward gateway backup 1\n";
/// What the secret behind it is bound to (RFC 9180 §5.3).
const INFO: &[u8] = b"thingward gateway backup";
const LABEL: &[u8] = b"key";
const ENCAPSULATED_BYTES: usize = 32;
/// Largest one, in bytes.
pub const BACKUP_BYTES_MAX: u64 = 256 << 20;

/// Why there is no backup, or nothing comes back from one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The disk, or a file that does not open.
    #[error("{what}: {source}")]
    Io {
        /// What was read or written.
        what: String,
        /// What is wrong.
        source: io::Error,
    },
    /// It is none, was changed, or is for another key.
    #[error("this is no backup for this key, or it was changed")]
    NotOurs,
    /// It is of another gateway.
    #[error(
        "this is the backup of {0}: things are devices of the gateway that keeps their keys; enrol this one as that"
    )]
    OtherGateway(String),
    /// There is a network already.
    #[error("the gateway has a radio {0} already; move its folder away to have that of the backup")]
    InTheWay(DeviceName),
    /// What a radio remembers cannot be gone on from.
    #[error("what the radio {0} had to remember cannot be gone on from")]
    Unusable(DeviceName),
    /// The key does not work.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// When it was made.
    pub taken: String,
    /// How many things each radio has.
    pub radios: BTreeMap<String, usize>,
}

#[derive(Serialize, Deserialize)]
struct Plain {
    tenant: String,
    gateway: String,
    taken: String,
    radios: Vec<PlainRadio>,
}

#[derive(Serialize, Deserialize)]
struct PlainRadio {
    name: String,
    kind: String,
    /// Base64.
    kept: Option<String>,
    things: Vec<PlainThing>,
}

#[derive(Serialize, Deserialize)]
struct PlainThing {
    name: String,
    /// What is known of it, base64.
    known: String,
    /// Base64.
    secret: String,
}

impl Drop for PlainRadio {
    fn drop(&mut self) {
        self.kept.zeroize();
        self.things.iter_mut().for_each(|thing| thing.secret.zeroize());
    }
}

impl Plain {
    /// Bytes that it takes as JSON, at most.
    fn room(&self) -> usize {
        let of_thing = |thing: &PlainThing| thing.known.len() + thing.secret.len() + 256;
        let of_radio = |radio: &PlainRadio| {
            radio.kept.as_ref().map_or(0, String::len)
                + radio.things.iter().map(of_thing).sum::<usize>()
                + 256
        };
        self.radios.iter().map(of_radio).sum::<usize>() + 1024
    }

    fn contents(&self) -> Contents {
        let radios = self.radios.iter().map(|radio| (radio.name.clone(), radio.things.len()));
        Contents { taken: self.taken.clone(), radios: radios.collect() }
    }
}

fn failed(what: impl ToString) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::Io { what: what.to_string(), source }
}

/// A backup of the radios that a gateway has, sealed for `recipient`. Nobody else works in the home meanwhile.
///
/// # Errors
///
/// [`BackupError`].
pub fn take(
    home: &Home,
    gateway: &Principal,
    radios: &[(DeviceName, Kind)],
    recipient: &RecipientPublicKey,
) -> Result<(Vec<u8>, Contents), BackupError> {
    let mut all = Vec::new();
    for (name, kind) in radios {
        let (folder, key) = (home.radio_dir(name), home.sealing_key());
        if !folder.exists() {
            continue;
        }
        let kept = radio::kept(&folder, key).map_err(failed(folder.display()))?;
        let things = radio::remembered(&folder, key).map_err(failed(folder.display()))?;
        let things = things.into_iter().map(|thing| PlainThing {
            name: thing.name.to_string(),
            known: STANDARD.encode(&*thing.known),
            secret: STANDARD.encode(&*thing.secret),
        });
        all.push(PlainRadio {
            name: name.to_string(),
            kind: kind.as_str().to_owned(),
            kept: kept.map(|kept| STANDARD.encode(kept.expose())),
            things: things.collect(),
        });
    }
    let (tenant, gateway) = (gateway.tenant.to_string(), gateway.name.to_string());
    let plain = Plain { tenant, gateway, taken: now().to_string(), radios: all };
    // With room from the start: what grows leaves copies of keys behind.
    let mut text = Zeroizing::new(Vec::with_capacity(plain.room()));
    serde_json::to_writer(&mut *text, &plain).map_err(|e| failed("the backup")(io::Error::other(e)))?;
    let (encapsulated, secret) = recipient.encapsulate::<32>(INFO, LABEL, &mut system_rng())?;
    let sealed = SealingKey::from_bytes(secret.as_ref())?.seal(MAGIC, &text)?;
    Ok(([MAGIC, &encapsulated, &sealed].concat(), plain.contents()))
}

/// Brings back what a backup has into the home of the same gateway. Nobody else works in the home meanwhile.
///
/// # Errors
///
/// [`BackupError`]; a radio is brought back whole or not at all, and one that was stays, in the way of a second try.
pub fn restore(
    home: &Home,
    gateway: &Principal,
    key: &RecipientSecretKey,
    backup: &[u8],
) -> Result<Contents, BackupError> {
    let plain = open(key, backup).ok_or(BackupError::NotOurs)?;
    if (plain.tenant.as_str(), plain.gateway.as_str()) != (gateway.tenant.as_str(), gateway.name.as_str()) {
        return Err(BackupError::OtherGateway(format!("{}/{}", plain.tenant, plain.gateway)));
    }
    let radios =
        plain.radios.iter().map(Radio::read).collect::<Option<Vec<_>>>().ok_or(BackupError::NotOurs)?;
    if let Some(radio) = radios.iter().find(|radio| home.radio_dir(&radio.name).exists()) {
        return Err(BackupError::InTheWay(radio.name));
    }
    let usable = |radio: &Radio| match &radio.kept {
        None => Ok(None),
        Some(kept) => radio.kind.restored(kept).map(Some).ok_or(BackupError::Unusable(radio.name)),
    };
    let kept = radios.iter().map(usable).collect::<Result<Vec<_>, _>>()?;
    for (radio, kept) in radios.iter().zip(kept) {
        let folder = home.radio_dir(&radio.name);
        radio.write(&folder, home.sealing_key(), kept).map_err(failed(folder.display()))?;
    }
    Ok(plain.contents())
}

fn open(key: &RecipientSecretKey, backup: &[u8]) -> Option<Plain> {
    let (encapsulated, sealed) = backup.strip_prefix(MAGIC)?.split_first_chunk::<ENCAPSULATED_BYTES>()?;
    let secret = key.decapsulate::<32>(encapsulated, INFO, LABEL).ok()?;
    let text = SealingKey::from_bytes(secret.as_ref()).ok()?.open(MAGIC, sealed).ok()?;
    serde_json::from_slice(&text).ok()
}

struct Radio {
    name: DeviceName,
    kind: Kind,
    kept: Option<Secret>,
    things: Vec<Remembered>,
}

impl Radio {
    /// Whole or not at all: a driver that finds a folder without what was kept begins a new network.
    fn write(&self, folder: &Path, key: &SealingKey, kept: Option<Secret>) -> io::Result<()> {
        let new = folder.with_file_name(format!("{}.restoring", self.name));
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => create_private_dir(&new)?,
        }
        for thing in &self.things {
            radio::remember(&new, key, thing)?;
        }
        if let Some(kept) = kept {
            radio::keep(&new, key, &kept)?;
        }
        fs::rename(&new, folder)?;
        sync_parent(folder)
    }

    fn read(plain: &PlainRadio) -> Option<Self> {
        let thing = |thing: &PlainThing| {
            Some(Remembered {
                name: thing.name.parse().ok()?,
                known: Zeroizing::new(STANDARD.decode(&thing.known).ok()?),
                secret: Zeroizing::new(STANDARD.decode(&thing.secret).ok()?),
            })
        };
        let kept = plain.kept.as_ref().map(|kept| STANDARD.decode(kept).map(Secret::new));
        Some(Self {
            name: plain.name.parse().ok()?,
            kind: Kind::of(&plain.kind)?,
            kept: kept.transpose().ok()?,
            things: plain.things.iter().map(thing).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests;
