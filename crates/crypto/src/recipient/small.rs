//! The sender's half of HPKE from what a chip has anyway: HMAC-SHA256, and X25519 on the field of its signatures.

use thingward_ed25519::x25519;
use zeroize::Zeroizing;

use super::{RECIPIENT_KEY_BYTES, RecipientPublicKey};
use crate::{CryptoError, MacKey};

/// RFC 9180 §4: in front of everything.
const VERSION: &[u8] = b"HPKE-v1";
/// DHKEM(X25519, HKDF-SHA256): §4.1 and §7.1.
const KEM: &[u8] = b"KEM\x00\x20";
/// That with HKDF-SHA256, export only: §5.1 and §7.
const SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\xff\xff";
/// Base mode: §5.
const MODE: &[u8] = &[0];

/// What an algorithm of RFC 9180 §4 derives for whom, and under which label.
#[derive(Clone, Copy)]
struct Purpose(&'static [u8], &'static [u8]);

/// Makes a secret for `recipient`; the other value is what it derives it from. `material` is random, and used once.
///
/// # Errors
///
/// [`CryptoError`] when the recipient's key is a point of small order.
#[inline(never)]
pub(super) fn send<const N: usize>(
    recipient: &RecipientPublicKey,
    info: &[u8],
    label: &[u8],
    material: &[u8; 32],
) -> Result<([u8; RECIPIENT_KEY_BYTES], Zeroizing<[u8; N]>), CryptoError> {
    let nothing = MacKey::new(&[0; 32]);
    let ephemeral = ephemeral(&nothing, material);
    let encapsulated = x25519::multiple_of_base(&ephemeral);
    let shared = Zeroizing::new(x25519::multiple(&ephemeral, recipient.as_bytes()));
    if shared.iter().fold(0, |all, byte| all | byte) == 0 {
        return Err(CryptoError);
    }
    let kem = extract(&nothing, Purpose(KEM, b"eae_prk"), shared.as_ref());
    let kem = expand(&kem, Purpose(KEM, b"shared_secret"), &[&encapsulated, recipient.as_bytes()]);
    let psk_id = extract(&nothing, Purpose(SUITE, b"psk_id_hash"), &[]);
    let info = extract(&nothing, Purpose(SUITE, b"info_hash"), info);
    let secret = extract(&MacKey::new(&kem), Purpose(SUITE, b"secret"), &[]);
    let exporter = expand(&secret, Purpose(SUITE, b"exp"), &[MODE, psk_id.expose(), info.expose()]);
    Ok((encapsulated, expand(&MacKey::new(&exporter), Purpose(SUITE, b"sec"), &[label])))
}

/// DeriveKeyPair of §7.1.3.
fn ephemeral(nothing: &MacKey, material: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    expand(&extract(nothing, Purpose(KEM, b"dkp_prk"), material), Purpose(KEM, b"sk"), &[])
}

/// LabeledExtract.
#[inline(never)]
fn extract(salt: &MacKey, Purpose(suite, label): Purpose, input: &[u8]) -> MacKey {
    salt.derive(&[VERSION, suite, label, input])
}

/// LabeledExpand with up to three parts of `info`, of at most 255 blocks.
fn expand<const N: usize>(key: &MacKey, purpose: Purpose, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    let length = u16::try_from(N).unwrap_or(u16::MAX).to_be_bytes();
    expand_into(key, length, purpose, info, out.as_mut());
    out
}

/// RFC 5869 §2.3.
#[inline(never)]
fn expand_into(
    key: &MacKey,
    length: [u8; 2],
    Purpose(suite, label): Purpose,
    info: &[&[u8]],
    out: &mut [u8],
) {
    let part = |k: usize| info.get(k).copied().unwrap_or_default();
    let mut before: Option<MacKey> = None;
    for (number, block) in (1_u8..).zip(out.chunks_mut(32)) {
        let last = before.as_ref().map_or(&[][..], |block| block.expose());
        let parts = [last, &length, VERSION, suite, label, part(0), part(1), part(2), &[number]];
        let next = key.derive(&parts);
        for (slot, byte) in block.iter_mut().zip(next.expose()) {
            *slot = *byte;
        }
        before = Some(next);
    }
}

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use rand_core::{TryCryptoRng, TryRng};

    use super::*;
    use crate::{RecipientSecretKey, system_rng};

    /// The same bytes each time.
    struct Known([u8; 32]);

    impl TryRng for Known {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(0)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(0)
        }

        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
            out.copy_from_slice(&self.0);
            Ok(())
        }
    }

    impl TryCryptoRng for Known {}

    #[test]
    fn a_chip_sends_what_a_host_does_and_the_recipient_derives_it() {
        let secret = RecipientSecretKey::generate(&mut system_rng());
        let recipient = secret.public_key().unwrap();
        for material in [[1; 32], [0xfe; 32]] {
            let sent = send::<48>(&recipient, b"chain 1", b"record key", &material).unwrap();
            let host = recipient.encapsulate::<48>(b"chain 1", b"record key", &mut Known(material)).unwrap();
            assert_eq!(sent, host);
            assert_eq!(secret.decapsulate::<48>(&sent.0, b"chain 1", b"record key").unwrap(), sent.1);
        }
    }

    #[test]
    fn nothing_is_sent_to_a_key_of_small_order() {
        let zero = RecipientPublicKey::from_bytes([0; 32]);
        assert_eq!(send::<16>(&zero, b"", b"", &[7; 32]).map(|_| ()), Err(CryptoError));
    }
}
