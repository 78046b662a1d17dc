//! AES-128-CCM with a tag of four bytes, and its stream alone for what has no tag (RFC 3610).

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use ccm::Ccm;
use ccm::aead::{AeadInOut, Nonce, Tag};
use ccm::consts::{U4, U12, U13};

use crate::key::BindKey;

/// Bytes of the tag.
pub(crate) const TAG_BYTES: usize = 4;

/// Opens with a nonce of 12 bytes; `None` when the tag is not the key's.
pub(crate) fn open_12(
    key: &BindKey,
    nonce: &[u8; 12],
    aad: &[u8],
    sealed: &[u8],
    tag: &[u8],
) -> Option<Vec<u8>> {
    open::<Ccm<Aes128, U4, U12>>(key, nonce, aad, sealed, tag)
}

/// Opens with a nonce of 13 bytes; `None` when the tag is not the key's.
pub(crate) fn open_13(
    key: &BindKey,
    nonce: &[u8; 13],
    aad: &[u8],
    sealed: &[u8],
    tag: &[u8],
) -> Option<Vec<u8>> {
    open::<Ccm<Aes128, U4, U13>>(key, nonce, aad, sealed, tag)
}

fn open<A: AeadInOut + KeyInit>(
    key: &BindKey,
    nonce: &[u8],
    aad: &[u8],
    sealed: &[u8],
    tag: &[u8],
) -> Option<Vec<u8>> {
    let cipher = A::new_from_slice(key.bytes()).ok()?;
    let nonce = <&Nonce<A>>::try_from(nonce).ok()?;
    let tag = <&Tag<A>>::try_from(tag).ok()?;
    let mut text = sealed.to_vec();
    cipher.decrypt_inout_detached(nonce, aad, text.as_mut_slice().into(), tag).ok()?;
    Some(text)
}

/// The text under CCM's key stream, which any key gives and any change of the bytes changes.
pub(crate) fn stream_13(key: &BindKey, nonce: &[u8; 13], sealed: &[u8]) -> Vec<u8> {
    let cipher = Aes128::new(key.bytes().into());
    let mut text = sealed.to_vec();
    // The counter has what is left of the block: two bytes. The first block is the tag's.
    for (chunk, counter) in text.chunks_mut(16).zip(1_u16..) {
        let mut block = [0; 16];
        let head = [1].into_iter().chain(*nonce).chain(counter.to_be_bytes());
        block.iter_mut().zip(head).for_each(|(to, byte)| *to = byte);
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        chunk.iter_mut().zip(block).for_each(|(to, byte)| *to ^= byte);
    }
    text
}
