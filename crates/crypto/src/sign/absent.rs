//! An algorithm that this build does not have.

use core::convert::Infallible;

use super::SIGNATURE_BYTES;
use crate::CryptoError;

/// There is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicKey(Infallible);

impl PublicKey {
    pub(super) const fn from_bytes<const N: usize>(_: &[u8; N]) -> Result<Self, CryptoError> {
        Err(CryptoError)
    }

    pub(super) const fn to_bytes<const N: usize>(&self) -> [u8; N] {
        match self.0 {}
    }

    pub(super) const fn verify(&self, _: &[&[u8]], _: &[u8; SIGNATURE_BYTES]) -> Result<(), CryptoError> {
        match self.0 {}
    }
}

/// There is none.
pub(super) struct SecretKey(Infallible);

impl SecretKey {
    pub(super) const fn from_seed(_: &[u8; 32]) -> Result<Self, CryptoError> {
        Err(CryptoError)
    }

    pub(super) const fn public_key(&self) -> PublicKey {
        match self.0 {}
    }

    pub(super) const fn sign(&self, _: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
        match self.0 {}
    }
}
