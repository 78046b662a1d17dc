//! Signature_or_MAC: how an endpoint shows that the credential in a message is its own. RFC 9528 §5.3.2 and §5.4.2.

use alloc::vec::Vec;

use subtle::ConstantTimeEq;
use thingward_crypto::{SIGNATURE_BYTES, Signer};

use super::cbor::{write_bytes, write_head};
use super::credential::{Credential, PublicKey};
use super::keys::DhKey;
use super::schedule::{HASH_BYTES, Hash, Label, Prk};
use super::{EdhocError, Identifier, Proof, Suite};

const SIGNATURE1: &[u8] = b"Signature1";

/// A private key, static or that of a certificate.
#[derive(Clone, Copy)]
pub enum OwnKey<'a> {
    Static(&'a DhKey),
    Signature(&'a dyn Signer),
}

impl OwnKey<'_> {
    /// That it is what the method wants and the suite has.
    pub(super) fn check(&self, proof: Proof, suite: Suite) -> Result<(), EdhocError> {
        let fits = match (self, proof) {
            (Self::Static(key), Proof::StaticDh) => key.curve() == suite.curve(),
            (Self::Signature(key), Proof::Signature) => key.public_key().algorithm() == suite.signature(),
            _ => false,
        };
        if fits { Ok(()) } else { Err(EdhocError::Credential) }
    }
}

/// What is said about one end in its message.
pub(super) struct Statement<'a> {
    pub(super) label: Label,
    /// Of message 2.
    pub(super) c_r: Option<&'a Identifier>,
    pub(super) th: &'a Hash,
    pub(super) credential: &'a Credential,
    pub(super) data: &'a [u8],
}

impl Statement<'_> {
    /// A MAC as long as the hash where it is signed, else as the tags of the suite.
    fn mac(&self, prk: &Prk, suite: Suite, proof: Proof) -> Result<Vec<u8>, EdhocError> {
        let mut context = Vec::new();
        if let Some(c_r) = self.c_r {
            c_r.write(&mut context);
        }
        context.extend_from_slice(&self.credential.id.map());
        self.write_external(&mut context);
        let mut mac = alloc::vec![0; match proof {
            Proof::Signature => HASH_BYTES,
            Proof::StaticDh => suite.tag_bytes(),
        }];
        prk.fill(self.label as usize, &context, &mut mac)?;
        Ok(mac)
    }

    /// TH, CRED and the external data.
    fn write_external(&self, out: &mut Vec<u8>) {
        write_bytes(self.th, out);
        out.extend_from_slice(&self.credential.bytes);
        out.extend_from_slice(self.data);
    }

    /// The Sig_structure of COSE_Sign1: RFC 9052 §4.4.
    fn to_be_signed(&self, mac: &[u8]) -> Vec<u8> {
        let mut external = Vec::new();
        self.write_external(&mut external);
        let mut out = Vec::new();
        write_head(0x80, 4, &mut out);
        write_head(0x60, SIGNATURE1.len(), &mut out);
        out.extend_from_slice(SIGNATURE1);
        write_bytes(&self.credential.id.map(), &mut out);
        write_bytes(&external, &mut out);
        write_bytes(mac, &mut out);
        out
    }

    /// The bytes that show it.
    pub(super) fn prove(&self, prk: &Prk, suite: Suite, key: OwnKey<'_>) -> Result<Vec<u8>, EdhocError> {
        match key {
            OwnKey::Static(_) => self.mac(prk, suite, Proof::StaticDh),
            OwnKey::Signature(signer) => {
                let mac = self.mac(prk, suite, Proof::Signature)?;
                let signature = signer.sign(&self.to_be_signed(&mac));
                signature.map(Vec::from).map_err(|_| EdhocError::Signer)
            }
        }
    }

    /// Checks them. The credential's key fits the method: [`Credential::check`].
    pub(super) fn check(&self, prk: &Prk, suite: Suite, said: &[u8]) -> Result<(), EdhocError> {
        match &self.credential.key {
            PublicKey::Static { .. } => {
                let mac = self.mac(prk, suite, Proof::StaticDh)?;
                if mac.ct_eq(said).into() { Ok(()) } else { Err(EdhocError::NotAuthentic) }
            }
            PublicKey::Signature(key) => {
                let mac = self.mac(prk, suite, Proof::Signature)?;
                let signature: &[u8; SIGNATURE_BYTES] =
                    said.try_into().map_err(|_| EdhocError::NotAuthentic)?;
                key.verify(&self.to_be_signed(&mac), signature).map_err(|_| EdhocError::NotAuthentic)
            }
        }
    }
}
