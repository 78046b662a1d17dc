//! Keys and IVs from the master secret: RFC 8613 §3.2.1.

use minicbor::Encoder;
use minicbor::encode::write::Cursor;
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::id::{ID_BYTES_MAX, ID_CONTEXT_BYTES_MAX};
use super::{Aead, ContextError, ContextId, Id};

/// Longest master secret, in bytes: that of the largest hash, beyond which nothing is gained.
const MASTER_SECRET_BYTES_MAX: usize = 64;

/// What keys are derived with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Hkdf {
    /// The default: RFC 8613 §3.2.
    #[default]
    Sha256,
    Sha384,
    Sha512,
}

/// What both endpoints share and nobody else has. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct MasterSecret {
    bytes: Zeroizing<[u8; MASTER_SECRET_BYTES_MAX]>,
    len: usize,
}

impl MasterSecret {
    /// The secret of these bytes, which have to be uniformly random.
    ///
    /// # Errors
    ///
    /// [`ContextError::MasterSecretLength`] when there are none or more than 64.
    pub fn new(secret: &[u8]) -> Result<Self, ContextError> {
        let mut bytes = Zeroizing::new([0; MASTER_SECRET_BYTES_MAX]);
        let room = bytes.get_mut(..secret.len()).ok_or(ContextError::MasterSecretLength)?;
        if secret.is_empty() {
            return Err(ContextError::MasterSecretLength);
        }
        room.copy_from_slice(secret);
        Ok(Self { bytes, len: secret.len() })
    }

    /// The secret itself, for keeping it under another key.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// What an output is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Key,
    Iv,
}

/// Heads of five items, two numbers and the text, around two strings.
const INFO_BYTES_MAX: usize = 16 + ID_BYTES_MAX + ID_CONTEXT_BYTES_MAX;

/// Fills `out` for the endpoint `id`, or for both where that is empty and the purpose the IV.
pub(super) fn derive(
    (hkdf, aead): (Hkdf, Aead),
    secret: &MasterSecret,
    salt: &[u8],
    (id, id_context): (&Id, Option<&ContextId>),
    purpose: Purpose,
    out: &mut [u8],
) -> Result<(), ContextError> {
    let mut info = [0; INFO_BYTES_MAX];
    let len =
        info_of(aead, id, id_context, purpose, out.len(), &mut info).map_err(|_| ContextError::Derivation)?;
    let info = info.get(..len).unwrap_or_default();
    match hkdf {
        Hkdf::Sha256 => hkdf::Hkdf::<Sha256>::new(Some(salt), secret.expose()).expand(info, out),
        Hkdf::Sha384 => hkdf::Hkdf::<Sha384>::new(Some(salt), secret.expose()).expand(info, out),
        Hkdf::Sha512 => hkdf::Hkdf::<Sha512>::new(Some(salt), secret.expose()).expand(info, out),
    }
    .map_err(|_| ContextError::Derivation)
}

/// `[id, id_context, alg_aead, type, L]`.
fn info_of(
    aead: Aead,
    id: &Id,
    id_context: Option<&ContextId>,
    purpose: Purpose,
    len: usize,
    out: &mut [u8],
) -> Result<usize, minicbor::encode::Error<minicbor::encode::write::EndOfSlice>> {
    let mut encoder = Encoder::new(Cursor::new(out));
    encoder.array(5)?.bytes(id.as_bytes())?;
    match id_context {
        Some(id_context) => encoder.bytes(id_context.as_bytes())?,
        None => encoder.null()?,
    };
    let purpose = match purpose {
        Purpose::Key => "Key",
        Purpose::Iv => "IV",
    };
    encoder.u8(aead.cose_id())?.str(purpose)?.u64(u64::try_from(len).unwrap_or(u64::MAX))?;
    Ok(encoder.writer().position())
}
