//! The folder of a witness: its keys, its certificate, and what it has seen.
//!
//! ```text
//! sealing.key      mode 0600
//! witness.key      the key that co-signs, sealed
//! tls.key          the key of the certificate, sealed
//! certificate.der  signed by itself
//! vkey             name and public key, for those who trust the witness
//! seen/            a file for each log
//! ```

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thingward_audit::cosignature::WitnessKey;
use thingward_audit::note::NoteError;
use thingward_crypto::sealed::{SealingKey, sync_parent, write_private};
use thingward_crypto::{CryptoError, SignatureAlgorithm, Signer, SoftwareKey, system_rng};
use thingward_model::Timestamp;
use thingward_pki::PkiError;
use thingward_pki::ca::witness_certificate;
use thingward_pki::tls::Credentials;

use crate::fingerprint::Fingerprint;

const SEALING_KEY: &str = "sealing.key";
const WITNESS_KEY: &str = "witness.key";
const TLS_KEY: &str = "tls.key";
const CERTIFICATE: &str = "certificate.der";
const VKEY: &str = "vkey";
const SEEN: &str = "seen";
const LOCK: &str = "lock";

/// What is wrong with a home.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// The file system failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is a witness already.
    #[error("{} has a witness already, which stays as it is", path.display())]
    Taken {
        /// The home.
        path: PathBuf,
    },
    /// There is no witness.
    #[error("{} has no witness: make one with `thingward witness init`", path.display())]
    Empty {
        /// The home.
        path: PathBuf,
    },
    /// Others than its owner can enter it.
    #[error("others can enter {0}; keep them out first: chmod 700 {0}", path.display())]
    Exposed {
        /// The home.
        path: PathBuf,
    },
    /// Another process works in it.
    #[error("{} is in use by another witness process", path.display())]
    InUse {
        /// The home.
        path: PathBuf,
    },
    /// A file in it is not what was written.
    #[error("{} is damaged or of another home", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The name cannot be that of a witness.
    #[error("{0} is no name of a witness; write e.g. witness.example.com/w1")]
    Name(String),
    /// A key or certificate could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

/// A witness's folder, which no other process works in.
pub struct Home {
    folder: PathBuf,
    name: String,
    signer: SoftwareKey,
    tls: SoftwareKey,
    certificate: Vec<u8>,
    _lock: File,
}

