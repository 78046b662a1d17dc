//! Powers that the curve needs.

use super::Element;

impl Element {
    /// To the power of (p - 5) / 8 = 2^252 - 3. Every place is used again as soon as it can be: the stack is small.
    #[inline(never)]
    pub(crate) fn power_of_eighth(&self) -> Self {
        let mut a = self.squared();
        let mut b = a;
        b.square_and_multiply(2, self);
        // 9 in b, and 11 in a. From here on, exponents whose bits are all ones: so many of them.
        a *= &b;
        a.square_and_multiply(1, &b); // 5
        b = a;
        b.square_and_multiply(5, &a); // 10
        a = b;
        a.square_and_multiply(10, &b); // 20
        let mut c = a;
        c.square_and_multiply(20, &a); // 40
        c.square_and_multiply(10, &b); // 50
        (a, b) = (c, c);
        a.square_and_multiply(50, &b); // 100
        c = a;
        c.square_and_multiply(100, &a); // 200
        c.square_and_multiply(50, &b); // 250
        c.square_and_multiply(2, self);
        c
    }

    /// Squares it so many times, then multiplies it.
    #[inline(never)]
    fn square_and_multiply(&mut self, times: u8, factor: &Self) {
        for _ in 0..times {
            self.square();
        }
        *self *= factor;
    }

    /// 1/x, or 0 for 0: to the power of p - 2.
    #[cfg(not(target_arch = "avr"))]
    #[inline(never)]
    pub(crate) fn inverse(&self) -> Self {
        let mut inverse = self.power_of_eighth();
        inverse.square_and_multiply(3, self);
        inverse *= &self.squared();
        inverse
    }
}
