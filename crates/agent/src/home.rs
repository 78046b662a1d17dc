//! The directory in which a device or gateway keeps its identity and buffers.
//!
//! Everything secret in it is sealed under one key, so that destroying the key destroys the rest. Whether it
//! holds a membership is decided by one file, which is written last.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand_core::Rng;
use thingward_coap::edhoc::DhKey;
use thingward_crypto::sealed::{SealingKey, read_private, sync_parent, write_private};
use thingward_crypto::{SignatureAlgorithm, system_rng};
use thingward_model::{DeviceName, StreamName};
use thingward_pkcs11::TokenError;
use thingward_pki::{LeafIdentity, PkiError, ca};
use thingward_tpm::TpmError;
use zeroize::Zeroizing;

use crate::disk::create_private_dir;
use crate::key_store::{
    self, KeyStore, KeyStoreError, KeyStoreReference, SEALED_KEY, SEALING_KEY, WRAPPED_KEY,
};
use crate::membership::{Membership, MembershipError};
use crate::stream::SharedSigner;

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
    /// Others than its owner can enter it.
    #[error("others can enter {0}; keep them out first: chmod 700 {0}", path.display())]
    Exposed {
        /// The home.
        path: PathBuf,
    },
    /// Another process works in it.
    #[error("{} is in use by {holder}; stop it first, or give another home", path.display())]
    InUse {
        /// The home.
        path: PathBuf,
        /// Who, as far as it said.
        holder: String,
    },
    /// It has sealed files and no key for them.
    #[error("{} is missing: restore it, or reset the device to enrol it anew", path.display())]
    KeyMissing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// It has its keys elsewhere.
    #[error("{} has its keys in {there}, not in {wanted}; reset the device to move them", path.display())]
    OtherKeyStore {
        /// The home.
        path: PathBuf,
        /// Where they are.
        there: KeyStoreReference,
        /// Where they should be.
        wanted: KeyStoreReference,
    },
    /// The machine was started otherwise than when the home was made.
    #[error(
        "{} does not open, because this machine was started otherwise: {changed}; start it as before, or reset the \
         device and enrol it anew",
        path.display()
    )]
    OtherBoot {
        /// The home.
        path: PathBuf,
        /// Which registers differ, and how.
        changed: String,
    },
    /// The TPM with its keys failed.
    #[error("{}: {source}", path.display())]
    Tpm {
        /// What the TPM has made.
        path: PathBuf,
        /// What it says.
        source: TpmError,
    },
    /// The token with its keys failed.
    #[error("{}: {source}", path.display())]
    Token {
        /// What is encrypted under a key of the token's, or was to be.
        path: PathBuf,
        /// What it says.
        source: TokenError,
    },
    /// It is reset, but for what is on its token.
    #[error(
        "{} is reset, but its keys are still on the token: {source}; remove those there that have the CKA_ID {id}",
        path.display()
    )]
    KeysLeft {
        /// The home.
        path: PathBuf,
        /// What names its keys on the token, in hexadecimal digits.
        id: String,
        /// What the token says.
        source: TokenError,
    },
    /// It has no membership.
    #[error("{} has no identity: enrol the device first", path.display())]
    NotEnrolled {
        /// The home.
        path: PathBuf,
    },
    /// A file in it is not what was written.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In what way.
        reason: String,
    },
}

/// A membership with everything that proves it.
pub struct Identity {
    /// The private key, which was made here and never leaves.
    pub key: SharedSigner,
    /// The leaf certificate, then the issuing one, in DER.
    pub chain: Vec<Vec<u8>>,
    /// The root certificate in DER.
    pub root: Vec<u8>,
    /// What the service said about this member.
    pub membership: Membership,
    /// What the leaf says.
    pub leaf: LeafIdentity,
}

/// An open home. No other process has it; clones share it, and the last one to go gives it back.
#[derive(Clone)]
pub struct Home(Arc<Inner>);

