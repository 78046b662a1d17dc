//! Pseudo-random operands and a digest, from 8-bit steps only.

/// Rounds of each operation.
const ROUNDS: u8 = 100;

/// The digest of what `step` adds in all rounds.
#[inline(never)]
pub(crate) fn of_rounds(step: fn(&mut Operands, &mut Digest)) -> [u8; 8] {
    let mut operands = Operands([1, 2, 3, 4, 5, 6, 7, 8]);
    let mut digest = Digest([0; 8]);
    for _ in 0..ROUNDS {
        step(&mut operands, &mut digest);
    }
    digest.0
}

pub(crate) struct Operands([u8; 8]);

impl Operands {
    pub(crate) fn next<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    #[inline(never)]
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.byte());
    }

    /// One time in four a byte at which carries happen.
    #[inline(never)]
    fn byte(&mut self) -> u8 {
        let mut mix = 0x1d_u8;
        for state in &mut self.0 {
            mix = (mix ^ *state).rotate_left(3).wrapping_add(0x9b);
            *state ^= mix;
        }
        match mix & 15 {
            0 => 0,
            1 => 0xff,
            2 => 0x80,
            3 => 0x7f,
            _ => self.0[3],
        }
    }
}

pub(crate) struct Digest([u8; 8]);

impl Digest {
    #[inline(never)]
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let mut mix = *byte;
            for state in &mut self.0 {
                let turned = state.rotate_left(1) ^ mix;
                mix = turned.wrapping_add(*state).wrapping_add(0x35);
                *state = turned;
            }
        }
    }
}
