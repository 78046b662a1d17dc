//! The kernels that the build script writes. They may read and write the same place.

#![allow(unsafe_code, reason = "calls into assembly")]

use core::mem::MaybeUninit;

use super::combination::{Factors, Wide};

/// A number below 2^256, little endian.
pub(crate) type Number = [u8; 32];

pub(crate) const fn from_bytes(bytes: &[u8; 32]) -> Number {
    *bytes
}

pub(crate) const fn to_bytes(number: &Number) -> [u8; 32] {
    *number
}

unsafe extern "C" {
    fn ed25519_multiply(result: *mut Number, a: *const Number, b: *const Number);
    fn ed25519_square(result: *mut Number, a: *const Number);
    fn ed25519_add(result: *mut Number, a: *const Number, b: *const Number);
    fn ed25519_subtract(result: *mut Number, a: *const Number, b: *const Number);
    fn ed25519_multiply_and_add(result: *mut Number, a: *const Number, b: *const Number);
    fn ed25519_swap_if(a: *mut Number, b: *mut Number, mask: u8);
    fn ed25519_multiply_16(result: *mut [u8; 32], a: *const [u8; 16], b: *const [u8; 16]);
    fn ed25519_combine(result: *mut Wide, x: *const Wide, y: *const Wide, factors: *const Factors);
}

/// What a kernel that writes all of its result wrote.
#[inline(always)]
fn written(kernel: impl FnOnce(*mut Number)) -> Number {
    let mut result = MaybeUninit::uninit();
    kernel(result.as_mut_ptr());
    // SAFETY: every kernel here writes all bytes of its result.
    unsafe { result.assume_init() }
}

// SAFETY, of the calls below: pointers are to whole values, and kernels keep to what they are given and the scratch.

#[inline(always)]
pub(crate) fn multiply(a: &Number, b: &Number) -> Number {
    written(|result| unsafe { ed25519_multiply(result, a, b) })
}

#[inline(always)]
pub(crate) fn multiply_into(result: &mut Number, a: &Number, b: &Number) {
    unsafe { ed25519_multiply(result, a, b) }
}

#[inline(always)]
pub(crate) fn multiply_here(a: &mut Number, b: &Number) {
    unsafe { ed25519_multiply(a, a, b) }
}

#[inline(always)]
pub(crate) fn multiply_and_add_into(result: &mut Number, a: &Number, b: &Number) {
    unsafe { ed25519_multiply_and_add(result, a, b) }
}

#[inline(always)]
pub(crate) fn add(a: &Number, b: &Number) -> Number {
    written(|result| unsafe { ed25519_add(result, a, b) })
}

#[inline(always)]
pub(crate) fn add_into(result: &mut Number, a: &Number, b: &Number) {
    unsafe { ed25519_add(result, a, b) }
}

#[inline(always)]
pub(crate) fn add_here(a: &mut Number, b: &Number) {
    unsafe { ed25519_add(a, a, b) }
}

#[inline(always)]
pub(crate) fn double(a: &mut Number) {
    unsafe { ed25519_add(a, a, a) }
}

#[inline(always)]
pub(crate) fn subtract(a: &Number, b: &Number) -> Number {
    written(|result| unsafe { ed25519_subtract(result, a, b) })
}

#[inline(always)]
pub(crate) fn subtract_into(result: &mut Number, a: &Number, b: &Number) {
    unsafe { ed25519_subtract(result, a, b) }
}

#[inline(always)]
pub(crate) fn square(a: &mut Number) {
    unsafe { ed25519_square(a, a) }
}

#[inline(always)]
pub(crate) fn swap_if(a: &mut Number, b: &mut Number, mask: u8) {
    unsafe { ed25519_swap_if(a, b, mask) }
}

#[inline(always)]
pub(crate) fn multiply_16(result: &mut [u8; 32], a: &[u8; 16], b: &[u8; 16]) {
    unsafe { ed25519_multiply_16(result, a, b) }
}

#[inline(always)]
pub(crate) fn combine(x: &mut Wide, y: &Wide, factors: &Factors) {
    unsafe { ed25519_combine(x, x, y, factors) }
}
