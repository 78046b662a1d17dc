//! Keys of issuers and holders, and what each profile does with them.

use thingward_crypto::{KeyId, MacKey, SignatureAlgorithm, Signer, VerifyingKey};

use crate::FormatError;
use crate::cose::{Context, Head, PAYLOAD_BYTES_MAX, PREFIX_BYTES_MAX, Profile};

/// A key that issuer and one device share. Wiped when dropped; never printed.
pub struct SharedKey {
    id: KeyId,
    key: MacKey,
}

impl SharedKey {
    /// The key of these bytes, which have to be uniformly random.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        let key = MacKey::new(bytes);
        let [a, b, c, d, e, f, g, h, ..] = key.tag(&[b"thingward key id"]);
        Self { id: [a, b, c, d, e, f, g, h], key }
    }

    /// The key's short name, which says nothing about the key.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) const fn mac_key(&self) -> &MacKey {
        &self.key
    }
}

/// What an issuer signs with.
#[derive(Clone, Copy)]
pub enum IssuerKey<'a> {
    /// An Ed25519 key.
    Public(&'a dyn Signer),
    /// The key that it shares with the device.
    Symmetric(&'a SharedKey),
}

impl<'a> IssuerKey<'a> {
    pub(crate) fn id(&self) -> KeyId {
        match self {
            Self::Public(signer) => signer.public_key().id(),
            Self::Symmetric(key) => key.id(),
        }
    }

    pub(crate) const fn authenticator(&self) -> Authenticator<'a> {
        match self {
            Self::Public(signer) => Authenticator::Public(*signer),
            Self::Symmetric(key) => Authenticator::Symmetric(&key.key),
        }
    }
}

/// What a device knows an issuer by.
#[derive(Clone, Copy)]
pub enum TrustedKey<'a> {
    /// An Ed25519 key.
    Public(&'a VerifyingKey),
    /// The key that it shares with the issuer.
    Symmetric(&'a SharedKey),
}

impl TrustedKey<'_> {
    pub(crate) fn id(&self) -> KeyId {
        match self {
            Self::Public(key) => key.id(),
            Self::Symmetric(key) => key.id(),
        }
    }

    pub(crate) fn verifier(&self) -> Verifier<'_> {
        match self {
            Self::Public(key) => Verifier::Public(key),
            Self::Symmetric(key) => Verifier::Symmetric(&key.key),
        }
    }
}

/// A key to check with.
#[derive(Clone, Copy)]
pub(crate) enum Verifier<'a> {
    Public(&'a VerifyingKey),
    Symmetric(&'a MacKey),
}

/// A key to sign with.
#[derive(Clone, Copy)]
pub(crate) enum Authenticator<'a> {
    Public(&'a dyn Signer),
    Symmetric(&'a MacKey),
}

impl Verifier<'_> {
    pub(crate) const fn profile(&self) -> Profile {
        match self {
            Self::Public(_) => Profile::Public,
            Self::Symmetric(_) => Profile::Symmetric,
        }
    }

    /// # Errors
    ///
    /// [`FormatError::Crypto`] when `authenticator` is not this key's over `payload` in `context`.
    pub(crate) fn verify(
        &self,
        context: Context<'_>,
        payload: &[u8],
        authenticator: &[u8],
    ) -> Result<(), FormatError> {
        match self {
            Self::Public(key) => verify_signature(key, context, payload, authenticator),
            Self::Symmetric(key) => verify_tag(key, context, payload, authenticator),
        }
    }
}

/// Apart from [`verify_tag`], so that a chip that checks tags has no stack to spend on signatures.
#[inline(never)]
fn verify_signature(
    key: &VerifyingKey,
    context: Context<'_>,
    payload: &[u8],
    signature: &[u8],
) -> Result<(), FormatError> {
    let mut room = [0; PREFIX_BYTES_MAX];
    let signature = signature.try_into().map_err(|_| FormatError::Malformed)?;
    let prefix = context.prefix(Profile::Public, payload, &mut room)?;
    Ok(key.verify_parts(&[prefix, payload], signature)?)
}

#[inline(never)]
fn verify_tag(key: &MacKey, context: Context<'_>, payload: &[u8], tag: &[u8]) -> Result<(), FormatError> {
    let tag = tag.try_into().map_err(|_| FormatError::Malformed)?;
    Ok(context.with_mac_structure(payload, |parts| key.verify(parts, tag))??)
}

impl Authenticator<'_> {
    const fn profile(&self) -> Profile {
        match self {
            Self::Public(_) => Profile::Public,
            Self::Symmetric(_) => Profile::Symmetric,
        }
    }

    /// Authenticates an item and writes it to the front of `out`.
    pub(crate) fn write<'o>(
        &self,
        context: Context<'_>,
        head: Head,
        payload: &[u8],
        out: &'o mut [u8],
    ) -> Result<&'o [u8], FormatError> {
        match self {
            Self::Public(signer) => {
                if signer.public_key().algorithm() != SignatureAlgorithm::Ed25519 {
                    return Err(FormatError::Crypto);
                }
                let mut room = [0; PREFIX_BYTES_MAX + PAYLOAD_BYTES_MAX];
                let signature = signer.sign(context.whole(payload, &mut room)?)?;
                head.write(self.profile(), payload, Some(&signature), out)
            }
            Self::Symmetric(key) => {
                let tag = context.with_mac_structure(payload, |parts| key.tag(parts))?;
                head.write(self.profile(), payload, Some(&tag), out)
            }
        }
    }
}
