//! What is asked of a TPM: make, load and use keys, seal to registers.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rand_core::Rng;
use thingward_crypto::system_rng;
use zeroize::Zeroizing;

use crate::TpmError;
use crate::connection::{Answer, Auth, Command, Connection};
use crate::evidence::public;
use crate::key::{ECC, NULL, P256, TpmKey};
use crate::pcrs::{POLICY_PCR, PcrSelection, PcrValues, SHA256, policy};
use crate::wire::{Reader, Writer};

const CREATE_PRIMARY: Command = Command("CreatePrimary", 0x131, 1);
const CREATE: Command = Command("Create", 0x153, 0);
const LOAD: Command = Command("Load", 0x157, 1);
const UNSEAL: Command = Command("Unseal", 0x15E, 0);
const FLUSH_CONTEXT: Command = Command("FlushContext", 0x165, 0);
const START_AUTH_SESSION: Command = Command("StartAuthSession", 0x176, 1);
const GET_CAPABILITY: Command = Command("GetCapability", 0x17A, 0);
const PCR_READ: Command = Command("PCR_Read", 0x17E, 0);
const APPLY_POLICY: Command = Command("PolicyPCR", POLICY_PCR, 0);

const OWNER: u32 = 0x4000_0001;
/// `TPM_RH_NULL`.
const NOBODY: u32 = 0x4000_0007;
const KEYED_HASH: u16 = 0x0008;

/// `TPMA_OBJECT`: stays in this TPM and under this parent, and wrong guesses lock nothing.
pub(crate) const FIXED: u32 = 1 << 1 | 1 << 4 | 1 << 10;
/// Made inside the TPM, and used with its password.
pub(crate) const BORN_INSIDE: u32 = 1 << 5 | 1 << 6;
pub(crate) const RESTRICTED: u32 = 1 << 16;
const DECRYPT: u32 = 1 << 17;
pub(crate) const SIGN: u32 = 1 << 18;

/// Most loaded objects that are looked for in a software TPM; they have three.
const LOADED_MAX: u32 = 32;

/// Something made by a TPM: only this TPM can load it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// `TPMT_PUBLIC`.
    pub public: Vec<u8>,
    /// What is in `TPM2B_PRIVATE`: encrypted under a key that only the TPM has.
    pub private: Vec<u8>,
}

/// A TPM, and the key under which it keeps what it makes for us.
pub struct Tpm {
    connection: Mutex<Connection>,
    parent: u32,
}

impl Tpm {
    /// Opens the kernel's device, best the one with the resource manager, `/dev/tpmrm0`; or the Unix socket of a software
    /// TPM, which is used alone.
    ///
    /// # Errors
    ///
    /// [`TpmError`].
    pub fn open(path: &Path) -> Result<Arc<Self>, TpmError> {
        let mut connection = Connection::open(path)?;
        if matches!(connection, Connection::Socket(_)) {
            forget_loaded(&mut connection)?;
        }
        // An ECC storage key as the TCG's provisioning guidance has it: always the same in the same TPM.
        let storage = Writer::default().u16(ECC).u16(SHA256).u32(FIXED | BORN_INSIDE | RESTRICTED | DECRYPT);
        let storage = storage.sized(&[]).u16(0x0006).u16(128).u16(0x0043).u16(NULL).u16(P256).u16(NULL);
        let (parent, _) = create_primary(&mut connection, &storage.sized(&[]).sized(&[]))?;
        Ok(Arc::new(Self { connection: Mutex::new(connection), parent }))
    }

