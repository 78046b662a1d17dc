//! Linear combinations of two numbers, as the inversion needs them.

/// A number in two's complement, little endian.
pub(crate) type Wide = [u8; 33];

/// What two numbers are multiplied by, and what is added.
#[repr(C)]
pub(crate) struct Factors {
    magnitudes: [[u8; 2]; 2],
    /// 0xff for a negative factor: its number is taken as complement, and `start` has the one that this lacks.
    signs: [u8; 2],
    start: [u8; 3],
}

impl Factors {
    /// Two factors of at most 2^14 either way, and an addend below 2^23 less twice that.
    pub(crate) fn new(factors: [i16; 2], addend: u32) -> Self {
        let [u, v] = factors.map(|factor| (factor.unsigned_abs(), (factor >> 15) as u8));
        let ones = [u, v].map(|(magnitude, sign)| magnitude & u16::from_le_bytes([sign; 2]));
        let [low, middle, high, _] = (addend + u32::from(ones[0]) + u32::from(ones[1])).to_le_bytes();
        Self {
            magnitudes: [u.0.to_le_bytes(), v.0.to_le_bytes()],
            signs: [u.1, v.1],
            start: [low, middle, high],
        }
    }
}

/// Makes x (u x + v y + start) / 2^14, without assembly.
#[cfg(not(target_arch = "avr"))]
pub(crate) fn combine(x: &mut Wide, y: &Wide, factors: &Factors) {
    let [low, middle, high] = factors.start;
    let mut sum = i32::from_le_bytes([low, middle, high, 0]);
    let byte = |number: &Wide, k: usize| number.get(k).copied().unwrap_or((number[32] >> 7).wrapping_neg());
    let mut bytes = [0; 35];
    for (k, out) in bytes.iter_mut().enumerate() {
        for (number, (magnitude, sign)) in
            [&*x, y].into_iter().zip(factors.magnitudes.iter().zip(factors.signs))
        {
            sum += i32::from(byte(number, k) ^ sign) * i32::from(u16::from_le_bytes(*magnitude));
        }
        *out = sum as u8;
        sum >>= 8;
    }
    *x = core::array::from_fn(|k| bytes[k + 1] >> 6 | bytes[k + 2] << 2);
}
