//! HPKE itself.

use hpke::aead::ExportOnlyAead;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, X25519HkdfSha256};
use hpke::{Deserializable, OpModeR, OpModeS, Serializable};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{RECIPIENT_KEY_BYTES, RecipientPublicKey};
use crate::CryptoError;

type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type EncappedKey = <X25519HkdfSha256 as Kem>::EncappedKey;

/// A secret that sender and recipient derived. Wiped when dropped.
pub type ExportedSecret<const N: usize> = Zeroizing<[u8; N]>;

impl RecipientPublicKey {
    /// Makes a secret that only the recipient can derive again, from the returned encapsulated key and the
    /// same `info` and `label`.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when the recipient's key is a point of small order.
    pub fn encapsulate<const N: usize>(
        &self,
        info: &[u8],
        label: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<([u8; RECIPIENT_KEY_BYTES], ExportedSecret<N>), CryptoError> {
        let recipient = PublicKey::from_bytes(&self.0).map_err(|_| CryptoError)?;
        let (encapped, context) =
            hpke::setup_sender_with_rng::<ExportOnlyAead, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &recipient,
                info,
                rng,
            )
            .map_err(|_| CryptoError)?;
        let mut secret = Zeroizing::new([0; N]);
        context.export(label, secret.as_mut()).map_err(|_| CryptoError)?;
        Ok((encapped.to_bytes().into(), secret))
    }
}

/// The private half of a [`RecipientPublicKey`]. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct RecipientSecretKey(Zeroizing<[u8; RECIPIENT_KEY_BYTES]>);

impl RecipientSecretKey {
    /// A new key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; RECIPIENT_KEY_BYTES]);
        rng.fill_bytes(bytes.as_mut());
        Self(bytes)
    }

    /// The key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; RECIPIENT_KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes of the key, for sealing it.
    #[must_use]
    pub fn expose(&self) -> &[u8; RECIPIENT_KEY_BYTES] {
        &self.0
    }

    /// # Errors
    ///
    /// [`CryptoError`] never for keys of the right length.
    pub fn public_key(&self) -> Result<RecipientPublicKey, CryptoError> {
        let public = X25519HkdfSha256::sk_to_pk(&self.private()?);
        Ok(RecipientPublicKey(public.to_bytes().into()))
    }

    /// Derives the secret that [`RecipientPublicKey::encapsulate`] made.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when the encapsulated key is not usable.
    pub fn decapsulate<const N: usize>(
        &self,
        encapsulated: &[u8; RECIPIENT_KEY_BYTES],
        info: &[u8],
        label: &[u8],
    ) -> Result<ExportedSecret<N>, CryptoError> {
        let encapped = EncappedKey::from_bytes(encapsulated).map_err(|_| CryptoError)?;
        let context = hpke::setup_receiver::<ExportOnlyAead, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.private()?,
            &encapped,
            info,
        )
        .map_err(|_| CryptoError)?;
        let mut secret = Zeroizing::new([0; N]);
        context.export(label, secret.as_mut()).map_err(|_| CryptoError)?;
        Ok(secret)
    }

    fn private(&self) -> Result<PrivateKey, CryptoError> {
        PrivateKey::from_bytes(self.0.as_ref()).map_err(|_| CryptoError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system_rng;

    #[test]
    fn only_the_recipient_with_the_same_context_derives_the_secret() {
        let mut rng = system_rng();
        let (anna, bert) = (RecipientSecretKey::generate(&mut rng), RecipientSecretKey::generate(&mut rng));
        let (enc, secret) =
            anna.public_key().unwrap().encapsulate::<44>(b"chain 1", b"record key", &mut rng).unwrap();
        assert_eq!(anna.decapsulate::<44>(&enc, b"chain 1", b"record key").unwrap(), secret);
        assert_ne!(anna.decapsulate::<44>(&enc, b"chain 2", b"record key").unwrap(), secret);
        assert_ne!(anna.decapsulate::<44>(&enc, b"chain 1", b"other").unwrap(), secret);
        assert_ne!(bert.decapsulate::<44>(&enc, b"chain 1", b"record key").unwrap(), secret);
    }

    #[test]
    fn a_recipient_key_of_small_order_is_refused() {
        let zero = RecipientPublicKey::from_bytes([0; 32]);
        assert_eq!(zero.encapsulate::<16>(b"", b"", &mut system_rng()).map(|_| ()), Err(CryptoError));
    }
}
