//! Arithmetic modulo 2^256 - 38 on words of 32 bits, for Cortex-M and for tests on hosts. No branch and no address depends
//! on a value.

/// A number below 2^256, little endian.
pub(crate) type Number = [u32; 8];

const ZERO: Number = [0; 8];
/// 2^256 = 38.
const FOLD: u32 = 38;
/// (A - 2) / 4 for the A of X25519's curve.
const SCALE: u32 = 121_665;

pub(crate) const fn from_bytes(bytes: &[u8; 32]) -> Number {
    let mut number = ZERO;
    let mut k = 0;
    while k < bytes.len() {
        number[k / 4] |= (bytes[k] as u32) << (8 * (k % 4));
        k += 1;
    }
    number
}

pub(crate) fn to_bytes(number: &Number) -> [u8; 32] {
    core::array::from_fn(|k| number[k / 4].to_le_bytes()[k % 4])
}

/// Does the same with each place of a number. Written out: a loop takes three times as long.
macro_rules! each_word {
    ($k:ident => $($work:tt)*) => {
        each_word!(@ $k [0 1 2 3 4 5 6 7] $($work)*)
    };
    (@ $k:ident [$($place:literal)*] $work:block) => {
        $({
            const $k: usize = $place;
            $work
        })*
    };
}

#[inline(never)]
pub(crate) fn add_into(result: &mut Number, a: &Number, b: &Number) {
    let mut sum = 0;
    each_word!(K => {
        sum = u64::from(a[K]) + u64::from(b[K]) + (sum >> 32);
        result[K] = sum as u32;
    });
    fold(result, (sum >> 32) as u32);
}

/// What is borrowed at the top is 2^256, and so 38 too much. When that is borrowed again, all is ones below.
#[inline(never)]
pub(crate) fn subtract_into(result: &mut Number, a: &Number, b: &Number) {
    let mut difference = 0;
    each_word!(K => {
        difference = i64::from(a[K]) - i64::from(b[K]) + (difference >> 32);
        result[K] = difference as u32;
    });
    difference = i64::from((difference >> 32) as i32 * FOLD as i32) << 32;
    each_word!(K => {
        difference = i64::from(result[K]) + (difference >> 32);
        result[K] = difference as u32;
    });
    result[0] = result[0].wrapping_add(((difference >> 32) as u32).wrapping_mul(FOLD));
}

pub(crate) fn multiply_into(result: &mut Number, a: &Number, b: &Number) {
    *result = multiply(a, b);
}

/// 121665 a + b.
#[inline(never)]
pub(crate) fn multiply_and_add_into(result: &mut Number, a: &Number, b: &Number) {
    let mut carry = 0;
    each_word!(K => { result[K] = multiply_and_add(a[K], SCALE, b[K], &mut carry) });
    fold(result, carry);
}

/// The whole product of two numbers of 16 bytes.
pub(crate) fn multiply_16(result: &mut [u8; 32], a: &[u8; 16], b: &[u8; 16]) {
    let [a, b] = [a, b].map(|half| {
        let mut whole = [0; 32];
        whole[..16].copy_from_slice(half);
        from_bytes(&whole)
    });
    // It is less than 2^256, so that nothing of it goes over.
    *result = to_bytes(&multiply(&a, &b));
}

pub(crate) fn add(a: &Number, b: &Number) -> Number {
    let mut sum = ZERO;
    add_into(&mut sum, a, b);
    sum
}

pub(crate) fn add_here(a: &mut Number, b: &Number) {
    *a = add(a, b);
}

pub(crate) fn double(a: &mut Number) {
    *a = add(a, a);
}

pub(crate) fn subtract(a: &Number, b: &Number) -> Number {
    let mut difference = ZERO;
    subtract_into(&mut difference, a, b);
    difference
}

#[inline(never)]
pub(crate) fn multiply(a: &Number, b: &Number) -> Number {
    // What is above the words that are done.
    let mut rest = ZERO;
    let low: Number = core::array::from_fn(|i| {
        let (mut word, mut carry) = (0, 0);
        each_word!(K => {
            let sum = multiply_and_add(a[i], b[K], rest[K], &mut carry);
            if K == 0 { word = sum } else { rest[K - 1] = sum }
        });
        rest[7] = carry;
        word
    });
    let (mut result, mut carry) = (ZERO, 0);
    each_word!(K => { result[K] = multiply_and_add(rest[K], FOLD, low[K], &mut carry) });
    fold(&mut result, carry);
    result
}

pub(crate) fn multiply_here(a: &mut Number, b: &Number) {
    *a = multiply(a, b);
}

pub(crate) fn square(a: &mut Number) {
    *a = multiply(a, a);
}

pub(crate) fn swap_if(a: &mut Number, b: &mut Number, mask: u8) {
    let mask = u32::from_le_bytes([mask; 4]);
    for (a, b) in a.iter_mut().zip(b) {
        let difference = (*a ^ *b) & mask;
        *a ^= difference;
        *b ^= difference;
    }
}

/// The low word of `a b + c + carry`, whose high word is the next carry.
#[inline(always)]
fn multiply_and_add(a: u32, b: u32, c: u32, carry: &mut u32) -> u32 {
    let sum = u64::from(a) * u64::from(b) + u64::from(c) + u64::from(*carry);
    *carry = (sum >> 32) as u32;
    sum as u32
}

/// Brings back what went over at the top, of less than 2^26. When that goes over again there is next to nothing below.
#[inline(always)]
fn fold(number: &mut Number, over: u32) {
    let mut sum = u64::from(over * FOLD) << 32;
    each_word!(K => {
        sum = u64::from(number[K]) + (sum >> 32);
        number[K] = sum as u32;
    });
    number[0] = number[0].wrapping_add((sum >> 32) as u32 * FOLD);
}