struct Inner {
    path: PathBuf,
    keys: Box<dyn KeyStore>,
    lock: File,
}

const LOCK: &str = "lock";
const IDENTITY: &str = "identity.sealed";
const CERTIFICATE: &str = "certificate.pem";
const ROOT: &str = "root.pem";
const MEMBERSHIP: &str = "membership.json";
const STREAMS: &str = "streams";
const COMMANDS: &str = "commands";
const GRANTS: &str = "grants";
const QUEUE: &str = "queue";
const CHIPS: &str = "chips";
const RADIOS: &str = "radios";
const COAP: &str = "coap";
const ACCOUNTS: &str = "accounts";
const POLICY: &str = "policy.cose";
const RAW_KEY: &str = "raw-key.sealed";
const CRL: &str = "crl.der";
const SOCKET: &str = "agent.sock";
/// Stands while a reset is under way, so that one that was cut short is finished at the next start.
const RESET: &str = "reset";

impl Home {
    /// Opens the directory, made with mode 0700 and keys in files when there is none, and finishes a reset that was cut
    /// short.
    ///
    /// # Errors
    ///
    /// [`HomeError::InUse`] when another process has it, [`HomeError::Exposed`], [`HomeError::KeyMissing`],
    /// [`HomeError::OtherBoot`] or [`HomeError::Tpm`] when its keys are in a TPM, [`HomeError::Token`] when they are on a
    /// token, or an I/O error.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        Self::open_with(path, None)
    }

    /// As [`Self::open`], with its keys in this place.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], and [`HomeError::OtherKeyStore`] when they are elsewhere.
    pub fn open_in(path: &Path, keys: &KeyStoreReference) -> Result<Self, HomeError> {
        Self::open_with(path, Some(keys))
    }

    fn open_with(path: &Path, keys: Option<&KeyStoreReference>) -> Result<Self, HomeError> {
        create_private_dir(path).map_err(at(path))?;
        if fs::metadata(path).map_err(at(path))?.permissions().mode() & 0o077 != 0 {
            return Err(HomeError::Exposed { path: path.to_owned() });
        }
        let lock = lock(path)?;
        if path.join(RESET).exists() {
            wipe(path)?;
        }
        let has_key = [SEALING_KEY, SEALED_KEY, WRAPPED_KEY].iter().any(|name| path.join(name).exists());
        if !has_key && (path.join(IDENTITY).exists() || path.join(STREAMS).exists()) {
            return Err(HomeError::KeyMissing { path: path.join(SEALING_KEY) });
        }
        let keys = key_store::open(path, keys)?;
        Ok(Self(Arc::new(Inner { path: path.to_owned(), keys, lock })))
    }

    /// Where its keys are.
    #[must_use]
    pub fn key_store(&self) -> &KeyStoreReference {
        self.0.keys.reference()
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The key that everything secret here is sealed under.
    #[must_use]
    pub fn sealing_key(&self) -> &SealingKey {
        self.0.keys.sealing_key()
    }

    /// Where the buffer of a stream is.
    #[must_use]
    pub fn stream_dir(&self, stream: &StreamName) -> PathBuf {
        self.0.path.join(STREAMS).join(stream.as_str())
    }

    /// Where the journal of commands is.
    #[must_use]
    pub fn commands_dir(&self) -> PathBuf {
        self.0.path.join(COMMANDS)
    }

    /// Where the book of grants is.
    #[must_use]
    pub fn grants_dir(&self) -> PathBuf {
        self.0.path.join(GRANTS)
    }

    /// Where a gateway keeps what it forwards.
    #[must_use]
    pub fn queue_dir(&self) -> PathBuf {
        self.0.path.join(QUEUE)
    }

    /// Where a gateway keeps the newest CRL.
    #[must_use]
    pub fn crl_path(&self) -> PathBuf {
        self.0.path.join(CRL)
    }

    /// Where a gateway keeps what it knows of a chip on a serial line.
    #[must_use]
    pub fn chip_path(&self, name: &DeviceName) -> PathBuf {
        self.0.path.join(CHIPS).join(format!("{name}.json"))
    }

    /// Where a gateway keeps what it knows of a radio and its things.
    #[must_use]
    pub fn radio_dir(&self, radio: &DeviceName) -> PathBuf {
        self.0.path.join(RADIOS).join(radio.as_str())
    }

    /// Where a gateway keeps what it did by itself.
    #[must_use]
    pub fn accounts_dir(&self) -> PathBuf {
        self.0.path.join(ACCOUNTS)
    }

    /// The policies that a gateway goes by, as they were signed.
    #[must_use]
    pub fn policy_path(&self) -> PathBuf {
        self.0.path.join(POLICY)
    }

    /// Where a gateway keeps what it knows of things that speak CoAP.
    #[must_use]
    pub fn coap_dir(&self) -> PathBuf {
        self.0.path.join(COAP)
    }

    /// The key on P-256 that it agrees on secrets with, for CoAP: made when there is none, and kept sealed.
    ///
    /// # Errors
    ///
    /// [`HomeError::Damaged`] or an I/O error.
    pub fn raw_key(&self) -> Result<DhKey, HomeError> {
        let path = self.0.path.join(RAW_KEY);
        let damaged = || self.damaged(RAW_KEY, "it does not open with the sealing key");
        match read_private(&path) {
            Ok(sealed) => {
                let kept = self.sealing_key().open(RAW_KEY.as_bytes(), &sealed).map_err(|_| damaged())?;
                let bytes = kept.as_slice().try_into().map_err(|_| damaged())?;
                DhKey::new(bytes).map_err(|_| damaged())
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let (key, bytes) = DhKey::fresh(|bytes| system_rng().fill_bytes(bytes));
                let sealed = self.sealing_key().seal(RAW_KEY.as_bytes(), bytes.as_slice());
                let sealed = sealed.map_err(|e| at(&path)(io::Error::other(e)))?;
                write_private(&path, &sealed).map_err(at(&path))?;
                Ok(key)
            }
            Err(e) => Err(at(&path)(e)),
        }
    }

    /// Where local programs hand over readings.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        socket_path(&self.0.path)
    }

    /// The streams that have a buffer.
    ///
    /// # Errors
    ///
    /// An I/O error.
    pub fn streams(&self) -> Result<Vec<StreamName>, HomeError> {
        let path = self.0.path.join(STREAMS);
        let entries = match fs::read_dir(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(at(&path))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(at(&path))?.file_name();
            names.extend(name.to_str().and_then(|n| n.parse::<StreamName>().ok()));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Whether there is a membership.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        self.0.path.join(MEMBERSHIP).exists()
    }

    /// The membership and what proves it.
    ///
    /// # Errors
    ///
    /// [`HomeError::NotEnrolled`], [`HomeError::Damaged`] or an I/O error.
    pub fn identity(&self) -> Result<Identity, HomeError> {
        if !self.is_enrolled() {
            return Err(HomeError::NotEnrolled { path: self.0.path.clone() });
        }
        let membership = self.read_membership()?;
        let Some(key) = self.private_key()? else {
            return Err(self.damaged(IDENTITY, "it is missing"));
        };
        let chain = self.read_pem(CERTIFICATE)?;
        let root = self.read_pem(ROOT)?.into_iter().next().unwrap_or_default();
        let leaf_der = chain.first().map(Vec::as_slice).unwrap_or_default();
        let leaf = LeafIdentity::from_verified(leaf_der, &membership.trust_domain)
            .map_err(|e| self.damaged(CERTIFICATE, &e.to_string()))?;
        if leaf.principal != membership.principal() {
            return Err(self.damaged(MEMBERSHIP, "it names another member than the certificate"));
        }
        Ok(Identity { key, chain, root, membership, leaf })
    }

    /// The private key, also of an enrolment that did not come to its end.
    ///
    /// # Errors
    ///
    /// [`HomeError::Damaged`] or an I/O error.
    pub fn private_key(&self) -> Result<Option<SharedSigner>, HomeError> {
        let path = self.0.path.join(IDENTITY);
        let sealed = match read_private(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            sealed => sealed.map_err(at(&path))?,
        };
        let kept = self.sealing_key().open(self.0.keys.label(), &sealed);
        let kept = kept.map_err(|_| self.damaged(IDENTITY, "it does not open with the sealing key"))?;
        self.0.keys.load(&kept).map(Some).map_err(|e| self.key_failed(e))
    }

    /// Makes a private key and keeps what brings it back, sealed.
    ///
    /// # Errors
    ///
    /// [`HomeError::Tpm`] or an I/O error.
    pub fn make_private_key(&self, algorithm: SignatureAlgorithm) -> Result<SharedSigner, HomeError> {
        let path = self.0.path.join(IDENTITY);
        let kept = self.0.keys.create(algorithm).map_err(|e| self.key_failed(e))?;
        let sealed = self.sealing_key().seal(self.0.keys.label(), &kept);
        let sealed = sealed.map_err(|e| at(&path)(io::Error::other(e)))?;
        write_private(&path, &sealed).map_err(at(&path))?;
        self.0.keys.load(&kept).map_err(|e| self.key_failed(e))
    }

    /// What the TPM with the private key says about it, in answer to `nonce`; `None` for keys in files.
    ///
    /// # Errors
    ///
    /// [`HomeError::Tpm`].
    pub fn tpm_evidence(&self, nonce: &[u8]) -> Result<Option<Vec<u8>>, HomeError> {
        self.0.keys.evidence(nonce).map_err(|e| self.key_failed(e))
    }

    fn key_failed(&self, error: KeyStoreError) -> HomeError {
        match error {
            KeyStoreError::Tpm(source) => HomeError::Tpm { path: self.0.path.join(IDENTITY), source },
            KeyStoreError::Token(source) => HomeError::Token { path: self.0.path.join(IDENTITY), source },
            KeyStoreError::NoKey | KeyStoreError::Algorithm => self.damaged(IDENTITY, &error.to_string()),
        }
    }

    /// Keeps what an enrolment or renewal gave. The membership comes last: until it is written there is none,
    /// and a renewal changes only files that are whole at any moment and fit each other in either version.
    ///
    /// # Errors
    ///
    /// An I/O error, or [`HomeError::Damaged`] when a certificate is none.
    pub fn save_membership(
        &self,
        root: &[u8],
        chain: &[Vec<u8>],
        membership: &Membership,
    ) -> Result<(), HomeError> {
        let pem = |name: &str, certificates: &[Vec<u8>]| {
            let text: Result<String, PkiError> =
                certificates.iter().map(|c| ca::certificate_pem(c)).collect();
            let text = text.map_err(|e| self.damaged(name, &e.to_string()))?;
            self.write(name, text.as_bytes())
        };
        pem(ROOT, &[root.to_vec()])?;
        pem(CERTIFICATE, chain)?;
        self.write(MEMBERSHIP, membership.to_json().as_bytes())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
        let path = self.0.path.join(name);
        write_private(&path, bytes).map_err(at(&path))
    }

    fn read_pem(&self, name: &str) -> Result<Vec<Vec<u8>>, HomeError> {
        let path = self.0.path.join(name);
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        ca::certificates_from_pem(&text).map_err(|e| self.damaged(name, &e.to_string()))
    }

    fn read_membership(&self) -> Result<Membership, HomeError> {
        let path = self.0.path.join(MEMBERSHIP);
        let text = fs::read(&path).map_err(at(&path))?;
        Membership::from_json(&text).map_err(|e: MembershipError| self.damaged(MEMBERSHIP, &e.to_string()))
    }

    fn damaged(&self, name: &str, reason: &str) -> HomeError {
        HomeError::Damaged { path: self.0.path.join(name), reason: reason.to_owned() }
    }

    /// Makes the device forget everything: the sealing key is destroyed first, then all that it sealed. Nobody
    /// may use a clone of this home any more.
    ///
    /// # Errors
    ///
    /// An I/O error; the next start finishes the reset. [`HomeError::KeysLeft`] when everything is done but on a token.
    pub fn reset(self) -> Result<(), HomeError> {
        let path = &self.0.path;
        write_private(&path.join(RESET), b"").map_err(at(path))?;
        wipe(path)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Closing the file would do it too; an error changes nothing.
        let _unlocked = self.lock.unlock();
    }
}

