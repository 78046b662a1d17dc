//! The field of integers modulo p = 2^255 - 19. An element may be kept as itself or with p or 2^256 - 38 more.

mod canonical;
#[cfg(any(target_arch = "avr", test))]
mod combination;
#[cfg(any(target_arch = "avr", test))]
mod inverse;
#[cfg_attr(target_arch = "avr", path = "avr.rs")]
#[cfg_attr(not(target_arch = "avr"), path = "words.rs")]
mod kernels;
mod power;

use core::ops::{Add, AddAssign, Mul, MulAssign, Sub};

use zeroize::Zeroize;

use kernels::Number;
pub(crate) use kernels::multiply_16;

#[derive(Clone, Copy, Zeroize)]
#[repr(transparent)]
pub(crate) struct Element(Number);

impl Element {
    pub(crate) const ZERO: Self = Self::from_bytes(&[0; 32]);

    /// From 32 bytes, little endian.
    pub(crate) const fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(kernels::from_bytes(bytes))
    }

    /// From words, the lowest first.
    #[cfg(not(target_arch = "avr"))]
    pub(crate) const fn from_words(words: Number) -> Self {
        Self(words)
    }

    /// Not a constant, because those take RAM on AVR.
    #[inline(never)]
    pub(crate) fn one() -> Self {
        let mut one = Self::ZERO;
        one.0[0] = 1;
        one
    }

    pub(crate) fn square(&mut self) {
        kernels::square(&mut self.0);
    }

    pub(crate) fn squared(&self) -> Self {
        let mut square = *self;
        square.square();
        square
    }

    pub(crate) fn double(&mut self) {
        kernels::double(&mut self.0);
    }

    /// Writes `a + b` here. The same as `*self = a + b`, and so on, without a copy.
    pub(crate) fn set_sum(&mut self, a: &Self, b: &Self) {
        kernels::add_into(&mut self.0, &a.0, &b.0);
    }

    pub(crate) fn set_difference(&mut self, a: &Self, b: &Self) {
        kernels::subtract_into(&mut self.0, &a.0, &b.0);
    }

    pub(crate) fn set_product(&mut self, a: &Self, b: &Self) {
        kernels::multiply_into(&mut self.0, &a.0, &b.0);
    }

    /// Writes `121665 a + b` here: (A - 2) / 4 for the A of X25519's curve.
    pub(crate) fn set_scaled_sum(&mut self, a: &Self, b: &Self) {
        kernels::multiply_and_add_into(&mut self.0, &a.0, &b.0);
    }

    /// The one representative below p.
    #[inline(never)]
    pub(crate) fn canonical(&self) -> [u8; 32] {
        canonical::canonical(&kernels::to_bytes(&self.0))
    }

    pub(crate) fn negated(&self) -> Self {
        &Self::ZERO - self
    }

    /// Swaps two elements when `mask` is 0xff, and takes as long when it is 0.
    pub(crate) fn swap_if(mask: u8, a: &mut Self, b: &mut Self) {
        kernels::swap_if(&mut a.0, &mut b.0, mask);
    }
}

impl Add for &Element {
    type Output = Element;

    fn add(self, other: Self) -> Element {
        Element(kernels::add(&self.0, &other.0))
    }
}

impl Sub for &Element {
    type Output = Element;

    fn sub(self, other: Self) -> Element {
        Element(kernels::subtract(&self.0, &other.0))
    }
}

impl Mul for &Element {
    type Output = Element;

    fn mul(self, other: Self) -> Element {
        Element(kernels::multiply(&self.0, &other.0))
    }
}

impl AddAssign<&Element> for Element {
    fn add_assign(&mut self, other: &Element) {
        kernels::add_here(&mut self.0, &other.0);
    }
}

impl MulAssign<&Element> for Element {
    fn mul_assign(&mut self, other: &Element) {
        kernels::multiply_here(&mut self.0, &other.0);
    }
}
