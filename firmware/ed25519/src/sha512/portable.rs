//! FIPS 180-4 §6.4.2 as it stands there: what the kernel for AVR has to agree with.

use zeroize::Zeroizing;

use super::constants::ROUNDS;

pub(super) fn compress(state: &mut [u64; 8], block: &[u8; 128]) {
    let mut w = Zeroizing::new([0; 80]);
    for (word, bytes) in w.iter_mut().zip(block.chunks_exact(8)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    for t in 16..80 {
        let near = w[t - 2].rotate_right(19) ^ w[t - 2].rotate_right(61) ^ w[t - 2] >> 6;
        let far = w[t - 15].rotate_right(1) ^ w[t - 15].rotate_right(8) ^ w[t - 15] >> 7;
        w[t] = near.wrapping_add(w[t - 7]).wrapping_add(far).wrapping_add(w[t - 16]);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (w, k) in w.iter().zip(ROUNDS) {
        let sigma1 = e.rotate_right(14) ^ e.rotate_right(18) ^ e.rotate_right(41);
        let t1 = h.wrapping_add(sigma1).wrapping_add(e & f ^ !e & g).wrapping_add(k).wrapping_add(*w);
        let sigma0 = a.rotate_right(28) ^ a.rotate_right(34) ^ a.rotate_right(39);
        let t2 = sigma0.wrapping_add(a & b ^ a & c ^ b & c);
        (a, b, c, d, e, f, g, h) = (t1.wrapping_add(t2), a, b, c, d.wrapping_add(t1), e, f, g);
    }
    for (word, change) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(change);
    }
}

/// The schedule wipes itself.
pub(super) fn wipe() {}