/// Resets a home that cannot be opened, because its key or a file is lost. No process may use it.
///
/// # Errors
///
/// As [`Home::reset`], and [`HomeError::InUse`].
pub fn reset(path: &Path) -> Result<(), HomeError> {
    if !path.exists() {
        return Ok(());
    }
    let _lock = lock(path)?;
    write_private(&path.join(RESET), b"").map_err(at(path))?;
    wipe(path)
}

/// Where the agent of the home at `path` takes readings from local programs.
#[must_use]
pub fn socket_path(path: &Path) -> PathBuf {
    path.join(SOCKET)
}

pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> HomeError + use<> {
    let path = path.to_owned();
    move |source| HomeError::Io { path: path.clone(), source }
}

fn lock(home: &Path) -> Result<File, HomeError> {
    let path = home.join(LOCK);
    let open =
        || OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = open().map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let known = file.read_to_string(&mut holder).is_ok() && !holder.is_empty();
            let holder = if known { format!("process {holder}") } else { "another process".to_owned() };
            return Err(HomeError::InUse { path: home.to_owned(), holder });
        }
        Err(TryLockError::Error(e)) => return Err(at(&path)(e)),
    }
    let write = |file: &mut File| -> io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(at(&path))?;
    Ok(file)
}

/// Removes everything that belongs to a home, the key first and the mark of the reset last. Files of others
/// stay, should somebody have named the wrong directory.
fn wipe(home: &Path) -> Result<(), HomeError> {
    let on_token = key_store::destroy(home);
    let key = home.join(SEALING_KEY);
    for path in [key.with_extension("new"), key, home.join(SEALED_KEY), home.join(WRAPPED_KEY)] {
        destroy(&path).map_err(at(&path))?;
    }
    for name in [IDENTITY, CERTIFICATE, ROOT, MEMBERSHIP, CRL, SOCKET, RAW_KEY, POLICY] {
        let path = home.join(name);
        remove(&path, |p| fs::remove_file(p))?;
        remove(&path.with_extension("new"), |p| fs::remove_file(p))?;
    }
    for name in [STREAMS, COMMANDS, GRANTS, QUEUE, CHIPS, RADIOS, COAP, ACCOUNTS] {
        remove(&home.join(name), |p| fs::remove_dir_all(p))?;
    }
    let mark = home.join(RESET);
    sync_parent(&mark).map_err(at(home))?;
    remove(&mark, |p| fs::remove_file(p))?;
    sync_parent(&mark).map_err(at(home))?;
    on_token
}

fn remove(path: &Path, how: impl Fn(&Path) -> io::Result<()>) -> Result<(), HomeError> {
    match how(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(at(path)(e)),
        _ => Ok(()),
    }
}

/// Overwrites a key file before it is removed, so that its blocks do not keep the key where the file system
/// writes in place.
fn destroy(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let len = usize::try_from(file.metadata()?.len()).unwrap_or_default();
    file.write_all(&Zeroizing::new(vec![0; len]))?;
    file.sync_all()?;
    fs::remove_file(path)?;
    sync_parent(path)
}
