//! What a radio and its things have to remember, sealed in the radio's folder.

use std::io;
use std::path::Path;

use thingward_agent::disk::create_private_dir;
use thingward_crypto::sealed::{SealingKey, read_private, write_private};
use thingward_model::DeviceName;
use thingward_radio::wire::Secret;
use zeroize::Zeroizing;

use super::{memory, roster};

const FILE: &str = "kept";
/// What the sealed state of a driver is bound to.
const LABEL: &[u8] = b"thingward radio state";

/// What the driver of the radio had kept; nothing the first time.
///
/// # Errors
///
/// When it cannot be read, or does not open.
pub(crate) fn kept(folder: &Path, key: &SealingKey) -> io::Result<Option<Secret>> {
    let opened = opened(&folder.join(FILE), key, LABEL)?;
    Ok(opened.map(|opened| Secret::new(opened.to_vec())))
}

/// Keeps that for the driver. It is durable when this returns.
///
/// # Errors
///
/// What the disk says.
pub(crate) fn keep(folder: &Path, key: &SealingKey, state: &Secret) -> io::Result<()> {
    write_private(&folder.join(FILE), &key.seal(LABEL, state.expose()).map_err(io::Error::other)?)
}

/// A thing, as far as it is what the service knows.
pub(crate) struct Remembered {
    pub(crate) name: DeviceName,
    /// Who it is on its radio, and what it can do.
    pub(crate) known: Zeroizing<Vec<u8>>,
    /// What its key comes from.
    pub(crate) secret: Zeroizing<Vec<u8>>,
}

/// The things in a radio's folder. Those that were never devices are left out.
///
/// # Errors
///
/// When one cannot be read, or does not open.
pub(crate) fn remembered(folder: &Path, key: &SealingKey) -> io::Result<Vec<Remembered>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        let known = opened(&path.join(roster::FILE), key, roster::LABEL)?;
        let secret = opened(&path.join(memory::SECRET_FILE), key, memory::SECRET_LABEL)?;
        if let (Some(name), Some(known), Some(secret)) = (name, known, secret) {
            all.push(Remembered { name, known, secret });
        }
    }
    Ok(all)
}

/// Puts a thing into a radio's folder.
///
/// # Errors
///
/// What the disk says.
pub(crate) fn remember(folder: &Path, key: &SealingKey, thing: &Remembered) -> io::Result<()> {
    let folder = folder.join(thing.name.as_str());
    create_private_dir(&folder)?;
    for (file, label, plain) in [
        (memory::SECRET_FILE, memory::SECRET_LABEL, &thing.secret),
        (roster::FILE, roster::LABEL, &thing.known),
    ] {
        write_private(&folder.join(file), &key.seal(label, plain).map_err(io::Error::other)?)?;
    }
    Ok(())
}

fn opened(path: &Path, key: &SealingKey, label: &[u8]) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    match read_private(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        sealed => key.open(label, &sealed?).map(Some).map_err(io::Error::other),
    }
}