impl Home {
    /// Makes a witness in a folder that has none.
    ///
    /// # Errors
    ///
    /// [`HomeError`].
    pub fn create(folder: &Path, name: &str, now: Timestamp) -> Result<Self, HomeError> {
        let no_name = || HomeError::Name(name.to_owned());
        let signer = SoftwareKey::generate(SignatureAlgorithm::Ed25519, &mut system_rng());
        let tls = SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng());
        let key = WitnessKey::new(name, signer.public_key()).map_err(|_| no_name())?;
        let certificate = witness_certificate(name, &tls, now).map_err(|_| no_name())?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(of(folder))?;
        closed_to_others(folder)?;
        let lock = lock(folder)?;
        if folder.join(VKEY).exists() || folder.join(WITNESS_KEY).exists() {
            return Err(HomeError::Taken { path: folder.to_owned() });
        }
        let sealing = folder.join(SEALING_KEY);
        let sealing = SealingKey::load_or_create(&sealing).map_err(of(&sealing))?;
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            write_private(&path, bytes).map_err(of(&path))
        };
        for (name, key) in [(WITNESS_KEY, &signer), (TLS_KEY, &tls)] {
            let sealed = key.to_pkcs8().and_then(|pkcs8| sealing.seal(name.as_bytes(), &pkcs8));
            write(name, &sealed.map_err(PkiError::from)?)?;
        }
        write(CERTIFICATE, &certificate)?;
        let seen = folder.join(SEEN);
        DirBuilder::new().recursive(true).mode(0o700).create(&seen).map_err(of(&seen))?;
        sync_parent(&seen).map_err(of(&seen))?;
        // Last: with it the home is whole.
        write(VKEY, format!("{key}\n").as_bytes())?;
        Ok(Self { folder: folder.to_owned(), name: name.to_owned(), signer, tls, certificate, _lock: lock })
    }

    /// What others know the witness of a folder by, also while it runs.
    ///
    /// # Errors
    ///
    /// [`HomeError`].
    pub fn look(folder: &Path) -> Result<(WitnessKey, Fingerprint), HomeError> {
        let vkey = folder.join(VKEY);
        let text = match fs::read_to_string(&vkey) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(HomeError::Empty { path: folder.to_owned() });
            }
            read => read.map_err(of(&vkey))?,
        };
        let certificate = folder.join(CERTIFICATE);
        let fingerprint = Fingerprint::of(&fs::read(&certificate).map_err(of(&certificate))?);
        let key = text.trim_end().parse().map_err(|_| HomeError::Damaged { path: vkey })?;
        Ok((key, fingerprint))
    }

    /// Opens the witness of a folder.
    ///
    /// # Errors
    ///
    /// [`HomeError`].
    pub fn open(folder: &Path) -> Result<Self, HomeError> {
        let damaged = |name: &str| HomeError::Damaged { path: folder.join(name) };
        let (named, _) = Self::look(folder)?;
        closed_to_others(folder)?;
        let lock = lock(folder)?;
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(of(&path))
        };
        let sealing = folder.join(SEALING_KEY);
        // Never made here: a new one opens nothing.
        read(SEALING_KEY)?;
        let sealing = SealingKey::load_or_create(&sealing).map_err(of(&sealing))?;
        let key = |name: &str| -> Result<SoftwareKey, HomeError> {
            let open = |sealed: &[u8]| -> Result<SoftwareKey, CryptoError> {
                SoftwareKey::from_pkcs8(&sealing.open(name.as_bytes(), sealed)?)
            };
            open(&read(name)?).map_err(|_| damaged(name))
        };
        let (signer, tls) = (key(WITNESS_KEY)?, key(TLS_KEY)?);
        let name = named.name().to_owned();
        if WitnessKey::new(&name, signer.public_key()) != Ok(named) {
            return Err(damaged(VKEY));
        }
        let certificate = read(CERTIFICATE)?;
        // What it has seen is gone with this folder, and a witness that forgets is none.
        let seen = folder.join(SEEN);
        fs::read_dir(&seen).map_err(of(&seen))?;
        Ok(Self { folder: folder.to_owned(), name, signer, tls, certificate, _lock: lock })
    }

    /// Its name and public key.
    ///
    /// # Errors
    ///
    /// [`NoteError::Key`] never: the name was checked when the home was made.
    pub fn key(&self) -> Result<WitnessKey, NoteError> {
        WitnessKey::new(&self.name, self.signer.public_key())
    }

    /// How its listener is known.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// What its listener shows.
    ///
    /// # Errors
    ///
    /// [`HomeError::Pki`].
    pub fn credentials(&self) -> Result<Credentials, HomeError> {
        Ok(Credentials::new(std::slice::from_ref(&self.certificate), &self.tls)?)
    }

    pub(crate) const fn signer(&self) -> &SoftwareKey {
        &self.signer
    }

    pub(crate) fn seen(&self) -> PathBuf {
        self.folder.join(SEEN)
    }
}

fn of(path: &Path) -> impl FnOnce(io::Error) -> HomeError {
    let path = path.to_owned();
    move |source| HomeError::Io { path, source }
}

fn closed_to_others(folder: &Path) -> Result<(), HomeError> {
    let mode = fs::metadata(folder).map_err(of(folder))?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { Err(HomeError::Exposed { path: folder.to_owned() }) }
}

fn lock(folder: &Path) -> Result<File, HomeError> {
    let path = folder.join(LOCK);
    let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(of(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(HomeError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(HomeError::Io { path, source }),
    }
}
