//! What a few bits of a byte may be.

pub(crate) trait Bits {
    fn from_bits(bits: u16) -> Self;
    fn bits(self) -> u16;
}

impl Bits for bool {
    fn from_bits(bits: u16) -> Self {
        bits != 0
    }
    fn bits(self) -> u16 {
        self.into()
    }
}

impl Bits for u8 {
    fn from_bits(bits: u16) -> Self {
        let [_, low] = bits.to_be_bytes();
        low
    }
    fn bits(self) -> u16 {
        self.into()
    }
}
