//! AES-128 on one block, CMAC and CCM as Security 2 uses them.

use aes::Aes128;
use aes::cipher::BlockCipherEncrypt;
use ccm::Ccm;
use ccm::aead::AeadInOut;
use ccm::consts::{U8, U13};
use cmac::digest::{FixedOutput, Update};
use cmac::{Cmac, KeyInit};

use crate::Key;

/// Bytes of a nonce.
pub(super) const NONCE_BYTES: usize = 13;
/// Bytes of a tag.
pub(super) const TAG_BYTES: usize = 8;

/// AES-CMAC over the parts, one after the other: RFC 4493.
#[must_use]
pub fn cmac(key: &Key, parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = Cmac::<Aes128>::new(key.expose().into());
    for part in parts {
        Update::update(&mut mac, part);
    }
    mac.finalize_fixed().into()
}

pub(crate) fn encrypt_block(key: &Key, block: [u8; 16]) -> [u8; 16] {
    let mut block = block.into();
    Aes128::new(key.expose().into()).encrypt_block(&mut block);
    block.into()
}

type Aead = Ccm<Aes128, U8, U13>;

/// Encrypts in place and appends the tag. `None` for a text that is longer than CCM takes.
pub(super) fn seal(key: &Key, nonce: &[u8; NONCE_BYTES], aad: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let cipher = Aead::new(key.expose().into());
    let tag = cipher.encrypt_inout_detached(nonce.into(), aad, text.as_mut_slice().into()).ok()?;
    text.extend_from_slice(&tag);
    Some(())
}

/// The plain text, if the tag is right.
pub(super) fn open(key: &Key, nonce: &[u8; NONCE_BYTES], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (text, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
    let mut text = text.to_vec();
    let cipher = Aead::new(key.expose().into());
    cipher.decrypt_inout_detached(nonce.into(), aad, text.as_mut_slice().into(), tag.into()).ok()?;
    Some(text)
}
