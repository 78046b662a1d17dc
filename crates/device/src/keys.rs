//! The keys of a device.
//!
//! DICE (TCG, Hardware Requirements for a Device Identifier Composition Engine): a *device secret* that is in the part
//! from the start and the measurement of the firmware make a compound identifier, from which all keys come. Firmware that
//! was changed derives other keys: it cannot open what the old one kept, and is nobody whom the service knows. What stays is
//! the part key, which comes from the secret alone and says which firmware has which key.

use thingward_attest::Endorsement;
use thingward_crypto::{
    CryptoError, Digest, MacKey, SignatureAlgorithm, Signer, SoftwareKey, VerifyingKey, sha256,
};
use zeroize::Zeroizing;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To seal what the device keeps.
    Sealing,
    /// To make random numbers.
    Random,
}

/// Holds the keys of a device.
pub trait KeyStore: Signer {
    /// A secret key; `None` when they are destroyed.
    fn secret(&self, purpose: Purpose) -> Option<MacKey>;

    /// Which firmware has the key that signs, on the word of the part.
    fn endorsement(&self) -> &Endorsement;

    /// Destroys them all, and what they come from.
    fn destroy(&mut self);
}

/// The secret that was put into a part when it was made.
pub trait DeviceSecret {
    /// Reads it; `None` when it was erased.
    fn read(&mut self) -> Option<Zeroizing<[u8; 32]>>;

    /// Erases it for good.
    fn erase(&mut self);
}

/// A hash over the firmware's image, page by page: each covers the hash before it, and whoever computes it needs room
/// for one page.
#[derive(Default)]
pub struct Measurement(Digest);

impl Measurement {
    /// Takes the next page.
    pub fn take(&mut self, page: &[u8]) {
        self.0 = sha256(&[&self.0, page]);
    }
}

/// Keys from a device secret and a measurement.
pub struct Dice<S> {
    secret: S,
    public: VerifyingKey,
    endorsement: Endorsement,
    keys: Option<Layer>,
}

/// What the firmware has instead of the device secret.
struct Layer {
    compound: MacKey,
    identity: SoftwareKey,
}

impl<S: DeviceSecret> Dice<S> {
    /// Derives the keys of this firmware on this device, and has the part say so.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when the secret was erased.
    pub fn start(mut secret: S, measurement: &Measurement) -> Result<Self, CryptoError> {
        let device = MacKey::new(&*secret.read().ok_or(CryptoError)?);
        let compound = device.derive(&[&measurement.0]);
        let identity = signing_key(&compound, b"thingward identity")?;
        let public = identity.public_key().clone();
        let endorsement = endorse(&device, measurement, &public)?;
        Ok(Self { secret, public, endorsement, keys: Some(Layer { compound, identity }) })
    }
}

#[inline(never)]
fn endorse(
    device: &MacKey,
    measurement: &Measurement,
    identity: &VerifyingKey,
) -> Result<Endorsement, CryptoError> {
    Endorsement::sign(&signing_key(device, b"thingward part")?, measurement.0, identity)
}

#[inline(never)]
fn signing_key(secret: &MacKey, label: &[u8]) -> Result<SoftwareKey, CryptoError> {
    SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, secret.derive(&[label]).expose())
}

impl<S> Signer for Dice<S> {
    fn public_key(&self) -> &VerifyingKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], CryptoError> {
        self.keys.as_ref().ok_or(CryptoError)?.identity.sign(message)
    }
}

impl<S: DeviceSecret> KeyStore for Dice<S> {
    fn secret(&self, purpose: Purpose) -> Option<MacKey> {
        let label: &[u8] = match purpose {
            Purpose::Sealing => b"thingward sealing",
            Purpose::Random => b"thingward random",
        };
        Some(self.keys.as_ref()?.compound.derive(&[label]))
    }

    fn endorsement(&self) -> &Endorsement {
        &self.endorsement
    }

    fn destroy(&mut self) {
        self.keys = None;
        self.secret.erase();
    }
}
