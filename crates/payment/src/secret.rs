//! What we show a provider, and what its webhooks are signed with: each one line in a file that only its owner may read.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::Rng;
use subtle::ConstantTimeEq;
use thingward_crypto::sealed::{read_private, write_private};
use thingward_crypto::system_rng;
use zeroize::Zeroizing;

/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 256;
/// Shortest key of ours that a provider takes, in bytes.
const KEY_BYTES_MIN: usize = 24;

/// Why a file holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is another thing.
    #[error("holds no {0}")]
    Other(&'static str),
}

/// The key by which a provider knows us. Wiped when dropped; never printed.
pub struct ApiKey(Zeroizing<String>);

impl ApiKey {
    /// That in a file.
    ///
    /// # Errors
    ///
    /// [`SecretError`].
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let line = read_line(path)?;
        let is_key = line.len() >= KEY_BYTES_MIN && line.bytes().all(|b| b.is_ascii_graphic());
        if is_key { Ok(Self(line)) } else { Err(SecretError::Other("key of a payment provider")) }
    }

    /// That in a file, made when there is none.
    ///
    /// # Errors
    ///
    /// [`SecretError`].
    pub fn read_or_make(path: &Path) -> Result<Self, SecretError> {
        make(path, "sk_test_")?;
        Self::read(path)
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

/// Puts 32 random bytes behind `prefix` into a file, unless it is there.
pub(crate) fn make(path: &Path, prefix: &str) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut random = Zeroizing::new([0; 32]);
    system_rng().fill_bytes(random.as_mut());
    let line = Zeroizing::new(format!("{prefix}{}\n", URL_SAFE_NO_PAD.encode(&random)));
    write_private(path, line.as_bytes())
}

pub(crate) fn read_line(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let bytes = read_private(path)?;
    let text =
        std::str::from_utf8(&bytes).ok().map(str::trim_end).filter(|line| line.len() <= LINE_BYTES_MAX);
    text.map(|line| Zeroizing::new(line.to_owned())).ok_or(SecretError::Other("text of one line"))
}
