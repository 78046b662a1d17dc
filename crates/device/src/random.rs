//! Random numbers of a device that has no source of them.

use core::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use thingward_crypto::MacKey;

/// HMAC under a key that only the device has, over numbers that never come twice: the count of starts, which is durable
/// before it counts, and the count of blocks. What a gateway sends goes in as well.
pub(crate) struct Random {
    key: MacKey,
    start: u32,
    block: u32,
}

impl Random {
    pub(crate) const fn new(key: MacKey, start: u32) -> Self {
        Self { key, start, block: 0 }
    }

    /// Whatever it is, it cannot make the numbers any less random.
    pub(crate) fn stir(&mut self, from_outside: &[u8]) {
        self.key = self.key.derive(&[b"stir", from_outside]);
    }

    /// Nothing that comes later is as before, nor of use for anything.
    pub(crate) fn destroy(&mut self) {
        self.key = MacKey::new(&[0; 32]);
    }

    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let (start, number) = (self.start.to_be_bytes(), self.block.to_be_bytes());
            let block = self.key.derive(&[b"block", &start, &number]);
            self.block = self.block.wrapping_add(1);
            for (slot, byte) in chunk.iter_mut().zip(block.expose()) {
                *slot = *byte;
            }
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_be_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_be_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Random {}
