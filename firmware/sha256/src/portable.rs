//! FIPS 180-4 §6.2.2 as it stands there: what the kernel for AVR has to agree with.

use zeroize::Zeroizing;

use crate::constants::{ROUNDS, START};

pub(crate) const fn start(state: &mut [u32; 8]) {
    *state = START;
}

pub(crate) fn compress(state: &mut [u32; 8], block: &[u8; 64]) {
    // The last sixteen words of the schedule, in turn.
    let mut w = Zeroizing::new([0; 16]);
    for (word, bytes) in w.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (t, k) in ROUNDS.iter().enumerate() {
        let word = w[t % 16];
        let sigma1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let t1 = h.wrapping_add(sigma1).wrapping_add(e & f ^ !e & g).wrapping_add(*k).wrapping_add(word);
        let sigma0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let t2 = sigma0.wrapping_add(a & b ^ a & c ^ b & c);
        (a, b, c, d, e, f, g, h) = (t1.wrapping_add(t2), a, b, c, d.wrapping_add(t1), e, f, g);
        let (near, far) = (w[(t + 14) % 16], w[(t + 1) % 16]);
        let near = near.rotate_right(17) ^ near.rotate_right(19) ^ near >> 10;
        let far = far.rotate_right(7) ^ far.rotate_right(18) ^ far >> 3;
        w[t % 16] = near.wrapping_add(w[(t + 9) % 16]).wrapping_add(far).wrapping_add(word);
    }
    for (word, change) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(change);
    }
}

/// The schedule wipes itself.
pub(crate) fn wipe() {}
