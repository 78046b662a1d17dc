//! A token: its library, sessions and objects.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use thingward_crypto::{Digest, sha256};
use zeroize::Zeroizing;

use crate::{TokenError, TokenReference};

/// A token, its library and its PIN.
#[derive(Clone)]
pub struct Token {
    reference: TokenReference,
    module: Pkcs11,
}

/// How a key is found on its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    /// Its label.
    pub label: String,
    /// Its identifier, where the label alone does not name it.
    pub id: Option<[u8; 16]>,
}

impl KeyName {
    /// The key with this label.
    #[must_use]
    pub fn labelled(label: impl Into<String>) -> Self {
        Self { label: label.into(), id: None }
    }

    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        let label = Attribute::Label(self.label.as_bytes().to_vec());
        [Some(label), self.id.map(|id| Attribute::Id(id.to_vec()))].into_iter().flatten().collect()
    }

    /// What to search for.
    pub(crate) fn wanted(&self, class: ObjectClass, kind: KeyType) -> Vec<Attribute> {
        [self.attributes(), vec![Attribute::Class(class), Attribute::KeyType(kind)]].concat()
    }
}

/// What a session may do.
#[derive(Clone, Copy)]
pub(crate) enum Access {
    /// Use keys.
    Read,
    /// Make and destroy keys.
    Write,
}

impl Token {
    /// Loads the maker's library.
    ///
    /// # Errors
    ///
    /// [`TokenError::Unusable`].
    pub fn open(reference: &TokenReference) -> Result<Self, TokenError> {
        let module = load(&reference.module_path);
        let module = module.map_err(|e| TokenError::unusable(reference, "load the library", e))?;
        Ok(Self { reference: reference.clone(), module })
    }

    /// Which it is.
    #[must_use]
    pub const fn reference(&self) -> &TokenReference {
        &self.reference
    }

    /// Destroys all keys of this name.
    ///
    /// # Errors
    ///
    /// [`TokenError::Unusable`]; some may be left.
    pub fn destroy(&self, name: &KeyName) -> Result<(), TokenError> {
        self.with_session(Access::Write, |session| {
            let found = session.find_objects(&name.attributes());
            for key in found.map_err(|e| self.unusable("look for keys", e))? {
                session.destroy_object(key).map_err(|e| self.unusable("destroy a key", e))?;
            }
            Ok(())
        })
    }

    /// Runs `work` in a session of its own, logged in.
    pub(crate) fn with_session<T>(
        &self,
        access: Access,
        work: impl FnOnce(&Session) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        // The login state of a token is shared by all sessions of a process, so sessions take turns.
        let mut refused = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        work(&self.log_in(access, &mut refused)?)
    }

    /// The only object with these attributes; `None` when there is none.
    pub(crate) fn find(
        &self,
        session: &Session,
        wanted: &[Attribute],
    ) -> Result<Option<ObjectHandle>, TokenError> {
        let found = session.find_objects(wanted).map_err(|e| self.unusable("look for the key", e))?;
        match found.as_slice() {
            [] => Ok(None),
            [key] => Ok(Some(*key)),
            _ => Err(self.unusable("look for the key", "more than one key has this label")),
        }
    }

    fn log_in(&self, access: Access, refused: &mut RefusedPins) -> Result<Session, TokenError> {
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
        let at = (self.reference.module_path.clone(), self.reference.token.clone());
        let digest = sha256(&[pin.as_bytes()]);
        if refused.get(&at) == Some(&digest) {
            return Err(
                self.unusable("log in", "the token refused this PIN before; put the right one into its file")
            );
        }
        match session.login(UserType::User, Some(&AuthPin::new(pin.trim().into()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(e) => {
                if matches!(e, Error::Pkcs11(RvError::PinIncorrect, _)) {
                    refused.insert(at, digest);
                }
                Err(self.unusable("log in", e))
            }
        }
    }

    pub(crate) fn unusable(&self, step: &str, problem: impl Display) -> TokenError {
        TokenError::unusable(&self.reference, step, problem)
    }
}

/// What each token refused last, as a hash: a token locks itself after a few wrong PINs, for all who share it.
type RefusedPins = BTreeMap<(PathBuf, String), Digest>;

/// Held while a session is open: see [`Token::with_session`].
static TURN: Mutex<RefusedPins> = Mutex::new(BTreeMap::new());

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
