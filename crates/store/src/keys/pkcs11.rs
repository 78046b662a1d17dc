//! Keys on a PKCS#11 token, which they never leave: the token, and customer keys on it.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::{AuthPin, Ulong};
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::keys::{KekReference, KeyProvider, Pkcs11Reference};
use crate::secret::fill_random;

const NONCE_BYTES: usize = 12;
/// The full GCM tag, in bits: anything shorter would not be the box that [`crate::keys`] promises.
const TAG_BITS: u64 = 128;

/// A token, its library and its PIN.
pub(super) struct Token {
    pub(super) reference: Pkcs11Reference,
    module: Pkcs11,
}

/// What a session may do.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// Use keys.
    Read,
    /// Make keys.
    Write,
}

impl Token {
    pub(super) fn open(reference: &Pkcs11Reference) -> Result<Self, StoreError> {
        let module = load(&reference.module_path).map_err(|e| unusable(reference, "load the library", e))?;
        Ok(Self { reference: reference.clone(), module })
    }

    /// Runs `work` in a session of its own, logged in.
    pub(super) fn with_session<T>(
        &self,
        access: Access,
        work: impl FnOnce(&Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // The login state of a token is shared by all sessions of a process, so sessions take turns.
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        work(&self.log_in(access)?)
    }

    /// The only object with these attributes; `None` when there is none.
    pub(super) fn find(
        &self,
        session: &Session,
        wanted: &[Attribute],
    ) -> Result<Option<ObjectHandle>, StoreError> {
        let found = session.find_objects(wanted).map_err(|e| self.unusable("look for the key", e))?;
        match found.as_slice() {
            [] => Ok(None),
            [key] => Ok(Some(*key)),
            _ => Err(self.unusable("look for the key", "more than one key has this label")),
        }
    }

    fn log_in(&self, access: Access) -> Result<Session, StoreError> {
        let slots = self.module.get_slots_with_token().map_err(|e| self.unusable("list tokens", e))?;
        let slot = slots
            .into_iter()
            .find(|s| self.module.get_token_info(*s).is_ok_and(|t| t.label() == self.reference.token))
            .ok_or_else(|| self.unusable("look for the token", "no token has this label"))?;
        let session = match access {
            Access::Read => self.module.open_ro_session(slot),
            Access::Write => self.module.open_rw_session(slot),
        };
        let session = session.map_err(|e| self.unusable("open a session", e))?;
        let pin = fs::read_to_string(&self.reference.pin_source)
            .map(Zeroizing::new)
            .map_err(|e| self.unusable("read the PIN", e))?;
        match session.login(UserType::User, Some(&AuthPin::new(pin.trim().into()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(e) => Err(self.unusable("log in", e)),
        }
    }

    pub(super) fn unusable(&self, step: &str, problem: impl Display) -> StoreError {
        unusable(&self.reference, step, problem)
    }
}

/// A secret key of CKK_AES on a token, used through CKM_AES_GCM.
pub struct Pkcs11Kek(Token);

impl Pkcs11Kek {
    /// Loads the vendor's library and makes sure that the key is there.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyUnusable`] says what is missing: library, token, PIN or key.
    pub fn open(reference: &Pkcs11Reference) -> Result<Self, StoreError> {
        let kek = Self(Token::open(reference)?);
        kek.with_key(|_, _| Ok(()))?;
        Ok(kek)
    }

    fn with_key<T>(
        &self,
        work: impl FnOnce(&Session, ObjectHandle) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let wanted = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(self.0.reference.object.as_bytes().to_vec()),
        ];
        self.0.with_session(Access::Read, |session| match self.0.find(session, &wanted)? {
            Some(key) => work(session, key),
            None => Err(self.0.unusable("look for the key", "there is no AES key with this label")),
        })
    }
}

impl KeyProvider for Pkcs11Kek {
    fn wrap(&self, key: &[u8], aad: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce)?;
        let mut boxed = nonce.to_vec();
        self.with_key(|session, kek| {
            let params = GcmParams::new(&mut nonce, aad, Ulong::new(TAG_BITS));
            let mechanism = Mechanism::AesGcm(params.map_err(|e| self.0.unusable("wrap", e))?);
            let body = session.encrypt(&mechanism, kek, key).map_err(|e| self.0.unusable("wrap", e))?;
            boxed.extend_from_slice(&body);
            Ok(())
        })?;
        Ok(boxed)
    }

    fn unwrap(&self, boxed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let wrong = StoreError::WrongKey { what: "a boxed tenant key" };
        let Some((nonce, body)) = boxed.split_first_chunk::<NONCE_BYTES>() else { return Err(wrong) };
        let mut nonce = *nonce;
        self.with_key(|session, kek| {
            let params = GcmParams::new(&mut nonce, aad, Ulong::new(TAG_BITS));
            let mechanism = Mechanism::AesGcm(params.map_err(|e| self.0.unusable("unwrap", e))?);
            match session.decrypt(&mechanism, kek, body) {
                Ok(key) => Ok(Zeroizing::new(key)),
                // Tokens disagree on which of these a bad tag is.
                Err(Error::Pkcs11(
                    RvError::EncryptedDataInvalid
                    | RvError::EncryptedDataLenRange
                    | RvError::GeneralError
                    | RvError::FunctionFailed,
                    _,
                )) => Err(wrong),
                Err(e) => Err(self.0.unusable("unwrap", e)),
            }
        })
    }
}

/// Held while a session is open: see [`Token::with_session`].
static TURN: Mutex<()> = Mutex::new(());

/// A library may be initialised once per process, so each is kept for ever.
static MODULES: Mutex<Option<HashMap<PathBuf, Pkcs11>>> = Mutex::new(None);

fn load(path: &Path) -> Result<Pkcs11, Error> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    let modules = modules.get_or_insert_with(HashMap::new);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(path)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

fn unusable(reference: &Pkcs11Reference, step: &str, problem: impl Display) -> StoreError {
    StoreError::KeyUnusable {
        reference: KekReference::Pkcs11(reference.clone()).to_string(),
        problem: format!("cannot {step}: {problem}"),
    }
}