    /// A key that is derived from the owner's seed: its handle and `TPMT_PUBLIC`.
    pub(crate) fn create_primary(&self, template: &Writer) -> Result<(u32, Vec<u8>), TpmError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        create_primary(&mut connection, template)
    }

    pub(crate) fn run(
        &self,
        command: Command,
        handles: &[u32],
        auth: Auth<'_>,
        parameters: &Writer,
    ) -> Result<Answer, TpmError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.run(command, handles, auth, parameters)
    }

    /// Makes room. An error changes nothing: what is loaded goes with the connection or the next start.
    pub(crate) fn flush(&self, handle: u32) {
        let _gone = self.run(FLUSH_CONTEXT, &[handle], Auth::None, &Writer::default());
    }

    /// The values of these registers now.
    ///
    /// # Errors
    ///
    /// [`TpmError`].
    pub fn pcrs(&self, selection: PcrSelection) -> Result<PcrValues, TpmError> {
        selection.numbers().map(|number| Ok((number, self.pcr(number)?))).collect()
    }

    fn pcr(&self, number: u8) -> Result<[u8; 32], TpmError> {
        let one = PcrSelection::new([number]).ok_or(TpmError::Malformed)?;
        let answer = self.run(PCR_READ, &[], Auth::None, &one.write(Writer::default()))?;
        let mut reader = Reader(&answer.parameters);
        let _update_counter = reader.u32()?;
        let _selection = reader.bytes(one.write(Writer::default()).as_bytes().len())?;
        if reader.u32()? != 1 {
            return Err(TpmError::Unsupported("SHA-256 bank of PCRs"));
        }
        reader.sized()?.try_into().map_err(|_| TpmError::Malformed)
    }

    /// Seals up to 128 bytes: they come out again while the registers have these values.
    ///
    /// # Errors
    ///
    /// [`TpmError`].
    pub fn seal(&self, secret: &[u8], selection: PcrSelection, values: &PcrValues) -> Result<Blob, TpmError> {
        let public = Writer::default().u16(KEYED_HASH).u16(SHA256).u32(FIXED);
        let public = public.sized(&policy(selection, values)).u16(NULL).sized(&[]);
        self.create(&create(&[], secret, public.as_bytes()))
    }

    /// What [`Self::seal`] was given.
    ///
    /// # Errors
    ///
    /// [`TpmError::OtherPcrs`] when the registers have other values, [`TpmError::Foreign`] when another TPM sealed it.
    pub fn unseal(&self, blob: &Blob, selection: PcrSelection) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        let handle = self.load(blob)?;
        let secret = self.unseal_loaded(handle, selection);
        self.flush(handle);
        secret
    }

    fn unseal_loaded(&self, handle: u32, selection: PcrSelection) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        let mut nonce = [0; 32];
        system_rng().fill_bytes(&mut nonce);
        // A policy session (1), neither salted nor bound, without encryption.
        let session = Writer::default().sized(&nonce).sized(&[]).u8(1).u16(NULL).u16(SHA256);
        let session = self.run(START_AUTH_SESSION, &[NOBODY, NOBODY], Auth::None, &session)?.handle;
        let any = selection.write(Writer::default().sized(&[]));
        let unsealed = self
            .run(APPLY_POLICY, &[session], Auth::None, &any)
            .and_then(|_| self.run(UNSEAL, &[handle], Auth::Policy(session), &Writer::default()));
        if unsealed.is_err() {
            self.flush(session);
        }
        Ok(Zeroizing::new(Reader(&unsealed?.parameters).sized()?.to_vec()))
    }

    /// Makes a P-256 key that signs for whoever has `password`.
    ///
    /// # Errors
    ///
    /// [`TpmError`].
    pub fn create_key(&self, password: &[u8; 32]) -> Result<Blob, TpmError> {
        self.create(&create(password, &[], public(FIXED | BORN_INSIDE | SIGN).as_bytes()))
    }

    /// Loads what [`Self::create_key`] made.
    ///
    /// # Errors
    ///
    /// [`TpmError::Foreign`] when another TPM made it.
    pub fn load_key(
        self: &Arc<Self>,
        blob: &Blob,
        password: Zeroizing<[u8; 32]>,
    ) -> Result<TpmKey, TpmError> {
        let handle = self.load(blob)?;
        TpmKey::new(Arc::clone(self), handle, password, blob.public.clone())
    }

    fn create(&self, parameters: &Writer) -> Result<Blob, TpmError> {
        let answer = self.run(CREATE, &[self.parent], Auth::Password(&[]), parameters)?;
        let mut reader = Reader(&answer.parameters);
        let (private, public) = (reader.sized()?.to_vec(), reader.sized()?.to_vec());
        Ok(Blob { public, private })
    }

    fn load(&self, blob: &Blob) -> Result<u32, TpmError> {
        let parameters = Writer::default().sized(&blob.private).sized(&blob.public);
        Ok(self.run(LOAD, &[self.parent], Auth::Password(&[]), &parameters)?.handle)
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        self.flush(self.parent);
    }
}

fn create_primary(connection: &mut Connection, template: &Writer) -> Result<(u32, Vec<u8>), TpmError> {
    let template = create(&[], &[], template.as_bytes());
    let answer = connection.run(CREATE_PRIMARY, &[OWNER], Auth::Password(&[]), &template)?;
    Ok((answer.handle, Reader(&answer.parameters).sized()?.to_vec()))
}

/// The parameters of `Create` and `CreatePrimary`: part 3, 12.1.
fn create(password: &[u8], secret: &[u8], public: &[u8]) -> Writer {
    let sensitive = Writer::default().sized(password).sized(secret);
    Writer::default().sized(sensitive.as_bytes()).sized(public).sized(&[]).u32(0)
}

/// A software TPM has nobody who tidies up behind a program that was killed.
fn forget_loaded(connection: &mut Connection) -> Result<(), TpmError> {
    const HANDLES: u32 = 1;
    const FIRST_TRANSIENT: u32 = 0x8000_0000;
    let parameters = Writer::default().u32(HANDLES).u32(FIRST_TRANSIENT).u32(LOADED_MAX);
    let answer = connection.run(GET_CAPABILITY, &[], Auth::None, &parameters)?;
    let mut reader = Reader(&answer.parameters);
    let (_more, _capability) = (reader.bytes(1)?, reader.u32()?);
    for _ in 0..reader.u32()?.min(LOADED_MAX) {
        connection.run(FLUSH_CONTEXT, &[reader.u32()?], Auth::None, &Writer::default())?;
    }
    Ok(())
}
