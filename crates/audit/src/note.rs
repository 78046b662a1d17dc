//! Texts with signatures that people and programs read: C2SP signed-note.

use std::fmt;
use std::str::FromStr;
use std::string::{String, ToString};
use std::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thingward_crypto::{Signer, VerifyingKey, sha256};

/// Largest note, in bytes.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Most signatures of a note.
pub const SIGNATURES_MAX: usize = 64;
/// What a signature line begins with: an em dash.
const SIGNATURE_MARK: &str = "\u{2014} ";

/// Why a note or key is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Not a text, an empty line and signature lines.
    #[error("not a signed note")]
    Malformed,
    /// Not `name+id+key`, or of another algorithm.
    #[error("not a key for notes of this kind")]
    Key,
    /// Nobody signed it with this key.
    #[error("the note is not signed with this key")]
    Unsigned,
    /// The signature in this key's name is not of it.
    #[error("the signature is not right")]
    Signature,
    /// The signer failed.
    #[error("the note could not be signed")]
    Signer,
}

/// A key with its name, as it stands in a note; `ALGORITHM` is the type byte of its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedKey<const ALGORITHM: u8> {
    name: String,
    key: [u8; 32],
    verifying: VerifyingKey,
}

/// The key of a log: plain Ed25519 over the text.
pub type LogKey = NamedKey<1>;

impl<const ALGORITHM: u8> NamedKey<ALGORITHM> {
    /// Gives an Ed25519 key its name.
    ///
    /// # Errors
    ///
    /// [`NoteError::Key`] when it is another kind of key, or the name cannot stand in a note.
    pub fn new(name: &str, key: &VerifyingKey) -> Result<Self, NoteError> {
        match key.to_ed25519() {
            Some(bytes) if is_name(name) => {
                Ok(Self { name: name.to_string(), key: bytes, verifying: key.clone() })
            }
            _ => Err(NoteError::Key),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key without its name.
    #[must_use]
    pub const fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// What stands in front of its signatures.
    fn id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = sha256(&[self.name.as_bytes(), b"\n", &[ALGORITHM], &self.key]);
        [a, b, c, d]
    }

    /// The signature line for `signature`, which is what comes behind the key's id.
    pub(crate) fn line(&self, signature: &[u8]) -> String {
        let blob = [&self.id()[..], signature].concat();
        std::format!("{SIGNATURE_MARK}{} {}\n", self.name, STANDARD.encode(blob))
    }
}

/// `name+id+key`, the *vkey* of the specification.
impl<const ALGORITHM: u8> fmt::Display for NamedKey<ALGORITHM> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(self.id());
        let key = STANDARD.encode([&[ALGORITHM][..], &self.key].concat());
        write!(f, "{}+{id:08x}+{key}", self.name)
    }
}

impl<const ALGORITHM: u8> FromStr for NamedKey<ALGORITHM> {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key);
        };
        let key = STANDARD.decode(key).map_err(|_| NoteError::Key)?;
        let (kind, key) = key.split_first().ok_or(NoteError::Key)?;
        if *kind != ALGORITHM {
            return Err(NoteError::Key);
        }
        let key = key.try_into().map_err(|_| NoteError::Key)?;
        let key = VerifyingKey::from_ed25519(key).map_err(|_| NoteError::Key)?;
        let me = Self::new(name, &key)?;
        if me.to_string() == text { Ok(me) } else { Err(NoteError::Key) }
    }
}

/// A signed text. Nothing of it holds before a signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl SignedNote {
    /// Signs a text, which ends with a newline.
    ///
    /// # Errors
    ///
    /// [`NoteError::Key`] and [`NoteError::Malformed`] for a name or text that cannot be in a note,
    /// [`NoteError::Signer`].
    pub fn sign(text: &str, name: &str, signer: &impl Signer) -> Result<String, NoteError> {
        let key = LogKey::new(name, signer.public_key())?;
        if !is_text(text) {
            return Err(NoteError::Malformed);
        }
        let signature = signer.sign(text.as_bytes()).map_err(|_| NoteError::Signer)?;
        Ok(std::format!("{text}\n{}", key.line(&signature)))
    }

    /// Reads a note.
    ///
    /// # Errors
    ///
    /// [`NoteError::Malformed`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed;
        if note.len() > NOTE_BYTES_MAX {
            return Err(malformed);
        }
        let at = note.rfind("\n\n").ok_or(malformed)? + 1;
        let (text, lines) = note.split_at_checked(at).ok_or(malformed)?;
        let lines = lines.strip_prefix('\n').and_then(|l| l.strip_suffix('\n')).ok_or(malformed)?;
        if !is_text(text) {
            return Err(malformed);
        }
        let signatures: Vec<_> = lines.split('\n').map(signature).collect::<Option<_>>().ok_or(malformed)?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(malformed);
        }
        Ok(Self { text: text.to_string(), signatures })
    }

    /// The text, on nobody's word.
    #[must_use]
    pub fn text_unverified(&self) -> &str {
        &self.text
    }

    /// The text, on the word of a log.
    ///
    /// # Errors
    ///
    /// [`NoteError::Unsigned`], [`NoteError::Signature`].
    pub fn verify(&self, key: &LogKey) -> Result<&str, NoteError> {
        let signature = self.signature_of(key)?.try_into().map_err(|_| NoteError::Signature)?;
        key.verifying.verify(self.text.as_bytes(), signature).map_err(|_| NoteError::Signature)?;
        Ok(&self.text)
    }

    /// What stands behind the id in the key's signature.
    pub(crate) fn signature_of<const A: u8>(&self, key: &NamedKey<A>) -> Result<&[u8], NoteError> {
        let mut of_key = self.signatures.iter().filter(|s| s.name == key.name && s.id == key.id());
        let signature = of_key.next().ok_or(NoteError::Unsigned)?;
        // Two in one name: nobody honest writes that.
        if of_key.next().is_some() { Err(NoteError::Malformed) } else { Ok(&signature.bytes) }
    }
}

fn signature(line: &str) -> Option<Signature> {
    let (name, blob) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
    let blob = STANDARD.decode(blob).ok()?;
    let (id, bytes) = blob.split_first_chunk::<4>()?;
    (is_name(name) && !bytes.is_empty()).then(|| Signature {
        name: name.to_string(),
        id: *id,
        bytes: bytes.to_vec(),
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

fn is_text(text: &str) -> bool {
    text.ends_with('\n')
        && text.len() <= NOTE_BYTES_MAX
        && !text.contains(|c: char| c.is_control() && c != '\n')
}
